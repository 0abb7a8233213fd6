"""Domain adaptation: which words are masked, what is read, and that it teaches something."""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from transformers import AutoModelForMaskedLM

from tests.training_fixtures import write_base, write_contract, write_data
from training import adapt, corpus, dataset, encoder, facts, teacher
from training.augment import Words

MASK, SIZE = 4, 100
FOLLOWS = [n >= 50 for n in range(SIZE)]  # pieces 50 and up continue a word


def draw(ids: list[int], turns: int = 4_000) -> list[tuple[list[int], list[int]]]:
    random = Random(0)
    return [adapt.mask_words(ids, FOLLOWS, MASK, random) for _ in range(turns)]


def test_whole_words_are_masked_and_the_special_tokens_never():
    ids = [1, 10, 60, 61, 11, 12, 70, 2]
    words = [(1, 2, 3), (4,), (5, 6)]
    seen = Counter()
    for found, targets in draw(ids):
        at = {n for n, target in enumerate(targets) if target != adapt.IGNORED}
        assert at == {n for word in words if word[0] in at for n in word}
        assert all(targets[n] == ids[n] for n in at)
        assert all(found[n] == ids[n] for n in range(len(ids)) if n not in at)
        assert at, "a text without a masked word teaches nothing"
        seen.update(word for word in words if word[0] in at)
    # 15 % each, and a third each of the 0.85 ** 3 = 61 % that none was chosen in: 35 %.
    assert all(0.32 < seen[word] / 4_000 < 0.39 for word in words)


def test_of_the_pieces_to_guess_most_are_masked_a_tenth_changed_a_tenth_kept():
    shown = Counter(
        "mask" if found[1] == MASK else "kept" if found[1] == 10 else "other"
        for found, targets in draw([1, 10, 2])
    )
    assert 0.77 < shown["mask"] / 4_000 < 0.84
    assert 0.08 < shown["kept"] / 4_000 < 0.13 and 0.08 < shown["other"] / 4_000 < 0.13


def test_an_empty_text_has_nothing_to_mask():
    assert draw([1, 2], 1) == [([1, 2], [adapt.IGNORED] * 2)]


def test_a_corpus_is_read_alike_plain_and_zipped(tmp_path):
    text = "\ufeffone\n\n  two \r\nthree’s\n".encode()
    plain, zipped = tmp_path / "a.txt", tmp_path / "a.gz"
    plain.write_bytes(text)
    zipped.write_bytes(gzip.compress(text))
    assert list(corpus.lines(plain)) == list(corpus.lines(zipped)) == ["one", "two", "three’s"]


def test_chunks_follow_each_other_wrap_around_and_leave_the_held_out_lines_alone(tmp_path):
    path = tmp_path / "many.txt"
    path.write_text("".join(f"line {n}\n" for n in range(1, 121)))
    held = corpus.held_out(path, 10)
    assert held == ["line 50", "line 100"]
    read = [line for n in range(3) for line in corpus.chunk(path, n, 50)]
    once = [f"line {n}" for n in range(1, 121) if n not in (50, 100)]
    assert read == (once + once)[:150]


@pytest.mark.parametrize(
    "content, expected",
    [
        (b"good\nbad \xff\n", "lines.txt:2: found bytes that are not UTF-8"),
        (b"", "lines.txt: found no text"),
        (gzip.compress(b"cut off\n" * 9_999)[:-40], "found a broken gzip"),
    ],
)
def test_a_bad_corpus_names_the_place(content, expected, tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=expected):
        corpus.chunk(path, 0, 10_000)


def run(monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["adapt", *map(str, arguments)])
    adapt.main()


def test_an_adapted_encoder_guesses_better_and_serves_as_a_base(tmp_path, monkeypatch):
    base, contract, data = write_base(tmp_path), write_contract(tmp_path), write_data(tmp_path)
    out = tmp_path / "adapted"
    given = ("--base", base, "--contract", contract, "--data", data, "--out", out,
             "--size", 1_000, "--batch-size", 16, "--rate", 1e-3, "--head-rate", 1e-2,
             "--epochs", 2)  # fmt: skip
    run(monkeypatch, *given)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["after"]["perplexity"] < metrics["before"]["perplexity"] / 10
    assert metrics["head"] == "new" and metrics["held_out_texts"] > 20
    assert [a["loss"] > b["loss"] for a, b in pairwise(metrics["history"])] == [True]
    AutoModelForMaskedLM.from_pretrained(out)
    model, *_ = encoder.load_base(str(out), contract, out)
    assert model.num_labels == 8
    assert teacher.base_name(str(out)) == "base"
    # The frozen word embeddings are those of the base.
    words = model.get_input_embeddings().weight
    assert words.equal(encoder.load_base(str(base), contract, out)[0].get_input_embeddings().weight)


def test_a_corpus_of_ones_own(tmp_path, monkeypatch, capsys):
    base, lines = write_base(tmp_path), tmp_path / "lines.txt.gz"
    lines.write_bytes(gzip.compress(b"a small red finch sings\na loud grey dog barks\n" * 200))
    given = ("--base", base, "--corpus", lines, "--out", tmp_path / "out", "--size", 256)
    run(monkeypatch, *given, "--rate", 1e-3)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["after"]["loss"] < metrics["before"]["loss"]
    run(monkeypatch, *given, "--rate", 1e-3)
    assert "is finished already" in capsys.readouterr().out


def test_rows_say_their_labels(tmp_path):
    contract = write_contract(tmp_path)
    words, _ = encoder.load_words(contract, Path(encoder.default_base()))
    row = next(r for r in dataset.read(write_data(tmp_path), words) if len(r.labels) == 3)
    texts = {facts.sentence(row, Words(), Random(n)) for n in range(40)}
    assert row.text in texts
    assert any(row.labels["kind"][0] in text and text.startswith(row.text) for text in texts)
