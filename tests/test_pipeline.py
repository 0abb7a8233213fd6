"""The whole way on a few hundred rows of another domain: CSV to teacher, student and bundle."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from transformers import pipeline

from function import contract as contracts
from function import model as models
from tests.pipeline import LONG, run
from training import baseline, distill, evaluate, teacher
from training.parts import divide


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
    recipe = manifest["recipe"]
    assert recipe["student"]["align"] == 1 and "base" not in recipe["teacher"]
    of_slice = manifest["slices"]["int8"]["odd_coats"]["kind"]
    shown = (finished / "bundle" / "README.md").read_text()
    assert "| odd coats | kind | 3 | " in shown and f" {of_slice['accuracy']:.4f} |" in shown
    config = json.loads((finished / "bundle" / "tokenizer_config.json").read_text())
    assert config["model_max_length"] == model.contract.max_pieces
    everything = "".join(
        path.read_text("utf-8") for path in (finished / "bundle").iterdir() if path.is_file()
    )
    assert str(finished.parent) not in everything, "a path of the training machine was shipped"


def test_a_stock_pipeline_prints_each_tasks_own_label(finished):
    pipe = pipeline("token-classification", str(finished / "student"))
    for text, kind in (("pale grey tiny siamese", "cat"), ("golden noisy poodle", "dog")):
        said = [entity["entity"] for entity in pipe(f"{text} # + |")[-3:]]
        assert said[:2] == ["animal:yes", f"kind:{kind}"] and said[2].startswith("traits:")


def test_what_calibration_fitted_is_in_the_bundle_alone(finished):
    def tasks(folder: str) -> list[dict]:
        return json.loads((finished / folder / "contract.json").read_text())["tasks"]

    assert tasks("bundle") == tasks(".")
    for fitted, plain in zip(tasks("."), tasks("student"), strict=True):
        added = {"single": {"temperature", "threshold"}, "multi": {"thresholds"}}[plain["kind"]]
        assert set(fitted) - set(plain) == added
    report = json.loads((finished / "metrics.json").read_text())
    assert 0 <= report["models"]["int8"]["test"]["animal"]["calibration_error"] < 0.2


def test_what_tfidf_said_is_kept_for_the_data_it_was_fitted_on(finished, pets, tmp_path):
    contract = contracts.load(pets["contract"], {"#": 1, "+": 2, "|": 3})
    train, held_out, _ = divide(pets["data"], contract, all_rows=False)
    texts = [row.text for row in held_out["test"]]
    kept = baseline.remembered(finished / "student", pets["data"], contract)
    fresh = baseline.predict(train, texts, contract)
    np.testing.assert_allclose([kept[text] for text in texts], fresh, atol=1e-5)
    other = tmp_path / "pets.csv"
    other.write_text(pets["data"].read_text() + "red newt,yes,cat,,made\n")
    assert baseline.remembered(finished / "student", other, contract) is None


def test_a_run_killed_while_tfidf_is_fitted_keeps_what_the_teacher_said(
    finished, pets, tmp_path, monkeypatch
):
    ours, asked = teacher.predict, []

    def predict(model, contract, wordpiece, texts, *rest, **more):
        asked.append(len(texts))
        return ours(model, contract, wordpiece, texts, *rest, **more)

    def killed(*_):
        raise KeyboardInterrupt

    def once() -> None:
        run(distill, "--teacher", finished / "teacher", "--data", pets["data"], "--size", 500,
            "--epochs", 1, "--out", tmp_path)  # fmt: skip

    monkeypatch.setattr(teacher, "predict", predict)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(baseline, "predict", killed)
        once()
    assert len(asked) == 1 and asked[0] > 500 and (tmp_path / distill.SAID).exists()
    once()
    assert asked.count(asked[0]) == 1, "the teacher was asked again"
    assert not (tmp_path / distill.SAID).exists()


def test_a_finished_stage_is_not_done_again(finished, pets, capsys):
    before = (finished / "teacher" / "model.safetensors").stat().st_mtime_ns
    run(teacher, "--base", pets["base"], "--contract", pets["contract"], "--data", pets["data"],
        *LONG, "--out", finished / "teacher")
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


def test_tfidf_is_fitted_once_for_the_models_that_are_judged_beside_it(
    finished, pets, tmp_path, monkeypatch
):
    """Also where the model was trained on all rows, whose measured run has it of fewer."""
    run_folder = tmp_path / "ship"
    shutil.copytree(finished, run_folder)
    fitted, ours = [], baseline.predict

    def predict(train, *rest):
        fitted.append(len(train))
        return ours(train, *rest)

    monkeypatch.setattr(baseline, "predict", predict)
    for _ in range(2):
        run(evaluate, "--run", run_folder, "--data", pets["data"],
            "--measured", finished / "metrics.json")  # fmt: skip
        said = dict(np.load(run_folder / "answers.npz"))
        assert said["tfidf/odd_coats"].shape == said["int8/odd_coats"].shape
    rows = len(pets["data"].read_text().splitlines()) - 1
    assert fitted == [rows]
