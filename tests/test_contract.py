"""The contract: every rule that can be broken is, and the error names the JSON path."""

import copy
import json
import math

import pytest

from function import contract as contracts
from tests.conftest import CONTRACT, ROOT, WORDS

VOCAB = {word: n for n, word in enumerate(WORDS)}


def test_columns_control_ids_and_defaults():
    made = contracts.parse(CONTRACT, VOCAB)
    assert made.columns == ("animal:yes", "animal:no", "kinds:cat", "kinds:dog", "kinds:grey")
    assert made.control_ids == (4, 5)
    animal, kinds = made.tasks
    assert (animal.start, animal.stop, kinds.start, kinds.stop) == (0, 2, 2, 5)
    assert animal.temperature == 1.0 and kinds.thresholds == (0.5, 0.5, 0.5)
    assert kinds.only_if == (("animal", "yes"),) and made.version == "0.1.0"
    with pytest.raises(AttributeError):
        made.name = "other"


def test_what_export_measured_is_read():
    data = copy.deepcopy(CONTRACT)
    data["tasks"][0]["temperature"] = 2
    data["tasks"][1]["thresholds"] = [0.1, 0.2, 0.3]
    made = contracts.parse(data, VOCAB)
    assert made.tasks[0].temperature == 2.0 and made.tasks[1].thresholds == (0.1, 0.2, 0.3)


def at(*path, value=None, gone=False):
    """The contract with one place changed."""
    data = copy.deepcopy(CONTRACT)
    place = data
    for key in path[:-1]:
        place = place[key]
    if gone:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "$: found [], expected an object"),
        (at("schema", value=2), "$.schema: found 2, expected 1"),
        (at("schema", value=True), "$.schema: found true, expected 1"),
        (at("name", value=" "), "$.name: found"),
        (at("version", value=1), "$.version: found 1"),
        (at("labels", value=1), "$.labels: found"),
        (at("tasks", value=[]), "$.tasks: found []"),
        (at("tasks", gone=True), "$: found"),
        (at("max_pieces", value=4), "$.max_pieces: found 4, expected a whole number of at least 5"),
        (at("max_pieces", value=True), "$.max_pieces: found true"),
        (at("max_pieces", value=64.0), "$.max_pieces: found 64.0"),
        (at("tasks", 1, value=3), "$.tasks[1]: found 3, expected an object"),
        (at("tasks", 0, "kind", value="many"), "$.tasks[0].kind: found \"many\", expected one of"),
        (at("tasks", 0, "kind", value=[]), "$.tasks[0].kind: found []"),
        (at("tasks", 1, "name", value="animal"), "$.tasks[1].name: found \"animal\""),
        (at("tasks", 0, "name", value="text"), "$.tasks[0].name: found \"text\""),
        (at("tasks", 0, "labels", value=["yes"]), "$.tasks[0].labels: found [\"yes\"]"),
        (at("tasks", 1, "labels", value=[]), "$.tasks[1].labels: found []"),
        (at("tasks", 0, "labels", value=["a", "b", "a"]), "$.tasks[0].labels[2]: found \"a\""),
        (at("tasks", 0, "labels", value=["a", ""]), "$.tasks[0].labels[1]: found \"\""),
        (at("tasks", 0, "labels", value=["a", "b|c"]), "$.tasks[0].labels[1]: found \"b|c\""),
        (at("tasks", 1, "control", value="#"), "$.tasks[1].control: found \"#\""),
        (at("tasks", 1, "control", value="##"), "$.tasks[1].control: found \"##\""),
        (at("tasks", 1, "control", value="##s"), "$.tasks[1].control: found \"##s\""),
        (at("tasks", 1, "control", value="[SEP]"), "$.tasks[1].control: found \"[SEP]\""),
        (at("tasks", 1, "control", value="+ +"), "$.tasks[1].control: found \"+ +\""),
        (at("tasks", 1, "only_if", value={"pet": "yes"}), "$.tasks[1].only_if: found \"pet\""),
        (at("tasks", 1, "only_if", value={"animal": "maybe"}),
         "$.tasks[1].only_if.animal: found \"maybe\", expected one of yes, no"),
        (at("tasks", 1, "only_if", value={"kinds": "cat"}), "$.tasks[1].only_if: found \"kinds\""),
        (at("tasks", 0, "only_if", value={"kinds": "cat"}), "$.tasks[0].only_if: found \"kinds\""),
        (at("tasks", 1, "only_if", value=["animal"]), "$.tasks[1].only_if: found [\"animal\"]"),
        (at("tasks", 0, "temperature", value=0), "$.tasks[0].temperature: found 0"),
        (at("tasks", 0, "temperature", value=math.inf), "$.tasks[0].temperature: found Infinity"),
        (at("tasks", 0, "temperature", value=math.nan), "$.tasks[0].temperature: found NaN"),
        (at("tasks", 0, "temperature", value=10**400), "$.tasks[0].temperature: found 1000"),
        (at("tasks", 0, "thresholds", value=[0.5, 0.5]), "$.tasks[0].thresholds: found"),
        (at("tasks", 0, "threshold", value=1), "$.tasks[0].threshold: found 1"),
        (at("tasks", 1, "threshold", value=0.5), "$.tasks[1].threshold: found"),
        (at("tasks", 1, "thresholds", value=[0.5]), "$.tasks[1].thresholds: found [0.5]"),
        (at("tasks", 1, "thresholds", value=[0.5, 1, 0.5]), "$.tasks[1].thresholds: found"),
        (at("tasks", 1, "weight", value=1), "$.tasks[1].weight: found \"weight\""),
    ],
)  # fmt: skip
def test_violation_names_the_json_path(data, message):
    with pytest.raises(contracts.ContractError) as error:
        contracts.parse(data, VOCAB, "my.json")
    assert str(error.value).startswith(f"my.json: {message}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["{", "[" * 100_000, '{"schema": 1', ""])
def test_broken_json_names_the_file(tmp_path, content):
    path = tmp_path / "contract.json"
    path.write_text(content)
    with pytest.raises(contracts.ContractError, match=r"contract.json: \$: found broken JSON"):
        contracts.load(path, VOCAB)


def test_the_contract_has_the_labels_of_the_guidelines_in_their_order():
    """One table row a label, in three tables."""
    lines = (ROOT / "training/data/GUIDELINES.md").read_text("utf-8").splitlines()
    labels = [line.split("`")[1] for line in lines if line.startswith("| `")]
    made = json.loads((ROOT / "training/contract.json").read_text())
    assert [label for task in made["tasks"] for label in task["labels"]] == labels
    assert [len(task["labels"]) for task in made["tasks"]] == [2, 5, 27]
