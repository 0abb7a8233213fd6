"""Microseconds that timing adds to a call, and how many bare calls that is.

    python -m benchmarks.timing_overhead

The function does nothing, so that all of the time is overhead. Rounds are interleaved so that what
else the machine does hits all alike; the median of the rounds counts.
"""

from __future__ import annotations

import contextlib
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from timeit import Timer

import timing
from timing import headers, timed
from timing.recorder import Recorder
from training import runs

OUT = Path("benchmarks/results/timing_overhead.json")
ROUNDS, CALLS = 25, 5_000
# In microseconds a call: what we hold ourselves to, on an idle machine.
BUDGET = {"decorated, disabled": 0.3, "block, disabled": 0.3,
          "decorated, recorder": 3.0, "block, recorder": 3.0}  # fmt: skip


def bare() -> None:
    pass


decorated = timed("work")(bare)


def block() -> None:
    with timed("work"):
        pass


def main() -> None:
    headers.receive({"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"})  # as in a request
    with open(os.devnull, "w") as nothing, contextlib.redirect_stderr(nothing):
        results = measure()
    print(f"{'one call':28}{'µs more':>10}{'bare calls':>12}{'budget µs':>12}")
    for result in results:
        budget = BUDGET.get(result["name"], "")
        print(f"{result['name']:28}{result['us']:>10.3f}{result['times_bare']:>12.1f}{budget:>12}")
    OUT.parent.mkdir(parents=True, exist_ok=True)
    runs.write_json(OUT, {"rounds": ROUNDS, "calls": CALLS, "results": results})


def measure() -> list[dict]:
    """µs above a bare call, and that by the bare call's own time, for each way to call."""
    ways: dict[str, tuple[Callable, Callable | None]] = {
        "bare": (bare, None),
        "decorated, disabled": (decorated, None),
        "block, disabled": (block, None),
        "decorated, recorder": (decorated, Recorder()),
        "block, recorder": (block, Recorder()),
        "decorated, JSON line": (decorated, timing.write),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, (function, sink) in ways.items():
            timing.sink = sink
            times[name].append(Timer(function).timeit(CALLS) / CALLS * 1e6)
    took = {name: statistics.median(each) for name, each in times.items()}
    base = took.pop("bare")
    return [
        {"name": name, "us": round(us - base, 3), "times_bare": round((us - base) / base, 1)}
        for name, us in took.items()
    ]


if __name__ == "__main__":
    main()
