"""Weak rows from a WordNet of a dozen words, in the format of wndb(5WN)."""

from __future__ import annotations

import csv
import json
import sys

import pytest

from tests.training_fixtures import CONTRACT
from training import wordnet

# offset, words, the meanings above it
NOUNS = [
    ("00000001", ["thing"], []),
    ("00000002", ["furniture"], ["00000001"]),
    ("00000003", ["pet"], ["00000001"]),
    ("00000004", ["escritoire", "secretary"], ["00000002"]),
    ("00000005", ["budgerigar"], ["00000003"]),
    ("00000006", ["secretary", "secretary_bird"], ["00000003"]),
    ("00000007", ["credenza", "settee"], ["00000002"]),
    *((f"0000001{n}", [f"table_{n}"], ["00000002"]) for n in range(8)),
    *((f"0000002{n}", [f"finch_{n}"], ["00000003"]) for n in range(8)),
]


@pytest.fixture
def nouns(tmp_path):
    licence = "  1 This software and database is provided\n"
    data = [
        f"{offset} 06 n {len(words):02x} "
        + " ".join(f"{word} 0" for word in words)
        + f" {len(above) + 1:03d} "
        + " ".join(f"@ {kind} n 0000" for kind in above)
        + " ~ 00000099 n 0000 | a definition"
        for offset, words, above in NOUNS
    ]
    senses: dict[str, list[str]] = {}
    for offset, words, _ in NOUNS:
        for word in words:
            senses.setdefault(word, []).append(offset)
    index = [
        f"{word} n {len(found)} 2 @ ~ {len(found)} 0 {' '.join(found)}"
        for word, found in senses.items()
    ]
    (tmp_path / "data.noun").write_text(licence + "\n".join(data) + "\n")
    (tmp_path / "index.noun").write_text(licence + "\n".join(index) + "\n")
    return tmp_path


@pytest.fixture
def labelled(tmp_path):
    path = tmp_path / "pets.csv"
    lines = ["text,animal,kind,traits,origin,split", "old weak row,no,,,weak,"]
    lines += [f"table {n},no,,,made,train" for n in range(8)]
    lines += [f"finch {n},yes,bird,,made,train" for n in range(8)]
    path.write_text("\n".join([*lines, "credenzas,no,,,made,test"]) + "\n")
    return path


def test_a_word_is_labelled_as_its_kind_is_unless_a_meaning_says_otherwise(
    nouns, labelled, tmp_path, monkeypatch
):
    contract = tmp_path / "contract.json"
    contract.write_text(json.dumps(CONTRACT))
    monkeypatch.setattr(wordnet, "CONTRACT", contract)
    (tmp_path / "slices").mkdir()
    (tmp_path / "slices" / "odd.csv").write_text("text,animal,kind,traits\nsettees,no,,\n")

    def run(label: str) -> list[dict]:
        monkeypatch.setattr(
            sys, "argv",
            ["wordnet", "--dict", str(nouns), "--data", str(labelled), "--label", label],
        )  # fmt: skip
        wordnet.main()
        with labelled.open() as file:
            return list(csv.DictReader(file))

    rows = run("animal=no")
    # `secretary` is also a bird, `credenza` is similar to a held-out row and `settee` to one of a
    # slice, nothing is said of things
    assert [row["text"] for row in rows if row["origin"] == "weak"] == ["escritoire", "furniture"]
    assert len(rows) == 17 + 2
    assert rows == run("animal=no")
    with pytest.raises(ValueError, match="--label animal=perhaps: found no such task and label"):
        run("animal=perhaps")
