"""A control group for one start: its limits, its peak memory, and no process that outlives it.

Version 1 has a hierarchy per controller, version 2 one for all:
https://docs.kernel.org/admin-guide/cgroup-v1/, https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from timing.lab import LabError
from timing.lab.process import send

PROC = Path("/proc/self")
CPU, MEMORY = "cpu", "memory"
PERIOD_US = 100_000  # in which a group may use its share of CPU time; the kernel's own default
REMOVAL_S = 5
_numbers = itertools.count()


@dataclass(frozen=True)
class Group:
    """A group that processes can `join`. `memory` is the folder of its memory controller."""

    version: int
    folders: tuple[Path, ...]
    memory: Path | None

    def join(self) -> None:
        """Move the calling process in. Raises OSError."""
        for folder in self.folders:
            _write(folder / "cgroup.procs", "0")

    def peak(self) -> int | None:
        """The most bytes it held so far, with the files that it was the first to read (and without
        those that others had read into the page cache); None without a memory controller, or
        before Linux 5.19 on version 2."""
        name = {1: "memory.max_usage_in_bytes", 2: "memory.peak"}[self.version]
        if self.memory is not None:
            with contextlib.suppress(OSError):
                return int((self.memory / name).read_text())
        return None

    def killed(self) -> int:
        """How many of its processes the kernel ended because its memory was full."""
        name = {1: "memory.oom_control", 2: "memory.events"}[self.version]
        if self.memory is None:
            return 0
        found = re.search(r"^oom_kill (\d+)$", (self.memory / name).read_text(), re.M)
        return int(found[1]) if found else 0


@contextlib.contextmanager
def group(
    controllers: Sequence[str], cpus: float | None = None, memory: int | None = None
) -> Iterator[Group]:
    """A group under this process's own, at most `cpus` CPUs and `memory` bytes, without swap.

    At the end what is still in it is killed and it is removed. Raises LabError where the machine
    does not allow one.
    """
    parents = _parents(controllers)
    version = next(iter(parents.values()))[0]
    name = f"coldstart-{os.getpid()}-{next(_numbers)}"
    folders = {controller: parent / name for controller, (_, parent) in parents.items()}
    made = Group(version, tuple(dict.fromkeys(folders.values())), folders.get(MEMORY))
    try:
        try:
            for folder in made.folders:
                folder.mkdir()
            if cpus is not None:
                _limit_cpus(folders[CPU], version, cpus)
            if memory is not None:
                _limit_memory(folders[MEMORY], version, memory)
            _try_to_join(made)
        except OSError as error:
            raise LabError(f"{error.filename or 'cgroup'}: {error.strerror}") from None
        yield made
    finally:
        for folder in made.folders:
            _remove(folder)


def _limit_cpus(folder: Path, version: int, cpus: float) -> None:
    quota = int(cpus * PERIOD_US)
    if version == 2:
        _write(folder / "cpu.max", f"{quota} {PERIOD_US}")
    else:
        _write(folder / "cpu.cfs_period_us", str(PERIOD_US))
        _write(folder / "cpu.cfs_quota_us", str(quota))


def _limit_memory(folder: Path, version: int, size: int) -> None:
    main, swap = ("memory.max", "memory.swap.max") if version == 2 else (
        "memory.limit_in_bytes", "memory.memsw.limit_in_bytes")  # fmt: skip
    _write(folder / main, str(size))
    if (folder / swap).exists():  # version 1 counts memory and swap together, version 2 apart
        _write(folder / swap, "0" if version == 2 else str(size))


def _try_to_join(made: Group) -> None:
    """Whether a child may join. Also, the first to join after a pause waits for all CPUs (15 ms):
    better this one than the server that is measured. Raises OSError."""
    child = os.fork()
    if child == 0:
        status = errno.EINTR
        try:
            made.join()
            status = 0
        except OSError as error:
            status = error.errno
        finally:  # also on Ctrl-C: this is not the process that may go on from here
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        reason = os.strerror(status) if status > 0 else "a process that joined it was killed"
        raise OSError(status, reason, str(made.folders[0] / "cgroup.procs"))


def _parents(controllers: Sequence[str]) -> dict[str, tuple[int, Path]]:
    """By controller the version and the folder under which a group may be made."""
    try:
        mounts = [line.partition(" - ") for line in _lines("mountinfo")]
        own = [line.split(":", 2)[1:] for line in _lines("cgroup")]
    except OSError:
        raise LabError("found no control groups on this machine") from None
    found: dict[str, tuple[int, Path]] = {}
    for mount, _, kind in mounts:
        root, at = mount.split()[3:5]
        options = kind.split()[-1].split(",")
        for names, path in own:
            here = [c for c in controllers if c in options and c in names.split(",")]
            if kind.startswith("cgroup ") and here:
                folder = _existing(Path(at), root, path)
                found |= {controller: (1, folder) for controller in here}
            elif kind.startswith("cgroup2 ") and not names:
                known = (Path(at) / "cgroup.controllers").read_text().split()
                if here := [c for c in controllers if c in known]:
                    folder = _delegating(Path(at), _existing(Path(at), root, path), here)
                    found |= {controller: (2, folder) for controller in here}
    missing = set(controllers) - found.keys()
    if missing or len({version for version, _ in found.values()}) != 1:
        raise LabError(f"found no {' or '.join(sorted(missing)) or 'single'} controller in the "
                       "control groups of this machine")  # fmt: skip
    return found


def _lines(name: str) -> list[str]:
    return (PROC / name).read_text("utf-8", "replace").splitlines()


def _existing(mount: Path, root: str, path: str) -> Path:
    """The folder of `path` under a mount that shows the hierarchy from `root` on; the nearest one
    above where a container hides it."""
    inside = path.removeprefix(root.rstrip("/")).strip("/")
    folder = mount / inside
    while ".." in folder.parts or not folder.is_dir():
        folder = folder.parent
    return folder


def _delegating(mount: Path, folder: Path, controllers: Sequence[str]) -> Path:
    """The nearest folder from `folder` up that hands the controllers down; where there is none,
    one that can be told to, which is one without processes of its own (or the root)."""
    upwards = [f for f in (folder, *folder.parents) if f == mount or mount in f.parents]
    for above in upwards:
        if set(controllers) <= set((above / "cgroup.subtree_control").read_text().split()):
            return above
    for above in upwards:
        with contextlib.suppress(OSError):
            _write(above / "cgroup.subtree_control", " ".join(f"+{c}" for c in controllers))
            return above
    raise LabError(f"{folder}: found none above it that may hand down {' and '.join(controllers)}")


def _write(path: Path, text: str) -> None:
    """Into a file that exists: the kernel's files are not made by opening them."""
    file = os.open(path, os.O_WRONLY)
    try:
        os.write(file, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        os.close(file)


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + REMOVAL_S
    while folder.is_dir():
        with contextlib.suppress(OSError):
            for pid in (folder / "cgroup.procs").read_text().split():
                send(int(pid), signal.SIGKILL)
        with contextlib.suppress(OSError):
            folder.rmdir()
            return
        if time.monotonic() > deadline:
            raise LabError(f"{folder}: cannot be removed, found processes in it")
        time.sleep(0.005)
