"""`python -m function`: a table for people, JSON for machines, lines from standard input."""

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT


def run(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "function", *arguments]
    return subprocess.run(command, cwd=ROOT, input=given, capture_output=True, timeout=60)


def test_table(pets_bundle):
    done = run("--bundle", str(pets_bundle), "grey cat", "zebra")
    assert done.stdout.decode().splitlines() == [
        "text      animal    kinds",
        "grey cat  yes 0.98  cat 0.98, grey 0.98",
        "zebra     no 0.98   –",
    ]
    assert (done.returncode, done.stderr) == (0, b"")


def test_json_from_standard_input(pets_bundle):
    done = run("--bundle", str(pets_bundle), "--json", "dog", "-", given=b"grey caf\xe9\r\n\nzebra")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["text"] for answer in answers] == ["dog", "grey caf\ufffd", "zebra"]
    assert answers[0]["kinds"] == [{"label": "dog", "score": 0.982}]


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        ([" "], b"", "error: text 1: found an empty text"),
        (["-"], b"ok\n" + b"a" * 1001, "error: stdin:2: found 1001 characters"),
        (["--bundle", "/nowhere", "x"], b"", "error: /nowhere/manifest.json: found no file"),
    ],
)
def test_errors_are_one_line(pets_bundle, arguments, given, message):
    place = [] if "--bundle" in arguments else ["--bundle", str(pets_bundle)]
    done = run(*place, *arguments, given=given)
    assert done.returncode == 1
    assert done.stderr.decode().startswith(message) and done.stderr.count(b"\n") == 1


def test_a_closed_pipe_is_no_error(pets_bundle):
    lines = b"cat\n" * 20_000
    command = f"{sys.executable} -m function --bundle {pets_bundle} --json - | head -n 1"
    done = subprocess.run(command, shell=True, cwd=ROOT, input=lines, capture_output=True)
    assert json.loads(done.stdout)["text"] == "cat" and done.stderr == b""
