"""A function of either runtime, started for a test and asked over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.faults.silence import leaks
from tests.conftest import ROOT

# How each runtime's function is started; the port comes behind it.
COMMANDS = {
    "python": [sys.executable, "-m", "functions_framework", "--source", "function/main.py",
               "--target", "classify", "--host", "127.0.0.1", "--port"],
    "node": ["node_modules/.bin/functions-framework", "--source", "js_runtime/function.js",
             "--target", "classify", "--port"],
}  # fmt: skip
RUNTIMES = [
    "python",
    pytest.param("node", marks=pytest.mark.skipif(
        not shutil.which("node") or not (ROOT / "node_modules").exists(),
        reason="needs node and npm ci",
    )),
]  # fmt: skip


@contextlib.contextmanager
def server(
    bundle: Path, log: Path, runtime: str = "python", **environment: str
) -> Iterator[int]:
    """A started function; gives its port once it is ready."""
    with log.open("wb") as out, started(bundle, out, runtime, **environment) as (port, _):
        yield port
    assert "terminate called" not in log.read_text()  # a worker that aborts instead of ending


@contextlib.contextmanager
def started(
    bundle: Path, out, runtime: str, **environment: str
) -> Iterator[tuple[int, subprocess.Popen]]:
    """A function that writes both its streams to `out`: its port, and its process, which is ended
    if it runs still."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*COMMANDS[runtime], str(port)]
    env = {**os.environ, "BUNDLE": str(bundle), "PYTHONPATH": str(ROOT), **environment}
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                if ask(port, "GET", "/ready")[0] == 200:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the server did not start; see {getattr(out, 'name', out)}")
            time.sleep(0.05)
        yield port, process
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
        path = Path(str(getattr(out, "name", "")))
        if path.is_file():
            assert list(leaks(path.read_text("utf-8", "replace"))) == []


def ask(port: int, method: str, path: str, body=None, headers=None, chunked=False):
    """(status, headers, content) of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        given = iter([body]) if chunked else body
        connection.request(method, path, given, headers or {}, encode_chunked=chunked)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()
