"""What a student learns from: texts, soft labels, the truth of some, and batches of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import torch

from function.contract import Contract
from training import augment, dataset, runs, transfer
from training.batches import bucketed

MANY = 100_000  # texts, from which on batches are large
AN_EPOCH = 320_000  # texts, beside the labelled ones, that an epoch reads
SOFT = "soft.npz"  # what the teachers say of the transfer set


def words_of(data: Path) -> Path:
    """Where the words lie that a domain puts around its phrases, beside its labelled CSV."""
    return data.with_name("augment.json")


def run_mark(settings: dict, teachers: list[Path], data: Path, more: Path | None) -> str:
    """The fingerprint of a student: its settings, data and teachers."""
    words = words_of(data)
    taught = (teacher / "metrics.json" for teacher in teachers)
    return runs.fingerprint({"stage": "distill", **settings}, data, *taught,
                            words if words.exists() else None, more)  # fmt: skip


def texts_of(
    train: list[dataset.Row], judged: list[dataset.Row], wordpiece, words: augment.Words,
    size: int, seed: int, more: Path | None,
) -> list[str]:  # fmt: skip
    """The transfer set: the labelled texts, `size` others and those lines of the file `more` that
    are not similar to a row to judge by."""
    found = transfer.generate(train, judged, wordpiece.vocab, words, len(train) + size, seed)
    if more is None:
        return found
    return list(dict.fromkeys(found + transfer.apart(transfer.read_lines(more), judged)))


def saved(path: Path, mark: str) -> dict[str, np.ndarray] | None:
    """The arrays that a run of this fingerprint kept at `path`; None where there are none."""
    if not path.exists():
        return None
    with np.load(path) as content:
        if str(content["mark"]) != mark:
            return None
        return {name: content[name] for name in content.files if name != "mark"}


def with_truth(
    soft: np.ndarray, texts: list[str], rows: list[dataset.Row], gold: float, contract: Contract
) -> tuple[torch.Tensor, torch.Tensor]:
    """What to learn of each text, (N, L), and how much each task applies to it, (N, tasks): the
    teachers' answers `soft` (N, L), and where a text is one of `rows` as it is, with the weight
    `gold` its true labels."""
    wanted = soft.astype(np.float32)
    applies = likely(wanted, contract)
    known = {row.text: n for n, row in enumerate(rows)}
    truth, truth_applies = dataset.targets(rows, contract)
    for n, text in enumerate(texts):
        if text in known:
            wanted[n] += gold * (truth[known[text]] - wanted[n])
            applies[n] += gold * (truth_applies[known[text]] - applies[n])
    return torch.from_numpy(wanted), torch.from_numpy(applies)


def batch_size_of(texts: list[str]) -> int:
    return 256 if len(texts) >= MANY else 128


def groups(student) -> list[list[torch.nn.Parameter]]:
    """The parameters by their learning rates: the encoder with its head, the word embeddings."""
    embeddings = student.get_input_embeddings().weight
    return [[p for p in student.parameters() if p is not embeddings], [embeddings]]


def epochs_of(
    texts: list[str], rows: list[dataset.Row], wordpiece, contract: Contract, words: augment.Words,
    batch_size: int, seed: int,
) -> Callable[[int], list[tuple[list[int], list[list[int]]]]]:  # fmt: skip
    """The batches of an epoch, by its number: places in `texts` and their encodings."""
    plain = [wordpiece.encode(text, contract) for text in texts]
    labelled, parts = by_epoch(texts, rows)

    def epoch_batches(epoch: int) -> list[tuple[list[int], list[list[int]]]]:
        # The labelled texts come twice: they are the ones with the truth beside them. The second
        # time some are written another way, a new one each epoch, which nobody has to label.
        random = Random(f"{seed} {epoch}")
        once = sorted(labelled + parts[epoch % len(parts)])
        order = once + labelled
        ids = [plain[n] for n in once]
        ids += [wordpiece.encode(augment.augment(texts[n], words, random), contract)
                for n in labelled]  # fmt: skip
        batches = bucketed(list(map(len, ids)), batch_size, random)
        return [([order[n] for n in batch], [ids[n] for n in batch]) for batch in batches]

    return epoch_batches


def by_epoch(texts: list[str], rows: list[dataset.Row]) -> tuple[list[int], list[list[int]]]:
    """The places in `texts` of those of `rows`, and of the others those that an epoch reads: parts
    of some `AN_EPOCH`, taken in turns, so that more texts cost no more time to learn from."""
    known = {row.text for row in rows}
    labelled = [n for n, text in enumerate(texts) if text in known]
    others = [n for n, text in enumerate(texts) if text not in known]
    Random(0).shuffle(others)  # their kinds were made in turns
    parts = max(1, round(len(others) / AN_EPOCH))
    return labelled, [others[part::parts] for part in range(parts)]


def likely(wanted: np.ndarray, contract: Contract) -> np.ndarray:
    """How much each task applies to each text, (N, tasks): as much as the teachers believe that
    its `only_if` holds."""
    applies = np.ones((len(wanted), len(contract.tasks)), np.float32)
    tasks = {task.name: task for task in contract.tasks}
    for t, task in enumerate(contract.tasks):
        for name, label in task.only_if:
            condition = tasks[name]
            applies[:, t] *= wanted[:, condition.start + condition.labels.index(label)]
    return applies
