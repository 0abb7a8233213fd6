"""The words of many languages that the student asks its teacher about."""

import sys

import pytest

from training import runs, transfer, wordlist


def test_words_are_distinct_of_many_scripts_and_without_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(wordlist, "ENGLISH", 3_000)
    monkeypatch.setattr(wordlist, "OTHERS", 300)
    path = tmp_path / "new" / "words.txt"
    monkeypatch.setattr(sys, "argv", ["wordlist", "--out", str(path)])
    runs.stage(wordlist.main)
    found = transfer.read_lines(path)
    assert len(found) == len(set(found)) > 8_000 and found[0] == "the"
    assert {"house", "nicht", "дом", "घर", "집", "家"} <= set(found)
    assert not any(character.isdigit() for word in found for character in word)
    before = path.read_bytes()
    runs.stage(wordlist.main)
    assert path.read_bytes() == before


def test_an_unwritable_place_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(wordlist, "words", lambda: ["one"])
    monkeypatch.setattr(sys, "argv", ["wordlist", "--out", str(tmp_path / "file" / "words.txt")])
    with pytest.raises(SystemExit) as stop:
        runs.stage(wordlist.main)
    assert "file" in stop.value.code and "\n" not in stop.value.code
