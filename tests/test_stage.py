"""The staged folder: what is in it, and that `deploy.parity` tells a right one from a wrong one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import parity, smoke
from deploy.measure import question
from export import stage
from tests.conftest import ROOT
from tests.test_imports import imported


@pytest.fixture(scope="module")
def staged(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("stage") / "staged"
    stage.stage(folder, ROOT / "bundle")
    return folder


@pytest.fixture(scope="module")
def url(staged):
    with parity.started(staged) as url:
        yield url


@pytest.fixture
def copy(staged, tmp_path) -> Path:
    return shutil.copytree(staged, tmp_path / "copy")


def test_the_light_core_its_requirements_and_the_bundle_are_staged_and_no_more(staged):
    assert {path.name for path in staged.iterdir()} == {
        "main.py", "requirements.txt", "function", "timing", "bundle"
    }  # fmt: skip
    assert sum(path.stat().st_size for path in staged.rglob("*") if path.is_file()) < 20e6
    for path in staged.rglob("*.py"):
        there = imported(ROOT / path.relative_to(staged)) if path.name != "main.py" else set()
        names = {name.split(".")[0] for name in there}
        assert not names & {"training", "export", "torch", "tokenizers"}, path


def test_only_an_earlier_stage_is_replaced(staged, tmp_path):
    stage.stage(staged, ROOT / "bundle")
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(OSError, match=r"found a folder without main\.py, expected none or an ear"):
        stage.stage(tmp_path, ROOT / "bundle")
    with pytest.raises(FileNotFoundError, match=r"manifest\.json"):
        stage.stage(staged, tmp_path)
    assert (tmp_path / "mine").read_text() == "precious" and (staged / "main.py").exists()


def test_a_staged_folder_gives_the_golden_answers(staged, url):
    told = smoke.check(url, staged, {})
    assert re.search(r": ingredients-\S+ gives the golden answers, \d+ of \d+ to the label$", told)


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (lambda golden, _: golden["phrases"][7]["probabilities"].__setitem__(0, 2.0),
         r"found a probability 1\.\d+ off, expected at most 0\.\d+"),
        (lambda golden, _: [phrase.__setitem__("answer", {}) for phrase in golden["phrases"]],
         r"found the labels of 0 of \d+ phrases, expected at least 95%"),
        (lambda _, contract: contract.__setitem__("version", "9.9.9"),
         r"/ready: found model 'ingredients-\S+', expected 'ingredients-9\.9\.9'"),
    ],
    ids=["a probability", "the labels", "the model"],
)  # fmt: skip
def test_another_answer_is_told(copy, url, harm, fault):
    golden, contract = (copy / "bundle" / name for name in ("golden.json", "contract.json"))
    read = json.loads(golden.read_text()), json.loads(contract.read_text())
    harm(*read)
    golden.write_text(json.dumps(read[0]))
    contract.write_text(json.dumps(read[1]))
    with pytest.raises(smoke.SmokeError, match=fault):
        smoke.check(url, copy, {})


def test_no_answer_is_told(staged):
    with pytest.raises(smoke.SmokeError, match=r"http://127\.0\.0\.1:9/ready: found no answer"):
        smoke.check("http://127.0.0.1:9", staged, {})


def test_a_key_is_asked_with_where_one_is_wanted(staged, monkeypatch):
    monkeypatch.setenv("API_KEY", "correct horse")
    with parity.started(staged) as url:
        assert "gives the golden answers" in smoke.check(url, staged, smoke.key())
        with pytest.raises(smoke.SmokeError, match=r"/classify\S+: found status 401 .*expected 2"):
            smoke.check(url, staged, {})


def test_what_does_not_start_is_told_with_its_last_word(copy):
    (copy / "bundle" / "vocab.txt").write_text("[PAD]\n")
    done = subprocess.run([sys.executable, "-m", "deploy.parity", str(copy)], cwd=ROOT, text=True,
                          capture_output=True)  # fmt: skip
    assert done.returncode == 1
    assert re.fullmatch(r"error: \S+: found nobody listening \(error: \S+vocab\.txt: found sha256 "
                        r".*\), expected what was staged to start\n", done.stderr)  # fmt: skip


def test_cold_starts_are_asked_the_surest_golden_phrase(staged):
    text, expected = question(staged)
    golden = json.loads((staged / "bundle" / "golden.json").read_text())
    (phrase,) = (phrase for phrase in golden["phrases"] if phrase["text"] == text)
    assert expected == f"ingredient={phrase['answer']['ingredient']}"
    assert max(phrase["probabilities"][:2]) > 0.9
