"""The staged folder, started here as Cloud Run will start it, against the golden answers:

    python -m deploy.parity build/stage

The interpreter is the one that the folder is served by: the one of `make serve` has its packages.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from deploy import smoke

START_S = 60  # until it listens


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(f"error: found {len(sys.argv) - 1} arguments, expected one: a staged folder")
    folder = Path(sys.argv[1])
    try:
        with started(folder) as url:
            print(smoke.check(url, folder, smoke.key()))
    except (smoke.SmokeError, OSError) as error:
        sys.exit(f"error: {error}")


@contextlib.contextmanager
def started(folder: Path) -> Iterator[str]:
    """The URL of what runs in `folder` and listens. Raises SmokeError."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "functions_framework", "--target=classify"]
    if (folder / "index.cjs").exists():
        command = ["node", "index.cjs"]
    # With nothing of this repository on its way, and leaving nothing in its folder.
    environment = {**os.environ, "PORT": str(port), "PYTHONPATH": "", "BUNDLE": "",
                   "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
        try:
            deadline = time.monotonic() + START_S
            while not listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    said.seek(0)
                    last = said.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
                    raise smoke.SmokeError(
                        f"{folder}: found nobody listening ({last or 'not a word'}), expected what "
                        "was staged to start"
                    )
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
