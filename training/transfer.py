"""The transfer set: texts without labels on which the student learns to answer like its teacher."""

from __future__ import annotations

from pathlib import Path
from random import Random

from training.augment import Words, augment, line
from training.dataset import Row
from training.similar import similar_key


def generate(
    rows: list[Row], held_out: list[Row], vocab: dict[str, int], words: Words, size: int, seed: int
) -> list[str]:
    """`size` distinct texts, the same for the same arguments, none similar to a held-out row.

    First the labelled texts and, for up to a quarter of the others, their words one by one: what
    stands in a phrase is often typed alone. Of the rest a third are other spellings and recipe
    lines of the labelled texts; a third pairs and triples of their words, alone and with any word
    of the vocabulary; a sixth the vocabulary itself, one word or two; a sixth made-up words, the
    head of one and the tail of another, for what neither the labelled texts nor the vocabulary
    have.
    """
    random = Random(seed)
    texts = sorted({row.text for row in rows})
    # As often as the labelled texts use them, so that common heads (`sauce`, `oil`) stay common.
    used = [word for text in texts for word in text.split()]
    every = sorted(word for word in vocab if word.isalnum() and len(word) > 2)

    def made_up() -> str:
        head, tail = random.choice(used), random.choice(used)
        return head[: (len(head) + 1) // 2 + random.randrange(2)] + tail[len(tail) // 2 :]

    sources = (
        lambda: augment(random.choice(texts), words, random),
        lambda: " ".join(random.choice(used) for _ in range(random.choice((2, 2, 3)))),
        lambda: " ".join(random.choice(every) for _ in range(random.choice((1, 1, 2)))),
        lambda: line(augment(random.choice(texts), words, random), words, random),
        lambda: " ".join(random.sample((random.choice(used), random.choice(every)), 2)),
        lambda: random.choice(("", "", f"{random.choice(used)} ")) + made_up(),
    )
    alone = apart(sorted(set(used).difference(texts)), held_out)
    random.shuffle(alone)
    found = dict.fromkeys(texts + alone[: (size - len(texts)) // 4])
    forbidden = keys(held_out)
    turns = 0
    # A small data set has only so many distinct mixtures: stop rather than search for ever.
    while len(found) < size and turns < 4 * size:
        text = sources[turns % len(sources)]()
        turns += 1
        if text not in found and similar_key(text) not in forbidden:
            found[text] = None
    return list(found)


def keys(rows: list[Row]) -> set[str]:
    return {similar_key(row.text) for row in rows}


def apart(texts: list[str], held_out: list[Row]) -> list[str]:
    """The texts that are not similar to any of the held-out rows."""
    forbidden = keys(held_out)
    return [text for text in texts if similar_key(text) not in forbidden]


def read_lines(path: str | Path) -> list[str]:
    """The non-empty lines of a user's own transfer file. Raises ValueError where not UTF-8."""
    try:
        content = Path(path).read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        line_number = error.object[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}:{line_number}: found bytes that are not UTF-8") from None
    return [stripped for text in content.splitlines() if (stripped := text.strip())]
