"""Stage 8: TF-IDF, teacher, student and int8 in one table, on the test split and the slices.

    python -m training.evaluate --run build/train
    python -m training.evaluate --run build/ship --measured build/train/metrics.json

`teacher` is what the student learnt from: of several teachers their mean. Every model gets
temperatures and thresholds fitted on the dev split in the same way. A model of all rows has no rows
left to fit or to test on: it takes over those of the measured run and answers the slices alone. The
int8 student is asked through `function.model`, the very code that serves it. The probabilities of
every row (N, L) stay in `answers.npz` beside the figures, for the report; those of TF-IDF, which
takes longest, also for an evaluation of another student on the same rows.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from function import model as models
from function.contract import Contract
from training import baseline, calibration, encoder, metrics, runs
from training.dataset import Row
from training.ensemble import Teachers
from training.parts import divide
from training.teacher import DATA, predict


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of a training run")
    parser.add_argument("--data", type=Path, default=DATA, help="labelled CSV")
    parser.add_argument("--measured", type=Path,
                        help="metrics.json of the measured run, for a run of all rows")  # fmt: skip
    options = parser.parse_args()
    run = options.run
    contract, wordpiece = encoder.load_words(run / "student" / "contract.json", run / "student")
    told = json.loads((run / "student" / "metrics.json").read_text("utf-8"))
    # None: a new head on a frozen encoder, or a measured student that went on learning.
    teachers = [run / name for name in told.get("teachers", ())]
    train, parts, slices = divide(options.data, contract, bool(options.measured))
    if parts and not parts["test"]:
        raise ValueError(f"{options.data}: found no row in the test split, expected some")
    parts |= slices
    texts = [row.text for part in parts.values() for row in part]

    def by_letters() -> np.ndarray:
        # Beside the measured student lies what was fitted on the rows that it was trained on.
        folder = run if options.measured else run / "student"
        known = baseline.remembered(folder, options.data, contract)
        if known is None or not known.keys() >= set(texts):
            answers = baseline.predict(train, texts, contract)
            baseline.remember(folder, options.data, contract, texts, answers)
            return answers
        return np.stack([known[text] for text in texts])

    def by_student() -> np.ndarray:
        # With its own vocabulary: it leaves some of its teacher's pieces out.
        return predict(*encoder.load(run / "student"), texts)

    def by_int8() -> np.ndarray:
        path = run / "onnx" / "model_quantized.onnx"
        model = models.Model(contract, wordpiece, models.open_session(path.read_bytes()))
        return np.array(model.infer([wordpiece.encode(text, contract) for text in texts]))

    report: dict = {"rows": {"train": len(train), **{k: len(v) for k, v in parts.items()}},
                    "models": {}}  # fmt: skip
    kept = {}
    measured = json.loads(options.measured.read_text()) if options.measured else None
    asked = {
        "tfidf": by_letters,
        "teacher": lambda: Teachers(teachers).predict(texts),
        "student": by_student,
        "int8": by_int8,
    }
    if not teachers:
        del asked["teacher"]
    for name, ask in asked.items():
        print(f"evaluate: {name}", flush=True)
        found, at = {}, 0
        # A model of all rows without slices has nothing left to be asked.
        answers = ask() if texts else np.zeros((0, len(contract.columns)))
        for part, members in parts.items():
            found[part] = answers[at : (at := at + len(members))]
            kept[f"{name}/{part}"] = found[part]
        if measured:
            fitted = measured["models"][name]["fitted"]
        else:
            fitted = calibration.fit(found["dev"], parts["dev"], contract) if parts["dev"] else {}
        report["models"][name] = judge(
            found, parts, slices, calibration.calibrated(contract, fitted)
        )
        report["models"][name]["fitted"] = fitted
    with runs.whole(run / "answers.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, **kept)
    runs.write_json(run / "metrics.json", report)
    print(table(report))


def judge(
    found: dict[str, np.ndarray], parts: dict[str, list[Row]], slices: dict, contract: Contract
) -> dict:
    """One model's figures. found: probabilities (N, L) at temperature 1 of each part's rows."""
    report = {}
    if "test" in parts:
        test = found["test"], parts["test"], contract
        report["test"] = metrics.score(*test, per_label=True)
        for name, error in metrics.calibration_errors(*test).items():
            report["test"][name]["calibration_error"] = error
        report["origins"] = metrics.by_origin(*test)
    report["slices"] = {name: metrics.score(found[name], parts[name], contract) for name in slices}
    return report


def table(report: dict) -> str:
    """The report as aligned text: the whole test split, each slice, each origin, each label."""
    names = list(report["models"])
    lines = [f"{'':42}" + "".join(f"{name:>9}" for name in names)]

    def row(title: str, values: list[float | None]) -> None:
        cells = "".join(f"{'–' if value is None else f'{value:.4f}':>9}" for value in values)
        lines.append(f"{title:42}" + cells)

    def groups(kind: str) -> None:
        first = report["models"][names[0]].get(kind, {})
        for group, tasks in first.items():
            for task, figures in tasks.items():
                per_model = [report["models"][name][kind][group][task] for name in names]
                title = f"  {group}: {task} ({figures['rows']} rows)"
                row(title, [metrics.headline(figures) for figures in per_model])

    tests = {name: report["models"][name].get("test", {}) for name in names}
    for task, figures in tests[names[0]].items():
        for key in ("accuracy", "micro_f1", "macro_f1", "calibration_error"):
            if key in figures:
                title = f"{task} {key} ({figures['rows']} rows)"
                row(title, [tests[name][task][key] for name in names])
    groups("slices")
    groups("origins")
    for task, figures in tests[names[0]].items():
        for label, of_label in figures["labels"].items():
            title = f"  {task}:{label} F1 ({of_label['rows']} rows)"
            row(title, [tests[name][task]["labels"][label]["f1"] for name in names])
    return "\n".join(lines)


if __name__ == "__main__":
    runs.stage(main)
