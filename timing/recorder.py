"""A sink that remembers: durations by span, and their percentiles."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from threading import Lock


class Recorder:
    """Set as `timing.sink`, keeps the last `size` durations of every span (all for None), so that
    a server that never stops does not fill its memory. Safe between threads."""

    def __init__(self, size: int | None = 10_000):
        # By span: how many calls, how many errors, the last durations.
        self._spans: dict[str, list] = defaultdict(lambda: [0, 0, deque(maxlen=size)])
        self._lock = Lock()

    def __call__(self, record: dict) -> None:
        name = record.get("span")
        if name is None:  # a line of another kind
            return
        with self._lock:
            span = self._spans[name]
            span[0] += 1
            span[1] += "error" in record
            span[2].append(record["duration_ms"])

    def durations(self, name: str) -> list[float]:
        """The ms of the span's last `size` calls, oldest first."""
        with self._lock:
            return list(self._spans[name][2]) if name in self._spans else []

    def summary(self) -> dict[str, dict[str, float]]:
        """By span, in the order they first ended: count and errors of all its calls, p50_ms,
        p95_ms, p99_ms and max_ms of the last `size`."""
        with self._lock:
            kept = {name: (count, errors, sorted(durations))
                    for name, (count, errors, durations) in self._spans.items()}  # fmt: skip
        return {
            name: {
                "count": count,
                "p50_ms": percentile(ordered, 50),
                "p95_ms": percentile(ordered, 95),
                "p99_ms": percentile(ordered, 99),
                "max_ms": ordered[-1],
                "errors": errors,
            }
            for name, (count, errors, ordered) in kept.items()
        }


def percentile(ordered: Sequence[float], p: float) -> float:
    """The value below which `p` percent of the sorted values lie, straight between the two nearest
    (type 7 of Hyndman and Fan, numpy's default). Raises IndexError where there is none."""
    at = (len(ordered) - 1) * p / 100
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)
