"""What a measured run's figures are worth: one self-contained HTML page, and its pictures as PNG.

    python -m benchmarks.report --run build/train --out build/report

Reads what `training.evaluate` left in the run: figures with bootstrap intervals, confusion
matrices, slices, reliability, the most confident errors, and size against speed where
`benchmarks.sizes` has measured it.
"""

from __future__ import annotations

import argparse
import base64
import html
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import bootstrap, figures
from function.contract import Contract
from training import calibration, dataset, encoder, metrics, runs
from training.dataset import Row
from training.parts import read_slices

SIZES = Path("benchmarks/results/sizes.json")
SHIPPED = "int8"
RIVAL = "tfidf"
ERRORS = 50

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;
color:#222}table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;text-align:left;
border-bottom:1px solid #ddd}td.n{text-align:right;font-variant-numeric:tabular-nums}img{max-width:
100%}small{color:#666}"""


@dataclass(frozen=True)
class Run:
    """A finished run: its rows by part (`test` first, then the slices) and, by model, its figures,
    its calibrated contract and its probabilities (N, L) of each part."""

    parts: dict[str, list[Row]]
    scores: dict[str, dict]
    contracts: dict[str, Contract]
    answers: dict[str, dict[str, np.ndarray]]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--run", type=Path, default=Path("build/train"), help="a measured run")
    parser.add_argument("--data", type=Path, default=Path("training/data/labelled.csv"))
    parser.add_argument("--out", type=Path, default=Path("build/report"))
    options = parser.parse_args()
    run = read(options.run, options.data)
    options.out.mkdir(parents=True, exist_ok=True)
    page = report(run, options.run, options.out)
    with runs.whole(options.out / "index.html") as temporary:
        temporary.write_text(page, "utf-8")
    print(f"report: {options.out / 'index.html'}")


def read(folder: Path, data: Path) -> Run:
    """Raises ValueError where `folder` holds no evaluated run, or one of other data."""
    path = folder / "answers.npz"
    if not path.exists() or not (folder / "metrics.json").exists():
        raise ValueError(f"{folder}: found no answers.npz and metrics.json, expected a run that "
                         "`make train` has evaluated")  # fmt: skip
    scores = json.loads((folder / "metrics.json").read_text("utf-8"))["models"]
    contract, _ = encoder.load_words(folder / "student" / "contract.json", folder / "student")
    rows = dataset.read(data, contract)
    test = [row for row in rows if row.split == "test"]
    parts = {"test": test} | read_slices(data.with_name("slices"), contract, [])
    answers: dict[str, dict[str, np.ndarray]] = {name: {} for name in scores}
    with np.load(path) as kept:
        for key in kept.files:
            model, part = key.split("/", 1)
            answers[model][part] = kept[key]
    for part, members in parts.items():
        found = len(answers[SHIPPED].get(part, ()))
        if found != len(members):
            raise ValueError(f"{path}: found answers to {found} rows of {part}, expected the "
                             f"{len(members)} rows of {data} (evaluate it again)")  # fmt: skip
    contracts = {name: calibration.calibrated(contract, s["fitted"]) for name, s in scores.items()}
    return Run(parts, scores, contracts, answers)


def report(run: Run, folder: Path, out: Path) -> str:
    """The page; writes its pictures to `out`."""
    contract = run.contracts[SHIPPED]
    page = [f"<h1>{html.escape(contract.name)}</h1><p>{len(run.parts['test'])} test rows, none "
            "similar to a row that was trained on, and "
            f"{len(run.parts) - 1} slices of challenging rows. Figures are the accuracy of tasks "
            "with one answer and the micro-F1 of tasks with any number.</p>"]  # fmt: skip

    def picture(name: str, figure) -> str:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
        figures.pyplot.close(figure)
        (out / f"{name}.png").write_bytes(buffer.getvalue())
        return (f'<img alt="{html.escape(name)}" src="data:image/png;base64,'
                f'{base64.b64encode(buffer.getvalue()).decode()}">')  # fmt: skip

    page += ["<h2>Figures</h2><p>95 % intervals by bootstrap over the rows.</p>", intervals(run)]
    page.append("<h2>Slices</h2>")
    for task in contract.tasks:
        groups, series = by_part(run, task.name)
        page.append(picture(f"slices-{task.name}", figures.bars(task.name, groups, series, 0.5)))
    page.append("<h2>Confusion</h2><p>On the test rows, where the task applies.</p>")
    for t, task in enumerate(contract.tasks):
        p, truth = judged(run, SHIPPED, "test", t)
        if task.kind == "single" and len(p):
            matrix = np.zeros((len(task.labels),) * 2, int)
            np.add.at(matrix, (truth.argmax(1), p.argmax(1)), 1)
            drawn = figures.confusion(task.name, list(task.labels), matrix)
            page.append(picture(f"confusion-{task.name}", drawn))
    page.append("<h2>Reliability</h2><p>On the test rows; beside each dot the number of answers."
                "</p>")  # fmt: skip
    for t, task in enumerate(contract.tasks):
        p, truth = judged(run, SHIPPED, "test", t)
        if task.kind == "single" and len(p):
            p = calibration.heated(p, task.temperature)
            right = truth.argmax(1)
            error = calibration.calibration_error(p, right)
            title = f"{task.name}: calibration error {error:.4f}"
            drawn = figures.reliability(title, p.max(1), p.argmax(1) == right)
            page.append(picture(f"reliability-{task.name}", drawn))
    if SIZES.exists():
        page.append("<h2>Size, speed and accuracy</h2>")
        measured = json.loads(SIZES.read_text("utf-8"))["results"]
        for task in measured[0]["test"]:
            page.append(picture(f"sizes-{task}", figures.trade(
                task, [m["preset"] for m in measured], [m["p50_ms"] for m in measured],
                [m["megabytes"] for m in measured], [m["test"][task] for m in measured],
            )))  # fmt: skip
    page += [f"<h2>The {ERRORS} most confident errors</h2>", errors(run)]
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{contract.name}</title>'
            f"<style>{STYLE}</style>\n" + "\n".join(page) + "\n</html>\n")  # fmt: skip


def judged(run: Run, model: str, part: str, t: int) -> tuple[np.ndarray, np.ndarray]:
    """Task t's probabilities and targets, both (N, labels), over the rows it applies to."""
    contract = run.contracts[model]
    wanted, applies = dataset.targets(run.parts[part], contract)
    task, here = contract.tasks[t], applies[:, t] > 0
    return tuple(x[here, task.start : task.stop] for x in (run.answers[model][part], wanted))


def intervals(run: Run) -> str:
    """Each task on each part: the shipped model with its interval, and its lead on the rival."""
    rows = []
    for part in run.parts:
        for t, task in enumerate(run.contracts[SHIPPED].tasks):
            shares = {
                name: bootstrap.counts(run.contracts[name].tasks[t], *judged(run, name, part, t))
                for name in (SHIPPED, RIVAL)
            }
            ours, theirs = shares[SHIPPED], shares[RIVAL]
            if not len(ours):
                continue
            low, high = bootstrap.interval(ours)
            lead = bootstrap.ratio(ours.sum(0)) - bootstrap.ratio(theirs.sum(0))
            least, most = bootstrap.interval(ours, theirs)
            lead = f"{100 * lead:+.1f} ({100 * least:+.1f} – {100 * most:+.1f})"
            rows.append([part, task.name, len(ours), f"{bootstrap.ratio(ours.sum(0)):.4f}",
                         f"{low:.3f} – {high:.3f}", f"{bootstrap.ratio(theirs.sum(0)):.4f}",
                         lead])  # fmt: skip
    head = ["part", "task", "rows", SHIPPED, "95 %", RIVAL, "lead in points (95 %)"]
    return table(head, rows)


def by_part(run: Run, task: str) -> tuple[list[str], dict[str, list[float]]]:
    """The names of the parts that the task applies in, and each model's figures there."""
    shown = {
        part: [s["test"] if part == "test" else s["slices"][part] for s in run.scores.values()]
        for part in run.parts
    }
    groups = [part for part, scores in shown.items() if task in scores[0]]
    return groups, {
        model: [metrics.headline(shown[part][n][task]) for part in groups]
        for n, model in enumerate(run.scores)
    }


def errors(run: Run) -> str:
    """What the shipped model got wrong and was surest of, over all parts."""
    found = []
    for part in run.parts:
        _, applies = dataset.targets(run.parts[part], run.contracts[SHIPPED])
        for t, task in enumerate(run.contracts[SHIPPED].tasks):
            p, truth = judged(run, SHIPPED, part, t)
            rows = [row for row, on in zip(run.parts[part], applies[:, t], strict=True) if on]
            if task.kind == "single":
                p = calibration.heated(p, task.temperature)
                said = np.eye(p.shape[1], dtype=bool)[p.argmax(1)] if len(p) else p > 1
                sure = p
            else:
                said = p >= np.array(task.thresholds, np.float32)
                sure = np.where(said, p, 1 - p)
            # A wrong answer of a single task is one error, by what was answered.
            wrong = said != (truth > 0.5)
            if task.kind == "single":
                wrong &= said
            for n, label in zip(*np.nonzero(wrong), strict=True):
                answer = task.labels[label] if said[n, label] else f"not {task.labels[label]}"
                given = ", ".join(rows[n].labels.get(task.name, ()))
                found.append((float(sure[n, label]), part, rows[n].text, task.name, answer, given))
    found.sort(key=lambda error: (-error[0], *error[1:]))
    return table(["score", "part", "text", "task", "answered", "labelled"],
                 [[f"{score:.4f}", *rest] for score, *rest in found[:ERRORS]])  # fmt: skip


def table(head: list[str], rows: list[list]) -> str:
    def cell(value: object) -> str:
        number = isinstance(value, int) or str(value)[:1] in "+-0123456789"
        return f"<td{' class=n' if number else ''}>{html.escape(str(value))}</td>"

    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>\n" for row in rows)
    return f"<table><tr>{''.join(f'<th>{name}</th>' for name in head)}</tr>\n{body}</table>"


if __name__ == "__main__":
    runs.stage(main)
