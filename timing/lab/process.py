"""Processes in sessions of their own: none is left behind, and what they used can be summed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from timing.lab import LabError

PROC = Path("/proc")
KILL_S = 10  # a process that the kernel cannot end in this time hangs in a device


def spawn(
    command: Sequence[str],
    output: IO[bytes] | int,
    env: Mapping[str, str] | None = None,
    before_exec: Callable[[], None] | None = None,
    errors: IO[bytes] | int = subprocess.STDOUT,
) -> subprocess.Popen:
    """Start `command` as the leader of a session, its output and errors to `output`.

    `before_exec` runs in the child. Raises LabError.
    """
    try:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=env,
            start_new_session=True, preexec_fn=before_exec,
        )  # fmt: skip
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LabError(f"{command[0]}: cannot be started ({reason})") from None


def stop(process: subprocess.Popen, grace_s: float) -> None:
    """End `process` and all it started: SIGTERM to it, after `grace_s` SIGKILL to what is left.

    A process that left both its session and its parents is not found here, only by its cgroup.
    Raises LabError where the kernel cannot end one.
    """
    if grace_s and process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    # None may bear another while they are counted: that one would outlive them.
    halted: set[int] = set()
    while new := set(members(process.pid)) - halted:
        for pid in new:
            send(pid, signal.SIGSTOP)
        halted |= new
    deadline = time.monotonic() + KILL_S
    while True:
        left = members(process.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # where there is no /proc to look in
        for pid in left:
            send(pid, signal.SIGKILL)
        if process.poll() is not None and not left:
            return
        if time.monotonic() > deadline:
            raise LabError(f"found processes that outlive SIGKILL: {left}")
        time.sleep(0.002)


def send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def members(leader: int) -> list[int]:
    """The pids of the leader's session and of all their descendants, without those that ended."""
    parents, found = {}, set()
    for path in PROC.glob("[0-9]*/stat"):
        try:
            # proc(5): what is before the last parenthesis is pid and name, then the state, the
            # parent, the process group and the session.
            state, parent, _, session = path.read_bytes().rpartition(b")")[2].split()[:4]
        except (OSError, ValueError):
            continue  # it ended just now
        if state not in (b"Z", b"X"):
            pid = int(path.parent.name)
            parents[pid] = int(parent)
            if int(session) == leader:
                found.add(pid)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def usage(pids: Sequence[int]) -> dict[str, int]:
    """What the processes use and have read so far, in bytes; what /proc does not tell is absent.

    `resident_peak_bytes`: their largest resident sets, summed, so that shared pages count twice;
    `resident_pss_bytes`: what is resident now, shared pages divided among those who share them;
    `read_bytes`: by read(2) and the like, from storage or the page cache (not through mmap);
    `read_storage_bytes`: what had to come from storage. Children that ended count in both.
    See proc_pid_status(5), proc_pid_smaps(5) and proc_pid_io(5).
    """
    total: dict[str, int] = {}
    for file, field, key, unit in (
        ("status", "VmHWM", "resident_peak_bytes", 1024),
        ("smaps_rollup", "Pss", "resident_pss_bytes", 1024),
        ("io", "rchar", "read_bytes", 1),
        ("io", "read_bytes", "read_storage_bytes", 1),
    ):
        values = [value for pid in pids if (value := _field(pid, file, field)) is not None]
        if values:
            total[key] = sum(values) * unit
    return total


def _field(pid: int, file: str, field: str) -> int | None:
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / file).read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return int(value.split()[0])
    return None
