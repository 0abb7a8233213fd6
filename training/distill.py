"""Stage 2: distil the teacher, or the mean of several, into a small student over a transfer set.

    python -m training.distill --teacher build/train/teacher --out build/train/student
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from function.contract import Contract
from training import augment, baseline, calibration, dataset, encoder, losses, metrics, runs
from training import student as students
from training.batches import bucketed
from training.ensemble import Teachers
from training.loop import Schedule, autocast, device, fit, has_bf16
from training.parts import divide
from training.teacher import DATA, predict

SIZE = 160_000  # so that 15,000 rows are learnt in 40 minutes on a slow machine too (LOG.md)
EPOCHS = 12
RATE = 3e-3  # of `tiny`
SAID = "said.npz"  # what the teachers say, kept until TF-IDF, which takes longer, has said as much
SEEN = 3  # times that an epoch uses a piece that the student is given
WEIGHTS = (0.0, 0.25, 0.5, 0.75)  # of TF-IDF, to choose from


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.distill", description=__doc__)
    parser.add_argument("--teacher", type=Path, nargs="+", required=True,
                        help="folder of the teacher; of several, the student learns the mean and "
                        "starts from the first")  # fmt: skip
    parser.add_argument("--data", type=Path, default=DATA, help="labelled CSV")
    parser.add_argument("--transfer", type=Path, help="further texts of your own, one a line")
    parser.add_argument("--out", type=Path, required=True, help="folder of the trained student")
    parser.add_argument("--student", choices=encoder.PRESETS, default="tiny")
    parser.add_argument("--size", type=int, default=SIZE,
                        help="texts in the transfer set beside the labelled ones, some "
                             f"{students.AN_EPOCH:,} of them an epoch")  # fmt: skip
    parser.add_argument("--epochs", type=int,
                        help=f"({EPOCHS}; a third less of many texts by Muon)")  # fmt: skip
    parser.add_argument("--batch-size", type=int,
                        help=f"(256; 128 for less than {students.MANY:,} texts)")  # fmt: skip
    parser.add_argument("--rate", type=float,
                        help=f"learning rate ({RATE} for `tiny`, less for wider ones)")  # fmt: skip
    parser.add_argument("--word-rate", type=float, default=1e-2,
                        help="learning rate of the word embeddings")  # fmt: skip
    parser.add_argument("--temperature", type=float, default=1.5,
                        help="divisor of the teacher's logits, which are too sure")  # fmt: skip
    parser.add_argument("--letters", type=float,
                        help="weight of TF-IDF beside the teacher (the best on dev)")  # fmt: skip
    parser.add_argument("--gold", type=float, default=0.5,
                        help="weight of the true labels beside the teacher's, 0 to 1")  # fmt: skip
    parser.add_argument("--align", type=float, default=0.0,
                        help="weight of the cosine to the (first) teacher's vector")  # fmt: skip
    parser.add_argument("--foreign", type=float, default=0.0,
                        help="weight of keeping other tasks' labels unlikely")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.rate is None:
        options.rate = default_rate(options.student)
    if options.epochs is None:
        options.epochs = default_epochs(options.size)
    teachers = Teachers(options.teacher)
    settings = {
        k: v for k, v in vars(options).items() if k not in ("out", "teacher", "data", "transfer")
    }
    mark = students.run_mark(settings, options.teacher, options.data, options.transfer)
    if runs.finished(options.out, mark):
        print(f"student: {options.out} is finished already")
        return
    teacher, contract, wordpiece = teachers.members[0]
    train, held_out, slices = divide(options.data, contract, all_rows=False)
    dev = held_out["dev"]
    judged = [row for part in (held_out | slices).values() for row in part]
    words = augment.read_words(students.words_of(options.data))
    texts = students.texts_of(
        train, judged, wordpiece, words, options.size, options.seed, options.transfer
    )
    print(f"student: labelling {len(texts)} texts", flush=True)

    def label() -> dict[str, np.ndarray]:
        found = kept(options.out / SAID, mark, lambda: {"said": teachers.predict(
            texts, options.temperature, shown_as="labelling",
        )})["said"]  # fmt: skip
        weight = options.letters
        if weight != 0:
            # An unlike teacher: letters carry what word pieces lose.
            others = [row.text for row in judged]
            spelt = baseline.predict(train, texts + others, contract)
            spelt, of_others = spelt[: len(texts)], spelt[len(texts) :]
            baseline.remember(options.out, options.data, contract, others, of_others)
            if weight is None:  # the dev rows are the first of the others
                said = teachers.predict(others[: len(dev)], options.temperature)
                weight = best_weight(said, of_others[: len(dev)], dev, contract)
            found += weight * (spelt - found)
        print(f"student: {weight} of TF-IDF in the soft labels", flush=True)
        aligned = {"pooled": pooled(teacher, contract, wordpiece, texts)} if options.align else {}
        return {"wanted": found.astype(np.float16), "letters": np.float16(weight), **aligned}

    soft = kept(options.out / students.SOFT, mark, label)
    (options.out / SAID).unlink(missing_ok=True)
    wanted, applies = students.with_truth(soft["wanted"], texts, train, options.gold, contract)

    torch.manual_seed(options.seed)
    student = encoder.make_student(options.student, teacher, contract)
    encoder.copy_words(options.teacher[0], options.out)
    labelled, parts = students.by_epoch(texts, train)
    read = [texts[n] for n in labelled + parts[0]]
    used = Counter(n for text in read for n in wordpiece.encode(text, contract))
    seen = [n for n, times in used.items() if times >= SEEN]
    contract, wordpiece = encoder.drop_pieces(student, seen, options.out)
    where = device()

    # The student's vectors are led to the teacher's through a layer that is thrown away.
    widen = torch.nn.Linear(student.config.hidden_size, teacher.config.hidden_size, bias=False)
    if options.align:
        student.widen = widen
        vectors = torch.from_numpy(soft["pooled"])

    def batch_loss(batch: tuple[list[int], list[list[int]]]) -> torch.Tensor:
        numbers, ids = batch
        states = encoder.control_states(student, ids, len(contract.tasks))
        rows = student.classifier(states)
        total = losses.loss(rows, wanted[numbers].to(where), applies[numbers].to(where), contract)
        if options.foreign:
            total = total + options.foreign * losses.foreign(rows, contract)
        if options.align:
            close = torch.cosine_similarity(student.widen(states.mean(1)).float(),
                                            vectors[numbers].to(where).float())  # fmt: skip
            total = total + options.align * (1 - close).mean()
        return total

    def after_epoch(epoch: int) -> str:
        found = predict(student, contract, wordpiece, [row.text for row in dev])
        return metrics.line(metrics.score(found, dev, contract))

    batch_size = options.batch_size or students.batch_size_of(texts)
    schedule = Schedule(options.epochs, batch_size, (options.rate, options.word_rate), muon=True)
    history = fit(
        student, students.groups(student), schedule,
        students.epochs_of(texts, train, wordpiece, contract, words, batch_size, options.seed),
        batch_loss, options.out, mark, options.seed, "student", after_epoch if dev else None,
    )  # fmt: skip
    if options.align:
        del student.widen
    encoder.save_weights(student, options.out)
    runs.finish(options.out, {
        "fingerprint": mark, "stage": "distill", "preset": options.student,
        "trained_on": "train split", "texts": len(texts), "letters": float(soft["letters"]),
        "teachers": [folder.name for folder in options.teacher],
        "settings": settings, "history": history,
        "dev": metrics.score(predict(student, contract, wordpiece, [r.text for r in dev]), dev,
                             contract) if dev else None,
    })  # fmt: skip


def default_epochs(size: int) -> int:
    """Muon learns in two epochs what AdamW learns in three (LOG.md), of few texts too little."""
    return EPOCHS * 2 // 3 if size >= students.MANY and has_bf16(device()) else EPOCHS


def default_rate(preset: str) -> float:
    """Less for a wider student: what Adam trains a matrix best at falls as its width grows, what it
    trains embeddings at does not (Yang et al., Tensor Programs V, 2022, arXiv 2203.03466)."""
    return RATE * (encoder.PRESETS["tiny"][1] / encoder.PRESETS[preset][1])


def kept(
    path: Path, mark: str, label: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """What the teachers say of the texts, (N, …), kept beside the student, so that a resumed run
    and the model to ship (`extend`) need not ask them again."""
    if (found := students.saved(path, mark)) is not None:
        return found
    found = label()
    with runs.whole(path) as temporary, temporary.open("wb") as file:
        np.savez(file, mark=mark, **found)
    return found


@torch.inference_mode()
def pooled(teacher, contract: Contract, wordpiece, texts: list[str]) -> np.ndarray:
    """The mean of the teacher's vectors at each text's control tokens, float16 (N, width)."""
    where = device()
    teacher.to(where).eval()
    found = np.zeros((len(texts), teacher.config.hidden_size), np.float16)
    ids = [wordpiece.encode(text, contract) for text in texts]
    for batch in bucketed(list(map(len, ids)), 256, None):
        with autocast(where):
            states = encoder.control_states(teacher, [ids[n] for n in batch], len(contract.tasks))
        found[batch] = states.float().mean(1).cpu().numpy()
    return found


def best_weight(
    found: np.ndarray, spelt: np.ndarray, dev: list[dataset.Row], contract: Contract
) -> float:
    """The share of `spelt` in the mean of the two probabilities (N, L) that answers the dev rows
    best, by the mean of the tasks' figures; half where there are no such rows."""
    if not dev:
        return 0.5

    def figure(weight: float) -> float:
        p = found + weight * (spelt - found)
        fitted = calibration.calibrated(contract, calibration.fit(p, dev, contract))
        scores = metrics.score(p, dev, fitted)
        return sum(map(metrics.headline, scores.values())) / len(scores)

    return max(WEIGHTS, key=figure)


if __name__ == "__main__":
    runs.stage(main)
