"""The timeline of a cold start, from the start of the process to its first answer.

    startup.mark("session")                     what has passed since the last mark was `session`
    with startup.invocation("request") as span: a span; the first also ends the timeline

Every stage begins where the one before ends, so that they add up to the whole. `interpreter` is
what passed before the `logging` module was loaded, which functions-framework imports as one of its
first; `framework` from there to the import of this module; `listening` ends when the server forks
the worker that will answer (gunicorn listens by then), `first request` when one comes in, and
`first answer` when it has been answered.

With the first answer goes one record, its names and seconds OpenTelemetry's
(https://opentelemetry.io/docs/specs/semconv/faas/faas-metrics/):

    {"severity": "INFO", "message": "cold start 612.300 ms", "span": "startup",
     "duration_ms": 612.3, "stages_ms": {"interpreter": 20.1, …, "first answer": 2.2},
     "faas.coldstart": true, "faas.init_duration": 0.5981, "faas.invoke_duration": 0.0022}

`faas.init_duration` is all that is neither waiting for the first request nor answering it.
"""

from __future__ import annotations

import os
import sys
import time
from threading import Lock

import timing
from timing import Span

WAITING, ANSWERING = "first request", "first answer"


class Timeline:
    """The stages since `began` (ns of `timing.clock`), until the first answer."""

    def __init__(self, began: int):
        self._stages: dict[str, int] = {}  # ns
        self._began = self._last = began
        self._open = True  # marks count
        self._cold = True  # no invocation yet
        self._lock = Lock()

    def mark(self, stage: str, now: int | None = None) -> None:
        """`stage` ends now, or at `now` (ns of `timing.clock`). Of the same name, they add up."""
        if self._open:
            now = timing.clock() if now is None else now
            self._stages[stage] = self._stages.get(stage, 0) + now - self._last
            self._last = now

    def invocation(self, name: str) -> Span:
        """The span of a request, labelled as a cold start if it is the first."""
        with self._lock:
            cold, self._cold = self._cold, False
        span = _FirstInvocation(name, self) if cold else Span(name)
        span.labels = {"faas.coldstart": "true" if cold else "false"}
        return span

    def listening(self) -> None:
        """In a forked child: it inherited the start of its parent and goes on with it."""
        self.mark("listening")

    def hand_over(self) -> None:
        """In the parent of a fork: its first child alone tells of the start, not a worker that
        replaces that one hours later."""
        self._open = self._cold = False

    def close(self) -> None:
        """The first answer is out: nothing more is marked, and the record goes to the sink."""
        self.mark(ANSWERING)
        self._open = False
        total = (self._last - self._began) / 1e6
        init = sum(ns for stage, ns in self._stages.items() if stage not in (WAITING, ANSWERING))
        timing.emit({
            "severity": "INFO",
            "message": f"cold start {total:.3f} ms",
            "span": "startup",
            "duration_ms": total,
            "stages_ms": {stage: ns / 1e6 for stage, ns in self._stages.items()},
            "faas.coldstart": True,
            "faas.init_duration": init / 1e9,
            "faas.invoke_duration": self._stages[ANSWERING] / 1e9,
        })  # fmt: skip


class _FirstInvocation(Span):
    __slots__ = ("_timeline",)

    def __init__(self, name: str, timeline: Timeline):
        super().__init__(name)
        self._timeline = timeline

    def __enter__(self) -> Span:
        self._timeline.mark(WAITING)
        return super().__enter__()

    def __exit__(self, kind, error, trace) -> None:
        super().__exit__(kind, error, trace)
        self._timeline.close()


def begin() -> Timeline:
    """The timeline of this process, its stages before this call told apart as well as they can."""
    now, age = timing.clock(), process_age_ns()
    timeline = Timeline(now - age)
    timeline.mark("interpreter", now - min(age, logging_age_ns()))
    timeline.mark("framework", now)
    return timeline


def process_age_ns(stat: str = "/proc/self/stat") -> int:
    """ns since this process began, to a tick of the kernel's clock (10 ms); 0 where no file tells.

    Field 22 of proc(5): ticks from boot to the start of the process.
    """
    try:
        with open(stat, "rb") as file:
            # What is before the last parenthesis is the command, with any parentheses and spaces.
            ticks = int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0
    began = ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return max(0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - began)


def logging_age_ns() -> int:
    """ns since the `logging` module was loaded, as it writes into each of its records; 0 without
    it."""
    logging = sys.modules.get("logging")
    return max(0, int(logging.makeLogRecord({}).relativeCreated * 1e6)) if logging else 0


timeline = begin()
mark, invocation = timeline.mark, timeline.invocation
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=timeline.listening, after_in_parent=timeline.hand_over)
