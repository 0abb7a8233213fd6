"""Stage 3: the student as fp32 ONNX, through optimum.

    python -m export.to_onnx --student build/train/student --out build/train/onnx/model.onnx
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from optimum.exporters.onnx import main_export

from training.runs import stage

OPSET = 18  # the newest that onnxruntime's dynamic quantization and its web build both know well


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m export.to_onnx", description=__doc__)
    parser.add_argument("--student", type=Path, required=True, help="folder of the student")
    parser.add_argument("--out", type=Path, required=True, help="ONNX file to write")
    options = parser.parse_args()
    to_onnx(options.student, options.out)
    print(f"to_onnx: {options.out} {options.out.stat().st_size / 1e6:.1f} MB")


def to_onnx(student: Path, out: Path) -> None:
    """Write `out`: inputs int64 (B, T), output `logits` float32 (B, T, L), B and T free.

    optimum compares its logits with torch's and raises where they differ by more than 1e-4.
    """
    if not (student / "config.json").exists():
        raise ValueError(f"--student {student}: found no trained student there")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        main_export(str(student), folder, task="token-classification", opset=OPSET, atol=1e-4)
        os.replace(Path(folder) / "model.onnx", out)


if __name__ == "__main__":
    stage(main)
