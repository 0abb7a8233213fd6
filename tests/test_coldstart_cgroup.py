"""The lab's control groups: the machine's own where they may be written, and imitations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cold import groups, server
from timing import coldstart
from timing.lab import LabError, cgroup

REFUSED = coldstart.allowed(limits_cpus=True)[1]
needs_cpu = pytest.mark.skipif(cgroup.CPU in REFUSED, reason=REFUSED.get(cgroup.CPU, ""))
needs_memory = pytest.mark.skipif(cgroup.MEMORY in REFUSED, reason=REFUSED.get(cgroup.MEMORY, ""))


@needs_cpu
def test_a_limit_of_cpus_slows_a_start_down(lab, untraced):
    found, printed = lab("--starts", "1", "--cpus", "0.1", server(0, "burns"))
    (measured,) = found["configurations"]
    # 100 ms of CPU time in portions of 10 ms every 100 ms
    assert measured["summary"]["first_answer_ms"]["min"] > 700
    assert measured["cpus"] == 0.1 and "[0.1 CPU]" in printed and not groups()


@needs_memory
def test_a_server_over_its_memory_is_told(lab, untraced, alive):
    with pytest.raises(SystemExit, match=r"\[64Mi\]: found 1 of its processes killed for memory"):
        lab("--starts", "1", "--memory", "1Gi", "--memory", "64Mi", server(0, "hungry"))
    assert not alive() and not groups()


@needs_memory
def test_the_peak_is_that_of_the_group(lab, untraced):
    found, _ = lab("--starts", "1", server(0, "hungry"), server(0))
    peaks = [c["summary"]["cgroup_peak_bytes"]["max"] for c in found["configurations"]]
    assert peaks[0] > 200_000_000 > peaks[1]


@needs_memory
def test_a_group_kills_what_left_the_session_and_is_removed(alive):
    with cgroup.group((cgroup.MEMORY,)) as group:
        # A daemon: its parent is gone, its session is its own.
        daemon = ("import subprocess, sys; subprocess.Popen([sys.executable, '-c', "
                  "'import time; time.sleep(600)'], start_new_session=True)")  # fmt: skip
        subprocess.run([sys.executable, "-c", daemon], preexec_fn=group.join, check=True)
        assert len(alive()) == 1 and len(groups()) == 1
    assert not alive() and not groups()


def imitate(tmp_path: Path, monkeypatch, mountinfo: str, own: str) -> None:
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "mountinfo").write_text(mountinfo)
    (proc / "cgroup").write_text(own)
    monkeypatch.setattr(cgroup, "PROC", proc)


def test_version_2_takes_the_nearest_folder_that_hands_its_controllers_down(tmp_path, monkeypatch):
    mount = tmp_path / "mount"
    own = mount / "user" / "app" / "shell"
    own.mkdir(parents=True)
    (mount / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    for folder, handed in ((own, ""), (own.parent, "pids"), (mount / "user", "cpu memory pids"),
                           (mount, "cpu memory pids")):  # fmt: skip
        (folder / "cgroup.subtree_control").write_text(handed)
    imitate(tmp_path, monkeypatch, f"30 29 0:26 / {mount} rw - cgroup2 cgroup2 rw\n",
            "0::/user/app/shell\n")  # fmt: skip
    found = cgroup._parents(("cpu", "memory"))
    assert found == {"cpu": (2, mount / "user"), "memory": (2, mount / "user")}
    (mount / "user" / "cgroup.subtree_control").write_text("")
    (mount / "cgroup.subtree_control").write_text("")
    cgroup._parents(("memory",))  # told to the nearest that takes it
    assert (own / "cgroup.subtree_control").read_text() == "+memory"


def test_version_1_finds_each_controllers_own_folder(tmp_path, monkeypatch):
    (tmp_path / "m" / "box").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    mountinfo = (f"30 29 0:26 / {tmp_path / 'm'} rw - cgroup cgroup rw,memory\n"
                 f"31 29 0:27 /docker/1 {tmp_path / 'c'} rw - cgroup cgroup rw,cpuacct,cpu\n"
                 "32 29 0:28 / /unified rw - cgroup2 cgroup2 rw\n")  # fmt: skip
    own = "9:memory:/box/hidden\n8:cpuacct,cpu:/docker/1\n"
    imitate(tmp_path, monkeypatch, mountinfo, own)
    expected = {"cpu": (1, tmp_path / "c"), "memory": (1, tmp_path / "m" / "box")}
    assert cgroup._parents(("cpu", "memory")) == expected


@pytest.mark.parametrize("mountinfo", ["", None])
def test_a_machine_without_groups_is_told_and_measured(
    lab, untraced, tmp_path, monkeypatch, mountinfo
):
    imitate(tmp_path, monkeypatch, mountinfo or "", "")
    if mountinfo is None:
        (tmp_path / "proc" / "mountinfo").unlink()
    found, printed = lab("--starts", "1", "--cpus", "1", "--memory", "64Mi", server(0))
    assert "CPUs were not limited: found no " in printed
    assert "memory was not limited, its peak not measured by cgroup: found no " in printed
    (measured,) = found["configurations"]
    assert (measured["cpus"], measured["memory"]) == (None, None)
    assert "cgroup_peak_bytes" not in measured["summary"]
    assert measured["summary"]["resident_peak_bytes"]["n"] == 1


def test_a_group_that_may_not_be_written_is_told_and_removed(tmp_path, monkeypatch):
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "cgroup.controllers").write_text("cpu memory\n")
    (mount / "cgroup.subtree_control").write_text("cpu memory\n")
    imitate(tmp_path, monkeypatch, f"30 29 0:26 / {mount} rw - cgroup2 cgroup2 rw\n", "0::/\n")
    with pytest.raises(LabError, match=r"cpu\.max: No such file"), cgroup.group(("cpu",), cpus=1):
        pass
    assert sorted(path.name for path in mount.iterdir()) == ["cgroup.controllers",
                                                             "cgroup.subtree_control"]  # fmt: skip
