"""Weak rows: texts that no person labelled, in the labelled CSV under an origin of their own.

They are only trained on (`dataset`), so nothing is ever judged by a label that nobody looked at.
"""

from __future__ import annotations

import csv
from pathlib import Path

from function.contract import Contract
from training import dataset, runs
from training.parts import read_slices
from training.similar import similar_key


def others(
    path: Path, contract: Contract, origin: str, label: str
) -> tuple[list[dataset.Row], set[str], tuple[str, str]]:
    """The rows of the CSV that are not of `origin`, the keys of all texts that a new weak row must
    not be similar to (those rows and the challenge sets), and `label` as (task, label).

    Raises ValueError where the contract has no such `TASK=LABEL`, DatasetError and OSError.
    """
    task, _, name = label.partition("=")
    if name not in next((t.labels for t in contract.tasks if t.name == task), ()):
        raise ValueError(f"--label {label}: found no such task and label in the contract")
    rows = [row for row in dataset.read(path, contract) if row.origin != origin]
    slices = read_slices(path.with_name("slices"), contract, rows)
    taken = {similar_key(row.text) for part in (rows, *slices.values()) for row in part}
    return rows, taken, (task, name)


def rewrite(path: Path, origin: str, texts: list[str], task: str, label: str) -> None:
    """Put rows of `texts` in the place of those of `origin` in the CSV at `path`, in one rename."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns, kept = reader.fieldnames, [row for row in reader if row["origin"] != origin]
    with (
        runs.whole(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        writer.writerows({"text": text, task: label, "origin": origin} for text in texts)
