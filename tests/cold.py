"""What the tests of the cold-start lab share: its runs, its server, and what is left of them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from timing import coldstart
from timing.lab import LabError, strace

SERVER = Path(__file__).with_name("cold_server.py")
ASKED = ("--text", "smoked paprika", "--expect", "source=plant")


def server(seconds: float, how: str = "right") -> str:
    return f"{sys.executable} -IS {SERVER} {seconds} {how}"


@pytest.fixture
def alive(monkeypatch):
    """The pids of what was started in this test and still lives."""
    token = f"COLD_TOKEN={uuid4().hex}"
    monkeypatch.setenv(*token.split("="))

    def living() -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if token.encode() in path.read_bytes():
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found

    return living


@pytest.fixture
def lab(tmp_path, capsys, monkeypatch):
    """Runs the lab in this process; gives its report and what it printed."""

    def run(*given: str) -> tuple[dict, str]:
        out = tmp_path / "out" / "coldstart.json"
        coldstart.main([*ASKED, "--timeout", "20", "--out", str(out), *given])
        assert [path.name for path in out.parent.iterdir()] == [out.name]
        return json.loads(out.read_text()), capsys.readouterr().out

    return run


@pytest.fixture
def untraced(monkeypatch):
    def probe():
        raise LabError("not in this test")

    monkeypatch.setattr(strace, "probe", probe)


def groups() -> list[Path]:
    """The control groups of this process's labs that are still there."""
    name = f"coldstart-{os.getpid()}-*"
    return [*Path("/sys/fs/cgroup").glob(name), *Path("/sys/fs/cgroup").glob(f"*/**/{name}")]
