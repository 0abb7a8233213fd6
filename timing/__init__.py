"""How long each stage took: `@timed`, `@timed("name")`, `with timed("name"):`; a JSON line each.

Stdlib only and light to import, because it runs before everything else. The lines follow Cloud
Logging's structured form; no argument of a timed function is ever logged.
"""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable
from time import perf_counter_ns


def write(record: dict) -> None:
    """The default sink: one JSON object a line on standard error."""
    sys.stderr.write(json.dumps(record) + "\n")


# Replaceable, for tests and for other sinks: what reads the time in ns, and what takes a record.
clock: Callable[[], int] = perf_counter_ns
sink: Callable[[dict], None] = write


class Span:
    """One measured stretch of time. `duration_ms` is None until it ends."""

    def __init__(self, name: str):
        self.name = name
        self.duration_ms: float | None = None

    def __enter__(self) -> Span:
        self._began = clock()
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.duration_ms = (clock() - self._began) / 1e6
        record = {
            "severity": "INFO" if kind is None else "ERROR",
            "message": f"{self.name} {self.duration_ms:.3f} ms",
            "span": self.name,
            "duration_ms": round(self.duration_ms, 6),
        }
        if kind is not None:  # the type alone: a message may quote what a user typed
            record["error"] = kind.__name__
        sink(record)

    def __call__(self, function: Callable) -> Callable:
        """Decorate: every call is a span of its own, so recursion and threads do not mix."""
        name = self.name
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args, **kwargs):
                with Span(name):
                    return await function(*args, **kwargs)
        else:

            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                with Span(name):
                    return function(*args, **kwargs)

        return wrapper


def timed(what: Callable | str):
    """Time a function under its own name (`@timed`) or a block or function under the one given."""
    if callable(what):
        return Span(what.__qualname__)(what)
    return Span(what)
