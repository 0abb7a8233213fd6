"""Samples of many starts as a summary, as a table and as a JSON file."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

from timing.lab import LabError

HEAD = ("", "n", "p50", "p95", "min", "max")


def summarize(samples: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """By quantity, in the order of appearance: n (starts that had it), p50, p95, min and max."""
    names = dict.fromkeys(name for sample in samples for name in sample)
    return {
        name: _figures([sample[name] for sample in samples if name in sample]) for name in names
    }


def _figures(values: list[float]) -> dict[str, float]:
    # Straight between the two nearest values, as numpy's default.
    several = len(values) > 1
    p95 = statistics.quantiles(values, n=20, method="inclusive")[-1] if several else values[0]
    found = {"p50": statistics.median(values), "p95": p95, "min": min(values), "max": max(values)}
    return {"n": len(values), **{name: round(value, 3) for name, value in found.items()}}


def machine() -> dict[str, object]:
    """Where this was measured."""
    return {"system": platform.platform(), "cpus": os.cpu_count()}


def table(report: dict) -> str:
    """The report in words and columns: ms, and MiB where a quantity is in bytes."""
    parts = []
    for configuration in report["configurations"]:
        rows = [HEAD]
        for name, figures in configuration["summary"].items():
            scale, unit = (2**20, "MiB") if name.endswith("_bytes") else (1, "ms")
            title = f"{_title(name)} {unit}"
            cells = (f"{figures[key] / scale:.1f}" for key in HEAD[2:])
            rows.append((title, str(figures["n"]), *cells))
        rows += [(_title(name), "", str(value), "", "", "")
                 for name, value in configuration.get("opened", {}).items()]  # fmt: skip
        widths = [max(len(row[n]) for row in rows) for n in range(len(HEAD))]
        parts.append("\n".join([
            configuration["name"],
            *("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
              for row in rows),
        ]))  # fmt: skip
    return "\n\n".join([*parts, *([] if not report["notes"] else ["\n".join(report["notes"])])])


def _title(name: str) -> str:
    """`stages_ms.first answer` as `stage: first answer`, `memory_peak_bytes` as `memory peak`."""
    kind, dot, rest = name.partition(".")
    if dot:
        return f"{kind.removesuffix('s_ms')}: {rest}"
    return name.removesuffix("_ms").removesuffix("_bytes").replace("_", " ")


def write(path: Path, report: dict) -> None:
    """Under a temporary name first, so that no reader sees half a file. Raises LabError."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise LabError(f"{path}: cannot be written ({error.strerror})") from None
    finally:
        temporary.unlink(missing_ok=True)
