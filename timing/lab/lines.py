"""Durations from the JSON lines that a server logs: the library's spans and start-up timeline."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable


def records(output: str) -> list[dict]:
    """The JSON objects among the lines of a server's output; all else is left out."""
    found = []
    for line in output.splitlines():
        if line.startswith("{"):
            try:
                found.append(json.loads(line))
            except (ValueError, RecursionError):
                continue
    return found


def durations(found: Iterable[dict]) -> dict[str, float]:
    """ms by `spans_ms.<span>` and, of a start-up timeline, by `stages_ms.<stage>`.

    A span that comes again, as of a second request, counts the first time alone.
    """
    stages: dict[str, float] = {}
    spans: dict[str, float] = {}
    for record in found:
        if isinstance(name := record.get("span"), str) and _is_ms(record.get("duration_ms")):
            spans.setdefault(f"spans_ms.{name}", record["duration_ms"])
            timeline = record.get("stages_ms")
            for stage, ms in timeline.items() if isinstance(timeline, dict) else ():
                if _is_ms(ms):
                    stages.setdefault(f"stages_ms.{stage}", ms)
    return stages | spans


def _is_ms(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def last_words(output: str) -> str:
    """Why a server died, for a message: the last line that speaks of an error, or else the last;
    Node ends with its version."""
    lines = [line.strip() for line in output.splitlines() if not line.startswith("{")]
    lines = [line[:300] for line in lines if line] or ["no message"]
    return next((line for line in reversed(lines) if "error" in line.lower()), lines[-1])
