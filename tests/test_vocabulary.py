"""Pieces of the domain's own words: which are made, and where they go in a BERT."""

import copy

import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, BertTokenizerFast

from function import contract as contracts
from function import wordpiece as wordpieces
from tests.training_fixtures import write_base, write_contract
from training import encoder, vocabulary

TEXTS = ["gochujang", "Gochujang paste", "red gochujang", "gochujangs", "gochujang, mild",
         "doubanjiang"]  # fmt: skip


@pytest.fixture(scope="module")
def words():
    return wordpieces.load(f"{encoder.default_base()}/vocab.txt")


def test_a_word_that_is_often_cut_becomes_a_piece(words):
    assert len(words.pieces("gochujang")) > 2 and "paste" in words.vocab
    # The steps towards it ("gochu") are used by nothing any more, what is rare stays cut.
    assert vocabulary.grow(words, TEXTS, 10) == ["gochujang"]


def test_the_most_useful_pieces_are_taken(words):
    texts = ["gochujang"] * 9 + ["doubanjiang"] * 99 + ["gluten"] * 9
    found = vocabulary.grow(words, texts, 2)
    assert found == vocabulary.grow(words, texts, 2) == ["doubanjiang", "gochujang"]
    assert vocabulary.grow(words, texts, 1) == ["doubanjiang"]
    assert vocabulary.grow(words, texts, 0) == []


def test_parts_of_words_are_pieces_too(words):
    texts = [f"{start}zqxw" for start in ("red", "green", "blue", "black", "white")]
    assert vocabulary.grow(words, texts, 4) == ["##zqxw"]


def test_what_cannot_be_cut_or_is_no_word_is_left(words):
    unknown = "\u10d0\u10d1\u1d79"  # letters, of which the vocabulary has not all
    assert unknown.isalpha() and words.pieces(unknown) == [words.vocab["[UNK]"]]
    assert vocabulary.grow(words, [unknown, "4711x", "salt", "[MASK]"] * 9, 9) == []
    assert vocabulary.grow(words, [], 9) == []


def test_words_are_cut_as_the_reference_cuts_them(words):
    reference = BertTokenizerFast(vocab_file=f"{encoder.default_base()}/vocab.txt")
    for word in ("gochujang", "salt", "worcestershire", "ß", "unaffable"):
        assert list(vocabulary.cut(word, words.vocab)) == reference.convert_tokens_to_ids(
            reference.tokenize(word)
        )
    assert vocabulary.cut("##chujang", words.vocab) == vocabulary.cut("gochujang", words.vocab)[1:]
    assert vocabulary.cut("a" * 101, words.vocab) == ()


@pytest.fixture
def grown(tmp_path):
    """The model before and after two pieces were added, with the folder of its tokenizer."""
    base, out = write_base(tmp_path), tmp_path / "out"
    out.mkdir()
    model, contract, wordpiece = encoder.load_base(str(base), write_contract(tmp_path), out)
    before = model.get_input_embeddings().weight.detach().clone()
    contract, after = encoder.add_pieces(model, ["gochujang", "##zqxw"], out)
    return model, before, wordpiece, after, contract, out


def test_a_new_piece_starts_as_the_mean_of_its_parts(grown):
    model, before, wordpiece, after, _, _ = grown
    vectors = model.get_input_embeddings().weight
    for piece in ("gochujang", "##zqxw"):
        parts = list(vocabulary.cut(piece, wordpiece.vocab))
        torch.testing.assert_close(vectors[after.vocab[piece]], before[parts].mean(0))
    kept = [n for n in range(len(before)) if n not in (1, 2)]
    torch.testing.assert_close(vectors[kept], before[kept])


def test_unused_entries_give_way_first(grown):
    model, _, wordpiece, after, _, _ = grown
    assert (wordpiece.vocab["[unused0]"], wordpiece.vocab["[unused1]"]) == (1, 2)
    assert (after.vocab["gochujang"], after.vocab["##zqxw"]) == (1, 2)
    assert len(after.vocab) == len(wordpiece.vocab) == len(model.get_input_embeddings().weight)


def test_what_finds_no_unused_entry_is_put_behind_the_last(tmp_path):
    base, out = write_base(tmp_path), tmp_path / "out"
    out.mkdir()
    model, _, wordpiece = encoder.load_base(str(base), write_contract(tmp_path), out)
    unused = sum(piece.startswith("[unused") for piece in wordpiece.vocab)
    made = [piece for n in range(2_000) if (piece := f"##{n}zq") not in wordpiece.vocab]
    _, after = encoder.add_pieces(model, made, out)
    assert len(made) > unused and len(after.vocab) == len(wordpiece.vocab) + len(made) - unused
    assert after.vocab[made[unused]] == len(wordpiece.vocab)
    assert after.vocab[made[-1]] == len(after.vocab) - 1
    assert model.config.vocab_size == len(model.get_input_embeddings().weight) == len(after.vocab)


def test_a_table_longer_than_the_vocabulary_is_cut_to_it(tmp_path):
    base, out = write_base(tmp_path), tmp_path / "out"
    out.mkdir()
    model, _, wordpiece = encoder.load_base(str(base), write_contract(tmp_path), out)
    model.resize_token_embeddings(len(wordpiece.vocab) + 6)  # padded, as for a GPU
    made = [piece for n in range(1_100) if (piece := f"##{n}zq") not in wordpiece.vocab]
    _, after = encoder.add_pieces(model, made, out)
    assert len(model.get_input_embeddings().weight) == len(after.vocab) > len(wordpiece.vocab)


def test_stock_transformers_open_the_grown_model(grown):
    model, _, _, after, contract, out = grown
    encoder.save_weights(model, out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert tokenizer.tokenize("Gochujang redzqxw") == ["gochujang", "red", "##zqxw"]
    phrase = "gochujang redzqxw kimchi"
    ids = tokenizer(f"{phrase} {' '.join(task.control for task in contract.tasks)}")["input_ids"]
    assert ids == after.encode(phrase, contracts.load(out / "contract.json", after.vocab))
    opened = AutoModelForTokenClassification.from_pretrained(out).eval()
    with torch.inference_mode():
        found, expected = (one(torch.tensor([ids])).logits for one in (opened, model.eval()))
    torch.testing.assert_close(found, expected)


@pytest.fixture
def shrunk(grown):
    """The grown model before and after all but what two texts use was dropped."""
    model, _, _, full, contract, out = grown
    before = copy.deepcopy(model).eval()
    texts = ["gochujang soup", "crème brûlée — 日"]
    used = {n for text in texts for n in full.encode(text, contract)}
    contract, small = encoder.drop_pieces(model, used, out)
    return before, full, model.eval(), small, contract, texts, out


def test_texts_of_kept_pieces_are_answered_as_before(shrunk):
    before, full, model, small, contract, texts, out = shrunk
    old = contracts.load(out / "contract.json", full.vocab)
    for text in texts:
        long, short = full.encode(text, old), small.encode(text, contract)
        assert list(map([*full.vocab].__getitem__, long)) == list(
            map([*small.vocab].__getitem__, short)
        )
        with torch.inference_mode():
            expected = encoder.control_logits(before, [long], old)
            torch.testing.assert_close(encoder.control_logits(model, [short], contract), expected)


def test_what_no_text_uses_is_dropped_but_for_ascii_and_special_tokens(shrunk):
    _, full, model, small, _, _, _ = shrunk
    assert {"gochujang", "soup", "日", "—"} <= set(small.vocab)
    assert not {"salt", "##zqxw", "山", "[unused5]"} & set(small.vocab)
    ascii_ones = {piece for piece in full.vocab
                  if piece.isascii() and len(piece.removeprefix("##")) == 1}  # fmt: skip
    assert len(ascii_ones) > 100
    assert ascii_ones | {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"} <= set(small.vocab)
    assert small.pieces("salt 1987 #4711") != [] and small.vocab["[UNK]"] not in small.pieces(
        "salt 1987 #4711"
    )
    assert [*small.vocab] == [piece for piece in full.vocab if piece in small.vocab]
    assert len(small.vocab) == len(model.get_input_embeddings().weight) == model.config.vocab_size


def test_stock_transformers_open_the_shrunk_model(shrunk):
    _, _, model, small, contract, _, out = shrunk
    encoder.save_weights(model, out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    for text in ("gochujang soup", "salt 山 日 豆 1987"):
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert ids == small.pieces(text)
    opened = AutoModelForTokenClassification.from_pretrained(out).eval()
    ids = [small.encode("gochujang 1987", contract)]
    with torch.inference_mode():
        expected = encoder.control_logits(model, ids, contract)
        torch.testing.assert_close(encoder.control_logits(opened, ids, contract), expected)
