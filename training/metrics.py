"""How right an answer is: accuracy for `single` tasks, micro- and macro-F1 for `multi` tasks."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from function.contract import Contract
from training import calibration
from training.dataset import Row, targets


def score(found: np.ndarray, rows: list[Row], contract: Contract, per_label: bool = False) -> dict:
    """Each task's figures over the rows it applies to by their labels.

    found: probabilities (N, L). A task is judged on its own, so that a refused ingredient is not
    counted against its source a second time. Tasks that apply nowhere are left out.
    """
    wanted, applies = targets(rows, contract)
    scores = {}
    for t, task in enumerate(contract.tasks):
        here = applies[:, t] > 0
        if not here.any():
            continue
        truth = wanted[here, task.start : task.stop] > 0.5
        p = found[here, task.start : task.stop]
        if task.kind == "single":
            said = np.zeros_like(truth)
            said[np.arange(len(p)), p.argmax(1)] = True
        else:
            said = p >= np.array(task.thresholds, np.float32)
        hits, claims, facts = (x.sum(0) for x in (said & truth, said, truth))
        label_f1 = 2 * hits / np.maximum(claims + facts, 1)
        if task.kind == "single":
            figures = {"accuracy": hits.sum() / len(p)}
        else:
            figures = {
                "micro_f1": 2 * hits.sum() / max(claims.sum() + facts.sum(), 1),
                # A label that no row has and nobody claimed says nothing about the model.
                "macro_f1": label_f1[claims + facts > 0].mean() if (claims + facts).any() else 1.0,
            }
        scores[task.name] = {name: round(float(x), 4) for name, x in figures.items()}
        scores[task.name]["rows"] = int(here.sum())
        if per_label:
            scores[task.name]["labels"] = {
                label: {"f1": round(float(label_f1[n]), 4), "rows": int(facts[n])}
                for n, label in enumerate(task.labels)
            }
    return scores


def by_origin(found: np.ndarray, rows: list[Row], contract: Contract) -> dict:
    """`score` for the rows of each origin alone."""
    groups = defaultdict(list)
    for n, row in enumerate(rows):
        groups[row.origin].append(n)
    return {
        origin: score(found[numbers], [rows[n] for n in numbers], contract)
        for origin, numbers in sorted(groups.items())
    }


def calibration_errors(found: np.ndarray, rows: list[Row], contract: Contract) -> dict[str, float]:
    """Each `single` task's expected calibration error at its temperature."""
    wanted, applies = targets(rows, contract)
    errors = {}
    for t, task in enumerate(contract.tasks):
        here = applies[:, t] > 0
        if task.kind == "single" and here.any():
            p, truth = (x[here, task.start : task.stop] for x in (found, wanted))
            p = calibration.heated(p, task.temperature)
            errors[task.name] = round(calibration.calibration_error(p, truth.argmax(1)), 4)
    return errors


def headline(figures: dict) -> float:
    """The one figure of a task that gates and tables go by."""
    return figures.get("accuracy", figures.get("micro_f1"))


def line(scores: dict) -> str:
    return "  ".join(f"{name} {headline(figures):.4f}" for name, figures in scores.items())
