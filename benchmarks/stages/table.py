"""The stages' figures as a table, and how many times less each takes than the first."""

from __future__ import annotations

HEAD = (
    "| stage | deployed MB | peak memory MiB | resident MiB | smallest setting "
    "| cold start s, cache warm | cold start s, cache dropped | inference ms |",
    "|---|---|---|---|---|---|---|---|",
)
GAINS = (
    "| times less than stage 0 | deployed | peak memory | resident | smallest setting "
    "| cold start, cache warm | cold start, cache dropped | inference |",
    "|---|---|---|---|---|---|---|---|",
)
NONE = "–"


def table(measured: dict) -> str:
    """Two tables in Markdown, and a line of how often and of what could not be measured."""
    first, *rest = measured["stages"]
    rows = [f"| {stage['name']} | {' | '.join(cells(stage))} |" for stage in (first, *rest)]
    gains = [f"| {stage['name']} | {' | '.join(times(first, stage))} |"
             for stage in rest if "inference_ms" in stage]  # fmt: skip
    said = f"p50 / p95 of {measured['starts']} starts of each, cache dropped and warm in turns."
    return "\n".join([*HEAD, *rows, "", *GAINS, *gains, "", " ".join([said, *measured["notes"]])])


def cells(stage: dict) -> list[str]:
    def both(figures: dict | None, scale: float, digits: int) -> str:
        if not figures:
            return NONE
        return " / ".join(f"{figures[key] / scale:.{digits}f}" for key in ("p50", "p95"))

    figures = quantities(stage)
    return [
        f"{stage['deployed_bytes'] / 1e6:,.0f}",
        *(f"{figures[key] / 2**20:,.0f}" if figures[key] else NONE for key in ("peak", "resident")),
        stage["memory"] or NONE,
        both(stage["kept"].get("first_answer_ms"), 1e3, 2),
        both(stage["dropped"].get("first_answer_ms"), 1e3, 2),
        both(stage.get("inference_ms"), 1, 2),
    ]


def times(first: dict, stage: dict) -> list[str]:
    before, after = quantities(first), quantities(stage)
    return [
        f"{before[key] / after[key]:,.1f}" if before[key] and after[key] else NONE for key in after
    ]


def quantities(stage: dict) -> dict[str, float | None]:
    """What is compared, in the columns' order; None where it was not measured."""

    def of(part: dict, name: str, key: str) -> float | None:
        return part[name][key] if name in part else None

    starts = stage["dropped"] or stage["kept"]
    memory = stage["memory"]
    return {
        "deployed": stage["deployed_bytes"],
        "peak": of(starts, "cgroup_peak_bytes", "max") or of(starts, "resident_peak_bytes", "max"),
        "resident": of(stage["kept"], "resident_pss_bytes", "max"),
        "setting": memory and int(memory[:-2]) << {"Mi": 20, "Gi": 30}[memory[-2:]],
        "kept": of(stage["kept"], "first_answer_ms", "p50"),
        "dropped": of(stage["dropped"], "first_answer_ms", "p50"),
        "inference": of(stage, "inference_ms", "p50"),
    }


def panels(measured: dict) -> tuple[list[str], dict[str, dict[str, list[float | None]]]]:
    """The stages' names, and what `figures.rows` draws of them."""
    found = [quantities(stage) for stage in measured["stages"]]

    def column(key: str, scale: float) -> list[float | None]:
        return [one[key] and one[key] / scale for one in found]

    return [stage["name"] for stage in measured["stages"]], {
        "peak memory, MiB": {"": column("peak", 2**20)},
        "cold start, s": {"cache warm": column("kept", 1e3),
                          "cache dropped": column("dropped", 1e3)},
        "inference, ms": {"": column("inference", 1)},
    }  # fmt: skip
