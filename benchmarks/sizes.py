"""Accuracy against size and speed of students of one teacher, all measured in one run.

    python -m benchmarks.sizes build/train build/mini build/small

Each folder is a finished run of `training.train`; the figures are those of its int8 student, as its
evaluation found them, the milliseconds those of its bundle on one thread, rounds interleaved.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import timing
from function import model as models
from training import dataset, metrics, runs

OUT = Path("benchmarks/results/sizes.json")
ROUNDS, TEXTS = 20, 50
WARM_UP = 3


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sizes", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished runs")
    parser.add_argument("--data", type=Path, default=Path("training/data/labelled.csv"))
    options = parser.parse_args()
    timing.sink = lambda record: None
    subjects = {run: models.load(run / "bundle") for run in options.runs}
    contract = next(iter(subjects.values())).contract
    texts = [row.text for row in dataset.read(options.data, contract) if row.split == "test"]
    times: dict[Path, list[float]] = {run: [] for run in subjects}
    for n in range(WARM_UP + ROUNDS):
        for run, model in subjects.items():
            for text in texts[n * TEXTS % len(texts) :][:TEXTS]:
                model.cache = models.Cache(0)  # an answer from the cache would be no inference
                began = time.perf_counter()
                model.answer([text])
                if n >= WARM_UP:
                    times[run].append((time.perf_counter() - began) * 1e3)
    results = []
    for run in subjects:
        scores = json.loads((run / "metrics.json").read_text("utf-8"))["models"]["int8"]
        student = json.loads((run / "student" / "metrics.json").read_text("utf-8"))
        config = json.loads((run / "student" / "config.json").read_text("utf-8"))
        results.append({
            "preset": student["preset"],
            "layers": config["num_hidden_layers"],
            "width": config["hidden_size"],
            "texts": student["texts"],
            "epochs": student["settings"]["epochs"],
            "megabytes": round((run / "bundle" / models.MODEL).stat().st_size / 1e6, 2),
            "p50_ms": round(statistics.median(times[run]), 4),
            "test": headlines(scores["test"]),
            "slices": {name: headlines(of) for name, of in scores["slices"].items()},
        })  # fmt: skip
    OUT.parent.mkdir(parents=True, exist_ok=True)
    runs.write_json(OUT, {"threads": 1, "results": results})
    for result in results:
        print(json.dumps(result))


def headlines(scores: dict) -> dict[str, float]:
    return {task: metrics.headline(figures) for task, figures in scores.items()}


if __name__ == "__main__":
    runs.stage(main)
