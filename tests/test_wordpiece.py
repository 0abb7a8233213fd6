"""WordPiece against Hugging Face `tokenizers`, over all of Unicode and over nasty strings."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest
from transformers import BertTokenizerFast

from function import contract as contracts
from function import wordpiece as wordpieces
from tests.conftest import ROOT
from training.encoder import default_base

VOCAB = f"{default_base()}/vocab.txt"
POOLS = (
    "abcdefghijklmnop ABC '-.,;!?/()[]<>+|#0123456789",
    "éàüñçøåæßſıİŁŉǅΣςάώЖжѐЙاقطةनमक्षిทำไม",
    "\u0300\u0301\u0308\u0316\u0323\u0334\u0345\u05b0\u064b\u093c\u094d\u0e38\u0f71\u0f72\u0f74",
    # Marks that survive accent stripping, so that their canonical order shows.
    "\u302e\u302f\u1b44\u0dcf\U00011446\U00011c3f\U0001e000\U0001e94a\U0001d165\U0001d16d\U0001d15f",
    "漢字かなカナ゛が가각힣ᄀ\uf900\ufa0e\U00020000\U0002f800\u3400、。",
    "🍕👩‍🍳🇫🇷☕️½⅓②ﬁﬀ™℃",
    "\x00\x01\x07\t\n\r\x1f\x7f\x85\xa0\xad\u1680\u2003\u2028\u200b\u200d\u202e\u3000\ufeff\ufffd",
)


@pytest.fixture(scope="module")
def reference():
    tokenizer = BertTokenizerFast(vocab_file=VOCAB, do_lower_case=True).backend_tokenizer
    tokenizer.encode_special_tokens = True
    return tokenizer


@pytest.fixture(scope="module")
def ours():
    return wordpieces.load(VOCAB)


@pytest.fixture(scope="module")
def contract(ours):
    return contracts.load(ROOT / "training/contract.json", ours.vocab)


def differences(ours, reference, texts: list[str]) -> list[str]:
    found = []
    for start in range(0, len(texts), 50_000):
        part = texts[start : start + 50_000]
        expected = reference.encode_batch_fast(part, add_special_tokens=False)
        found += [
            ascii(text)
            for text, encoding in zip(part, expected, strict=True)
            if ours.pieces(text) != encoding.ids
        ]
    return found


def test_every_unicode_scalar_value_inside_a_word(ours, reference):
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    assert len(codes) == 1_112_064
    assert differences(ours, reference, [f"a{chr(code)}b" for code in codes]) == []


def test_random_strings(ours, reference):
    random = Random(20)

    def character() -> str:
        if random.random() < 0.1:
            code = random.randrange(random.choice((0x250, 0x3000, 0x20000, 0x110000)))
            return "" if 0xD800 <= code < 0xE000 else chr(code)
        return random.choice(random.choice(POOLS))

    texts = ["".join(character() for _ in range(random.randrange(1, 60))) for _ in range(20_000)]
    assert differences(ours, reference, texts) == []


def test_the_labelled_phrases_and_long_words(ours, reference):
    lines = (ROOT / "training/data/labelled.csv").read_text("utf-8").splitlines()
    long = ["a" * 100, "a" * 101, "é" * 101, "é" * 51, "e\u0301" * 100, "豆" * 200, "x " * 300]
    assert differences(ours, reference, lines + long) == []


@pytest.mark.parametrize("text", ["[SEP]", "[CLS] salt [SEP]", "salt > + |", "[MASK][PAD]", "##s"])
def test_typed_special_tokens_stay_ordinary_text(ours, contract, reference, text):
    special = {ours.vocab[name] for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")}
    assert not special & set(ours.pieces(text))
    assert differences(ours, reference, [text]) == []
    ids = ours.encode(text, contract)
    first, *_, last = ids
    assert (first, last) == (ours.vocab["[CLS]"], ours.vocab["[SEP]"])
    assert tuple(ids[-4:-1]) == contract.control_ids


def test_encode_cuts_the_phrase_and_never_the_controls(ours, contract):
    ids = ours.encode("salt " * 200, contract)
    salt, controls = ours.vocab["salt"], [ours.vocab[c] for c in ">+|"]
    assert ids == [101, *[salt] * 59, *controls, 102] and len(ids) == contract.max_pieces
    assert ours.encode("", contract) == [101, *controls, 102]
    assert ours.encode("unbelievableness " * 30, contract)[-5] != salt


def test_lone_surrogates_are_ignored(ours):
    assert ours.pieces("sa\ud800lt \udfff") == ours.pieces("salt")
    assert ours.pieces("\udc00") == []


def test_the_memo_stays_bounded(ours, monkeypatch):
    monkeypatch.setattr(wordpieces, "_MEMO", 10)
    small = wordpieces.WordPiece(ours.vocab)
    for n in range(100):
        assert small.pieces(f"word{n}") == ours.pieces(f"word{n}")
        assert len(small._memo) <= 10


def test_words_too_long_for_a_piece_are_not_remembered(ours):
    small = wordpieces.WordPiece(ours.vocab)
    assert small.pieces("a" * 101) == [ours.vocab["[UNK]"]] and small._memo == {}
    assert small.pieces("a" * 100) and len(small._memo) == 1


def test_vocabulary_errors_name_the_line(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\na\n")
    with pytest.raises(wordpieces.VocabularyError, match=r"vocab.txt:5: found 'a' twice"):
        wordpieces.load(path)
    path.write_bytes(b"[PAD]\n\xff\n")
    with pytest.raises(wordpieces.VocabularyError, match=r"vocab.txt: found a byte that is not"):
        wordpieces.load(path)
    path.write_text("[PAD]\n[UNK]\n[CLS]\n")
    with pytest.raises(wordpieces.VocabularyError, match=r"vocab.txt: .*found no \[SEP\]"):
        wordpieces.load(path)


def test_the_unicode_facts_are_what_the_reference_says_today(tmp_path, monkeypatch):
    """A newer reference may know more characters: `python -m tests.make_unicode` then."""
    from tests import make_unicode

    monkeypatch.setattr(make_unicode, "ROOT", tmp_path)
    made = ("function/unicode.json", "js_runtime/unicode.js")
    for name in made:
        (tmp_path / name).parent.mkdir()
    make_unicode.main()
    for name in made:
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes(), (
            "stale: run `python -m tests.make_unicode`"
        )


def test_needs_no_unicode_tables_of_the_interpreter():
    code = "import sys, function.wordpiece; print('unicodedata' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n"
