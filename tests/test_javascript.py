"""The JavaScript core against the reference tokenizer and against its Python twin, bit by bit."""

from __future__ import annotations

import copy
import csv
import json
import math
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from random import Random

import numpy as np
import pytest
from transformers import BertTokenizerFast

from function import contract as contracts
from function import decode as decoding
from function import model as models
from function import openapi
from function import wordpiece as wordpieces
from tests import test_contract
from tests.conftest import CONTRACT, ROOT, WORDS
from tests.test_wordpiece import POOLS, VOCAB

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="needs node")
SCALARS = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
PETS = {word: n for n, word in enumerate(WORDS)}


@pytest.fixture(scope="module")
def ask() -> Iterator[Callable]:
    """Ask the JavaScript core: `ask("pieces", ["salt"])`."""
    command = ["node", "tests/bridge.js", VOCAB]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def ask(*question):
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()


@pytest.fixture(scope="module")
def python():
    return wordpieces.load(VOCAB)


@pytest.fixture(scope="module")
def reference():
    tokenizer = BertTokenizerFast(vocab_file=VOCAB, do_lower_case=True).backend_tokenizer
    tokenizer.encode_special_tokens = True
    return tokenizer


def differences(ask, python, reference, texts: list[str]) -> list[str]:
    """The texts whose ids are not the reference's in JavaScript or in Python."""
    found = []
    for start in range(0, len(texts), 20_000):
        part = texts[start : start + 20_000]
        expected = [e.ids for e in reference.encode_batch_fast(part, add_special_tokens=False)]
        javascript = ask("pieces", part)
        if not javascript == expected == [python.pieces(text) for text in part]:
            found += [
                ascii(text)
                for text, ids, right in zip(part, javascript, expected, strict=True)
                if not ids == right == python.pieces(text)
            ]
    return found


@pytest.mark.parametrize("position", ["{}", "a{}b", "##{}"])
def test_every_unicode_scalar_value(ask, python, reference, position):
    assert len(SCALARS) == 1_112_064
    texts = [position.format(chr(code)) for code in SCALARS]
    assert differences(ask, python, reference, texts) == []


def test_random_strings(ask, python, reference):
    """200,000 of mixed scripts, combining marks, emoji sequences and words of all lengths."""
    random = Random(21)
    pools = (*POOLS, ("👩‍👩‍👧‍👦", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "👍🏽", "1️⃣", "🇩🇪🇫🇷"))
    long = ("a" * 97, "é" * 60, "e\u0301" * 99, "漢" * 101, "\U0001e922" * 51)
    texts = []
    for _ in range(200_000):
        characters = []
        for _ in range(random.randrange(1, 24)):
            chance = random.random()
            if chance < 0.1:
                characters.append(chr(random.choice(SCALARS)))
            elif chance > 0.995:
                characters.append(random.choice(long))
            else:
                characters.append(random.choice(random.choice(pools)))
        texts.append("".join(characters))
    assert differences(ask, python, reference, texts) == []


def test_lone_surrogates_and_truncation_are_pythons(ask, python):
    """The reference cannot be asked for a lone surrogate: it takes scalar values only."""
    random = Random(22)
    data = json.loads((ROOT / "training/contract.json").read_text())
    contract = contracts.parse(data, python.vocab)
    pool = ["\ud800", "\udfff", "\udbff", "\udc00", "\ud83c\U0001f355", "salt", " ", "é", "\u0301"]
    texts = ["".join(random.choices(pool, k=random.randrange(1, 80))) for _ in range(5_000)]
    texts += ["x" * n + " unbelievableness" * 30 for n in range(120)]
    texts = json.loads(json.dumps(texts))  # which makes one character of two halves that meet
    assert ask("encode", texts, data) == [python.encode(text, contract) for text in texts]


def test_the_bridge_can_tell_a_difference(ask, python, reference):
    class Wrong:
        def pieces(self, text):
            return python.pieces(text) + [0] * (text == "salt")

    assert differences(ask, Wrong(), reference, ["oil", "salt"]) == ["'salt'"]


VIOLATIONS = [
    data for data, _ in test_contract.test_violation_names_the_json_path.pytestmark[0].args[1]
]
# JSON cannot carry NaN and infinities, JavaScript cannot tell 64.0 from 64.
SHARED = [
    data for data in VIOLATIONS
    if not re.search(r"NaN|Infinity|\b64\.0|\d{300}", json.dumps(data))
]  # fmt: skip


def test_a_broken_contract_is_refused_in_the_same_words(ask):
    assert len(SHARED) >= 35
    for data in SHARED:
        with pytest.raises(contracts.ContractError) as error:
            contracts.parse(data, PETS, "my.json")
        found = ask("contract", data, PETS)
        # Python's JSON has a space behind a comma.
        assert found.replace(" ", "") == f"ContractError:{error.value}".replace(" ", "")


def test_the_contract_is_read_alike(ask):
    made = contracts.parse(CONTRACT, PETS)
    found = ask("contract", CONTRACT, PETS)
    assert found["columns"] == list(made.columns)
    assert found["controlIds"] == list(made.control_ids)
    for one, task in zip(found["tasks"], made.tasks, strict=True):
        assert one["onlyIf"] == [list(pair) for pair in task.only_if]
        for key in ("name", "kind", "start", "stop", "temperature", "threshold"):
            assert one[key] == getattr(task, key)


def test_logits_become_the_same_answer(ask):
    """Probabilities within two units in the last place: two implementations of exp."""
    data = copy.deepcopy(CONTRACT)
    data["tasks"][0] |= {"temperature": 1.7, "threshold": 0.75}
    data["tasks"][1] |= {"thresholds": [0.3, 0.5, 0.9]}
    contract = contracts.parse(data, PETS)
    random = np.random.default_rng(23)
    abstained = 0
    for scale in (0.0, 0.5, 3.0, 30.0, 1e30):
        for _ in range(100):
            logits = (random.standard_normal((7, 5)) * scale).astype(np.float32)
            expected = decoding.probabilities(logits, contract)
            found, answer = ask("decode", logits.ravel().tolist(), data, PETS)
            assert all(abs(a - b) <= 2 * math.ulp(b) for a, b in zip(found, expected, strict=True))
            assert answer == decoding.decode(found, contract, True)
            abstained += "abstain" in answer["animal"]
    assert 0 < abstained < 500


def test_scores_are_rounded_alike(ask):
    random = Random(23)
    ties = [n / 32 for n in range(33)]
    numbers = ties + [random.random() for _ in range(20_000)] + [n / 20_000 for n in range(20_001)]
    assert ask("round", numbers) == [round(p, decoding.DIGITS) for p in numbers]


@pytest.mark.parametrize("keyed", [False, True])
def test_the_api_is_described_alike(ask, keyed):
    described = openapi.describe(contracts.parse(CONTRACT, PETS), keyed)
    assert ask("describe", CONTRACT, PETS, keyed) == described


@pytest.fixture(scope="module")
def expected(shipped) -> dict[str, list[float]]:
    """Probabilities of 5,000 phrases of the data, from Python."""
    rows = csv.DictReader((ROOT / "training/data/labelled.csv").open(encoding="utf-8"))
    texts = Random(24).sample(sorted({row["text"] for row in rows}), 5_000)
    model = models.load(shipped)
    encoded = [model.wordpiece.encode(text, model.contract) for text in texts]
    return dict(zip(texts, model.infer(encoded), strict=True))


@pytest.mark.skipif(not (ROOT / "node_modules").exists(), reason="needs npm ci")
@pytest.mark.parametrize(
    ("runtime", "within", "tolerance"), [("node", 1, 1e-5), ("wasm", 0.98, 1e-5)]
)
def test_the_model_answers_alike(ask, shipped, expected, runtime, within, tolerance):
    """Every label is the same. In WebAssembly sums are made in another order than with AVX; where
    that pushes an activation over the edge between two of its 256 steps, a probability moves."""
    wordpiece = wordpieces.load(shipped / "vocab.txt")
    contract = contracts.load(shipped / "contract.json", wordpiece.vocab)
    found = ask("probabilities", runtime, list(expected))
    differences = np.abs(np.array(found) - np.array(list(expected.values()))).max(1)
    assert (differences <= tolerance).mean() >= within
    assert differences.max() <= json.loads((shipped / "golden.json").read_text())["tolerance"]

    def labels(p: list[float]) -> list:
        answer = decoding.decode(p, contract)
        return [[one["label"] for one in [*(a if isinstance(a, list) else [a] if a else [])]]
                for a in answer.values()]  # fmt: skip

    assert list(map(labels, found)) == list(map(labels, expected.values()))
