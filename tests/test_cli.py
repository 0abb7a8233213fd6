"""`python -m function` and `whippedup-classify`: a table for people, JSON for machines, lines from
standard input."""

import json
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

COMMANDS = {
    "python": [sys.executable, "-m", "function"],
    "node": ["node", "js_runtime/cli.js"],
}


@pytest.fixture(params=COMMANDS)
def command(request) -> list[str]:
    found = COMMANDS[request.param]
    if not shutil.which(found[0]) or (request.param == "node"
                                      and not (ROOT / "node_modules").exists()):  # fmt: skip
        pytest.skip("needs node and npm ci")
    return found


def run(command: list[str], *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess:
    return subprocess.run(
        [*command, *arguments], cwd=ROOT, input=given, capture_output=True, timeout=60
    )


def test_table(command, pets_bundle):
    done = run(command, "--bundle", str(pets_bundle), "grey cat", "zebra")
    assert done.stdout.decode().splitlines() == [
        "text      animal    kinds",
        "grey cat  yes 0.98  cat 0.98, grey 0.98",
        "zebra     no 0.98   –",
    ]
    assert (done.returncode, done.stderr) == (0, b"")


def test_json_from_standard_input(command, pets_bundle):
    given = b"grey caf\xe9\r\n\nzebra"
    done = run(command, "--bundle", str(pets_bundle), "--json", "dog", "-", given=given)
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
def test_errors_are_one_line(command, pets_bundle, arguments, given, message):
    place = [] if "--bundle" in arguments else ["--bundle", str(pets_bundle)]
    done = run(command, *place, *arguments, given=given)
    assert done.returncode == 1
    assert done.stderr.decode().startswith(message) and done.stderr.count(b"\n") == 1


def test_a_closed_pipe_is_no_error(command, pets_bundle):
    lines = b"cat\n" * 20_000
    line = f"{shlex.join(command)} --bundle {pets_bundle} --json - | head -n 1"
    done = subprocess.run(line, shell=True, cwd=ROOT, input=lines, capture_output=True)
    assert json.loads(done.stdout)["text"] == "cat" and done.stderr == b""
