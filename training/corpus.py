"""A user's own corpus: one text a line, plain or gzip, read as a stream and never held whole."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from itertools import chain, islice, repeat
from pathlib import Path

EVERY = 50  # one line in so many is held out


def lines(path: Path) -> Iterator[str]:
    """The non-empty lines. Raises ValueError naming the line that is not UTF-8, or the file that is
    no whole gzip."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rb") if zipped else path.open("rb") as file:
        number = 0
        try:
            for number, raw in enumerate(file, 1):
                if text := raw.decode("utf-8-sig" if number == 1 else "utf-8").strip():
                    yield text
        except UnicodeDecodeError:
            raise ValueError(f"{path}:{number}: found bytes that are not UTF-8") from None
        except (EOFError, gzip.BadGzipFile) as error:
            raise ValueError(f"{path}:{number + 1}: found a broken gzip ({error})") from None


def held_out(path: Path, most: int) -> list[str]:
    """Up to `most` lines that `chunk` never gives."""
    return list(islice(islice(lines(path), EVERY - 1, None, EVERY), most))


def chunk(path: Path, number: int, size: int) -> list[str]:
    """Lines number * size to (number + 1) * size, from the start again where the file ends. Raises
    ValueError where there is no line to train on."""

    def once() -> Iterator[str]:
        return (text for n, text in enumerate(lines(path), 1) if n % EVERY)

    if next(once(), None) is None:
        raise ValueError(f"{path}: found no text, expected one a line")
    endless = chain.from_iterable(once() for _ in repeat(None))
    return list(islice(endless, number * size, (number + 1) * size))
