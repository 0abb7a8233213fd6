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
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random

from training import dataset, encoder, runs, weak
from training.similar import similar_key
from training.teacher import CONTRACT, DATA

ORIGIN = "weak"
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
    rows, taken, (task, label) = weak.others(options.data, contract, ORIGIN, options.label)
    words = list(alike(rows, taken, *read_nouns(options.dict), task, label))
    words = sorted(Random(options.seed).sample(words, min(options.size, len(words))))
    weak.rewrite(options.data, ORIGIN, words, task, label)
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
    rows: list[dataset.Row], taken: set[str], above: dict, meanings: dict, task: str, label: str
) -> Iterator[str]:
    """Every word none of whose meanings speaks against `label`, and whose key is not `taken`."""
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

    seen = set(taken)
    for word, senses in sorted(meanings.items()):
        key = similar_key(word)
        if key not in seen and all(map(holds, senses)):
            seen.add(key)
            yield word


if __name__ == "__main__":
    runs.stage(main)
