"""Write the documents' figures from what was measured; `--check` only says whether they are stale.

python -m benchmarks.tables
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import mean

from benchmarks import figures
from benchmarks.stages import table
from training.metrics import headline

README, FAULTS = Path("README.md"), Path("docs/reliability.md")
STAGES = Path("benchmarks/results/stages.json")
PLOT = STAGES.with_suffix(".svg")
LATENCY = Path("benchmarks/results/latency.json")
TOKENIZERS = Path("benchmarks/results/tokenizers.json")
SIZES = Path("benchmarks/results/sizes.json")
BROWSER = Path("benchmarks/results/browser.json")
RELIABILITY = Path("benchmarks/results/reliability.json")
MANIFEST = Path("bundle/manifest.json")


def latency() -> str:
    rows = ["| one text, one thread | p50 ms | p95 ms | times faster |", "|---|---|---|---|"]
    rows += [
        f"| {r['name']} | {r['p50_ms']:.3f} | {r['p95_ms']:.3f} | {r['times_faster']:.0f} |"
        for r in json.loads(LATENCY.read_text())["results"]
    ]
    return "\n".join(rows)


def tokenizers() -> str:
    measured = json.loads(TOKENIZERS.read_text())
    rows = ["| tokenizer in JavaScript | code points that differ from the reference |", "|---|---|"]
    rows += [
        f"| {result['name']} | {result['code_points']:,} of {measured['code_points']:,} |"
        for result in measured["results"]
    ]
    return "\n".join(rows)


def browser() -> str:
    measured = json.loads(BROWSER.read_text())
    rows = ["| in headless Chromium | p50 ms | p95 ms |", "|---|---|---|"]
    rows += [f"| {r['name']} | {r['p50_ms']:.1f} | {r['p95_ms']:.1f} |"
             for r in measured["results"]]  # fmt: skip
    return "\n".join(rows)


def accuracy() -> str:
    metrics = json.loads(MANIFEST.read_text())["metrics"]
    models = metrics["models"]
    rows = [f"| {metrics['rows']['test']} test phrases | {' | '.join(models)} |",
            "|---|" + "---|" * len(models)]  # fmt: skip
    tasks = next(iter(models.values()))["test"]
    for title, read in (("", lambda m: m["test"]), ("`names`: ", lambda m: m["origins"]["names"])):
        for task in tasks:
            for key, name in (("accuracy", "accuracy"), ("micro_f1", "micro-F1"),
                              ("macro_f1", "macro-F1")):  # fmt: skip
                if key in tasks[task]:
                    cells = " | ".join(f"{read(m)[task][key]:.4f}" for m in models.values())
                    rows.append(f"| {title}{task}, {name} | {cells} |")
    return "\n".join(rows)


def slices() -> str:
    models = json.loads(MANIFEST.read_text())["metrics"]["models"]
    rows = [f"| slice, task, rows | {' | '.join(models)} |", "|---|" + "---|" * len(models)]
    for name, tasks in next(iter(models.values()))["slices"].items():
        for task, first in tasks.items():
            cells = " | ".join(f"{headline(m['slices'][name][task]):.3f}" for m in models.values())
            rows.append(f"| {name.replace('_', ' ')}, {task}, {first['rows']} | {cells} |")
    return "\n".join(rows)


def sizes() -> str:
    measured = json.loads(SIZES.read_text("utf-8"))["results"]
    tasks = measured[0]["test"]
    names = " | ".join(tasks)
    rows = [f"| student | epochs | model MB | p50 ms | test: {names} | slices: {names} |",
            "|---|" + "---|" * (3 + 2 * len(tasks))]  # fmt: skip
    for one in measured:
        cells = [f"{one['test'][task]:.3f}" for task in tasks]
        cells += [f"{mean(of[task] for of in one['slices'].values()):.3f}" for task in tasks]
        rows.append(f"| `{one['preset']}` ({one['layers']}×{one['width']}) | {one['epochs']} "
                    f"| {one['megabytes']:.1f} | {one['p50_ms']:.2f} | {' | '.join(cells)} |")
    return "\n".join(rows)


def stages() -> str:
    return table.table(json.loads(STAGES.read_text("utf-8")))


def plot() -> str:
    """The stages' figures as SVG."""
    return figures.svg(figures.rows(*table.panels(json.loads(STAGES.read_text("utf-8")))))


def reliability() -> str:
    rows = ["| fault | function | faults | good requests | lost | wrong | memory | |",
            "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for r in json.loads(RELIABILITY.read_text("utf-8")):
        grown = r.get("memory_bytes")
        memory = "" if grown is None else f"{grown / 1e6:+.1f} MB"
        note = ""
        if "p99_ms" in r:
            note = f"p99 {r['p99_ms']:.1f} ms, {r['p99_before_ms']:.1f} ms without swaps"
        if "in_flight" in r:
            note = f"at most {r['in_flight']} in flight"
        rows.append(
            f"| {r['scenario'].replace('_', ' ')} | {r['runtime']} | {r['faults']:,} "
            f"| {r['requests']:,} | {r['lost']} | {r['wrong']} | {memory} | {note} |"
        )
    return "\n".join(rows)


PARTS = {
    README: (accuracy, slices, sizes, latency, stages, tokenizers, browser),
    FAULTS: (reliability,),
}


def fresh(path: Path, text: str) -> str:
    """`text` of the document at `path`, every generated part made anew between `<!-- name -->` and
    `<!-- /name -->`."""
    for part in PARTS[path]:
        head, tail = f"<!-- {part.__name__} -->", f"<!-- /{part.__name__} -->"
        before, _, rest = text.partition(head)
        _, _, after = rest.partition(tail)
        text = f"{before}{head}\n{part()}\n{tail}{after}"
    return text


def main() -> None:
    if "--check" in sys.argv:
        for path in PARTS:
            text = path.read_text("utf-8")
            if fresh(path, text) != text:
                sys.exit(f"{path}: its tables are stale, expected `python -m benchmarks.tables`")
        if PLOT.read_text("utf-8") != plot():
            sys.exit(f"{PLOT}: is stale, expected `python -m benchmarks.tables`")
        return
    PLOT.write_text(plot(), "utf-8")
    for path in PARTS:
        path.write_text(fresh(path, path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
