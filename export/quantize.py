"""Stage 4: fp32 ONNX to int8, with the optimised graph saved.

    python -m export.quantize --onnx build/train/onnx/model.onnx \
        --out build/train/onnx/model_quantized.onnx

Dynamic quantization: weights, one scale per output column, and embeddings are stored as int8;
activations are quantized while running. Weights are **unsigned** (U8U8). With signed ones (U8S8)
a CPU with AVX2 or AVX-512 but without VNNI multiplies by an instruction that saturates at 16 bits
and gives other answers (microsoft/onnxruntime issues 6004, 14642); the remedy there, 7-bit
weights (`reduce_range`), costs precision. The U8U8 kernels widen first: exact everywhere.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic

from training.runs import stage


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m export.quantize", description=__doc__)
    parser.add_argument("--onnx", type=Path, required=True, help="fp32 ONNX file")
    parser.add_argument("--out", type=Path, required=True, help="int8 ONNX file to write")
    options = parser.parse_args()
    quantize(options.onnx, options.out)
    print(f"quantize: {options.out} {options.out.stat().st_size / 1e6:.2f} MB")


def quantize(onnx: Path, out: Path) -> None:
    """Write the int8 form of `onnx` to `out`, ready to be loaded without optimising."""
    if not onnx.exists():
        raise ValueError(f"--onnx {onnx}: found no file there")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        plain, optimised = Path(folder) / "plain.onnx", Path(folder) / "optimised.onnx"
        quantize_dynamic(
            onnx, plain,
            op_types_to_quantize=["MatMul", "Gather"],
            per_channel=True,
            weight_type=QuantType.QUInt8,
        )  # fmt: skip
        optimise(plain, optimised)
        os.replace(optimised, out)


def optimise(onnx: Path, out: Path) -> None:
    """Write the graph as onnxruntime would have it after its hardware-independent optimisations.

    The highest level would bake in a memory layout of this very CPU.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(out)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(onnx), options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    stage(main)
