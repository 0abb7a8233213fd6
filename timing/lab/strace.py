"""Which files a server opens from its start to its first answer, by strace where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from timing.lab import LabError

# With -y the result names the file: openat(AT_FDCWD</srv>, "a", O_RDONLY) = 3</srv/a>
_OPENED = re.compile(r"^open.* = \d+<(.*)>$")
_FAILED = re.compile(r"^open.* = -1 ")


def prefix(folder: Path) -> list[str]:
    """What to put before a command to have its opens written to `folder`, a file per process."""
    # -I 2, because with -o strace would not heed SIGTERM, with which the server is ended.
    return ["strace", "-ff", "-qq", "-y", "-I", "2", "-e", "trace=open,openat,openat2",
            "-e", "signal=none", "-o", str(folder / "trace")]  # fmt: skip


def probe() -> None:
    """Raises LabError where nothing can be traced here."""
    if not shutil.which("strace"):
        raise LabError("found no strace")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*prefix(Path(folder)), "true"], capture_output=True, text=True)
    if done.returncode:
        raise LabError((done.stderr.strip().splitlines() or ["strace fails"])[-1])


def count(folder: Path) -> dict[str, int]:
    """`files_opened` (different ones, without folders), `opens` and `opens_failed`."""
    files, opens, failed = set(), 0, 0
    for path in folder.glob("trace.*"):
        for line in path.read_text("utf-8", "replace").splitlines():
            if _FAILED.match(line):
                failed += 1
            elif "O_DIRECTORY" not in line and (opened := _OPENED.match(line)):
                opens += 1
                files.add(opened[1])
    return {"files_opened": len(files), "opens": opens, "opens_failed": failed}
