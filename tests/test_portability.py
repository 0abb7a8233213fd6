"""The portability benchmark: what it says without an emulator, and that its control is exact."""

import subprocess
import sys

import numpy as np
import pytest

from benchmarks import portability


def test_without_qemu_it_says_so_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["portability"])
    monkeypatch.setattr(portability.shutil, "which", lambda name: None)
    monkeypatch.setattr(portability, "OUT", tmp_path / "portability.json")
    portability.main()
    assert "found no qemu-x86_64" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_control_saturates_by_its_inputs_alone(tmp_path):
    portability.write_control(tmp_path / "control.onnx")
    # At the limits, two neighbours do not fit into the 16 bits that vpmaddubsw adds them in.
    assert np.iinfo(np.int16).max < 2 * 255 * 127
    # Ones instead of 255: this test may itself run on a CPU that saturates.
    found = portability.run_control(tmp_path / "control.onnx", 1)
    assert found == [127 * portability.DEPTH] * 16


def test_a_child_that_fails_is_named(tmp_path, monkeypatch):
    done = subprocess.CompletedProcess([], -4, "", "Illegal instruction")
    monkeypatch.setattr(portability.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(ValueError, match=r"^qemu-x86_64 -cpu Haswell: found exit status -4 \(Ill"):
        portability.answers(tmp_path, tmp_path, ["qemu-x86_64", "-cpu", "Haswell"])
