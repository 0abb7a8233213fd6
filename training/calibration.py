"""How sure an answer may be: temperatures and thresholds, fitted on the dev split.

Temperature scaling: Guo et al., On Calibration of Modern Neural Networks, 2017 (arXiv 1706.04599).
Thresholds for the best micro-F1: Dinkelbach's method for ratios, as in Lipton et al., Optimal
Thresholding of Classifiers to Maximize F1 Measure, 2014 (arXiv 1402.1892).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar

from function.contract import Contract
from training.dataset import Row, targets

GRID = np.linspace(0.05, 0.95, 181)  # thresholds tried
SHRINK = 30  # rows of a label that weigh as much as what holds for all labels


def fit(found: np.ndarray, rows: list[Row], contract: Contract) -> dict[str, dict]:
    """What to write into each task of the contract.

    found: probabilities (N, L) of `rows` at temperature 1. A `single` task gets its `temperature`
    and the `threshold` below which it abstains, a `multi` task a threshold per label. A task that
    applies to no row is left as it is.
    """
    wanted, applies = targets(rows, contract)
    fitted = {}
    for t, task in enumerate(contract.tasks):
        here = applies[:, t] > 0
        if not here.any():
            continue
        p, truth = (x[here, task.start : task.stop] for x in (found, wanted))
        if task.kind == "single":
            right = truth.argmax(1)
            heat = temperature(p, right)
            fitted[task.name] = {
                "temperature": round(heat, 4),
                "threshold": round(abstain_below(heated(p, heat), right), 4),
            }
        else:
            fitted[task.name] = {"thresholds": [round(float(x), 4) for x in best_f1(p, truth)]}
    return fitted


def calibrated(contract: Contract, fitted: dict) -> Contract:
    """`contract` with the fitted temperatures and thresholds."""
    tasks = (
        replace(task, **{k: tuple(v) if isinstance(v, list) else v
                         for k, v in fitted.get(task.name, {}).items()})
        for task in contract.tasks
    )  # fmt: skip
    return replace(contract, tasks=tuple(tasks))


def heated(p: np.ndarray, temperature: float) -> np.ndarray:
    """The softmax (N, L) at a temperature, from that at temperature 1."""
    logits = np.log(np.maximum(p, 1e-12)) / temperature
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def temperature(p: np.ndarray, right: np.ndarray) -> float:
    """The divisor of the logits under which the right labels (N,) are likeliest; p: the softmax
    (N, L) without it."""

    def surprise(log_heat: float) -> float:
        hot = heated(p, np.exp(log_heat))
        return -np.log(np.maximum(hot[np.arange(len(p)), right], 1e-12)).mean()

    return float(np.exp(minimize_scalar(surprise, bounds=(-2.5, 2.5), method="bounded").x))


def abstain_below(p: np.ndarray, right: np.ndarray) -> float:
    """The lowest score from which on answers are wrong at most half as often as all answers are,
    between an even chance of the likeliest label and 0.99."""
    score, wrong = p.max(1), p.argmax(1) != right
    least = 1 / p.shape[1]
    for floor in np.linspace(least, 0.99, 200):
        kept = score >= floor
        if kept.any() and wrong[kept].mean() <= wrong.mean() / 2:
            return float(max(floor, 1e-4))
    return 0.99


def best_f1(p: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """A threshold per label, together the best for micro-F1 over p and truth, both (N, L).

    F = 2 hits / (claims + facts) is best where every label by itself makes 2 hits - F claims
    largest, F being what comes out: found by iteration. Labels with few rows lean on the threshold
    that is best for all labels at once.
    """
    facts = truth.sum(0)
    claims = np.array([(p >= x).sum(0) for x in GRID])  # (thresholds, labels)
    hits = np.array([((p >= x) * truth).sum(0) for x in GRID])
    shared = GRID[(2 * hits.sum(1) / np.maximum(claims.sum(1) + facts.sum(), 1)).argmax()]
    f1 = 0.5
    for _ in range(20):
        own = (2 * hits - f1 * claims).argmax(0)
        at = (own, np.arange(len(facts)))
        f1 = 2 * hits[at].sum() / max(claims[at].sum() + facts.sum(), 1)
    return (facts * GRID[own] + SHRINK * shared) / (facts + SHRINK)


def calibration_error(p: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: the mean gap between an answer's score and how often answers of
    such a score are right, over `bins` bins of equal width."""
    score, hit = p.max(1), p.argmax(1) == right
    bucket = np.minimum((score * bins).astype(int), bins - 1)
    gaps = [
        (bucket == n).mean() * abs(hit[bucket == n].mean() - score[bucket == n].mean())
        for n in np.unique(bucket)
    ]
    return float(sum(gaps))
