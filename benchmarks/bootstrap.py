"""How far a figure might be off with other test rows: the percentile bootstrap.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
"""

from __future__ import annotations

import numpy as np

from function.contract import Task

RESAMPLES = 1_000


def counts(task: Task, p: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Each row's share in a figure, (N, 2): its numerator and denominator. The sums' ratio is the
    accuracy of a `single` task, the micro-F1 of a `multi` task. p and truth: (N, labels)."""
    truth = truth > 0.5
    if task.kind == "single":
        right = p.argmax(1) == truth.argmax(1)
        return np.stack([right, np.ones(len(p))], 1)
    claimed = p >= np.array(task.thresholds, np.float32)
    return np.stack([2 * (claimed & truth).sum(1), claimed.sum(1) + truth.sum(1)], 1)


def ratio(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / np.maximum(sums[..., 1], 1)


def interval(*rows: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the ratio of `counts`; of two, of the difference of their ratios over
    the same rows drawn (paired)."""
    n = len(rows[0])
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    found = ratio(draws @ rows[0])
    if len(rows) > 1:
        found = found - ratio(draws @ rows[1])
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)
