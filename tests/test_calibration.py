"""Temperatures and thresholds, on probabilities whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from function import contract as contracts
from tests.training_fixtures import CONTRACT
from training import calibration
from training.dataset import Row

VOCAB = {"#": 0, "+": 1, "|": 2}
PETS = contracts.parse(CONTRACT, VOCAB)


def drawn(heat: float, rows: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Softmax answers that are `heat` times too sure, and truths drawn from the right ones."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.5, (rows, 3))
    right = torch.softmax(torch.tensor(logits), 1).numpy()
    truth = (right.cumsum(1) > random.random((rows, 1))).argmax(1)
    return torch.softmax(torch.tensor(logits * heat), 1).numpy(), truth


@pytest.mark.parametrize("heat", [0.5, 1.0, 3.0])
def test_temperature_is_found_and_mends_the_calibration_error(heat):
    p, truth = drawn(heat)
    found = calibration.temperature(p, truth)
    assert found == pytest.approx(heat, rel=0.05)
    mended = calibration.calibration_error(calibration.heated(p, found), truth)
    assert mended < 0.015
    if heat != 1:
        assert calibration.calibration_error(p, truth) > 0.1


def test_heated_equals_torch():
    logits = torch.randn(7, 4, generator=torch.Generator().manual_seed(0)).double()
    found = calibration.heated(torch.softmax(logits, 1).numpy(), 1.7)
    assert found == pytest.approx(torch.softmax(logits / 1.7, 1).numpy(), abs=1e-9)


def test_calibration_error_by_hand():
    p = np.array([[0.9, 0.1]] * 10 + [[0.4, 0.6]] * 10)
    truth = np.array([0] * 7 + [1] * 3 + [1] * 6 + [0] * 4)
    # 10 rows said 0.9 and were right in 0.7, 10 said 0.6 and were right in 0.6
    assert calibration.calibration_error(p, truth) == pytest.approx(0.5 * 0.2)


def test_abstaining_halves_the_errors_and_no_more_than_that():
    p, truth = drawn(1.0)
    least = calibration.abstain_below(p, truth)
    wrong, score = p.argmax(1) != truth, p.max(1)
    assert wrong[score >= least].mean() <= wrong.mean() / 2
    assert wrong[score >= least - 0.01].mean() > wrong.mean() / 2
    sure = np.array([[0.99, 0.01]] * 5)
    assert calibration.abstain_below(sure, np.zeros(5, int)) == 0.5  # never wrong: never abstains


def test_thresholds_are_the_best_for_micro_f1():
    random = np.random.default_rng(1)
    p = random.random((4_000, 2))
    # The second label holds only half as often as its probability says.
    truth = (random.random(p.shape) < p * [1, 0.5]).astype(float)
    found = calibration.best_f1(p, truth)

    def f1(*least: float) -> float:
        said = p >= np.array(least)
        return 2 * (said * truth).sum() / (said.sum() + truth.sum())

    best = max(f1(a, b) for a in np.linspace(0.1, 0.9, 33) for b in np.linspace(0.1, 0.9, 33))
    assert f1(*found) >= best - 0.003
    assert found[1] > found[0] + 0.1
    rare = truth * [1, 0]
    rare[:3, 1] = 1  # three rows say little: the label stays near what is best for all
    shared = calibration.best_f1(p, np.column_stack([truth[:, 0], truth[:, 0]]))[0]
    assert abs(calibration.best_f1(p, rare)[1] - shared) < 0.25


def test_fit_names_every_task_that_rows_speak_of():
    rows = [Row("tabby", {"animal": ("yes",), "kind": ("cat",), "traits": ()}, "", "dev", 2),
            Row("table", {"animal": ("no",)}, "", "dev", 3)]  # fmt: skip
    found = np.full((2, 8), 0.5)
    fitted = calibration.fit(found, rows, PETS)
    assert set(fitted) == {"animal", "kind", "traits"}
    assert len(fitted["traits"]["thresholds"]) == 3
    assert set(calibration.fit(found[1:], rows[1:], PETS)) == {"animal"}
    for task, settings in fitted.items():
        data = next(t for t in CONTRACT["tasks"] if t["name"] == task) | settings
        data.pop("only_if", None)
        contracts.parse({**CONTRACT, "tasks": [data]}, VOCAB)  # the loader takes what was fitted
