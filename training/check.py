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
from training.loop import Schedule, autocast, device, optimizers_of
from training.similar import similar_key
from training.student import AN_EPOCH

BATCH = 128  # texts at once, to time
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
        given = [(dataset.folded(record["text"]), record.get("split"))
                 for record in csv.DictReader(file)]  # fmt: skip
    in_two = Counter(text for text, _ in set(given))
    splits = Counter(row.split for row in rows)
    shown = ", ".join(f"{splits[name]} {name}" for name in dataset.SPLITS)
    lines = [
        f"{len(rows)} rows: {shown}",
        f"{len(given) - len(rows)} exact repetitions, dropped",
        f"{sum(n > 1 for n in in_two.values())} texts in two splits, judged and not trained on",
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


def seconds_per_text(
    model, ids: list[list[int]], wanted, applies, contract: Contract, muon: bool
) -> float:
    """What one text of a training epoch costs on this machine, judged by a few batches."""
    where = device()
    model.to(where).train()
    # At rate 0, so that the model stays as it is.
    schedule = Schedule(1, BATCH, (0.0,), muon=muon)
    optimizers = optimizers_of(model, [model.parameters()], schedule)
    batches = bucketed(list(map(len, ids)), BATCH, None)
    # From the shortest to the longest, so that their mean is that of an epoch.
    chosen = batches[:: max(1, len(batches) // 12)]
    for n, batch in enumerate([chosen[0], *chosen]):
        if n == 1:  # the first one warms up
            began = time.perf_counter()
        with autocast(where):
            logits = encoder.control_logits(model, [ids[i] for i in batch], contract)
            loss = losses.loss(logits, wanted[batch].to(where), applies[batch].to(where), contract)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    return (time.perf_counter() - began) / sum(map(len, chosen))


def expected_minutes(
    teacher, preset: str, wordpiece, rows: list[Row], contract: Contract, epochs: int,
    transfer: int, transfer_epochs: int, teachers: int,
) -> float:  # fmt: skip
    """Minutes that teachers and student will take here; the export takes a few more.

    epochs: of a teacher. transfer, transfer_epochs: the student's texts beside the labelled ones,
    and its epochs.
    """
    train = [row for row in rows if row.split == "train"]
    ids = [wordpiece.encode(row.text, contract) for row in train]
    asked = ids, *map(torch.from_numpy, dataset.targets(train, contract)), contract
    slow = seconds_per_text(teacher, *asked, muon=False)
    fast = seconds_per_text(encoder.make_student(preset, teacher, contract), *asked, muon=True)
    # Labelling the transfer set is the forward pass, a third of the work.
    seconds = teachers * (epochs * len(train) + (transfer + len(train)) / 3) * slow
    read = min(transfer, AN_EPOCH) + 2 * len(train)
    return (seconds + transfer_epochs * read * fast) / 60
