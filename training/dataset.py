"""Labelled phrases: read any CSV for any contract, find its faults, split it without leaks.

Columns: `text`, one per task of the contract (labels of a `multi` task joined by `|`), and
optionally `origin` (where the row comes from; rows of `weak` origins train only) and `split`
(`train`, `dev` or `test`, which overrides everything else for that row).
"""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from function.contract import Contract, Task
from training.similar import similar_key

SPLITS = ("train", "dev", "test")
MAX_CHARACTERS = 1_000  # the function refuses longer texts, so a longer row could never be asked


class DatasetError(ValueError):
    """Everything that is wrong with a CSV, one `file:line: found, expected` a line."""


@dataclass(frozen=True)
class Row:
    """One labelled phrase. `labels` holds a tuple of label names for each task that applies."""

    text: str
    labels: dict[str, tuple[str, ...]]
    origin: str
    split: str
    line: int


def read(path: str | Path, contract: Contract) -> list[Row]:
    """Rows of the CSV at `path`, each with its split; exact repetitions are dropped.

    Raises DatasetError listing every fault of the file, not the first alone, and OSError when
    the file cannot be read.
    """
    path = Path(path)
    faults: list[str] = []
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DatasetError(f"{path}:{line}: found bytes that are not UTF-8") from None
    reader = csv.DictReader(io.StringIO(content, newline=""), restkey="", strict=True)
    try:
        columns = reader.fieldnames or []
        for name in ("text", *(task.name for task in contract.tasks)):
            if columns.count(name) != 1:
                found = "no" if name not in columns else "more than one"
                faults.append(f"{path}:1: found {found} column {name!r}, expected exactly one")
        if faults:
            raise DatasetError("\n".join(faults))
        rows = []
        for record in reader:
            row, problems = _row(record, reader.line_num, contract)
            faults += [f"{path}:{reader.line_num}: {problem}" for problem in problems]
            rows.append(row)
    except csv.Error as error:
        raise DatasetError(f"{path}:{reader.line_num}: not readable as CSV ({error})") from None
    rows, conflicts = _merge(rows)
    faults += [f"{path}:{line}: {problem}" for line, problem in conflicts]
    if not rows and not faults:
        faults.append(f"{path}:1: found no rows, expected at least one")
    if faults:
        raise DatasetError("\n".join(sorted(faults, key=lambda fault: _line_of(fault, path))))
    return rows


def _line_of(fault: str, path: Path) -> int:
    return int(fault[len(str(path)) + 1 :].split(":", 1)[0])


def _row(record: dict, line: int, contract: Contract) -> tuple[Row, list[str]]:
    """The row of one CSV record and what is wrong with it."""
    faults = []
    if "" in record and isinstance(record[""], list):
        faults.append(f"found {len(record[''])} fields too many, expected one a column")
    text = (record["text"] or "").strip()
    if not text:
        faults.append("found an empty text, expected a phrase")
    elif len(text) > MAX_CHARACTERS:
        faults.append(f"found a text of {len(text)} characters, expected at most {MAX_CHARACTERS}")
    labels: dict[str, tuple[str, ...]] = {}
    for task in contract.tasks:
        given = tuple(x.strip() for x in (record[task.name] or "").split("|") if x.strip())
        if any(labels.get(name) != (label,) for name, label in task.only_if):
            if given:
                faults.append(
                    f"found {task.name} {'|'.join(given)!r}, expected none unless "
                    + " and ".join(f"{name} is {label!r}" for name, label in task.only_if)
                )
            continue
        faults += _label_faults(task, given)
        # Sorted into the contract's order, so that `a|b` and `b|a` are the same answer.
        labels[task.name] = tuple(label for label in task.labels if label in given)
    split = (record.get("split") or "").strip()
    if split and split not in SPLITS:
        faults.append(f"found split {split!r}, expected one of {', '.join(SPLITS)}")
    origin = (record.get("origin") or "").strip()
    return Row(text, labels, origin, split or _split(text, origin), line), faults


def _label_faults(task: Task, given: tuple[str, ...]) -> list[str]:
    faults = [
        f"found unknown {task.name} label {label!r}, expected one of {', '.join(task.labels)}"
        for label in given
        if label not in task.labels
    ]
    if task.kind == "single" and len(given) != 1:
        faults.append(f"found {len(given)} labels for {task.name}, expected exactly one")
    if len(set(given)) != len(given):
        faults.append(f"found a {task.name} label twice in {'|'.join(given)!r}, expected it once")
    return faults


def folded(text: str) -> str:
    """What texts share that differ only in case or white space: the encoder cannot tell them
    apart, so they are one text."""
    return " ".join(text.casefold().split())


def _merge(rows: list[Row]) -> tuple[list[Row], list[tuple[int, str]]]:
    """Rows without exact repetitions, and the (line, problem) of every contradiction.

    What a public data set repeats in two of its splits is judged and not trained on.
    """
    judged = {"dev": 1, "test": 2}
    kept: dict[str, Row] = {}
    conflicts = []
    for row in rows:
        text = folded(row.text)
        known = kept.setdefault(text, row)
        if known.labels != row.labels:
            conflicts.append(
                (row.line, f"found {row.text!r} labelled differently on line {known.line}, "
                           "expected the same labels for the same text")
            )  # fmt: skip
        elif judged.get(row.split, 0) > judged.get(known.split, 0):
            kept[text] = row
    return list(kept.values()), conflicts


def _split(text: str, origin: str) -> str:
    """80/10/10 by a hash of what similar texts share, so that they never fall apart."""
    if origin.startswith("weak"):
        return "train"
    bucket = int.from_bytes(hashlib.sha256(similar_key(text).encode()).digest()[:8], "big") % 10
    return "test" if bucket == 0 else "dev" if bucket == 1 else "train"


def targets(rows: list[Row], contract: Contract) -> tuple[np.ndarray, np.ndarray]:
    """What the rows' labels are in numbers.

    Returns `wanted`, float32 (N, L), 1 in the column of every label that holds, and `applies`,
    float32 (N, tasks), 1 where the task's `only_if` holds and there is something to learn.
    """
    wanted = np.zeros((len(rows), len(contract.columns)), np.float32)
    applies = np.zeros((len(rows), len(contract.tasks)), np.float32)
    for n, row in enumerate(rows):
        for t, task in enumerate(contract.tasks):
            if task.name in row.labels:
                applies[n, t] = 1
                for label in row.labels[task.name]:
                    wanted[n, task.start + task.labels.index(label)] = 1
    return wanted, applies
