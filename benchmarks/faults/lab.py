"""A function under test: started, watched, started again where it died."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from threading import Thread

from benchmarks.faults.silence import leaks
from function.golden import compare
from timing.lab import process

ROOT = Path(__file__).resolve().parent.parent.parent
START_S = 60
COMMANDS = {
    "python": [sys.executable, "-m", "functions_framework", "--source", "function/main.py",
               "--target", "classify", "--host", "127.0.0.1", "--port"],
    "node": ["node", str(ROOT / "node_modules/.bin/functions-framework"), "--source",
             "js_runtime/function.js", "--target", "classify", "--port"],
}  # fmt: skip


class FaultError(Exception):
    """A server that does not start or answers wrongly before anything was done to it."""


class Server:
    """A function of `runtime` serving `bundle`, whose streams go to `out`."""

    def __init__(self, runtime: str, bundle: Path, out, before_exec: Callable | None = None,
                 **environment: str):  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.runtime, self.bundle, self._out = runtime, bundle, out
        self._before_exec = before_exec
        self._environment = {**os.environ, "BUNDLE": str(bundle), **environment}
        self.spawn()

    def spawn(self) -> None:
        command = [*COMMANDS[self.runtime], str(self.port)]
        self.process = process.spawn(command, self._out, self._environment, self._before_exec)

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def wait(self) -> None:
        """Until it is ready. Raises FaultError."""
        deadline = time.monotonic() + START_S
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise FaultError(f"{self.runtime}: found no server that is ready, expected one")
            time.sleep(0.02)

    def known(self) -> list[tuple[str, dict]]:
        """Golden phrases and its answers to them, which are compared with the golden ones: what a
        good caller must hear whatever happens. Raises FaultError and GoldenError."""
        golden = json.loads((self.bundle / "golden.json").read_text("utf-8"))
        contract = json.loads((self.bundle / "contract.json").read_text("utf-8"))
        texts = [phrase["text"] for phrase in golden["phrases"]]
        scored = [self.ask(text, "?scores=all") for text in texts]
        compare(golden, [task["name"] for task in contract["tasks"]], scored)
        return [(text, self.ask(text)) for text in texts]

    def ask(self, text: str, query: str = "") -> dict:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/classify{query}",
            json.dumps({"text": text}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=START_S) as answer:
            return json.load(answer)["results"][0]

    def model(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=5) as answer:
            return json.load(answer)["model"]

    def clock(self) -> float:
        """Its wall clock (s), by the header `Date`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
            return parsedate_to_datetime(answer.headers["Date"]).timestamp()

    def pids(self) -> list[int]:
        return process.members(self.process.pid)

    def held(self) -> dict[str, int]:
        """Memory of its own (Pss, bytes) and open files of all its processes."""
        files = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                files += len(os.listdir(f"/proc/{pid}/fd"))
        memory = process.usage(self.pids()).get("resident_pss_bytes", 0)
        return {"memory_bytes": memory, "files": files}

    def kill(self) -> None:
        """SIGKILL to all of it, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


@contextlib.contextmanager
def started(runtime: str, bundle: Path, out=None, before_exec=None,
            **environment: str) -> Iterator[Server]:  # fmt: skip
    """A ready one, ended afterwards; without an `out` its log is read then. Raises FaultError, also
    where a line of the log may hold what somebody sent."""
    with tempfile.TemporaryFile() as log:
        server = Server(runtime, bundle, out or log, before_exec, **environment)
        try:
            server.wait()
            yield server
        finally:
            process.stop(server.process, 5)
        log.seek(0)
        for line in leaks(log.read().decode("utf-8", "replace")):
            raise FaultError(f"{runtime}: found the line {line!r} in the log, expected known ones")


@contextlib.contextmanager
def supervised(server: Server) -> Iterator[list[float]]:
    """Start it again whenever it ends, as Cloud Run, systemd and Docker do; gives when (s)."""
    over, starts = [], []

    def watch() -> None:
        while not over:
            if server.process.poll() is not None:
                server.spawn()
                starts.append(time.monotonic())
            time.sleep(0.01)

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield starts
    finally:
        over.append(True)
        thread.join()
