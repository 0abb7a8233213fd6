"""Other ways to write the same phrase: quantities, preparation words, case, plural, typos.

Every change keeps the labels: half a cup of it, chopped, misspelt, is still the same thing, and a
kilo of a non-ingredient is still none. The words that make a recipe line are data of the domain
(`augment.json` beside the CSV); without that file only case, plural and typos remain.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random

_KEYS = ("quantities", "units", "prefixes", "suffixes")
_NEIGHBOURS = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        "qsz vgn xvd sfec wrd dgrvc fhtyb gjyun uok hkuinm jlim kop njk bhjm ipkl ol wa etdf adwzx "
        "ryfg yihj cfgb qeas zsdc tugh asx".split(),
        strict=True,
    )
)  # the keys beside each key of a QWERTY keyboard


@dataclass(frozen=True)
class Words:
    """What a domain puts around its phrases. Empty tuples switch a change off."""

    quantities: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()


def read_words(path: str | Path) -> Words:
    """The words at `path`; none where there is no such file. Raises ValueError on a bad one."""
    path = Path(path)
    if not path.exists():
        return Words()
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not readable as JSON ({error})") from None
    if not isinstance(found, dict) or set(found) != set(_KEYS):
        raise ValueError(f"{path}: expected an object with exactly {', '.join(_KEYS)}")
    for key in _KEYS:
        if not isinstance(found[key], list) or not all(isinstance(x, str) for x in found[key]):
            raise ValueError(f"{path}: $.{key}: expected a list of strings")
    return Words(*(tuple(found[key]) for key in _KEYS))


def augment(text: str, words: Words, random: Random) -> str:
    """`text` as somebody else might write it; as it is in about half of all cases."""
    if random.random() < 0.5:
        return text
    if random.random() < 0.2:
        text = pluralize(text)
    if random.random() < 0.3:
        text = misspell(text, random)
    if random.random() < 0.5:
        text = line(text, words, random)
    if random.random() < 0.15:
        text = random.choice((str.upper, str.title, str.capitalize))(text)
    return text


def line(text: str, words: Words, random: Random) -> str:
    """`text` as a recipe line: a quantity before it, preparation words around it."""
    if words.prefixes and random.random() < 0.3:
        text = f"{random.choice(words.prefixes)} {text}"
    if words.quantities and random.random() < 0.6:
        unit = random.choice(words.units) if words.units else ""
        text = " ".join(filter(None, (random.choice(words.quantities), unit, text)))
    if words.suffixes and random.random() < 0.3:
        text += random.choice(words.suffixes)
    return text


def pluralize(text: str) -> str:
    """The last word in the other number, by the commonest rule of English."""
    if len(text) < 4 or not (text[-1].isascii() and text[-1].isalpha()):
        return text
    if text.endswith("s"):
        return text if text.endswith(("ss", "us", "is")) else text[:-1]
    if text.endswith("y") and text[-2] not in "aeiou":
        return text[:-1] + "ies"
    return text + ("es" if text.endswith(("x", "ch", "sh", "z")) else "s")


def misspell(text: str, random: Random) -> str:
    """One slip of the finger in one word of five letters or more: swapped, lost, doubled, hit
    beside, or put in. The first letter stays, as it nearly always does."""
    words = text.split(" ")
    long = [n for n, word in enumerate(words) if len(word) >= 5 and word.isalpha()]
    if not long:
        return text
    n = random.choice(long)
    word = words[n]
    at = random.randrange(1, len(word) - 1)
    near = random.choice(_NEIGHBOURS.get(word[at].lower(), word[at]))
    words[n] = random.choice(
        (
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + near + word[at + 1 :],
            word[:at] + random.choice("aeiou") + word[at + (word[at] in "aeiou") :],
        )
    )
    return " ".join(words)
