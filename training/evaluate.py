"""Stage 7: TF-IDF, teacher, student and int8 in one table, on the test split.

    python -m training.evaluate --run build/train

The int8 student is measured through `function.model`, the very code that serves it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from function import model as models
from training import baseline, dataset, encoder, metrics, runs
from training.teacher import DATA, predict


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of a training run")
    parser.add_argument("--data", type=Path, default=DATA, help="labelled CSV")
    options = parser.parse_args()
    run = options.run
    contract, wordpiece = encoder.load_words(run / "student" / "contract.json", run / "student")
    rows = dataset.read(options.data, contract)
    train = [row for row in rows if row.split == "train"]
    test = [row for row in rows if row.split == "test"]
    if not test:
        raise ValueError(f"{options.data}: found no row in the test split, expected some")
    texts = [row.text for row in test]

    def by_encoder(name: str) -> np.ndarray:
        model, *_ = encoder.load(run / name)
        return predict(model, contract, wordpiece, texts)

    def by_int8() -> np.ndarray:
        path = run / "onnx" / "model_quantized.onnx"
        model = models.Model(contract, wordpiece, models.open_session(str(path)))
        return np.array(model.infer([wordpiece.encode(text, contract) for text in texts]))

    found = {}
    for name, ask in (
        ("tfidf", lambda: baseline.predict(train, texts, contract)),
        ("teacher", lambda: by_encoder("teacher")),
        ("student", lambda: by_encoder("student")),
        ("int8", by_int8),
    ):
        print(f"evaluate: {name}", flush=True)
        found[name] = ask()
    report = {
        "rows": {"train": len(train), "test": len(test)},
        "models": {
            name: {
                "test": metrics.score(p, test, contract, per_label=True),
                "origins": metrics.by_origin(p, test, contract),
            }
            for name, p in found.items()
        },
    }
    runs.write_json(run / "metrics.json", report)
    print(table(report))


def table(report: dict) -> str:
    """The report as aligned text: the whole test split, each origin, each label."""
    names = list(report["models"])
    tests = {name: report["models"][name]["test"] for name in names}
    lines = [f"{'test split':42}" + "".join(f"{name:>9}" for name in names)]

    def row(title: str, values: list[float | None]) -> None:
        cells = "".join(f"{'–' if value is None else f'{value:.4f}':>9}" for value in values)
        lines.append(f"{title:42}" + cells)

    for task, figures in tests[names[0]].items():
        for key in ("accuracy", "micro_f1", "macro_f1"):
            if key in figures:
                title = f"{task} {key} ({figures['rows']} rows)"
                row(title, [tests[name][task][key] for name in names])
    for origin, tasks in report["models"][names[0]]["origins"].items():
        for task, figures in tasks.items():
            per_model = [report["models"][name]["origins"][origin][task] for name in names]
            title = f"  {origin}: {task} ({figures['rows']} rows)"
            row(title, [metrics.headline(figures) for figures in per_model])
    for task, figures in tests[names[0]].items():
        for label, of_label in figures["labels"].items():
            title = f"  {task}:{label} F1 ({of_label['rows']} rows)"
            row(title, [tests[name][task]["labels"][label]["f1"] for name in names])
    return "\n".join(lines)


if __name__ == "__main__":
    runs.stage(main)
