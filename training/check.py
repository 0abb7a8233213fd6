"""What a researcher wants to know of a data set before training on it for half an hour."""

from __future__ import annotations

import csv
import time
from collections import Counter, defaultdict
from pathlib import Path

import torch

from function.contract import Contract
from training import dataset, encoder, losses
from training.batches import bucketed
from training.dataset import Row
from training.loop import autocast, device
from training.similar import similar_key

FEW = 8  # rows of a label below which nothing reliable can be learnt


def labels_without_rows(rows: list[Row], contract: Contract) -> list[str]:
    """The columns of the contract that no training row has."""
    seen = {
        f"{task}:{label}"
        for row in rows
        if row.split == "train"
        for task, given in row.labels.items()
        for label in given
    }
    return [column for column in contract.columns if column not in seen]


def require_every_label(path: Path, rows: list[Row], contract: Contract) -> None:
    """Raises DatasetError where a label has no training row: it could never be answered."""
    if missing := labels_without_rows(rows, contract):
        raise dataset.DatasetError(
            f"{path}: found no training row labelled {', '.join(missing)}, expected at least one "
            "for every label of the contract"
        )


def report(path: Path, rows: list[Row], contract: Contract) -> str:
    """Rows by split, repetitions, leaks between splits, and how often each label stands where."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        given = sum(1 for _ in csv.DictReader(file))
    splits = Counter(row.split for row in rows)
    shown = ", ".join(f"{splits[name]} {name}" for name in dataset.SPLITS)
    lines = [
        f"{len(rows)} rows: {shown}",
        f"{given - len(rows)} exact repetitions, dropped",
        "0 conflicts (they would have been errors)",
    ]
    by_key: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        by_key[similar_key(row.text)].setdefault(row.split, row)
    leaks = [found for found in by_key.values() if len(found) > 1]
    lines.append(f"{len(leaks)} leaks: similar texts in different splits")
    for found in leaks[:10]:
        lines.append("  " + " / ".join(f"{split}: {row.text!r} (line {row.line})"
                                       for split, row in found.items()))  # fmt: skip
    counts = {name: Counter() for name in dataset.SPLITS}
    for row in rows:
        for task, labels in row.labels.items():
            counts[row.split].update(f"{task}:{label}" for label in labels)
    width = max(map(len, contract.columns))
    lines.append(f"{'label':{width}}" + "".join(f"{name:>8}" for name in dataset.SPLITS))
    for column in contract.columns:
        cells = "".join(f"{counts[name][column]:8}" for name in dataset.SPLITS)
        few = f"  fewer than {FEW} to train on" if counts["train"][column] < FEW else ""
        lines.append(f"{column:{width}}{cells}{few}")
    return "\n".join(lines)


def expected_minutes(
    base: str, contract_path: Path, rows: list[Row], epochs: int, batch_size: int, folder: Path
) -> float:
    """Minutes that the teacher will take here, judged by a few of its batches.

    The other stages take about as long again. Writes the tokenizer to `folder`.
    """
    model, contract, wordpiece = encoder.load_base(base, contract_path, folder)
    train = [row for row in rows if row.split == "train"]
    ids = [wordpiece.encode(row.text, contract) for row in train]
    wanted, applies = map(torch.from_numpy, dataset.targets(train, contract))
    batches = bucketed(list(map(len, ids)), batch_size, None)
    where = device()
    model.to(where).train()
    began = time.perf_counter()
    # From the shortest to the longest, so that their mean is that of an epoch.
    chosen = batches[:: max(1, len(batches) // 12)]
    for n, batch in enumerate([chosen[0], *chosen]):
        if n == 1:
            began = time.perf_counter()
        with autocast(where):
            rows_ = encoder.control_logits(model, [ids[i] for i in batch], contract)
            loss = losses.loss(rows_, wanted[batch].to(where), applies[batch].to(where), contract)
        loss.backward()
    return (time.perf_counter() - began) / len(chosen) * len(batches) * epochs / 60
