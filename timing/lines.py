"""Timing records out of logs: our own lines, or entries as Cloud Logging gives them back."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

# Not every bracket: gunicorn's lines begin with `[2025-01-31 …`.
_ARRAY = re.compile(rb"(\xef\xbb\xbf)?\s*\[\s*([{\]]|$)")
_TOLERANCE = 0.1  # how far a cold start's stages may be from its total


class LogError(ValueError):
    """A log that cannot be reported on, or an entry: `file:line: found …, expected …`."""


def read(path: str, fault: Callable[[str], None]) -> Iterator[dict]:
    """The records in the log at `path` (`-` is standard input): one JSON object a line, or the
    array of `gcloud logging read --format=json`, whose entries hold them in `jsonPayload`.

    A record has span, duration_ms, `when` (datetime or None), perhaps error, and for a cold start
    stages_ms and init_ms. Objects without a span are log lines of another kind. What is none of
    this goes to `fault` as `file:line: found …, expected …` (`file: $[n]: …` in an array) and is
    skipped. Raises LogError for an array that is no JSON, and OSError.
    """
    name = "stdin" if path == "-" else path
    with contextlib.nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb") as file:
        first = True
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            if first and _ARRAY.match(line):
                entries = enumerate(_array(line + file.read(), name, number))
                found = ((f"{name}: $[{n}]", entry) for n, entry in entries)
            else:
                found = [(f"{name}:{number}", _decoded(line))]
            first = False
            for place, entry in found:
                try:
                    record = _record(entry)
                except LogError as error:
                    fault(f"{place}: {error}")
                    continue
                if record is not None:
                    yield record


def _array(content: bytes, name: str, number: int) -> list:
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        at = f"{name}:{number - 1 + error.lineno}"
        found = f"found broken JSON ({error.msg})"
    except (ValueError, RecursionError) as error:
        at, found = name, f"found no JSON ({error})"
    raise LogError(f"{at}: {found}, expected an array of log entries")


def _decoded(line: bytes) -> object:
    """What the line holds, itself as a string where that is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line.decode("utf-8", "replace").strip()


def _record(entry: object) -> dict | None:
    """The record in an entry, None where it is of another kind. Raises LogError."""
    _that(isinstance(entry, dict), "", entry, "a JSON object")
    given = entry.get("jsonPayload", entry)
    _that(isinstance(given, dict), "jsonPayload: ", given, "an object")
    if "span" not in given:
        return None
    name, ms = given["span"], given.get("duration_ms")
    _that(isinstance(name, str) and name.strip(), "span: ", name, "a name")
    _that(_number(ms), "duration_ms: ", ms, "a number of ms, 0 or more")
    when = _when(entry.get("timestamp", given.get("time")))
    record = {"span": _printable(name), "duration_ms": ms, "when": when}
    if "error" in given:
        record["error"] = given["error"]
    if "stages_ms" in given:
        stages, init = given["stages_ms"], given.get("faas.init_duration")
        right = isinstance(stages, dict) and stages and all(map(_number, stages.values()))
        _that(right, "stages_ms: ", stages, "an object of numbers of ms")
        total = sum(stages.values())
        _that(abs(total - ms) <= _TOLERANCE * ms, "stages_ms: ", total,
              f"{ms} ms in all, within {_TOLERANCE:.0%}")  # fmt: skip
        _that(_number(init), "faas.init_duration: ", init, "a number of seconds, 0 or more")
        record["stages_ms"] = {_printable(stage): each for stage, each in stages.items()}
        record["init_ms"] = init * 1e3
    return record


def _that(holds: object, at: str, found: object, expected: str) -> None:
    if not holds:
        raise LogError(f"{at}found {_shown(found)}, expected {expected}")


def _number(value: object) -> bool:
    """Whether `value` is a finite number, 0 or more; Python's JSON knows NaN and 10^400 too."""
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return real and 0 <= value <= sys.float_info.max


def _shown(value: object) -> str:
    text = json.dumps(value)  # escapes what would move a terminal's cursor
    return text if len(text) <= 80 else text[:77] + "..."


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in name)


def _when(stamp: object) -> datetime | None:
    try:
        when = datetime.fromisoformat(stamp)
    except (TypeError, ValueError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
