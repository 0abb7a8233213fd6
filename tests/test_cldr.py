"""Weak rows from CLDR annotations of six symbols, in the format of UTS 35, part 7."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from tests.training_fixtures import CONTRACT
from training import cldr, dataset, encoder

ENGLISH = {
    "🧦": ["Socks", "stocking"],  # nothing else than socks is known
    "🐱": ["cat", "face"],  # a pet
    "😀": ["face", "smile"],
    "⛔": ["no entry"],  # of which no row speaks
    "🪑": ["chair"],  # of which only a held-out row speaks
    "🎩": ["hat", "cat"],
}
GERMAN = {
    "🧦": ["Socken", "Strümpfe", "ein sehr langer Name", "12"],
    "🐱": ["Katze", "Gesicht"],
    "😀": ["Gesicht", "Lächeln", "tables"],
    "⛔": ["Einfahrt verboten"],
    "🪑": ["Stuhl"],
    "🎩": ["Hut", "Strümpfe"],
    "🇩": [],
}


@pytest.fixture
def annotations(tmp_path):
    for language, symbols in (("en", ENGLISH), ("de", GERMAN)):
        (tmp_path / language).mkdir()
        entries = {symbol: {"default": words[1:], "tts": words[:1]}
                   for symbol, words in symbols.items()}  # fmt: skip
        content = {"annotations": {"identity": {}, "annotations": entries}}
        (tmp_path / language / "annotations.json").write_text(json.dumps(content), "utf-8")
    return tmp_path


def test_a_keyword_is_labelled_as_the_english_ones_of_all_its_symbols(
    annotations, tmp_path, monkeypatch
):
    contract = tmp_path / "contract.json"
    contract.write_text(json.dumps(CONTRACT))
    monkeypatch.setattr(cldr, "CONTRACT", contract)
    labelled = tmp_path / "pets.csv"
    lines = ["text,animal,kind,traits,origin,split", "socks,no,,,made,train"]
    lines += ["face,no,,,made,train", "table,no,,,made,train", "chair,no,,,made,test"]
    lines += ["cat,yes,cat,,made,train"]
    lines += ["old weak row,no,,,weak_cldr,", "another source,no,,,weak,"]
    labelled.write_text("\n".join(lines) + "\n")
    (tmp_path / "slices").mkdir()
    (tmp_path / "slices" / "odd.csv").write_text("text,animal,kind,traits\nLächeln,no,,\n")

    def run(*options: str) -> list[dict]:
        monkeypatch.setattr(
            sys, "argv",
            ["cldr", "--annotations", str(annotations), "--data", str(labelled), "--label",
             "animal=no", "--languages", "de", *options],
        )  # fmt: skip
        cldr.main()
        with labelled.open() as file:
            return list(csv.DictReader(file))

    rows = run()
    # `strümpfe` also belongs to the hat that is a cat, `gesicht` to the cat; `lächeln` is in a
    # slice and `tables` like a row; of chairs only a held-out row speaks.
    assert [row["text"] for row in rows if row["origin"] == "weak_cldr"] == ["socken"]
    assert len(rows) == 6 + 1 and rows == run()
    pets, _ = encoder.load_words(contract, Path("bundle"))
    weak = [row for row in dataset.read(labelled, pets) if row.origin == "weak_cldr"]
    assert {row.split for row in weak} == {"train"}
    assert len(run("--size", "0")) == 6

    (annotations / "de" / "annotations.json").write_text('{"annotations": []}')
    with pytest.raises(ValueError, match=r"annotations\.json: found no annotations"):
        run()
