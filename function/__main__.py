"""Classify on the command line: `python -m function "smoked paprika" "poop cake"`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import timing
from function import model as models
from function.contract import Contract, ContractError
from function.request import MAX_CHARACTERS, well_formed
from function.wordpiece import VocabularyError


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m function", description=__doc__)
    parser.add_argument("texts", nargs="+", metavar="TEXT", help="a phrase; - reads lines of stdin")
    parser.add_argument("--json", action="store_true", help="one JSON answer a line")
    parser.add_argument("--bundle", type=Path, help="folder of the model (default: bundle/)",
                        default=Path(__file__).resolve().parent.parent / "bundle")  # fmt: skip
    return parser.parse_args()


def main() -> None:
    options = arguments()
    timing.sink = None  # a person reads this, or a pipe: no log lines between
    try:
        model = models.load(options.bundle)
        for batch in batches(read(options.texts), 256):
            answers, _ = model.answer(batch)
            show(answers, model.contract, options.json)
    except (models.BundleError, ContractError, VocabularyError, OSError, ValueError) as error:
        if isinstance(error, BrokenPipeError):
            sys.stderr.close()  # the reader has seen enough (`| head`): no complaint at exit
            sys.exit(0)
        sys.exit(f"error: {error}")


def read(given: list[str]) -> Iterator[str]:
    """The texts of the arguments and, for `-`, of standard input. Raises ValueError."""
    for n, text in enumerate(given, 1):
        if text == "-":
            lines = enumerate(sys.stdin.buffer, 1)
            yield from (
                checked(line.decode("utf-8", "replace").rstrip("\r\n"), f"stdin:{number}")
                for number, line in lines
                if line.strip()
            )
        else:
            yield checked(text, f"text {n}")


def checked(text: str, place: str) -> str:
    if not text.strip():
        raise ValueError(f"{place}: found an empty text, expected something to classify")
    if len(text) > MAX_CHARACTERS:
        raise ValueError(
            f"{place}: found {len(text)} characters, expected at most {MAX_CHARACTERS}"
        )
    return well_formed(text)


def batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    texts = iter(texts)
    while batch := list(islice(texts, size)):
        yield batch


def show(answers: list[dict], contract: Contract, as_json: bool) -> None:
    if as_json:
        for answer in answers:
            print(json.dumps(answer, ensure_ascii=False))
        return
    rows = [["text", *(task.name for task in contract.tasks)]]
    rows += [
        [answer["text"], *(cell(answer[task.name]) for task in contract.tasks)]
        for answer in answers
    ]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())


def cell(answer: dict | list | None) -> str:
    """`plant 0.99`, several joined by commas, a dash where there is nothing to say, a question mark
    behind what the model is too unsure of."""
    several = answer if isinstance(answer, list) else [answer] if answer else []
    return (
        ", ".join(
            f"{one['label']} {one['score']:.2f}{'?' if 'abstain' in one else ''}" for one in several
        )
        or "–"
    )


if __name__ == "__main__":
    main()
