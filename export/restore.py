"""The way back: the encoder of an int8 bundle as a torch model, to train a new head on.

    python -m export.restore --bundle bundle --out build/mine/encoder

Every quantized weight is its integers times its scales, so the encoder is the one that is served,
not the one that was once trained.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from transformers import BertConfig, BertForTokenClassification

from export.quantize import head
from function import model as models
from training.runs import stage

COPIED = ("vocab.txt", "contract.json", "tokenizer.json", "tokenizer_config.json",
          "special_tokens_map.json")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m export.restore", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of a bundle")
    parser.add_argument("--out", type=Path, required=True, help="folder of the torch model")
    options = parser.parse_args()
    models.verify(options.bundle)
    model = restore(options.bundle)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(options.bundle / name, options.out / name)
    model.save_pretrained(options.out)
    print(f"restore: {options.out}")


def restore(bundle: Path) -> BertForTokenClassification:
    """The model of the bundle in float32. Raises ValueError where its graph is not one of ours."""
    graph = onnx.load(bundle / models.MODEL).graph
    weights = {x.name: numpy_helper.to_array(x) for x in graph.initializer}
    model = BertForTokenClassification(BertConfig.from_pretrained(bundle))
    state = {name: x for name, x in weights.items() if name in model.state_dict()}
    table = "bert.embeddings.word_embeddings.weight"
    try:
        state[table] = weights[f"{table}_rows"] * weights[f"{table}_scales"]
        layers = (f"bert.encoder.layer.{n}" for n in range(model.config.num_hidden_layers))
        products = iter([node for node in graph.node if is_product(node, weights)])
        attentions = (x for x in graph.node if x.op_type in ("QAttention", "Attention"))
        for layer, node in zip(layers, attentions, strict=True):
            joined = weights[node.input[1]]
            if node.op_type == "QAttention":
                joined = floats(weights, node.input[1], node.input[4], node.input[7])
            for name, weight, bias in zip(
                ("query", "key", "value"),
                np.split(joined, 3, 1), np.split(weights[node.input[2]], 3), strict=True,
            ):  # fmt: skip
                state[f"{layer}.attention.self.{name}.weight"] = weight.T
                state[f"{layer}.attention.self.{name}.bias"] = bias
            for name in ("attention.output", "intermediate", "output"):
                found = next(products)
                matrix = weights[found.input[1]]
                if found.op_type == "DynamicQuantizeMatMul":
                    matrix = floats(weights, *found.input[1:4])
                state[f"{layer}.{name}.dense.weight"] = matrix.T
        last = next(node for node in graph.node if node.name == head(graph))
        state["classifier.weight"] = weights[last.input[1]].T
        model.load_state_dict({name: torch.from_numpy(np.array(x)) for name, x in state.items()})
    except (KeyError, StopIteration, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{bundle / models.MODEL}: found a graph that export.quantize did not make ({error})"
        ) from None
    return model.eval()


def is_product(node: onnx.NodeProto, weights: dict) -> bool:
    """Whether a node multiplies by weights, quantized or left in float32 (see export.quantize)."""
    return node.op_type in ("DynamicQuantizeMatMul", "MatMul") and node.input[1] in weights


def floats(weights: dict, integers: str, scales: str, zeros: str) -> np.ndarray:
    """The float weights (in, out) of a quantized matrix product."""
    whole = weights[integers].astype(np.float32) - weights[zeros].astype(np.float32)
    return whole * weights[scales]


if __name__ == "__main__":
    stage(main)
