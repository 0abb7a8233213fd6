"""Timed generators: the time that passes in their own turns, and one record at their end.

While the consumer works between two items the span is neither running nor current, so that its own
spans do not become the generator's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import timing


class Turns:
    """The span of one generator; each `with` is a turn of it, and an exception the last."""

    def __init__(self, name: str):
        self._span = timing.Span(name)
        self._span.parent = timing.current.get()
        self._ns = 0

    def __enter__(self) -> None:
        self._around = timing.current.get()
        timing.current.set(self._span)
        self._began = timing.clock()

    def __exit__(self, kind, error, trace) -> None:
        self._ns += timing.clock() - self._began
        timing.current.set(self._around)
        if kind is not None:
            self._span.duration_ms = self._ns / 1e6
            finished = issubclass(kind, (StopIteration, StopAsyncIteration))
            self._span.end(None if finished else kind)


def wrap(name: str, function: Callable, is_async: bool) -> Callable:
    """A generator function that passes on what is sent and thrown, as `yield from` (PEP 380)."""
    if is_async:

        @functools.wraps(function)
        async def wrapper(*args, **kwargs):
            turns, inner = Turns(name), function(*args, **kwargs)
            step, given = inner.asend, None
            while True:
                try:
                    with turns:
                        item = await step(given)
                except StopAsyncIteration:
                    return
                try:
                    step, given = inner.asend, (yield item)
                except BaseException as error:
                    step, given = inner.athrow, error
    else:

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            turns, inner = Turns(name), function(*args, **kwargs)
            step, given = inner.send, None
            while True:
                try:
                    with turns:
                        item = step(given)
                except StopIteration as stop:
                    return stop.value
                try:
                    step, given = inner.send, (yield item)
                except BaseException as error:
                    step, given = inner.throw, error

    return wrapper
