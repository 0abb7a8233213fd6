"""What comes between a function and its end or its callers: signals, slow bodies, deaf logs."""

import contextlib
import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.conftest import make_bundle
from tests.serving import RUNTIMES, ask, started

BODY = b'{"text": "cat"}'
HEAD = (b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(BODY))  # fmt: skip
SLOW = 40  # more than a runtime has threads by itself


@pytest.fixture(scope="module", params=RUNTIMES)
def runtime(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def pets(tmp_path_factory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "pets")


def half(port: int, content: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=25)
    connection.sendall(content)
    return connection


def answer(connection: socket.socket) -> tuple[int, dict]:
    """Status and JSON of what comes until the other side closes."""
    content = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = content.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def said_to(port: int, content: bytes) -> socket.socket | None:
    with contextlib.suppress(OSError):
        return half(port, content)


def heard(connection: socket.socket) -> bytes:
    with connection, contextlib.suppress(ConnectionError):
        return connection.recv(4096)
    return b""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_to_end_finishes_what_is_under_way_and_takes_no_more(
    pets, tmp_path, runtime, name
):
    if (runtime, name) == ("python", "SIGINT"):
        pytest.skip("to gunicorn that is the quick end, for a person at the keyboard")
    with (tmp_path / "log").open("wb") as out, started(pets, out, runtime) as (port, process):
        with half(port, HEAD + BODY[:5]) as under_way:
            time.sleep(0.3)
            process.send_signal(signal.Signals[name])
            time.sleep(0.5)
            late = said_to(port, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert process.poll() is None
            under_way.sendall(BODY[5:])
            status, content = answer(under_way)
        assert status == 200 and content["results"][0]["animal"]["label"] == "yes"
        assert process.wait(15) == 0
        # Refused, or never taken by gunicorn, which leaves it in the kernel's queue.
        assert late is None or heard(late) == b""


def test_slow_bodies_keep_nobody_waiting_and_are_given_up(pets, tmp_path, runtime):
    with (tmp_path / "log").open("wb") as out, started(pets, out, runtime) as (port, _):
        with contextlib.ExitStack() as stack:
            slow = [stack.enter_context(half(port, HEAD + BODY[:n % 9])) for n in range(SLOW)]
            for _ in range(20):
                assert ask(port, "GET", "/classify?text=cat")[0] == 200
            slow[0].sendall(b" ")  # trickles on, to no avail
            for connection in slow:
                status, content = answer(connection)
                assert (status, content["status"]) == (408, 408)
        assert ask(port, "POST", "/classify", BODY, {"Content-Type": "application/json"})[0] == 200


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_for_the_log_is_not_the_callers_trouble(pets, runtime):
    with open("/dev/full", "wb") as full, started(pets, full, runtime) as (port, process):
        assert {ask(port, "GET", "/classify?text=cat")[0] for _ in range(50)} == {200}
        assert process.poll() is None


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_log_that_nobody_reads_is_not_the_callers_trouble(pets, runtime):
    reading, writing = os.pipe()
    try:
        with started(pets, writing, runtime) as (port, _):
            # Some 600 bytes each, ten times of what a pipe holds.
            assert {ask(port, "GET", "/classify?text=cat")[0] for _ in range(1_000)} == {200}
            os.set_blocking(reading, False)
            lines = os.read(reading, 1 << 20).splitlines()
            ours = [json.loads(line) for line in lines if line.startswith(b"{")]
            assert len(ours) > 100 and all("severity" in line for line in ours)
    finally:
        os.close(reading)
        os.close(writing)
