"""Which texts are so alike that one must not be trained on while the other is tested."""

import re
import unicodedata

# What may follow a number without making it another thing: the units of recipes and shops.
_UNITS = frozenset(
    """cup cups tbsp tbsps tablespoon tablespoons tsp tsps teaspoon teaspoons oz ounce ounces fl
    lb lbs pound pounds g gr gram grams gramme grammes kg kilo kilos kilogram kilograms mg ml cl dl
    l liter liters litre litres pint pints quart quarts gallon gallons inch inches cm mm dozen can
    cans tin tins jar jars bottle bottles bag bags box boxes packet packets package packages pack
    packs pkg slice slices piece pieces clove cloves stick sticks bunch bunches sprig sprigs head
    heads stalk stalks ear ears pinch pinches dash dashes handful handfuls knob heaped heaping
    scant level c t""".split()
)
_NUMBER_WORDS = frozenset("a an one two three four five six seven eight nine ten half of".split())
_IRREGULAR = {"geese": "goose", "mice": "mouse", "teeth": "tooth", "feet": "foot",
              "children": "child", "men": "man", "women": "woman", "oxen": "ox"}  # fmt: skip


def similar_key(text: str) -> str:
    """What texts share that differ only in case, accents, punctuation, word order, plural or a
    quantity: their stemmed words, sorted.

    A key may also be shared by texts that differ in more (`ice`, `ices`); that costs nothing.
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c)).replace("⁄", "/")
    plain = re.sub(r"(\d)\s*([a-z]+)\b", r"\1 \2", plain)  # 500g, 500 g
    words = re.findall(r"\w+", plain.replace("'", "").replace("’", "").replace("_", " "))
    kept = _without_quantity(words)
    return " ".join(sorted({_stem(word) for word in kept or words})) or text.strip()


def _without_quantity(words: list[str]) -> list[str]:
    """The words without numbers and without the unit and `of` that follow a number."""
    kept, after_number = [], False
    for word in words:
        if word.isnumeric() or (not kept and word in _NUMBER_WORDS):
            after_number = True
        elif not (after_number and (word in _UNITS or word == "of")):
            kept.append(word)
            after_number = False
    return kept


def _stem(word: str) -> str:
    """One spelling for singular and plural: `tomatoes`, `berries`, `leaves`, `glasses`."""
    word = _IRREGULAR.get(word, word)
    while len(word) > 3 and word[-1] in "es":
        word = word[:-1]
    if len(word) > 2 and word[-1] == "i":
        word = word[:-1] + "y"
    return word[:-1] + "f" if word[-1] == "v" else word
