"""Weak rows from WordNet: rare English words that are nothing of what the contract is about.

    python -m training.wordnet --dict /usr/share/wordnet --label ingredient=not_ingredient

Rewrites the `weak` rows of the labelled CSV, which the repository ships; this is how to make them
anew (Debian: `apt install wordnet-base`). A word is labelled by its kind: the nearest meaning above
it (WordNet's hypernyms) under which enough words of the training split stand, nearly all of them
with the label asked for. Words with a meaning that says otherwise are left out.

WordNet: Fellbaum, C. (ed.), WordNet: An Electronic Lexical Database, MIT Press 1998.
File formats: wndb(5WN).
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random

from training import dataset, encoder, runs
from training.parts import read_slices
from training.similar import similar_key
from training.teacher import CONTRACT, DATA

ENOUGH = 8  # labelled words under a meaning from which on it may speak for the others
ALIKE = 0.96  # share of them that must have the label


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.wordnet", description=__doc__)
    parser.add_argument("--dict", type=Path, default=Path("/usr/share/wordnet"),
                        help="folder of data.noun and index.noun")  # fmt: skip
    parser.add_argument("--label", default="ingredient=not_ingredient", help="TASK=LABEL to find")
    parser.add_argument("--data", type=Path, default=DATA, help="labelled CSV, rewritten")
    parser.add_argument("--vocab", type=Path, default=Path("bundle"), help="folder of vocab.txt")
    parser.add_argument("--size", type=int, default=100_000, help="rows at most")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    contract, _ = encoder.load_words(CONTRACT, options.vocab)
    task, _, label = options.label.partition("=")
    if label not in next((t.labels for t in contract.tasks if t.name == task), ()):
        raise ValueError(f"--label {options.label}: found no such task and label in {CONTRACT}")
    rows = [row for row in dataset.read(options.data, contract) if row.origin != "weak"]
    slices = read_slices(options.data.with_name("slices"), contract, rows)
    kept_out = [row.text for part in slices.values() for row in part]
    words = list(alike(rows, kept_out, *read_nouns(options.dict), task, label))
    words = sorted(Random(options.seed).sample(words, min(options.size, len(words))))
    rewrite(options.data, [{"text": word, task: label, "origin": "weak"} for word in words])
    print(f"wordnet: {len(words)} weak rows in {options.data}")


def read_nouns(folder: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The meanings above each meaning, and the meanings of each word, commonest first; a meaning is
    named by its offset in data.noun. Raises OSError."""
    above, meanings = {}, {}
    for line in (folder / "data.noun").read_text("utf-8").splitlines():
        if line.startswith(" "):  # the licence
            continue
        field = line.split("|", 1)[0].split()
        at = 4 + 2 * int(field[3], 16)  # behind the words
        pointers = [field[at + 1 + 4 * n : at + 3 + 4 * n] for n in range(int(field[at]))]
        above[field[0]] = [offset for kind, offset in pointers if kind in ("@", "@i")]
    for line in (folder / "index.noun").read_text("utf-8").splitlines():
        if not line.startswith(" "):
            field = line.split()
            meanings[field[0].replace("_", " ")] = field[-int(field[2]) :]
    return above, meanings


def kinds(meaning: str, above: dict[str, list[str]]) -> list[str]:
    """The meaning itself and all above it, nearest first."""
    found = [meaning]
    for one in found:  # grows meanwhile
        found += (kind for kind in above[one] if kind not in found)
    return found


def alike(
    rows: list[dataset.Row], kept_out: list[str], above: dict, meanings: dict, task: str, label: str
) -> Iterator[str]:
    """Every word none of whose meanings speaks against `label`, and that is similar to no row and
    to no text `kept_out`."""
    votes: dict[str, Counter] = defaultdict(Counter)
    for row in rows:
        senses = meanings.get(row.text.casefold(), ())
        if row.split == "train" and senses:
            for kind in kinds(senses[0], above):
                votes[kind][row.labels.get(task) == (label,)] += 1

    def holds(meaning: str) -> bool:
        for kind in kinds(meaning, above):
            if votes[kind].total() >= ENOUGH:
                return votes[kind][True] >= ALIKE * votes[kind].total()
        return False

    seen = {similar_key(text) for text in [*(row.text for row in rows), *kept_out]}
    for word, senses in sorted(meanings.items()):
        key = similar_key(word)
        if key not in seen and all(map(holds, senses)):
            seen.add(key)
            yield word


def rewrite(path: Path, weak: list[dict]) -> None:
    """Put `weak` in the place of the weak rows of the CSV at `path`, in one rename."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns, kept = reader.fieldnames, [row for row in reader if row["origin"] != "weak"]
    with (
        runs.whole(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept + weak)


if __name__ == "__main__":
    runs.stage(main)
