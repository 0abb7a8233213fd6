"""Common words of some forty languages, one a line, as texts without labels for the student.

    python -m training.wordlist --out build/words.txt

They are the most frequent of wordfreq (Speer 2022, doi 10.5281/zenodo.7199437), its data under
CC BY-SA 4.0.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import wordfreq

from training import runs

ENGLISH = 60_000
OTHERS = 6_000  # of each other language


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.wordlist", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="file of the words, one a line")
    options = parser.parse_args()
    found = words()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with runs.whole(options.out) as temporary:
        temporary.write_text("".join(f"{word}\n" for word in found), "utf-8")
    print(f"{options.out}: {len(found)} words")


def words() -> list[str]:
    """The distinct words, English first. Numbers are left out: wordfreq counts them by their
    length, as `0000`."""
    others = sorted(set(wordfreq.available_languages()) - {"en"})
    found = wordfreq.top_n_list("en", ENGLISH)
    for language in others:
        found += wordfreq.top_n_list(language, OTHERS)
    return [word for word in dict.fromkeys(found) if not any(map(str.isdigit, word))]


if __name__ == "__main__":
    runs.stage(main)
