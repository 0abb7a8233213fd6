"""One command from a contract and a CSV to a bundle, whatever the tasks are."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from random import Random

import onnx
import pytest
from safetensors.torch import load_file

from function import model as models
from tests.training_fixtures import CONTRACT, write_base, write_contract, write_data
from training import train

# Each stage runs as a script in a process that has imported it before.
pytestmark = pytest.mark.filterwarnings("ignore:.*found in sys.modules after import")
WORDS = "amber birch cedar dusk ember frost grove haze iris jade kelp lark moss nest opal".split()


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


def run(monkeypatch, *arguments: object) -> int:
    """`python -m training.train ARGUMENTS`, its stages in this process to save their imports."""

    def stage(command: list[str], env: dict) -> subprocess.CompletedProcess:
        before, sys.argv = sys.argv, command[2:]
        try:
            runpy.run_module(command[2], run_name="__main__")
        except SystemExit as stop:
            if stop.code:
                print(stop.code)
                return subprocess.CompletedProcess(command, 1)
        finally:
            sys.argv = before
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(train.subprocess, "run", stage)
    monkeypatch.setattr(sys, "argv", ["train", *map(str, arguments)])
    try:
        train.main()
    except SystemExit as stop:
        return stop.code
    return 0


def task(name: str, control: str, kind: str, labels: list[str]) -> dict:
    return {"name": name, "control": control, "kind": kind, "labels": labels}


def write(folder: Path, tasks: list[dict], rows: int) -> tuple[Path, Path]:
    """A contract of these tasks and rows in which word n of a text gives the label of task n."""
    contract = folder / "my.json"
    contract.write_text(json.dumps({"schema": 1, "name": "mine", "max_pieces": 24,
                                    "tasks": tasks}))  # fmt: skip
    random, lines = Random(0), {}
    while len(lines) < rows:
        picked = [random.randrange(len(t["labels"])) for t in tasks]
        words = [f"{WORDS[n % 15]} {WORDS[n // 15]}" for n in picked]
        text = f"{random.choice(WORDS)}{random.randrange(999)} kelp " + " and ".join(words)
        labels = ",".join(t["labels"][n] for t, n in zip(tasks, picked, strict=True))
        lines[text] = labels
    data = folder / "my.csv"
    head = ",".join(["text", *(t["name"] for t in tasks)])
    data.write_text(head + "\n" + "".join(f"{text},{given}\n" for text, given in lines.items()))
    return contract, data


MANY = [f"intent {n}" for n in range(150)]
SHAPES = {
    "one task, one multi": [task("topics", "*", "multi", ["wood", "water", "sky"])],
    "two tasks": [task("tone", "=", "single", ["calm", "loud"]),
                  task("tags", "~", "multi", ["a", "b", "c"])],
    "150 labels": [task("scope", ">", "single", ["in", "out"]),
                   task("domain", "+", "single", [f"domain {n}" for n in range(10)]),
                   task("intent", "|", "single", MANY)],
    "four tasks": [task(f"question{n}", control, "single", ["yes", "no"])
                   for n, control in enumerate("#%&@")],
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_any_number_of_tasks_labels_and_control_tokens(shape, base, tmp_path, monkeypatch):
    tasks = SHAPES[shape]
    rows = 1_800 if shape == "150 labels" else 200
    contract, data = write(tmp_path, tasks, rows)
    out = tmp_path / "mine"
    more = {"four tasks": ["--adapt"], "two tasks": ["--pieces", 20]}.get(shape, [])
    assert run(monkeypatch, "--contract", contract, "--data", data, "--out", out, "--base", base,
               "--epochs", 2, "--size", 2_000, *more) == 0  # fmt: skip
    assert (tmp_path / "mine-run" / "base").exists() == ("--adapt" in more)
    model = models.load(out)
    assert ("kelp" in model.wordpiece.vocab) == ("--pieces" in more)
    (answer,), _ = model.answer(["amber7 birch amber"], scores=True)
    for t in tasks:
        assert set(answer["scores"][t["name"]]) == set(t["labels"])
    assert [t.control for t in model.contract.tasks] == [t["control"] for t in tasks]
    assert model.contract.tasks[0].temperature != 1 or tasks[0]["kind"] == "multi"
    report = json.loads((tmp_path / "mine-run" / "metrics.json").read_text())
    assert set(report["models"]["int8"]["test"]) == {t["name"] for t in tasks}


def test_the_model_to_ship_takes_over_what_was_measured(base, tmp_path, monkeypatch):
    contract, data = write_contract(tmp_path), write_data(tmp_path)
    given = ("--contract", contract, "--data", data)
    assert run(monkeypatch, *given, "--base", base, "--epochs", 2, "--size", 800, "--teachers", 2,
               "--out", tmp_path / "mine") == 0  # fmt: skip
    measured, final = tmp_path / "mine-run", tmp_path / "final"
    again = (*given, "--out", final, "--measured", measured, "--version", "2.0.0")
    assert run(monkeypatch, *again, "--layers", 1) == 2 and not final.exists()
    assert run(monkeypatch, *again) == 0

    def told(path: Path) -> dict:
        return json.loads(path.read_text())

    manifest = told(final / "manifest.json")
    assert manifest["trained_on"] == "all rows" and manifest["version"] == "2.0.0"
    assert manifest["metrics"] == told(measured / "metrics.json")
    assert told(final / "contract.json")["tasks"] == told(measured / "contract.json")["tasks"]
    assert set(manifest["recipe"]) == {"teacher", "student", "extended"}
    assert manifest["recipe"]["student"]["teachers"] == 2
    card = (final / "README.md").read_text()
    assert "which it was until the rest was added" in " ".join(card.split())
    taught = [told(measured / name / "metrics.json") for name in ("teacher", "teacher-2")]
    assert [of["settings"]["seed"] for of in taught] == [1, 2]
    student = Path("student") / "metrics.json"
    before, after = (told(folder / student) for folder in (measured, tmp_path / "final-run"))
    assert before["letters"] in (0, 0.25, 0.5, 0.75)
    held_out = told(measured / "metrics.json")["rows"]
    assert after["texts"] == before["texts"] + held_out["dev"] + held_out["test"]
    # Its own evaluation has no test rows left.
    own = told(tmp_path / "final-run" / "metrics.json")
    assert "test" not in own["models"]["int8"] and own["rows"]["train"] == 400
    # It is the measured student and yet not the same.
    weights = [load_file(folder / "student" / "model.safetensors")
               for folder in (measured, tmp_path / "final-run")]  # fmt: skip
    moved = {name: float((weights[0][name] - weights[1][name]).abs().mean()) for name in weights[0]}
    assert all(0 < distance < 0.05 for distance in moved.values())


def test_a_model_to_ship_goes_on_from_nothing_but_a_measured_run_of_its_data(
    base, tmp_path, monkeypatch, capsys
):
    contract, data = write_contract(tmp_path), write_data(tmp_path, 60)
    given = ("--contract", contract, "--data", data, "--out", tmp_path / "final")

    def fault(measured: Path) -> str:
        capsys.readouterr()
        assert run(monkeypatch, *given, "--measured", measured) == 1
        said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error")]
        assert len(said) == 1 and not (tmp_path / "final").exists()
        return said[0]

    assert "found no " in fault(tmp_path / "none")
    assert run(monkeypatch, "--contract", contract, "--data", data, "--base", base, "--epochs", 1,
               "--size", 100, "--out", tmp_path / "mine") == 0  # fmt: skip
    with data.open("a") as file:
        file.write("a row more,no,,,made\n")
    assert "found a student of other data" in fault(tmp_path / "mine-run")
    student = tmp_path / "mine-run" / "student" / "metrics.json"
    told = json.loads(student.read_text())
    del told["teachers"]  # as a new head on a frozen encoder has none
    student.write_text(json.dumps(told))
    assert "found a student that no teacher taught" in fault(tmp_path / "mine-run")


def test_a_new_head_on_a_frozen_encoder_learns_and_leaves_the_encoder_alone(
    base, tmp_path, monkeypatch
):
    contract, data = write_contract(tmp_path), write_data(tmp_path)
    old, new = tmp_path / "old", tmp_path / "new"
    given = ("--contract", contract, "--data", data)
    assert run(monkeypatch, *given, "--out", old, "--base", base, "--epochs", 10,
               "--size", 1_200) == 0  # fmt: skip
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**CONTRACT, "tasks": CONTRACT["tasks"][:2], "name": "fewer"}))
    (tmp_path / "other.csv").write_text(
        "\n".join(line.rsplit(",", 2)[0] for line in data.read_text().splitlines()) + "\n"
    )
    assert run(monkeypatch, "--contract", other, "--data", tmp_path / "other.csv", "--out", new,
               "--freeze-encoder", old) == 0  # fmt: skip
    model = models.load(new)
    answers, _ = model.answer(["pale grey tiny siamese", "golden dark table"])
    assert answers[0]["kind"]["label"] == "cat" and answers[1]["animal"]["label"] == "no"
    assert model.id == "fewer-1.0.0"
    vectors = [
        {x.name: bytes(x.raw_data) for x in train_graph(folder) if x.name.endswith("weight_rows")}
        for folder in (old, new)
    ]
    assert vectors[0] and vectors[0] == vectors[1]


def train_graph(bundle: Path):
    return onnx.load(bundle / models.MODEL).graph.initializer


def test_check_counts_and_finds(base, tmp_path, monkeypatch, capsys):
    contract = write_contract(tmp_path)
    data = tmp_path / "pets.csv"
    lines = ["text,animal,kind,traits,split", "tabby,yes,cat,small,train",
             "tabby,yes,cat,small,train", "Tabby!,yes,cat,small,test",
             "hound,yes,dog,loud,train", "finch,yes,bird,rare,train",
             "table,no,,,train", "chair,no,,,train", "Chair,no,,,dev"]  # fmt: skip
    data.write_text("\n".join(lines) + "\n")
    assert run(monkeypatch, "--check", "--contract", contract, "--data", data, "--base", base) == 0
    said = capsys.readouterr().out
    assert "6 rows: 4 train, 1 dev, 1 test" in said
    assert "2 exact repetitions" in said and "1 texts in two splits" in said
    assert "1 leaks" in said and "'Tabby!' (line 4)" in said
    assert "kind:dog" in said and "fewer than 8" in said
    assert "minutes for teacher and student" in said
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    "break_it, expected",
    [
        (lambda f: (f / "pets.csv").unlink(), "pets.csv"),
        (lambda f: (f / "pets.csv").write_bytes(b"text,animal\n\xff,yes\n"), "pets.csv:2: found"),
        (lambda f: (f / "pets.csv").write_text(
            (f / "pets.csv").read_text().replace(",bird,", ",cat,")), "kind:bird"),
        (lambda f: (f / "contract.json").write_text("{"), "contract.json: $: found broken JSON"),
    ],
)  # fmt: skip
def test_what_a_user_can_mend_is_one_line_and_leaves_no_bundle(
    break_it, expected, base, tmp_path, monkeypatch, capsys
):
    contract, data = write_contract(tmp_path), write_data(tmp_path, 60)
    break_it(tmp_path)
    capsys.readouterr()
    assert run(monkeypatch, "--contract", contract, "--data", data, "--base", base,
               "--out", tmp_path / "mine") == 1  # fmt: skip
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error")]
    assert len(said) == 1 and expected in said[0]
    assert not (tmp_path / "mine").exists()


def test_a_base_that_does_not_exist_is_one_line(tmp_path):
    contract, data = write_contract(tmp_path), write_data(tmp_path, 60)
    done = subprocess.run(
        [sys.executable, "-m", "training.train", "--contract", contract, "--data", data,
         "--base", "no/such", "--out", tmp_path / "mine"],
        capture_output=True, text=True, check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "error: --base no/such: found no model there" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "mine").exists()


def test_threads_of_a_stage_wait_as_the_user_says_and_else_not_for_long(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    assert train.environment() == {**os.environ, "GOMP_SPINCOUNT": "3000"}
    for name, value in (("OMP_WAIT_POLICY", "active"), ("GOMP_SPINCOUNT", "7")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert train.environment() == dict(os.environ)
