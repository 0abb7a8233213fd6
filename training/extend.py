"""Stage 2 of the model to ship: the measured student goes on learning, on all rows.

    python -m training.extend --measured build/train --out build/ship/student

Dev and test rows join the transfer set that it was distilled on, with their true labels; vocabulary
and soft labels stay. No other teacher has to be trained and asked, and what was measured is the
model that is shipped, two epochs earlier.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from training import augment, baseline, encoder, losses, runs
from training import student as students
from training.ensemble import Teachers
from training.loop import Schedule, device, fit
from training.parts import divide
from training.teacher import DATA

EPOCHS = 2
SHARE = 0.3  # of the rates that the student was distilled with


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.extend", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--measured", type=Path, required=True, help="folder of the measured run")
    parser.add_argument("--data", type=Path, default=DATA, help="labelled CSV")
    parser.add_argument("--transfer", type=Path, help="further texts, as given to the measured run")
    parser.add_argument("--out", type=Path, required=True, help="folder of the trained student")
    options = parser.parse_args()
    start = options.measured / "student"
    told = read(options.measured, start / "metrics.json")
    if "teachers" not in told:
        raise ValueError(
            f"--measured {options.measured}: found a student that no teacher taught, expected one "
            "that training.distill made"
        )
    folders = [options.measured / name for name in told["teachers"]]
    taught = read(options.measured, folders[0] / "metrics.json")
    settings = told["settings"]
    mark = students.run_mark(settings, folders, options.data, options.transfer)
    soft = students.saved(start / students.SOFT, mark)
    if mark != told["fingerprint"] or soft is None:
        raise ValueError(
            f"--measured {options.measured}: found a student of other data or without "
            f"{students.SOFT}, expected the measured run of {options.data}"
        )
    own = runs.fingerprint({"stage": "extend", "epochs": EPOCHS, "share": SHARE, "from": mark})
    if runs.finished(options.out, own):
        print(f"student: {options.out} is finished already")
        return

    student, contract, wordpiece = encoder.load(start)
    encoder.copy_words(start, options.out)
    teachers = Teachers(folders)
    pieces_of_teacher = teachers.members[0][2]
    train, held_out, slices = divide(options.data, contract, all_rows=False)
    judged = [row for part in (held_out | slices).values() for row in part]
    words = augment.read_words(students.words_of(options.data))
    size, seed = settings["size"], settings["seed"]
    texts = students.texts_of(train, judged, pieces_of_teacher, words, size, seed, options.transfer)
    fresh = [row for part in held_out.values() for row in part]
    found = teachers.predict([row.text for row in fresh], settings["temperature"])
    if told["letters"]:
        spelt = baseline.remembered(start, options.data, contract)
        found += told["letters"] * (np.stack([spelt[row.text] for row in fresh]) - found)
    texts += [row.text for row in fresh]
    rows = train + fresh
    print(f"student: {len(fresh)} rows more, {len(rows)} in all", flush=True)
    wanted, applies = students.with_truth(
        np.concatenate([soft["wanted"], found]), texts, rows, settings["gold"], contract
    )
    where = device()

    def batch_loss(batch: tuple[list[int], list[list[int]]]):
        numbers, ids = batch
        found = student.classifier(encoder.control_states(student, ids, len(contract.tasks)))
        return losses.loss(found, wanted[numbers].to(where), applies[numbers].to(where), contract)

    batch_size = settings["batch_size"] or students.batch_size_of(texts)
    rates = settings["rate"] * SHARE, settings["word_rate"] * SHARE
    history = fit(
        student, students.groups(student), Schedule(EPOCHS, batch_size, rates, muon=True),
        students.epochs_of(texts, rows, wordpiece, contract, words, batch_size, seed), batch_loss,
        options.out, own, seed, "student",
    )  # fmt: skip
    encoder.save_weights(student, options.out)
    extended = {"epochs": EPOCHS, "share_of_rates": SHARE}
    runs.finish(options.out, {
        "fingerprint": own, "stage": "extend", "preset": told["preset"], "base": taught["base"],
        "trained_on": "all rows", "texts": len(texts), "history": history,
        "recipe": {"teacher": taught["settings"],
                   "student": {**settings, "teachers": len(folders)}, "extended": extended},
    })  # fmt: skip


def read(run: Path, path: Path) -> dict:
    if not path.exists():
        raise ValueError(f"--measured {run}: found no {path}, expected a finished measured run")
    return json.loads(path.read_text("utf-8"))


if __name__ == "__main__":
    runs.stage(main)
