"""The stages of `make train` on a small domain, once for all tests that look at what they made."""

from __future__ import annotations

import sys
from pathlib import Path

from export import bundle, calibrate, check_parity, make_golden, quantize, to_onnx
from tests.training_fixtures import write_base, write_contract, write_data
from training import distill, evaluate, teacher

LONG = ("--epochs", 16, "--rate", 1e-3, "--batch-size", 16)  # for so few rows


def run(stage, *arguments: object) -> None:
    """`python -m <stage> <arguments>`, in this process to save the imports."""
    before, sys.argv = sys.argv, [stage.__name__, *map(str, arguments)]
    try:
        stage.main()
    finally:
        sys.argv = before


def domain(folder: Path) -> dict[str, Path]:
    (folder / "slices").mkdir()
    (folder / "slices" / "odd_coats.csv").write_text(
        "text,animal,kind,traits\nspotted tabby,yes,cat,\nstriped noisy hound,yes,dog,loud\n"
        "woolly parrot,yes,bird,\nstriped window,no,,\n"
    )
    return {"folder": folder, "contract": write_contract(folder), "data": write_data(folder),
            "base": write_base(folder)}  # fmt: skip


def finish(pets: dict[str, Path]) -> Path:
    """The folder of a finished run, every stage in its order."""
    out, data = pets["folder"] / "run", ("--data", pets["data"])
    int8 = out / "onnx" / "model_quantized.onnx"
    run(teacher, "--base", pets["base"], "--contract", pets["contract"], *data, *LONG,
        "--out", out / "teacher")  # fmt: skip
    run(distill, "--teacher", out / "teacher", *data, "--size", 1_200, "--epochs", 15,
        "--align", 1, "--foreign", 1, "--out", out / "student")  # fmt: skip
    run(to_onnx, "--student", out / "student", "--out", out / "onnx" / "model.onnx")
    run(quantize, "--onnx", out / "onnx" / "model.onnx", "--out", int8)
    run(calibrate, "--student", out / "student", "--int8", int8, *data,
        "--out", out / "contract.json")  # fmt: skip
    run(check_parity, "--student", out / "student", "--onnx", out / "onnx" / "model.onnx",
        "--int8", int8, *data, "--contract", out / "contract.json",
        "--out", out / "parity.json")  # fmt: skip
    run(make_golden, "--student", out / "student", "--int8", int8, *data,
        "--contract", out / "contract.json", "--out", out / "golden.json")  # fmt: skip
    run(evaluate, "--run", out, *data)
    run(bundle, "--run", out, "--out", out / "bundle")
    return out
