"""Text of the domain for masked-language-model training, made of what labelled rows say."""

from __future__ import annotations

from random import Random

from training.augment import Words, line
from training.dataset import Row


def sentence(row: Row, words: Words, random: Random) -> str:
    """A recipe line, or what one row's labels say of its text, in one of several orders.

    A masked piece of the text can be guessed from its labels then, and a masked label from the
    text: `smoked paprika: plant, spice`.
    """
    if random.random() < 0.3:
        return line(row.text, words, random)
    answers = [label.replace("_", " ") for labels in row.labels.values() for label in labels]
    random.shuffle(answers)
    said = ", ".join(answers)
    return random.choice((f"{row.text}: {said}", f"{said}: {row.text}", f"{row.text} is {said}"))
