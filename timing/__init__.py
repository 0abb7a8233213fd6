"""How long each stage took: `@timed` and `with timed("name"):`, each call a record for `sink`.

    @timed                                  under the function's own name
    @timed("load")                          under the one given
    @timed(desc="load", append_name=True)   as "load - Model.load"; `append_template` joins them
    with timed("encode") as span:           then `span.duration_ms`, None without a sink

The shapes are those of juancavallotti/py-profile. Functions, methods, coroutines and generators are
timed alike; a generator's time is what passes in its own turns, not in its consumer's. Spans nest:
the one around, in the same thread or task, is the `parent` (a new thread starts without).

A record is a dict, with `parent`, `labels` and `error` only where there is one:

    {"severity": "INFO" or "ERROR", "span": name, "duration_ms": float, "parent": name,
     "labels": {str: str}, "error": type of the exception}

No argument, result or exception message is ever in it: they may quote what a user typed. Stdlib
only and light to import, because it runs before everything else; what is heavier lies in modules
of its own (log, headers, startup, recorder, report).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from time import perf_counter_ns

# As in `inspect`, whose import would cost more than all of this.
CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR = 0x20, 0x80, 0x200


def write(record: dict) -> None:
    """The default sink: one line on standard error."""
    from timing import log  # json comes along only once something is written

    log.write(record)


# Replaceable, for tests and for other sinks: what reads the time in ns, and what takes a record.
# Without a sink nothing is measured: a decorated function and a block run bare, `duration_ms` stays
# None. Who needs the time in any case takes `with Span("encode") as span`.
clock: Callable[[], int] = perf_counter_ns
sink: Callable[[dict], None] | None = write

current: ContextVar[Span | None] = ContextVar("span", default=None)


def emit(record: dict) -> None:
    """Hand a record to the sink, if there is one."""
    to = sink
    if to is not None:
        to(record)


class Span:
    """One measured stretch of time. `duration_ms` is None until it ends; `labels`, few and short,
    may be set until then."""

    __slots__ = ("_began", "duration_ms", "labels", "name", "parent")

    def __init__(self, name: str):
        self.name = name
        self.duration_ms: float | None = None
        self.labels: dict[str, str] | None = None

    def __enter__(self) -> Span:
        self.parent = current.get()
        current.set(self)
        self._began = clock()
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.duration_ms = (clock() - self._began) / 1e6
        # Not `reset`, which raises where a generator that holds a span ends in another context.
        current.set(self.parent)
        self.end(kind)

    def end(self, kind: type[BaseException] | None) -> None:
        """Hand the record to the sink; `kind` is the exception that ended the span."""
        to = sink
        if to is None:
            return
        failed = kind is not None and kind is not GeneratorExit  # that is no more than `break`
        record = {
            "severity": "ERROR" if failed else "INFO",
            "span": self.name,
            "duration_ms": self.duration_ms,
        }
        if self.parent is not None:
            record["parent"] = self.parent.name
        if self.labels:
            record["labels"] = self.labels
        if failed:
            record["error"] = kind.__name__
        to(record)

    def __call__(self, function: Callable) -> Callable:
        """Decorate: every call is a span of its own, so recursion and threads do not mix."""
        name = self.name
        flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
        if flags & (CO_GENERATOR | CO_ASYNC_GENERATOR):
            from timing import generators

            return generators.wrap(name, function, bool(flags & CO_ASYNC_GENERATOR))
        if flags & CO_COROUTINE:

            @functools.wraps(function)
            async def wrapper(*args, **kwargs):
                if sink is None:
                    return await function(*args, **kwargs)
                with Span(name):
                    return await function(*args, **kwargs)
        else:

            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                if sink is None:
                    return function(*args, **kwargs)
                with Span(name):
                    return function(*args, **kwargs)

        return wrapper


class _Off:
    """In the place of a Span while nobody takes records; decorates as one does."""

    __slots__ = ("name",)
    duration_ms = None
    labels = property(lambda self: None, lambda self, labels: None)

    def __init__(self, name: str):
        self.name = name

    def __enter__(self) -> _Off:
        return self

    def __exit__(self, kind, error, trace) -> None:
        pass

    def __call__(self, function: Callable) -> Callable:
        return Span(self.name)(function)


_off = functools.lru_cache(256)(_Off)  # it knows nothing of a call, so one for each name will do


def timed(
    what: Callable | str | None = None,
    *,
    desc: str | None = None,
    append_name: bool = False,
    append_template: str = "{} - {}",
):
    """Time a function under its own name or `desc`, or a block or function under the name given.

    `append_name` puts the function's own name behind `desc`, joined by `append_template`.
    """
    if isinstance(what, str):
        return _off(what) if sink is None else Span(what)

    def decorate(function: Callable) -> Callable:
        own = getattr(function, "__qualname__", type(function).__name__)
        name = append_template.format(desc, own) if desc and append_name else desc or own
        return Span(name)(function)

    return decorate if what is None else decorate(what)
