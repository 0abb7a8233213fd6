"""The parts of training: augmentation, batches, losses, student start, transfer set, resuming."""

import json
import subprocess
import sys
import time
from random import Random

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import BertConfig, BertForTokenClassification, BertModel, BertTokenizerFast

from function import contract as contracts
from function import wordpiece as wordpieces
from tests.training_fixtures import CONTRACT, write_base, write_contract, write_data
from training import augment, batches, distill, encoder, loop, losses, metrics, student, transfer
from training.dataset import Row
from training.similar import similar_key


@pytest.fixture(scope="module")
def words():
    return wordpieces.load(f"{encoder.default_base()}/vocab.txt")


@pytest.fixture(scope="module")
def pets(words):
    return contracts.parse(CONTRACT, words.vocab)


def test_augment_is_seeded_and_often_leaves_the_text_alone():
    lists = augment.Words(("2",), ("cups",), ("chopped",), (", to taste",))
    made = [augment.augment("golden beets", lists, Random(n)) for n in range(400)]
    assert made == [augment.augment("golden beets", lists, Random(n)) for n in range(400)]
    assert 150 < made.count("golden beets") < 280
    assert any("2 cups" in text for text in made) and any("chopped" in text for text in made)
    plain = [augment.augment("golden beets", augment.Words(), Random(n)) for n in range(400)]
    assert not any("cups" in text or "chopped" in text for text in plain)


def test_misspell_changes_one_long_word_and_keeps_its_first_letter():
    for n in range(300):
        made = augment.misspell("an onion", Random(n))
        first, word = made.split(" ")
        assert first == "an" and word[0] == "o" and abs(len(word) - 5) <= 1
    assert augment.misspell("a fig", Random(0)) == "a fig"
    assert augment.misspell("豆腐豆腐豆腐", Random(0))  # no key of a QWERTY keyboard


@pytest.mark.parametrize(
    ("one", "other"),
    [("onion", "onions"), ("onions", "onion"), ("gas", "gas"), ("berry", "berries"),
     ("radish", "radishes"), ("asparagus", "asparagus"), ("豆", "豆"), ("day boy", "day boys")],
)  # fmt: skip
def test_pluralize(one, other):
    assert augment.pluralize(one) == other


def test_read_words_names_the_place(tmp_path):
    path = tmp_path / "augment.json"
    assert augment.read_words(path) == augment.Words()
    path.write_text('{"quantities": []}')
    with pytest.raises(ValueError, match="expected an object with exactly quantities, units"):
        augment.read_words(path)


def test_bucketed_takes_every_row_once_and_sorts_by_length():
    lengths = [Random(0).randrange(5, 30) for _ in range(1_000)]
    for random in (Random(1), None):
        made = batches.bucketed(lengths, 64, random)
        assert sorted(n for batch in made for n in batch) == list(range(1_000))
        waste = sum(max(lengths[n] for n in b) * len(b) - sum(lengths[n] for n in b) for b in made)
        assert waste < 0.1 * sum(lengths)
    assert batches.bucketed(lengths, 64, Random(1)) != batches.bucketed(lengths, 64, Random(2))
    assert batches.bucketed([], 64, Random(1)) == []


def test_control_rows_are_read_at_each_texts_own_end(words, pets):
    ids = [words.encode(text, pets) for text in ("cat", "a rather long phrase > + | here")]
    padded, mask = batches.pad(ids, words.vocab["[PAD]"])
    logits = padded[:, :, None].float().expand(-1, -1, 8)  # every logit is its own piece's id
    rows = batches.control_rows(logits, mask, 3)
    assert rows[:, :, 0].tolist() == [list(pets.control_ids)] * 2


def test_loss_is_the_sum_of_each_tasks_own_and_the_one_that_others_await_weighs_more(pets):
    torch.manual_seed(0)
    rows = torch.randn(2, 3, 8)
    wanted = torch.tensor([[1.0, 0, 0, 1, 0, 1, 0, 1], [0, 1, 0, 0, 0, 0, 0, 0]])
    applies = torch.tensor([[1.0, 1, 1], [1, 0, 0]])
    assert losses.weights(pets) == [3, 1, 1]
    by_hand = (
        3 * functional.cross_entropy(rows[:, 0, 0:2], torch.tensor([0, 1]))
        + functional.cross_entropy(rows[:1, 1, 2:5], torch.tensor([1]))
        + functional.binary_cross_entropy_with_logits(
            rows[0, 2, 5:8], wanted[0, 5:8], reduction="sum")
    )  # fmt: skip
    torch.testing.assert_close(losses.loss(rows, wanted, applies, pets), by_hand)


def test_columns_and_rows_of_other_tasks_get_no_gradient(pets):
    rows = torch.randn(1, 3, 8, requires_grad=True)
    wanted = torch.tensor([[0.0, 1, 0, 0, 0, 0, 0, 0]])
    losses.loss(rows, wanted, torch.tensor([[1.0, 0, 0]]), pets).backward()
    moved = rows.grad[0].abs() > 0
    assert moved[0, :2].all() and moved.sum() == 2


def test_projection_keeps_the_directions_of_most_variance():
    torch.manual_seed(0)
    hidden = torch.randn(500, 4) * torch.tensor([9.0, 7, 5, 3])
    words = hidden @ torch.linalg.qr(torch.randn(16, 16))[0][:4]
    made = encoder.project(words, 4)
    assert made.std() == pytest.approx(0.02, rel=0.01)
    distances = torch.pdist(words - words.mean(0)), torch.pdist(made)
    assert torch.corrcoef(torch.stack(distances))[0, 1] > 0.9999  # four axes hold all of it


def test_transfer_set_is_seeded_distinct_and_apart_from_held_out_rows(words):
    def row(text, split):
        return Row(text, {}, "x", split, 1)

    train = [row(text, "train") for text in ("grey tabby", "golden hound", "pale green finch")]
    held = [row("golden tabby", "test")]
    made = transfer.generate(train, held, words.vocab, augment.Words(), 400, 3)
    assert made == transfer.generate(train, held, words.vocab, augment.Words(), 400, 3)
    assert len(made) == len(set(made)) == 400 and made[:3] == sorted(made[:3])
    assert {r.text for r in train} <= set(made)
    assert similar_key("Tabby, golden") not in {similar_key(text) for text in made}


def test_words_of_the_rows_are_asked_alone_but_for_those_held_out(words):
    letters = "abcdefghijklmnopqrtu"
    train = [Row(f"mo{x} ba{x}", {}, "x", "train", 1) for x in letters]
    held = [Row("Bags", {}, "x", "test", 1)]
    made = transfer.generate(train, held, words.vocab, augment.Words(), 20 + 4 * 39, 1)
    alone = {f"{two}{x}" for x in letters for two in ("mo", "ba")} - {"bag"}
    assert set(made[20:59]) == alone and "bag" not in made
    few = transfer.generate(train, held, words.vocab, augment.Words(), 60, 1)
    assert len(alone.intersection(few[20:30])) == 10  # no more than a quarter of the others


def test_a_users_own_texts_are_asked_but_for_those_held_out(words, tmp_path):
    more = tmp_path / "more.txt"
    more.write_text("pale finch\n\nGOLDEN tabbies\ngrey tabby\n")
    train, held = ([Row(text, {}, "x", "train", 1)] for text in ("grey tabby", "golden tabby"))
    made = student.texts_of(train, held, words, augment.Words(), 8, 1, more)
    assert made[-1] == "pale finch" and made.count("grey tabby") == 1
    assert made[:-1] == student.texts_of(train, held, words, augment.Words(), 8, 1, None)


def test_the_vocabularys_numbers_are_among_the_transfer_set():
    rows = [Row("grey tabby", {}, "x", "train", 1)]
    made = transfer.generate(rows, [], {"1987": 0, "20th": 1, "##7": 2}, augment.Words(), 60, 1)
    assert {"1987", "20th"} <= set(made) and not any("##" in text for text in made)


def test_more_texts_are_read_in_turns_each_kind_in_every_epoch(words, pets, monkeypatch):
    monkeypatch.setattr(student, "AN_EPOCH", 100)
    rows = [Row(f"known {n}", {}, "x", "train", n) for n in range(7)]
    texts = [row.text for row in rows] + [f"{'abcdef'[n % 6]} {n}" for n in range(290)]
    labelled, parts = student.by_epoch(texts, rows)
    assert [texts[n] for n in labelled] == [row.text for row in rows]
    assert sorted(n for part in parts for n in part) == list(range(7, 297))
    assert [len(part) for part in parts] == [97, 97, 96]
    for part in parts:
        assert {texts[n][0] for n in part} == set("abcdef")
    assert len(student.by_epoch(texts[:130], rows)[1]) == 1

    batches_of = student.epochs_of(texts, rows, words, pets, augment.Words(), 8, 1)
    for epoch in range(4):
        found = [pair for batch in batches_of(epoch) for pair in zip(*batch, strict=True)]
        assert sorted(n for n, _ in found) == sorted(labelled * 2 + parts[epoch % 3])
        assert all(ids == words.encode(texts[n], pets) for n, ids in found if n >= 7)


def test_muon_takes_fewer_epochs_of_many_texts(monkeypatch):
    for has, expected in ((True, 8), (False, 12)):
        monkeypatch.setattr(distill, "has_bf16", lambda where, has=has: has)
        assert distill.default_epochs(320_000) == expected and distill.default_epochs(2_000) == 12


def test_a_wider_student_learns_slower():
    assert distill.default_rate("tiny") == 3e-3
    assert distill.default_rate("mini") == 1.5e-3 and distill.default_rate("small") == 1e-3


def test_scores_count_only_rows_that_a_task_applies_to(pets):
    rows = [
        Row("a", {"animal": ("yes",), "kind": ("cat",), "traits": ("small",)}, "x", "test", 2),
        Row("b", {"animal": ("no",)}, "y", "test", 3),
    ]
    found = np.array([[0.9, 0.1, 0.2, 0.7, 0.1, 0.6, 0.6, 0.1], [0.8, 0.2, 0, 1, 0, 1, 1, 1]])
    scores = metrics.score(found, rows, pets, per_label=True)
    assert scores["animal"]["accuracy"] == 0.5 and scores["kind"]["accuracy"] == 0.0
    assert scores["traits"]["micro_f1"] == 0.6667  # one right, one too many
    assert scores["traits"]["macro_f1"] == 0.5  # 1 and 0; nobody spoke of `rare`
    assert set(metrics.by_origin(found, rows, pets)["y"]) == {"animal"}


class Killed(Exception):
    pass


def test_a_killed_run_resumes_to_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "has_bf16", lambda where: True)
    data = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))

    def run(folder, die_after=None, fingerprint="same"):
        folder.mkdir(exist_ok=True)
        torch.manual_seed(0)
        layer = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.Dropout(0.3))
        model = torch.nn.ModuleDict({"encoder": torch.nn.ModuleDict({"layer": layer})})
        seen = []

        def epoch_batches(epoch):
            order = Random(epoch).sample(range(40), 40)
            return [order[n : n + 9] for n in range(0, 40, 9)]

        def after_epoch(epoch):
            seen.append(epoch)
            if epoch == die_after:
                raise Killed
            return ""

        loop.fit(
            model, [model.parameters()], loop.Schedule(4, 9, (1e-2,), 2, muon=True), epoch_batches,
            lambda batch: layer(data[batch]).pow(2).mean(), folder, fingerprint, 7, "test",
            after_epoch,
        )  # fmt: skip
        return model.state_dict(), seen

    whole, _ = run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "killed", die_after=2)
    resumed, seen = run(tmp_path / "killed")
    assert seen == [2, 3]  # the third epoch was not saved when the run died
    for name, weight in whole.items():
        torch.testing.assert_close(resumed[name], weight, rtol=0, atol=0)
    _, seen = run(tmp_path / "killed", fingerprint="other settings")
    assert seen == [0, 1, 2, 3]
    monkeypatch.setattr(loop, "has_bf16", lambda where: False)  # another machine, without Muon
    _, seen = run(tmp_path / "whole")
    assert seen == [0, 1, 2, 3]


def test_one_optimizer_for_each_weight_that_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "has_bf16", lambda where: True)
    (out := tmp_path / "out").mkdir()
    base = write_base(tmp_path)
    model, *_ = encoder.load_base(str(base), write_contract(tmp_path), out)
    names = {id(p): name for name, p in model.named_parameters()}
    words = model.get_input_embeddings().weight
    words.requires_grad = False
    schedule = loop.Schedule(1, 1, (1e-3, 1e-2), muon=True)
    rest = [p for p in model.parameters() if p is not words]
    adam, muon = loop.optimizers_of(model, [rest, [words]], schedule)
    held = [[names[id(p)] for group in one.param_groups for p in group["params"]]
            for one in (adam, muon)]  # fmt: skip
    assert sorted(held[0] + held[1]) == sorted({*names.values()} - {names[id(words)]})
    assert {name.rpartition(".")[0].rpartition(".")[2] for name in held[1]} == {
        "query", "key", "value", "dense"
    }  # fmt: skip
    assert all(".layer." in name and name.endswith("weight") for name in held[1])
    assert {"classifier.weight", "bert.embeddings.position_embeddings.weight"} <= {*held[0]}
    assert {group["lr"] for one in (adam, muon) for group in one.param_groups} == {1e-3}
    model(input_ids=torch.tensor([[5, 6]])).logits.sum().backward()
    counts, threads = [], torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(
        torch.optim.Muon, "step", lambda self, closure=None: counts.append(torch.get_num_threads())
    )
    muon.step()
    assert counts == [1] and torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    # Where bf16 is emulated, or the schedule does not ask for it, AdamW has them all.
    plain = loop.Schedule(1, 1, (1e-3, 1e-2))
    for has, asked in ((False, schedule), (True, plain)):
        monkeypatch.setattr(loop, "has_bf16", lambda where, has=has: has)
        (alone,) = loop.optimizers_of(model, [rest, [words]], asked)
        assert isinstance(alone, torch.optim.AdamW)
        assert sum(len(group["params"]) for group in alone.param_groups) == len(held[0] + held[1])


def test_a_loss_that_is_not_finite_stops_with_the_place(tmp_path):
    model = torch.nn.Linear(1, 1)
    with pytest.raises(FloatingPointError, match="test: epoch 1, batch 2: found loss nan"):
        loop.fit(
            model, [model.parameters()], loop.Schedule(1, 1, (1e-2,)), lambda epoch: [1.0, 0.0],
            lambda batch: (model.weight / batch - model.weight / batch).sum() if batch == 0
            else model.weight.sum(), tmp_path, "x", 0, "test",
        )  # fmt: skip


def test_base_errors_are_one_line(tmp_path):
    contract = write_contract(tmp_path)
    with pytest.raises(ValueError, match="--base no/such: found no model there") as error:
        encoder.load_base("no/such", contract, tmp_path)
    assert "\n" not in str(error.value)
    base = write_base(tmp_path)
    contract.write_text(contract.read_text().replace('"max_pieces": 32', '"max_pieces": 99'))
    with pytest.raises(ValueError, match=r"\$.max_pieces: found 99, expected at most the 64"):
        encoder.load_base(str(base), contract, tmp_path)


def test_layers_are_kept_from_the_first_to_the_last(tmp_path):
    contract, base, out = write_contract(tmp_path), tmp_path / "six", tmp_path / "out"
    out.mkdir()
    config = BertConfig(vocab_size=30522, hidden_size=16, num_hidden_layers=6,
                        num_attention_heads=2, intermediate_size=16,
                        max_position_embeddings=64)  # fmt: skip
    whole = BertModel(config)
    whole.save_pretrained(base)
    BertTokenizerFast(vocab_file=f"{encoder.default_base()}/vocab.txt").save_pretrained(base)
    model, *_ = encoder.load_base(str(base), contract, out, layers=3)
    for kept, n in zip(model.bert.encoder.layer, (0, 2, 5), strict=True):
        expected = whole.encoder.layer[n].output.dense.weight
        torch.testing.assert_close(kept.output.dense.weight, expected)
    encoder.save_weights(model, out)
    assert json.loads((out / "config.json").read_text())["num_hidden_layers"] == 3
    with pytest.raises(ValueError, match="--layers: found 7, expected 1 to the base's 6"):
        encoder.load_base(str(base), contract, out, layers=7)


def test_a_killed_teacher_goes_on_to_the_same_result(tmp_path):
    base, contract, data = write_base(tmp_path), write_contract(tmp_path), write_data(tmp_path, 200)

    def train(out, **options):
        return subprocess.Popen(
            [sys.executable, "-m", "training.teacher", "--base", base, "--contract", contract,
             "--data", data, "--out", tmp_path / out, "--epochs", "12", "--batch-size", "16"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **options,
        )  # fmt: skip

    killed = train("killed")
    while not (tmp_path / "killed" / "checkpoint.pt").exists():
        assert killed.poll() is None, "it ended before it could be killed"
        time.sleep(0.05)
    killed.kill()
    killed.communicate()
    assert not (tmp_path / "killed" / "metrics.json").exists()
    whole, resumed = train("whole"), train("killed")
    said = resumed.communicate()[0]
    whole.communicate()
    assert "resuming after epoch" in said and (whole.returncode, resumed.returncode) == (0, 0)
    weights = [(tmp_path / out / "model.safetensors").read_bytes() for out in ("whole", "killed")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_last_layer_at_the_controls_alone_says_what_the_whole_model_says(pets, attention):
    config = BertConfig(
        vocab_size=99, hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=64, num_labels=8, attn_implementation=attention,
    )  # fmt: skip
    torch.manual_seed(0)
    model = BertForTokenClassification(config).eval()
    ids = [[1, 7, 8, 9, 90, 91, 92, 2], [1, 90, 91, 92, 2], [1, *range(20, 40), 90, 91, 92, 2]]
    with torch.inference_mode():
        found = encoder.control_logits(model, ids, pets)
        for one, row in zip(ids, found, strict=True):
            whole = model(input_ids=torch.tensor([one])).logits[0]
            torch.testing.assert_close(row, whole[-4:-1], atol=1e-5, rtol=0)
