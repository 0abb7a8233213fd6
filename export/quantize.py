"""Stage 4: fp32 ONNX to int8, with the optimised graph saved.

    python -m export.quantize --onnx build/train/onnx/model.onnx \
        --out build/train/onnx/model_quantized.onnx

Dynamic quantization: weights are stored as bytes with one scale per output column; activations are
quantized while running. Weights are **unsigned** (U8U8). With signed ones (U8S8) a CPU with AVX2 or
AVX-512 but without VNNI multiplies by an instruction that saturates at 16 bits and gives other
answers (microsoft/onnxruntime issues 6004, 14642): logits moved by up to 0.66 on an emulated
Haswell, and by nothing at all with U8U8, whose kernels widen first. The remedy of those issues,
7-bit weights (`reduce_range`), was as exact, and erred a tenth more.

Word embeddings get a scale per row instead of one for the table (2 % more bytes), and the head
stays fp32 (13 kB more): together a fifth less error. So does the attention of the last layer (145
kB more), which errs most for its size: a sixth less; and so do the first layer's two feed-forward
products (390 kB more), whose errors every later step takes up: a third less, in the same time (of
ten tokens 272 µs and 269, medians of 400 in turns). Fusing attention, GELU and normalization first
leaves 36 nodes of 109, between which a short text would spend a fifth of its time. Biases belong to
the matrix products and skip connections stay sums: the operators that join either with what follows
take longer than their parts (benchmarks/LOG.md).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

from training.runs import stage

# Fused operators that take longer than their parts.
SLOW = ["SkipLayerNormFusion", "BiasSkipLayerNormFusion", "BiasGeluFusion"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m export.quantize", description=__doc__)
    parser.add_argument("--onnx", type=Path, required=True, help="fp32 ONNX file")
    parser.add_argument("--out", type=Path, required=True, help="int8 ONNX file to write")
    options = parser.parse_args()
    quantize(options.onnx, options.out)
    print(f"quantize: {options.out} {options.out.stat().st_size / 1e6:.2f} MB")


def quantize(source: Path, out: Path) -> None:
    """Write the int8 form of the ONNX file `source` to `out`, ready to be loaded without
    optimising. Raises ValueError where there is no such file or it is no encoder of ours."""
    if not source.exists():
        raise ValueError(f"--onnx {source}: found no file there")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        fused, plain, optimised = (
            Path(folder) / f"{name}.onnx" for name in ("fused", "plain", "optimised")
        )
        fuse(source, fused)
        model = onnx.load(fused)
        quantize_rows(model.graph)
        onnx.save(model, fused)
        quantize_dynamic(
            fused, plain,
            op_types_to_quantize=["MatMul", "Attention"],
            nodes_to_exclude=[head(model.graph), last_attention(model.graph),
                              *first_feed_forward(model.graph)],
            per_channel=True,
            weight_type=QuantType.QUInt8,
            # onnx knows nothing of the fused operators, so not that they give floats either.
            extra_options={"DefaultTensorType": TensorProto.FLOAT},
        )  # fmt: skip
        optimise(plain, optimised)
        os.replace(optimised, out)


def fuse(source: Path, out: Path) -> None:
    """Write the graph with each attention, GELU and normalization as one operator."""
    wanted = FusionOptions("bert")
    wanted.enable_embed_layer_norm = False  # it would swallow the table that gets its own scales
    wanted.enable_skip_layer_norm = wanted.enable_bias_skip_layer_norm = False
    wanted.enable_bias_gelu = False
    optimizer = optimize_model(str(source), "bert", optimization_options=wanted, opt_level=0)
    optimizer.save_model_to_file(str(out))


def quantize_rows(graph: onnx.GraphProto) -> None:
    """Replace the float table (V, H) that `input_ids` looks up by int8 rows and their scales.

    The quantizer has one scale for the whole table. Gather, Cast and Mul do it in any onnxruntime.
    """
    tables = {table.name: table for table in graph.initializer}
    lookups = [n for n, node in enumerate(graph.node)
               if node.op_type == "Gather" and list(node.input[1:]) == ["input_ids"]
               and node.input[0] in tables]  # fmt: skip
    if len(lookups) != 1:
        raise ValueError(f"--onnx: found {len(lookups)} tables of word embeddings, expected one")
    (at,) = lookups
    node = graph.node[at]
    name, out = node.input[0], node.output[0]
    table = numpy_helper.to_array(tables[name])
    scales = np.abs(table).max(1, keepdims=True).astype(np.float32) / 127
    scales[scales == 0] = 1  # any scale does for a row of zeros
    graph.initializer.remove(tables[name])
    graph.initializer.extend([
        numpy_helper.from_array(np.rint(table / scales).astype(np.int8), f"{name}_rows"),
        numpy_helper.from_array(scales, f"{name}_scales"),
    ])  # fmt: skip
    graph.node.remove(node)
    steps = (
        helper.make_node("Gather", [f"{name}_rows", "input_ids"], [f"{out}_row"]),
        helper.make_node("Cast", [f"{out}_row"], [f"{out}_float"], to=TensorProto.FLOAT),
        helper.make_node("Gather", [f"{name}_scales", "input_ids"], [f"{out}_scale"]),
        helper.make_node("Mul", [f"{out}_float", f"{out}_scale"], [out]),
    )
    for n, step in enumerate(steps):
        graph.node.insert(at + n, step)


def head(graph: onnx.GraphProto) -> str:
    """The name of the matrix product that gives the logits."""
    made_by = {name: node for node in graph.node for name in node.output}
    node = made_by["logits"]
    while node.op_type != "MatMul":
        node = next(made_by[name] for name in node.input if name in made_by)
    return node.name


def last_attention(graph: onnx.GraphProto) -> str:
    """The name of the last layer's attention."""
    found = [node.name for node in graph.node if node.op_type == "Attention"]
    if not found:
        raise ValueError("--onnx: found no attention, expected that of a BERT")
    return found[-1]


def first_feed_forward(graph: onnx.GraphProto) -> list[str]:
    """The names of the first layer's two products that widen and narrow again."""
    shapes = {weight.name: weight.dims for weight in graph.initializer}
    products = [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in shapes]
    uneven = [node.name for node in products if len(set(shapes[node.input[1]])) == 2]
    return uneven[:2]


def optimise(source: Path, out: Path) -> None:
    """Write the graph as onnxruntime would have it after its hardware-independent optimisations.

    The highest level would bake in a memory layout of this very CPU.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(out)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        str(source), options, providers=["CPUExecutionProvider"], disabled_optimizers=SLOW
    )


if __name__ == "__main__":
    stage(main)
