"""What timing reads from a request's headers and writes into an answer's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar

# https://www.w3.org/TR/trace-context/#traceparent-header and, the older one of Google,
# https://cloud.google.com/trace/docs/trace-context, whose span id is decimal.
_W3C = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_GOOGLE = re.compile(r"([0-9a-fA-F]{32})(?:/([0-9]{1,20}))?(?:;o=[0-9]+)?")
_NO_TOKEN = re.compile(r"[^!#$%&'*+.^_`|~0-9A-Za-z-]")  # RFC 9110, section 5.6.2
_NO_TEXT = re.compile(r"[^ -~]")

# The trace id (32 hex digits) and the caller's span id (16, or None) of the request at hand.
trace: ContextVar[tuple[str, str | None] | None] = ContextVar("trace", default=None)


def receive(headers: Mapping[str, str]) -> None:
    """Log lines from here on, in this thread or task, belong to the trace that `headers` name;
    to none where they name none, so that nothing stays of the request before.

    `headers` knows no case, as flask's.
    """
    trace.set(trace_of(headers))


def trace_of(headers: Mapping[str, str]) -> tuple[str, str | None] | None:
    """Trace and span id of `traceparent` or else `X-Cloud-Trace-Context`; malformed ones are
    ignored, as the specification asks."""
    found = _W3C.fullmatch(headers.get("traceparent") or "")
    if found:
        version, trace_id, span_id, more = found.groups()
        # Later versions may append fields, this one may not.
        known = version != "ff" and not (version == "00" and more)
        if known and trace_id.strip("0") and span_id.strip("0"):
            return trace_id, span_id
    found = _GOOGLE.fullmatch(headers.get("X-Cloud-Trace-Context") or "")
    if found and found[1].strip("0"):
        span = int(found[2] or 0)
        return found[1].lower(), f"{span:016x}" if 0 < span < 2**64 else None
    return None


def server_timing(durations: Mapping[str, float]) -> str:
    """The value of a `Server-Timing` header from ms by name (https://www.w3.org/TR/server-timing/),
    such as `encode;dur=0.041, infer;dur=0.102`. A name that is no token becomes a description."""
    return ", ".join(f"{_metric(name)};dur={ms:.3f}" for name, ms in durations.items())


def _metric(name: str) -> str:
    token = _NO_TOKEN.sub("_", name)
    if token == name:
        return token
    text = _NO_TEXT.sub("_", name).replace("\\", "\\\\").replace('"', '\\"')
    return f'{token};desc="{text}"'
