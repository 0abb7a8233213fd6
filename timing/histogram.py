"""How often which duration: buckets of equal ratio, because durations spread over magnitudes."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt, log

MOST = 12
LEAST = 1e-3  # ms; what is shorter falls into the first bucket


def buckets(durations: Sequence[float]) -> list[tuple[float, float, int]]:
    """Buckets (from ms, to ms, count) from the shortest duration to the longest; as many as the
    square root of their number, at most `MOST`."""
    low, high = max(LEAST, min(durations)), max(LEAST, max(durations))
    if low == high:
        return [(low, high, len(durations))]
    most = min(MOST, isqrt(len(durations) - 1) + 1)
    width = log(high / low) / most
    counts = [0] * most
    for ms in durations:
        counts[min(most - 1, int(log(max(low, ms) / low) / width))] += 1
    edges = [low * (high / low) ** (n / most) for n in range(most)] + [high]
    return list(zip(edges[:-1], edges[1:], counts, strict=True))
