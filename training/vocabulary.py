"""Pieces of a domain's own words, to add to the vocabulary of a general encoder.

A word that the vocabulary lacks is cut into pieces that mean something else: half of the words of
ingredients are. Byte pair encoding (Sennrich et al., 2016, arXiv 1508.07909) joins the pieces that
stand together most often; of what it makes, those are kept that shorten the texts most as WordPiece
cuts them, which takes the longest piece and so passes over many a step in between (Hong et al.,
AVocaDo, 2021, arXiv 2110.13434, adapt a vocabulary to a domain in the same spirit).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer, models, trainers

from function import wordpiece as wordpieces
from function.wordpiece import MAX_WORD, WordPiece, words

SEEN = 4  # times at least, in all texts together, that a piece is used
SPARE = 1.6, 50  # so many times as many candidates as pieces are asked for, and so many more
DROPPED = 0.1  # of the candidates in each round, the least useful ones
_FIRST = 0x10000  # the code point that stands for piece 0


def grow(wordpiece: WordPiece, texts: Iterable[str], most: int) -> list[str]:
    """At most `most` new pieces, the most useful first; the same for the same arguments."""
    missing = _missing(wordpiece, texts)
    found = _joined(wordpiece, missing, round(most * SPARE[0]) + SPARE[1])
    parts = {piece: len(cut(piece, wordpiece.vocab)) for piece in found}
    while True:
        used = _used(missing, wordpiece.vocab, found)
        found = [piece for piece in found if used[piece] >= SEEN]
        found.sort(key=lambda piece: (-used[piece] * (parts[piece] - 1), piece))
        if len(found) <= most:
            return found
        # A few at a time: the uses of a piece that goes fall to others.
        del found[max(most, int(len(found) * (1 - DROPPED))) :]


def cut(piece: str, vocab: dict[str, int]) -> tuple[int, ...]:
    """The ids of the pieces of a word, or of a piece that continues one; none where a part of it
    has none, or where it is longer than the reference cuts."""
    word = piece.removeprefix("##")
    if len(word) > MAX_WORD:
        return ()
    return wordpieces.cut(word, vocab, MAX_WORD, "##" if word != piece else "")


def _missing(wordpiece: WordPiece, texts: Iterable[str]) -> Counter[str]:
    """How often each word of letters occurs that the vocabulary can only cut into pieces."""
    counts = Counter(word for text in texts for word in words(text))
    return Counter({
        word: n for word, n in counts.items()
        if word.isalpha() and word not in wordpiece.vocab and cut(word, wordpiece.vocab)
    })  # fmt: skip


def _joined(wordpiece: WordPiece, counts: Counter[str], most: int) -> list[str]:
    """What byte pair encoding makes of the pieces of the words, the most frequent first."""
    pieces = {n: piece for piece, n in wordpiece.vocab.items()}
    lines = {
        word: "".join(chr(_FIRST + n) for n in cut(word, wordpiece.vocab)) for word in counts
    }
    alphabet = len(set("".join(lines.values())))
    trainer = trainers.BpeTrainer(
        vocab_size=alphabet + most, min_frequency=SEEN, show_progress=False
    )
    bpe = Tokenizer(models.BPE())
    bpe.train_from_iterator((lines[word] for word, n in counts.items() for _ in range(n)), trainer)
    ranked = sorted(bpe.get_vocab().items(), key=lambda item: item[1])
    names = (
        "".join([pieces[ord(first) - _FIRST],
                 *(pieces[ord(c) - _FIRST].removeprefix("##") for c in rest)])
        for (first, *rest), _ in ranked
    )  # fmt: skip
    return [name for name in dict.fromkeys(names) if name not in wordpiece.vocab]


def _used(counts: Counter[str], base: dict[str, int], more: list[str]) -> Counter[str]:
    """How often each piece of `more` is used for the words, beside those of `base`."""
    vocab = base | {piece: -1 - n for n, piece in enumerate(more)}
    used: Counter[str] = Counter()
    for word, count in counts.items():
        for n in cut(word, vocab):
            if n < 0:
                used[more[-1 - n]] += count
    return used
