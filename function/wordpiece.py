"""Exact BERT uncased WordPiece in pure Python, and the one place that composes a sequence.

Follows Hugging Face `tokenizers`: BertNormalizer (clean text, CJK apart, accents stripped, lower
case), BertPreTokenizer, WordPiece with words of at most 100 characters. All that Unicode decides
is in `unicode.json`, made from the reference by `tests/make_unicode.py`.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

from function.contract import Contract

MAX_WORD = 100  # characters; the reference makes a longer word [UNK]
_MEMO = 20_000  # words and code points remembered, so that no visitor can fill the memory


class VocabularyError(ValueError):
    """A vocabulary that is no BERT vocabulary."""


class _Table(dict):
    """Code point to replacement, for `str.translate`: "" removes, spaces cut words."""

    def __init__(self, data: dict):
        super().__init__((ord(c), text) for c, text in data["mapped"].items())
        self.removed, self.isolated = data["removed"], data["isolated"]
        for code in range(128):
            self[code] = self[code]

    def __missing__(self, code: int) -> str:
        if 0xAC00 <= code < 0xD7A4:
            text = _hangul(code - 0xAC00)
        elif _inside(code, self.removed):
            text = ""
        elif _inside(code, self.isolated):
            text = f" {chr(code)} "
        else:
            text = chr(code)
        if len(self) < _MEMO:
            self[code] = text
        return text


def _inside(code: int, ranges: Sequence[int]) -> bool:
    """Whether `code` is in one of the ranges [start, stop, start, stop, ...]."""
    return bool(bisect_right(ranges, code) % 2)


def _hangul(index: int) -> str:
    """The jamo of a syllable (Unicode, section 3.12)."""
    lead, rest = divmod(index, 21 * 28)
    vowel, tail = divmod(rest, 28)
    return chr(0x1100 + lead) + chr(0x1161 + vowel) + (chr(0x11A7 + tail) if tail else "")


_DATA = json.loads(Path(__file__).with_name("unicode.json").read_text("ascii"))
_TABLE = _Table(_DATA)
_MARKS: dict[str, int] = _DATA["marks"]
_BLOCKERS: list[int] = _DATA["blockers"]


def words(text: str) -> list[str]:
    """The normalized words and punctuation marks of `text`."""
    spread = text.translate(_TABLE)
    if not (spread.isascii() or _MARKS.keys().isdisjoint(spread)):
        spread = _reorder(text)
    return [word for word in spread.split(" ") if word]


def _reorder(text: str) -> str:
    """`text` spread as by the table, its surviving combining marks in canonical order.

    Python sorts stably, so sorting each run of marks by class is the canonical ordering
    (Unicode, section 3.11). A removed mark belongs to the run; a removed starter ends it.
    """
    done: list[str] = []
    run: list[str] = []
    for c in text:
        spread = _TABLE[ord(c)]
        for d in spread:
            if d in _MARKS:
                run.append(d)
                continue
            done += sorted(run, key=_MARKS.__getitem__)
            run = []
            done.append(d)
        if not spread and _inside(ord(c), _BLOCKERS):
            done += sorted(run, key=_MARKS.__getitem__)
            run = []
    return "".join(done + sorted(run, key=_MARKS.__getitem__))


class WordPiece:
    """A vocabulary and the pieces it cuts words into. `vocab` maps a piece to its id."""

    def __init__(self, vocab: dict[str, int]):
        for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]"):
            if name not in vocab:
                raise VocabularyError(f"vocabulary: found no {name}, expected one")
        self.vocab = vocab
        self._unknown = (vocab["[UNK]"],)
        self._first, self._last = vocab["[CLS]"], vocab["[SEP]"]
        self._longest = max(map(len, vocab))
        self._memo: dict[str, tuple[int, ...]] = {}

    def pieces(self, text: str) -> list[int]:
        """The ids of the phrase alone, without special tokens. Every text has an answer; lone
        surrogates are ignored."""
        memo, ids = self._memo, []
        for word in words(text):
            found = memo.get(word)
            if found is None:
                if len(word) > MAX_WORD:  # not remembered: 20,000 such would fill the memory
                    ids += self._unknown
                    continue
                found = cut(word, self.vocab, self._longest) or self._unknown
                if len(memo) >= _MEMO:
                    memo.clear()
                memo[word] = found
            ids += found
        return ids

    def encode(self, text: str, contract: Contract) -> list[int]:
        """[CLS] pieces controls [SEP], at most `contract.max_pieces` ids.

        Only the phrase is cut. The controls enter by id, so a control token or `[SEP]` that a
        user typed stays ordinary text.
        """
        room = contract.max_pieces - 2 - len(contract.tasks)
        return [self._first, *self.pieces(text)[:room], *contract.control_ids, self._last]


def cut(word: str, vocab: dict[str, int], longest: int, prefix: str = "") -> tuple[int, ...]:
    """The ids of the longest pieces from left to right; none where one part has none.

    longest: characters of a piece at most. prefix: "##" where the word continues another.
    """
    ids, start = [], 0
    while start < len(word):
        for end in range(min(len(word), start + longest), start, -1):
            found = vocab.get(prefix + word[start:end])
            if found is not None:
                break
        else:
            return ()
        ids.append(found)
        start, prefix = end, "##"
    return tuple(ids)


def load(path: str | Path) -> WordPiece:
    """The vocabulary in `vocab.txt`: one piece a line, its id the line's number from 0.

    Raises VocabularyError naming the file (and line), and OSError when it cannot be read.
    """
    try:
        lines = Path(path).read_text("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        found = f"found a byte that is not UTF-8 at {error.start}"
        raise VocabularyError(f"{path}: {found}, expected UTF-8") from None
    vocab = {piece: n for n, piece in enumerate(lines)}
    if len(vocab) != len(lines):
        n = next(n for n, piece in enumerate(lines) if vocab[piece] != n)
        raise VocabularyError(f"{path}:{n + 1}: found {lines[n]!r} twice, expected it once")
    try:
        return WordPiece(vocab)
    except VocabularyError as error:
        raise VocabularyError(f"{path}: {error}") from None
