"""The whole way on a few hundred rows of another domain: CSV to teacher, student and bundle."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from export import bundle, calibrate, check_parity, make_golden, quantize, to_onnx
from function import model as models
from tests.training_fixtures import write_base, write_contract, write_data
from training import distill, evaluate, teacher


def run(stage, *arguments: object) -> None:
    """`python -m <stage> <arguments>`, in this process to save the imports."""
    before, sys.argv = sys.argv, [stage.__name__, *map(str, arguments)]
    try:
        stage.main()
    finally:
        sys.argv = before


@pytest.fixture(scope="module")
def pets(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pets")
    return {"folder": folder, "contract": write_contract(folder), "data": write_data(folder),
            "base": write_base(folder)}  # fmt: skip


@pytest.fixture(scope="module")
def finished(pets) -> Path:
    """The folder of a finished run, every stage of `make train` in its order."""
    out, data = pets["folder"] / "run", ("--data", pets["data"])
    int8 = out / "onnx" / "model_quantized.onnx"
    run(teacher, "--base", pets["base"], "--contract", pets["contract"], *data, "--epochs", 10,
        "--rate", 1e-3, "--batch-size", 16, "--out", out / "teacher")  # fmt: skip
    run(distill, "--teacher", out / "teacher", *data, "--size", 1_200, "--epochs", 15,
        "--out", out / "student")  # fmt: skip
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


def test_every_model_learned_the_domain(finished):
    report = json.loads((finished / "metrics.json").read_text())
    assert list(report["models"]) == ["tfidf", "teacher", "student", "int8"]
    for name in ("teacher", "student", "int8"):
        test = report["models"][name]["test"]
        assert test["animal"]["accuracy"] > 0.9, name
        assert test["kind"]["accuracy"] > 0.9, name
        assert test["traits"]["micro_f1"] > 0.9, name
        assert set(test["traits"]["labels"]) == {"small", "loud", "rare"}


def test_the_bundle_answers_and_says_how_it_was_made(finished):
    model = models.load(finished / "bundle")
    (answer, table), _ = model.answer(["pale grey tiny siamese", "golden dark table"])
    assert answer["kind"]["label"] == "cat"
    assert "small" in [trait["label"] for trait in answer["traits"]]
    assert table["kind"] is None and table["traits"] == []
    manifest = json.loads((finished / "bundle" / "manifest.json").read_text())
    assert manifest["name"] == "pets" and manifest["trained_on"] == "train split"
    assert manifest["metrics"]["models"]["int8"]["test"]["animal"]["rows"] > 0
    config = json.loads((finished / "bundle" / "tokenizer_config.json").read_text())
    assert config["model_max_length"] == model.contract.max_pieces
    everything = "".join(
        path.read_text("utf-8") for path in (finished / "bundle").iterdir() if path.is_file()
    )
    assert str(finished.parent) not in everything, "a path of the training machine was shipped"


def test_what_calibration_fitted_is_in_the_bundle_alone(finished):
    def tasks(folder: str) -> list[dict]:
        return json.loads((finished / folder / "contract.json").read_text())["tasks"]

    assert tasks("bundle") == tasks(".")
    for fitted, plain in zip(tasks("."), tasks("student"), strict=True):
        added = {"single": {"temperature", "threshold"}, "multi": {"thresholds"}}[plain["kind"]]
        assert set(fitted) - set(plain) == added
    report = json.loads((finished / "metrics.json").read_text())
    assert 0 <= report["models"]["int8"]["test"]["animal"]["calibration_error"] < 0.2


def test_a_finished_stage_is_not_done_again(finished, pets, capsys):
    before = (finished / "teacher" / "model.safetensors").stat().st_mtime_ns
    run(teacher, "--base", pets["base"], "--contract", pets["contract"], "--data", pets["data"],
        "--epochs", 10, "--rate", 1e-3, "--batch-size", 16, "--out", finished / "teacher")
    assert "finished already" in capsys.readouterr().out
    assert (finished / "teacher" / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ({"data": "no.csv"}, "no.csv"),
        ({"contract": "no.json"}, "no.json"),
        ({"base": "no/such"}, "--base no/such: found no model there"),
    ],
)
def test_a_mistaken_argument_is_one_line_and_leaves_nothing(pets, tmp_path, harm, message):
    given = {**pets, **harm}
    arguments = ["--base", given["base"], "--contract", given["contract"], "--data",
                 given["data"], "--out", tmp_path / "teacher"]  # fmt: skip
    with pytest.raises((ValueError, OSError)) as error:
        run(teacher, *arguments)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.rglob("metrics.json")) and not list(tmp_path.rglob("*.safetensors"))
