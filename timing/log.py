"""Records as lines on standard error: JSON in Cloud Logging's form, words where a person reads.

https://cloud.google.com/logging/docs/structured-logging
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from functools import cache

from timing import headers


def write(record: dict) -> None:
    """One line, written whole. A log that nobody reads or that is full must not fail or delay what
    is timed: the line is lost."""
    with contextlib.suppress(OSError, ValueError):  # a full disk or pipe, a closed pipe or stream
        stream = sys.stderr
        line = human(record) if stream.isatty() else json.dumps(entry(record))
        if stream is sys.__stderr__:
            os.write(_unblocked(), f"{line}\n".encode())
        else:
            stream.write(f"{line}\n")


@cache
def _unblocked() -> int:
    """Standard error; of a pipe, a descriptor of our own that is never waited for, so that those
    who share standard error keep theirs as it was."""
    number = sys.__stderr__.fileno()
    if stat.S_ISFIFO(os.fstat(number).st_mode):
        with contextlib.suppress(OSError):  # no /proc, or nobody at the other end
            return os.open(f"/proc/self/fd/{number}", os.O_WRONLY | os.O_NONBLOCK)
    return number


def entry(record: dict) -> dict:
    """`record` with a `message`, and the trace of the request at hand.

    The trace's resource name needs `GOOGLE_CLOUD_PROJECT`; without it, its id stands alone.
    """
    line = {"severity": "INFO", "message": message(record)} | record
    trace = headers.trace.get()
    if trace is not None:
        trace_id, span_id = trace
        project = os.environ.get("GOOGLE_CLOUD_PROJECT")
        line["logging.googleapis.com/trace"] = (
            f"projects/{project}/traces/{trace_id}" if project else trace_id
        )
        if span_id is not None:
            line["logging.googleapis.com/spanId"] = span_id
    return line


def human(record: dict) -> str:
    """Such as `encode 0.041 ms in request`, with the error's type where it failed."""
    inside = f" in {record['parent']}" if "parent" in record else ""
    error = f": {record['error']}" if "error" in record else ""
    return message(record) + inside + error


def message(record: dict) -> str:
    return record.get("message") or f"{record['span']} {record['duration_ms']:.3f} ms"
