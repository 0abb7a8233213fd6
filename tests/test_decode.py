"""From logits to answers, held against torch."""

import copy
import math

import numpy as np
import pytest
import torch

from function import contract as contracts
from function.decode import decode, probabilities, sigmoid, softmax
from tests.conftest import CONTRACT, WORDS

VOCAB = {word: n for n, word in enumerate(WORDS)}
PETS = contracts.parse(CONTRACT, VOCAB)


def test_probabilities_equal_torch():
    data = copy.deepcopy(CONTRACT)
    data["tasks"][0]["temperature"] = 1.7
    contract = contracts.parse(data, VOCAB)
    logits = torch.randn(9, 5, generator=torch.Generator().manual_seed(0)) * 6
    expected = torch.cat([
        torch.softmax(logits[6, :2].double() / 1.7, 0), torch.sigmoid(logits[7, 2:].double())
    ])  # fmt: skip
    assert probabilities(logits.numpy(), contract) == pytest.approx(expected.tolist(), abs=1e-12)


def test_only_the_control_rows_and_own_columns_count():
    logits = np.full((6, 5), np.nan, np.float32)
    logits[3, :2], logits[4, 2:] = [2, 0], [0, 0, 0]
    found = probabilities(logits, PETS)
    assert found[2:] == [0.5] * 3 and found[0] == pytest.approx(1 / (1 + math.exp(-2)))


def test_extreme_logits_do_not_overflow():
    assert softmax([1e30, -1e30, 0.0], 1.0) == [1.0, 0.0, 0.0]
    assert (sigmoid(1e30), sigmoid(-1e30), sigmoid(-800.0)) == (1.0, 0.0, 0.0)


def test_answer_sorts_labels_by_score_and_respects_thresholds():
    data = copy.deepcopy(CONTRACT)
    data["tasks"][1]["thresholds"] = [0.3, 0.5, 0.9]
    answer = decode([0.9, 0.1, 0.4, 0.8, 0.85], contracts.parse(data, VOCAB))
    assert answer == {
        "animal": {"label": "yes", "score": 0.9},
        "kinds": [{"label": "dog", "score": 0.8}, {"label": "cat", "score": 0.4}],
    }


def test_an_answer_below_its_threshold_abstains():
    data = copy.deepcopy(CONTRACT)
    data["tasks"][0]["threshold"] = 0.75
    contract = contracts.parse(data, VOCAB)
    assert decode([0.74, 0.26, 0.9, 0, 0], contract) == {
        "animal": {"label": "yes", "score": 0.74, "abstain": True},
        "kinds": [{"label": "cat", "score": 0.9}],
    }
    assert "abstain" not in decode([0.75, 0.25, 0.9, 0, 0], contract)["animal"]


def test_nothing_is_said_where_the_condition_does_not_hold():
    answer = decode([0.2, 0.8, 0.9, 0.9, 0.9], PETS, scores=True)
    assert answer["kinds"] == [] and answer["animal"]["label"] == "no"
    assert answer["scores"] == {"animal": {"yes": 0.2, "no": 0.8},
                                "kinds": {"cat": 0.9, "dog": 0.9, "grey": 0.9}}  # fmt: skip


def test_a_conditional_single_task_is_null_and_so_is_what_hangs_on_it():
    data = copy.deepcopy(CONTRACT)
    data["tasks"].insert(1, {"name": "size", "control": ">", "kind": "single",
                             "labels": ["big", "small"], "only_if": {"animal": "yes"}})
    data["tasks"][2]["only_if"] = {"size": "big"}
    contract = contracts.parse(data, VOCAB)
    no = decode([0.1, 0.9, 0.9, 0.1, 1, 1, 1], contract)
    assert no == {"animal": {"label": "no", "score": 0.9}, "size": None, "kinds": []}
    yes = decode([0.9, 0.1, 0.9, 0.1, 1, 0, 0], contract)
    assert yes["size"]["label"] == "big" and yes["kinds"][0]["label"] == "cat"


def test_a_tie_goes_to_the_first_label():
    answer = decode([0.5, 0.5, 0.7, 0.7, 0.7], PETS)
    assert answer["animal"]["label"] == "yes"
    assert [kind["label"] for kind in answer["kinds"]] == ["cat", "dog", "grey"]
