"""The portability benchmark: what it says without an emulator, and that its control is exact."""

import subprocess
import sys

import numpy as np

from benchmarks import portability
from function.model import open_session


def test_without_qemu_it_says_so_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["portability"])
    monkeypatch.setattr(portability.shutil, "which", lambda name: None)
    monkeypatch.setattr(portability, "OUT", tmp_path / "portability.json")
    portability.main()
    assert "found no qemu-x86_64" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_control_multiplies_bytes_at_their_limits(tmp_path):
    portability.write_control(tmp_path / "control.onnx")
    # In plain numpy first: this test may itself run on a CPU that saturates.
    assert 2 * 255 * 127 > np.iinfo(np.int16).max
    graph = open_session(str(tmp_path / "control.onnx"))
    (product,) = graph.run(None, {"x": np.ones((1, portability.DEPTH), np.uint8)})
    assert product.tolist() == [[127 * portability.DEPTH] * 16]


def test_a_child_that_fails_is_named(tmp_path, monkeypatch):
    done = subprocess.CompletedProcess([], -4, "", "Illegal instruction")
    monkeypatch.setattr(portability.subprocess, "run", lambda *_, **__: done)
    try:
        portability.answers(tmp_path, tmp_path, ["qemu-x86_64", "-cpu", "Haswell"])
    except ValueError as error:
        assert str(error).startswith("qemu-x86_64 -cpu Haswell: found exit status -4 (Illegal")
    else:
        raise AssertionError("expected a ValueError")
