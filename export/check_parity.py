"""Stage 6, a gate: do torch, fp32 ONNX and int8 ONNX give the same answers?

    python -m export.check_parity --student build/train/student --onnx build/train/onnx/model.onnx \
        --int8 build/train/onnx/model_quantized.onnx --contract build/train/contract.json \
        --out build/train/parity.json

Fails below 99.5 % agreement in any task, or when the int8 graph multiplies no integers.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import onnx
import onnxruntime
import torch
from google.protobuf.message import DecodeError
from tqdm import tqdm

from export.oracle import Oracle
from function.contract import Contract
from training import dataset, encoder
from training.runs import stage, write_json
from training.teacher import DATA

AGREEMENT = 0.995
ENOUGH = 1_000  # texts to compare
INTEGER = {"MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QAttention"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m export.check_parity", description=__doc__)
    parser.add_argument("--student", type=Path, required=True, help="folder of the student")
    parser.add_argument("--onnx", type=Path, required=True, help="fp32 ONNX file")
    parser.add_argument("--contract", type=Path, required=True, help="the calibrated contract")
    parser.add_argument("--int8", type=Path, required=True, help="int8 ONNX file")
    parser.add_argument("--data", type=Path, default=DATA, help="labelled CSV, for its texts")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args()
    integers = [node for node in nodes(graph_of(options.int8)) if node.op_type in INTEGER]
    if not integers:
        raise ValueError(f"{options.int8}: found no integer matmul in the graph, expected int8")
    contract, _ = encoder.load_words(options.contract, options.student)
    texts = texts_of(dataset.read(options.data, contract))
    oracle = Oracle(options.student, options.contract)
    report = compare(oracle, contract, texts, options.onnx, options.int8)
    report["integer_matmuls"] = len(integers)
    for name in ("fp32", "int8"):
        low = {k: v for k, v in report[name]["agreement"].items() if v < AGREEMENT}
        print(f"parity: torch and {name} over {len(texts)} texts: {report[name]}")
        if low:
            raise ValueError(
                f"{options.int8 if name == 'int8' else options.onnx}: found label agreement with "
                f"torch of {low}, expected at least {AGREEMENT} in every task"
            )
    write_json(options.out, report)


def texts_of(rows: list[dataset.Row]) -> list[str]:
    """What training has not adapted to, the dev and test rows; where they are few, training rows
    too: of 60 texts a single label that changes is more than may change."""
    held_out = [row.text for row in rows if row.split != "train"]
    others = [row.text for row in rows if row.split == "train"]
    missing = min(max(0, ENOUGH - len(held_out)), len(others))
    return held_out + Random(0).sample(others, missing)


def graph_of(path: Path) -> onnx.GraphProto:
    try:
        return onnx.load(path).graph
    except DecodeError as error:
        raise ValueError(f"{path}: found no whole ONNX file ({error}), expected one") from None


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of the graph and of the graphs inside its nodes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from nodes(attribute.g)


def compare(oracle: Oracle, contract: Contract, texts: list[str], fp32: Path, int8: Path) -> dict:
    """max |Δp| and each task's label agreement of both graphs with torch, one text at a time:
    in a batch, dynamic quantization would let neighbours change an answer."""
    graphs = {"fp32": session(fp32), "int8": session(int8)}
    reference, found = [], {name: [] for name in graphs}
    for text in tqdm(texts, "parity", mininterval=2, leave=False):
        ids = oracle.encode(text)
        reference.append(oracle.probabilities(oracle.logits(ids)).numpy())
        for name, graph in graphs.items():
            logits = torch.from_numpy(graph.run(None, feed(graph, ids))[0][0])
            found[name].append(oracle.probabilities(logits).numpy())
    truth = np.array(reference)
    return {
        "texts": len(texts),
        **{name: _agreement(truth, np.array(p), contract) for name, p in found.items()},
    }


def feed(graph: onnxruntime.InferenceSession, ids: list[int]) -> dict[str, np.ndarray]:
    """The inputs of one text, as far as the graph wants them."""
    row = np.array([ids], np.int64)
    every = {"input_ids": row, "attention_mask": np.ones_like(row),
             "token_type_ids": np.zeros_like(row)}  # fmt: skip
    return {given.name: every[given.name] for given in graph.get_inputs()}


def session(path: Path) -> onnxruntime.InferenceSession:
    """The graph as it stands in the file: so it is served, not optimised any further."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _agreement(truth: np.ndarray, found: np.ndarray, contract: Contract) -> dict:
    """`single`: the share of texts with the same label. `multi`: the labels both give, twice, over
    all that either gives (a Dice coefficient; counting the many absent labels too would flatter).
    A task with `only_if` counts where the reference says that its condition holds."""
    agreement = {}
    holds = {}
    for task in contract.tasks:
        columns = slice(task.start, task.stop)
        here = np.ones(len(truth), bool)
        for name, label in task.only_if:
            other, chosen = holds[name]
            here &= chosen == other.labels.index(label)
        a, b = truth[here, columns], found[here, columns]
        if task.kind == "single":
            holds[task.name] = (task, truth[:, columns].argmax(1))
            same = a.argmax(1) == b.argmax(1)
            agreement[task.name] = float(same.mean()) if len(same) else 1.0
        else:
            least = np.array(task.thresholds)
            said, again = a >= least, b >= least
            given = said.sum() + again.sum()
            agreement[task.name] = float(2 * (said & again).sum() / given) if given else 1.0
    return {
        "max_difference": round(float(np.abs(truth - found).max()), 6),
        "mean_difference": round(float(np.abs(truth - found).mean()), 6),
        "agreement": {name: round(share, 5) for name, share in agreement.items()},
    }


if __name__ == "__main__":
    stage(main)
