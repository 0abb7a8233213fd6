"""A sink that remembers: durations by span, and their percentiles."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from threading import Lock


class Recorder:
    """Set as `timing.sink`, keeps the last `size` durations of every span (all for None), so that
    a server that never stops does not fill its memory. Safe between threads."""

    def __init__(self, size: int | None = 10_000):
        self._durations: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=size))
        self._counts: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._lock = Lock()

    def __call__(self, record: dict) -> None:
        name = record.get("span")
        if name is None:  # a line of another kind
            return
        with self._lock:
            self._counts[name] += 1
            self._durations[name].append(record["duration_ms"])
            if "error" in record:
                self._errors[name] += 1

    def durations(self, name: str) -> list[float]:
        """The ms of the span's last `size` calls, oldest first."""
        with self._lock:
            return list(self._durations.get(name, ()))

    def summary(self) -> dict[str, dict[str, float]]:
        """By span, in the order they first ended: count and errors of all its calls, p50_ms,
        p95_ms, p99_ms and max_ms of the last `size`."""
        with self._lock:
            kept = {name: sorted(durations) for name, durations in self._durations.items()}
            counts, errors = dict(self._counts), dict(self._errors)
        return {
            name: {
                "count": counts[name],
                "p50_ms": percentile(ordered, 50),
                "p95_ms": percentile(ordered, 95),
                "p99_ms": percentile(ordered, 99),
                "max_ms": ordered[-1],
                "errors": errors.get(name, 0),
            }
            for name, ordered in kept.items()
        }


def percentile(ordered: Sequence[float], p: float) -> float:
    """The value below which `p` percent of the sorted values lie, straight between the two nearest
    (type 7 of Hyndman and Fan, numpy's default). Raises IndexError where there is none."""
    at = (len(ordered) - 1) * p / 100
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)
