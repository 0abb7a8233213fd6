"""The report's intervals and its page."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bootstrap, figures, report
from function.contract import Task
from training import dataset

RNG = np.random.default_rng(0)


def task(kind: str, labels: int) -> Task:
    return Task("t", ">", 0, kind, tuple(map(str, range(labels))), (), 0, labels, 1.0, 0.0,
                (0.5,) * labels)  # fmt: skip


def test_an_accuracy_has_the_interval_of_a_proportion():
    right = RNG.random(2_000) < 0.9
    p = np.stack([right, ~right], 1).astype(float)
    truth = np.tile([1.0, 0.0], (2_000, 1))
    rows = bootstrap.counts(task("single", 2), p, truth)
    low, high = bootstrap.interval(rows)
    mean = right.mean()
    half = 1.96 * np.sqrt(mean * (1 - mean) / 2_000)  # the normal approximation
    np.testing.assert_allclose([low, high], [mean - half, mean + half], atol=0.002)


def test_a_micro_f1_is_sklearns():
    from sklearn.metrics import f1_score

    p, truth = RNG.random((300, 4)), RNG.random((300, 4)) < 0.3
    rows = bootstrap.counts(task("multi", 4), p, truth)
    expected = f1_score(truth, p >= 0.5, average="micro")
    assert bootstrap.ratio(rows.sum(0)) == pytest.approx(expected)
    low, high = bootstrap.interval(rows)
    assert low < expected < high


def test_of_equal_models_the_difference_is_nothing():
    rows = np.stack([RNG.random(200) < 0.8, np.ones(200)], 1)
    assert bootstrap.interval(rows, rows) == (0.0, 0.0)


@pytest.fixture
def page(finished, pets, tmp_path, monkeypatch) -> tuple[str, Path]:
    out = tmp_path / "report"
    monkeypatch.setattr(sys, "argv", ["report", "--run", str(finished), "--data",
                                      str(pets["data"]), "--out", str(out)])  # fmt: skip
    report.main()
    return (out / "index.html").read_text("utf-8"), out


def test_the_page_holds_everything_and_needs_nothing(page, finished):
    text, out = page
    for name in ("slices-animal", "slices-traits", "confusion-kind", "reliability-animal"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f'alt="{name}" src="data:image/png;base64,' in text
    assert "http" not in text.replace("base64", "")
    scores = json.loads((finished / "metrics.json").read_text())["models"]["int8"]["test"]
    assert f"{scores['animal']['accuracy']:.4f}" in text
    assert f"{scores['traits']['micro_f1']:.4f}" in text


def test_answers_to_other_rows_are_refused(finished, pets, tmp_path):
    other = tmp_path / "pets.csv"
    lines = pets["data"].read_text().splitlines()
    other.write_text("\n".join(lines[: len(lines) // 2]) + "\n")
    with pytest.raises(ValueError, match=r"answers\.npz: found answers to \d+ rows of test"):
        report.read(finished, other)
    with pytest.raises(ValueError, match=r"found no answers\.npz"):
        report.read(tmp_path, other)


def test_errors_are_the_surest_first_and_single_tasks_count_once():
    two = (task("single", 2),)
    contract = type("C", (), {"tasks": two, "columns": ("0", "1"), "name": "x"})()
    rows = [dataset.Row(text, {"t": ("0",)}, "", "test", 1) for text in ("sure", "unsure", "right")]
    p = np.array([[0.05, 0.95], [0.4, 0.6], [0.9, 0.1]])
    run = report.Run({"test": rows}, {}, {"int8": contract}, {"int8": {"test": p}})
    found = report.errors(run)
    assert found.count("<tr>") == 3  # the head and two errors
    assert found.index("unsure") > found.index(">sure<") and "right" not in found


def test_pictures_close():
    figure = figures.trade("t", ["a"], [0.1], [4.5], [0.9])
    figures.pyplot.close(figure)
    assert not figures.pyplot.get_fignums()
