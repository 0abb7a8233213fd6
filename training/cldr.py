"""Weak rows from Unicode CLDR: everyday words of many languages that are nothing to eat.

    npm pack cldr-annotations-full@48.2.0 && tar xzf cldr-annotations-full-48.2.0.tgz
    python -m training.cldr --annotations package/annotations --label ingredient=not_ingredient

Rewrites the `weak_cldr` rows of the labelled CSV, which the repository ships; this is how to make
them anew. CLDR gives every emoji keywords in each language. Where the training split knows some of
the English ones and all that it knows have the label asked for (socks, foot; but not pumpkin,
Halloween), the keywords of the other languages get it too, unless in their language they also
belong to an emoji that is something else.

Unicode CLDR: https://cldr.unicode.org; format: UTS 35, part 7, annotations.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from training import dataset, encoder, runs, weak
from training.similar import similar_key
from training.teacher import CONTRACT, DATA

ORIGIN = "weak_cldr"
WORDS = 3  # that a keyword may have: longer ones describe a picture
LANGUAGES = (
    "es fr de it pt nl sv da no fi pl cs sk hu tr ro hr lt el ru uk bg sr ar he fa ur hi bn ta te "
    "th vi id ms fil sw zh zh-Hant ja ko ca is af et"
).split()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.cldr", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--annotations", type=Path, required=True,
                        help="folder of LANGUAGE/annotations.json")  # fmt: skip
    parser.add_argument("--label", default="ingredient=not_ingredient", help="TASK=LABEL to find")
    parser.add_argument("--data", type=Path, default=DATA, help="labelled CSV, rewritten")
    parser.add_argument("--vocab", type=Path, default=Path("bundle"), help="folder of vocab.txt")
    parser.add_argument("--languages", nargs="+", default=LANGUAGES)
    parser.add_argument("--size", type=int, default=300, help="rows of a language at most")
    options = parser.parse_args()
    contract, _ = encoder.load_words(CONTRACT, options.vocab)
    rows, taken, (task, label) = weak.others(options.data, contract, ORIGIN, options.label)
    speak = verdicts(rows, read_keywords(options.annotations, "en"), task, label)
    found = []
    for language in options.languages:
        words = alike(read_keywords(options.annotations, language), speak, taken)
        words = sorted(words, key=by_chance)[: options.size]
        taken |= set(map(similar_key, words))
        found += sorted(words)
    weak.rewrite(options.data, ORIGIN, found, task, label)
    print(f"cldr: {len(found)} weak rows in {options.data}")


def by_chance(word: str) -> bytes:
    """An order without a system, in which a word more or less does not change which others come
    first: so somebody can look the chosen ones through."""
    return hashlib.sha256(word.encode()).digest()


def read_keywords(folder: Path, language: str) -> dict[str, list[str]]:
    """Name and keywords of each emoji and symbol, lower case. Raises OSError and ValueError."""
    path = folder / language / "annotations.json"
    content = json.loads(path.read_text("utf-8"))
    try:
        entries = content["annotations"]["annotations"].items()
        return {
            symbol: list(dict.fromkeys(
                word.casefold().strip() for word in entry.get("default", []) + entry.get("tts", [])
            ))
            for symbol, entry in entries
        }  # fmt: skip
    except (AttributeError, KeyError, TypeError):
        raise ValueError(f"{path}: found no annotations, expected a file of the npm package "
                         "cldr-annotations-full") from None  # fmt: skip


def verdicts(
    rows: list[dataset.Row], english: dict[str, list[str]], task: str, label: str
) -> dict[str, bool]:
    """Of each symbol with an English keyword in the training split: whether they all have `label`
    there. One exception is enough to be something else."""
    known = {row.text.casefold(): row.labels.get(task) == (label,)
             for row in rows if row.split == "train"}  # fmt: skip
    votes = {symbol: [known[word] for word in words if word in known]
             for symbol, words in english.items()}  # fmt: skip
    return {symbol: all(said) for symbol, said in votes.items() if said}


def alike(keywords: dict[str, list[str]], speak: dict[str, bool], taken: set[str]) -> Iterator[str]:
    """The keywords of symbols that `speak` for the label, of none that speaks against it, and of no
    key that is `taken`."""
    said: dict[str, list[bool]] = defaultdict(list)
    for symbol, words in keywords.items():
        for word in words:
            said[word] += [speak[symbol]] if symbol in speak else []
    seen = set(taken)
    for word, votes in said.items():
        key = similar_key(word)
        fits = len(word.split()) <= WORDS and any(map(str.isalpha, word))
        if votes and all(votes) and fits and key not in seen:
            seen.add(key)
            yield word


if __name__ == "__main__":
    runs.stage(main)
