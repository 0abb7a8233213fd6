"""One cold start here: from the start of the server's process to its first right answer."""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from timing.lab import LabError, cgroup, lines, process, question, strace
from timing.lab.question import Question

DROP_CACHES = Path("/proc/sys/vm/drop_caches")
POLL_S = 0.002  # between two attempts to connect: what the times are exact to
# Below those that the kernel gives to clients: an attempt to connect to a port of theirs can be
# given that very port, connect to itself and so take it from the server.
PORTS = range(20_000, 32_000)
GRACE_S = 3  # for the lines that a server writes after its answer


@dataclass(frozen=True)
class Configuration:
    """What is started and under which limits; `memory` as Cloud Run writes it, such as 512Mi."""

    command: str
    cpus: float | None = None
    memory: str | None = None

    @property
    def name(self) -> str:
        limits = [f"{self.cpus:g} CPU"] if self.cpus else []
        limits += [self.memory] if self.memory else []
        return f"{self.command} [{', '.join(limits) or 'no limits'}]"


@dataclass(frozen=True)
class Bench:
    """What all starts share. `controllers` are those of cgroup.py that this machine allows."""

    question: Question
    timeout_s: float
    port: int | None = None
    controllers: Sequence[str] = ()
    drops_page_cache: bool = False


@dataclass(frozen=True)
class Server:
    """One that has given the right answer; `pid` leads the session of all its processes."""

    url: str
    pid: int


def start(
    configuration: Configuration, bench: Bench, then: Callable[[Server], object] | None = None
) -> dict[str, float]:
    """Measure one start: `listening_ms` until a connection stands and `first_answer_ms` until the
    right answer is here, both from the start of the process; durations as in lines.py, bytes as in
    process.py and, where there is a group, its `cgroup_peak_bytes`. Raises LabError.

    `then` is called after the right answer; what it makes the server use counts.
    """
    if bench.drops_page_cache:
        drop_page_cache()
    with contextlib.ExitStack() as stack:
        group = None
        if bench.controllers:
            size = parse_size(configuration.memory) if configuration.memory else None
            limits = cgroup.group(bench.controllers, configuration.cpus, size)
            group = stack.enter_context(limits)
        return _start(words(configuration.command), configuration.name, bench, group, then)


def first(command: str, bench: Bench, traced: bool) -> dict[str, int]:
    """The start that is not counted, without limits because strace needs its share: what
    `strace.count` finds, nothing where it is not `traced`. Raises LabError."""
    if not traced:
        _start(words(command), command, bench, None)
        return {}
    with tempfile.TemporaryDirectory() as folder:
        _start([*strace.prefix(Path(folder)), *words(command)], command, bench, None)
        return strace.count(Path(folder))


def _start(
    command: list[str],
    name: str,
    bench: Bench,
    group: cgroup.Group | None,
    then: Callable[[Server], object] | None = None,
) -> dict:
    port = free_port(bench.port)
    command = [word.replace("{port}", str(port)) for word in command]
    # Appending, so that reading what was said does not move where the server writes.
    with tempfile.TemporaryFile("a+b") as output, contextlib.ExitStack() as stack:

        def said() -> str:
            output.seek(0)
            return output.read().decode("utf-8", "replace")

        began = time.perf_counter_ns()
        server = process.spawn(command, output, {**os.environ, "PORT": str(port)},
                               group.join if group else None)  # fmt: skip
        stack.callback(process.stop, server, 0)

        def look() -> None:
            status = server.poll()
            killed = group.killed() if group else 0
            if killed:
                raise LabError(f"found {killed} of its processes killed for memory")
            if status is not None:
                died = f"exit status {status}" if status >= 0 else f"signal {-status}"
                raise LabError(f"it died, {died} ({lines.last_words(said())})")

        try:
            url = f"http://127.0.0.1:{port}"
            listening, answered = _first_answer(url, bench, look)
            try:
                if then:
                    then(Server(url, server.pid))
            finally:  # that it was killed says more than that it does not answer
                look()
        except LabError as error:
            raise LabError(f"{name}: {error}") from None
        used = process.usage(process.members(server.pid))
        if group and (peak := group.peak()) is not None:
            used["cgroup_peak_bytes"] = peak
        process.stop(server, GRACE_S)
        return {
            "listening_ms": (listening - began) / 1e6,
            "first_answer_ms": (answered - began) / 1e6,
            **lines.durations(lines.records(said())),
            **used,
        }


def _first_answer(url: str, bench: Bench, look: Callable[[], None]) -> tuple[int, int]:
    """The ns of the first connection and of the right answer. A server may refuse, hang up or say
    503 as long as it is starting. Raises LabError."""
    deadline = time.monotonic() + bench.timeout_s
    listening, seen = 0, "nothing listens"
    while (left := deadline - time.monotonic()) > 0:
        look()
        try:
            with contextlib.closing(question.connect(url, left)) as connection:
                listening = listening or time.perf_counter_ns()
                seen = "it listens and does not answer"
                status, content = question.ask(connection, bench.question, left, look)
            answered = time.perf_counter_ns()
        except OSError:
            time.sleep(POLL_S)
            continue
        if status != 503:
            bench.question.check(status, content)
            return listening, answered
        seen = "HTTP status 503"
        time.sleep(POLL_S)
    raise LabError(f"found no answer within {bench.timeout_s:g} s ({seen})")


def words(command: str) -> list[str]:
    """The words of a command as a shell would cut them. Raises LabError."""
    try:
        found = shlex.split(command)
    except ValueError as error:
        raise LabError(f"{command}: cannot be read as a command ({error})") from None
    if not found:
        raise LabError("found an empty command, expected one that starts a server")
    return found


def free_port(wanted: int | None) -> int:
    """`wanted`, or any free one. Raises LabError where it is in use."""
    for port in [wanted] if wanted else random.sample(PORTS, 100):
        with socket.socket() as free, contextlib.suppress(OSError, OverflowError):
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of what closed just now
            free.bind(("", port))
            return port
    raise LabError(f"port {wanted or PORTS}: found it in use or not allowed, expected a free one")


def parse_size(text: str) -> int:
    """Bytes of a size such as 512Mi or 1Gi. Raises ValueError."""
    number, unit = text[:-2], text[-2:]
    if not number.isascii() or not number.isdigit() or unit not in ("Mi", "Gi") or not int(number):
        raise ValueError(f"found {text!r}, expected a size such as 512Mi or 1Gi")
    return int(number) << {"Mi": 20, "Gi": 30}[unit]


def drop_page_cache() -> None:
    """Page cache, dentries and inodes of the whole machine: what a fresh instance has not either.
    Raises OSError."""
    os.sync()  # what is not written yet cannot be dropped
    DROP_CACHES.write_text("3\n")
