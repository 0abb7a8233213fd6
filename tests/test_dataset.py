"""Reading labelled phrases: every fault is found and named, and no split leaks into another."""

from pathlib import Path

import numpy as np
import pytest

from function import contract as contracts
from tests.training_fixtures import CONTRACT
from training import dataset
from training.parts import read_slices
from training.similar import similar_key

VOCAB = {piece: n for n, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "#", "+", "|"])}
PETS = contracts.parse(CONTRACT, VOCAB)
HEAD = "text,animal,kind,traits,origin\n"


def read(tmp_path: Path, content: str | bytes, head: str = HEAD) -> list[dataset.Row]:
    path = tmp_path / "pets.csv"
    data = content if isinstance(content, bytes) else (head + content).encode()
    path.write_bytes(data)
    return dataset.read(path, PETS)


def test_reads_labels_and_targets(tmp_path):
    rows = read(tmp_path, "grey tabby,yes,cat,rare|small,x\nred table,no,,,x\nhound,yes,dog,,x\n")
    assert [row.labels for row in rows] == [
        {"animal": ("yes",), "kind": ("cat",), "traits": ("small", "rare")},
        {"animal": ("no",)},
        {"animal": ("yes",), "kind": ("dog",), "traits": ()},
    ]
    wanted, applies = dataset.targets(rows, PETS)
    np.testing.assert_array_equal(
        wanted,
        [[1, 0, 1, 0, 0, 1, 0, 1], [0, 1, 0, 0, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0, 0, 0]],
    )
    np.testing.assert_array_equal(applies, [[1, 1, 1], [1, 0, 0], [1, 1, 1]])


def test_byte_order_mark_and_quoted_line_break(tmp_path):
    rows = read(tmp_path, ("\ufeff" + HEAD + '"two\nlines",no,,,x\nlast,no,,,x\n').encode())
    assert [(row.text, row.line) for row in rows] == [("two\nlines", 3), ("last", 4)]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("  ,no,,,x", "found an empty text"),
        ("a" * 1001 + ",no,,,x", "found a text of 1001 characters, expected at most 1000"),
        ("a,perhaps,,,x", "found unknown animal label 'perhaps', expected one of yes, no"),
        ("a,,,,x", "found 0 labels for animal, expected exactly one"),
        ("a,yes|no,,,x", "found 2 labels for animal, expected exactly one"),
        ("a,yes,,,x", "found 0 labels for kind, expected exactly one"),
        ("a,no,cat,,x", "found kind 'cat', expected none unless animal is 'yes'"),
        ("a,yes,cat,small|huge,x", "found unknown traits label 'huge'"),
        ("a,yes,cat,small|small,x", "found a traits label twice"),
        ("a,no,,,x,more", "found 1 fields too many"),
    ],
)
def test_fault_names_its_line(tmp_path, line, fault):
    with pytest.raises(dataset.DatasetError) as error:
        read(tmp_path, "ok,no,,,x\n" + line + "\n")
    assert str(error.value).startswith(f"{tmp_path / 'pets.csv'}:3: {fault}")


def test_all_faults_at_once_in_order_of_lines(tmp_path):
    with pytest.raises(dataset.DatasetError) as error:
        read(tmp_path, "Hound,yes,dog,,x\nb,nix,,,x\n,no,,,x\nhound ,yes,cat,,x\n")
    lines = str(error.value).splitlines()
    assert [line.split(":")[1] for line in lines] == ["3", "4", "5"]
    assert "'hound' labelled differently on line 2" in lines[2]


def test_missing_column_bad_encoding_and_no_rows(tmp_path):
    with pytest.raises(dataset.DatasetError, match=r":1: found no column 'kind'"):
        read(tmp_path, "a,no,\n", head="text,animal,traits\n")
    with pytest.raises(dataset.DatasetError, match=r":2: found bytes that are not UTF-8"):
        read(tmp_path, HEAD.encode() + b"caf\xe9,no,,,x\n")
    with pytest.raises(dataset.DatasetError, match=r":1: found no rows"):
        read(tmp_path, "")
    with pytest.raises(dataset.DatasetError, match="found split 'tset', expected one of train"):
        read(tmp_path, "a,no,,,tset\n", head="text,animal,kind,traits,split\n")


def test_same_text_twice_with_the_same_labels_is_one_row(tmp_path):
    assert len(read(tmp_path, "a b,no,,,x\nA  b,no,,,x\n")) == 1


def test_a_text_of_two_splits_is_judged_and_not_trained_on(tmp_path):
    head = "text,animal,kind,traits,split\n"
    for order in (("train", "dev", "test"), ("test", "train", "dev")):
        rows = read(tmp_path, "".join(f"Newt,no,,,{split}\n" for split in order), head=head)
        assert [(row.text, row.split) for row in rows] == [("Newt", "test")]
    with pytest.raises(dataset.DatasetError, match=r":3: found 'newt' labelled differently"):
        read(tmp_path, "Newt,no,,,train\nnewt,yes,cat,,test\n", head=head)


def test_split_column_overrides_and_weak_rows_train(tmp_path):
    head = "text,animal,kind,traits,origin,split\n"
    rows = read(tmp_path, "".join(f"phrase {n},no,,,weak,\n" for n in "abcdefghijklmnop")
                + "q,no,,,weak,test\n", head=head)  # fmt: skip
    assert [row.split for row in rows] == ["train"] * 16 + ["test"]


@pytest.mark.parametrize(
    "alike",
    [
        ("Crème Fraîche", "creme fraiche", "CREME-FRAICHES", "2 cups crème fraîche"),
        ("diced onion", "onions, diced", "Onion (diced)", "½ cup of diced onion"),
        ("tomato", "tomatoes", "500g tomatoes", "1 1/2 lbs Tomatoes"),
        ("berry", "berries"), ("bay leaf", "leaves, bay"), ("glass", "glasses"),
        ("knife", "knives"), ("goose", "geese"), ("bus", "buses"), ("peach", "peaches"),
        ("a pinch of salt", "salt"), ("cookie", "cookies"), ("lamb's kidney", "lambs kidneys"),
    ],
)  # fmt: skip
def test_similar_texts_share_a_key(alike):
    assert len({similar_key(text) for text in alike}) == 1


def test_different_texts_have_different_keys():
    texts = ["onion", "diced onion", "oyster", "oyster sauce", "7", "8", "!", "cup", "豆腐", "豆"]
    assert len({similar_key(text) for text in texts}) == len(texts)


def test_the_shipped_data_is_sound_and_split_without_leaks():
    root = Path(__file__).parent.parent
    contract = contracts.load(root / "training/contract.json", {">": 4, "+": 5, "|": 6})
    rows = dataset.read(root / "training/data/labelled.csv", contract)
    given = [row for row in rows if row.origin not in ("project", "weak", "weak_cldr")]
    assert len(given) == 27_538
    assert {row.split for row in rows if row.origin.startswith("weak")} == {"train"}
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(similar_key(row.text), set()).add(row.split)
    assert all(len(found) == 1 for found in splits.values())
    share = [sum(row.split == name for row in given) / len(given) for name in dataset.SPLITS]
    np.testing.assert_allclose(share, [0.8, 0.1, 0.1], atol=0.01)


def test_the_slices_are_sound_large_enough_and_never_trained_on():
    data = Path(__file__).parent.parent / "training/data"
    contract = contracts.load(data.parent / "contract.json", {">": 4, "+": 5, "|": 6})
    rows = dataset.read(data / "labelled.csv", contract)
    slices = read_slices(data / "slices", contract, rows)  # raises where one is known
    assert set(slices) == {"absurd", "languages", "misleading", "misspellings", "rare_cuisines",
                           "raw_lines", "substitutes"}  # fmt: skip
    assert min(map(len, slices.values())) >= 150


def test_a_slice_that_was_trained_on_names_both_places(tmp_path):
    trained = dataset.Row("Red hounds", {}, "", "train", 7)
    (tmp_path / "odd.csv").write_text(
        "text,animal,kind,traits\npale finch,yes,bird,\nhound (red),yes,dog,\n"
    )
    with pytest.raises(dataset.DatasetError) as error:
        read_slices(tmp_path, PETS, [trained])
    assert "odd.csv:3: found 'hound (red)', similar to 'Red hounds'" in str(error.value)
    assert "(line 7)" in str(error.value)
