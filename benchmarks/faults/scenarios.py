"""What goes wrong while good callers ask. Each scenario gives a row:

    {"scenario": name, "requests": of good callers, "faults": what was done to the server,
     "lost": good requests without an answer, "wrong": with another answer than before,
     "memory_bytes", "files": how much more the server holds after the second half of the faults
     than after the first, None where it is another process by then}

`scale` shrinks the number of faults, for a test. Whatever a server does that no row can tell, such
as an answer of 500 to a broken request, is a FaultError.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from benchmarks.faults import bundles, fuzz
from benchmarks.faults.client import Callers, Connection
from benchmarks.faults.lab import FaultError, Server, started, supervised
from timing.lab import LabError, cgroup, process

BODY = b'{"text": "smoked paprika"}'
HEAD = (b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(BODY))  # fmt: skip
SLOW = 50  # bodies at once; more than the threads a runtime has by itself
ANSWER_S = 15  # within which a broken request is answered or its connection closed
LIMIT = 128 * 1024 * 1024  # bytes, Cloud Run's smallest
DAY = 86_400  # s


async def beside(server: Server, faults: Callable[[], Awaitable[int]], callers: int = 4,
                 rate: float = 50) -> dict:  # fmt: skip
    """The row of `faults`, which returns their number, done twice while `callers` ask."""
    good = Callers(server.port, server.known(), callers, rate)
    asking = asyncio.create_task(good.run())
    try:
        number, held = 0, []
        for _ in range(2):
            number += await faults()
            await asyncio.sleep(1)  # those who come after it are good callers too
            held.append(server.held())
    finally:
        good.stop()
        await asking
    return {**good.tally.row(), "faults": number, **grown(*held)}


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - before[name] for name in before}


async def slow_bodies(runtime: str, bundle: Path, scale: float) -> dict:
    """Bodies that stop halfway or trickle: given up with 408 after ten seconds."""
    with started(runtime, bundle) as server:

        async def one(number: int) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(HEAD + BODY[: number % 9])
            if number % 2:
                asyncio.get_running_loop().call_later(5, writer.write, b" ")
            content = await asyncio.wait_for(reader.read(), ANSWER_S + 10)
            writer.close()
            if b" 408 " not in content.partition(b"\r\n")[0]:
                raise FaultError(f"found {content[:60]!r} for a slow body, expected status 408")

        async def faults() -> int:
            rounds = max(1, int(2 * scale))
            for _ in range(rounds):
                await asyncio.gather(*map(one, range(SLOW)))
            return rounds * SLOW

        return await beside(server, faults)


async def dropped_connections(runtime: str, bundle: Path, scale: float) -> dict:
    """Callers who leave between request and answer, half of them with a reset."""
    with started(runtime, bundle) as server:

        async def faults() -> int:
            number = int(1_000 * scale)
            for n in range(number):
                with socket.create_connection(("127.0.0.1", server.port)) as connection:
                    if n % 2:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                              struct.pack("ii", 1, 0))  # fmt: skip
                    connection.sendall(HEAD + BODY)
                await asyncio.sleep(0.002)
            return number

        return await beside(server, faults)


async def malformed_requests(runtime: str, bundle: Path, scale: float) -> dict:
    """What benchmarks/faults/fuzz.py makes: every one refused or closed, none a 500, no hang."""
    with started(runtime, bundle) as server:
        half = int(5_000 * scale)
        todo = fuzz.requests(1, 2 * half)

        async def send(some: Iterator[bytes]) -> None:
            for content in some:
                with contextlib.suppress(OSError):  # closed before all was said
                    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                    writer.write(content)
                    writer.write_eof()
                    answer = await asyncio.wait_for(reader.read(), ANSWER_S)
                    writer.close()
                    line = answer.partition(b"\r\n")[0]
                    # 501 is what RFC 9112 (6.1) wants for a transfer coding that nobody knows.
                    if answer and not (200 <= int(line.split()[1]) < 500 or b" 501 " in line):
                        raise FaultError(f"found {line!r} for {content[:200]!r}, expected no 5xx")

        async def faults() -> int:
            some = itertools.islice(todo, half)
            await asyncio.gather(*(send(some) for _ in range(8)))
            return half

        return await beside(server, faults)


async def crowd(runtime: str, bundle: Path, scale: float) -> dict:
    """1,000 callers at once, each on a connection of its own; here they are the good ones."""
    with started(runtime, bundle) as server:
        number, held = int(1_000 * scale), []
        good = Callers(server.port, server.known(), number)
        for _ in range(2):
            await good.run(each=5)
            await asyncio.sleep(1)
            held.append(server.held())
        return {**good.tally.row(), "faults": 2 * number, **grown(*held)}


async def little_memory(runtime: str, bundle: Path, scale: float) -> dict:
    """In a cgroup of 128 MiB: the largest bodies, 256 new texts each, sixteen at once."""
    with contextlib.ExitStack() as stack:
        group = stack.enter_context(cgroup.group([cgroup.MEMORY], memory=LIMIT))
        server = stack.enter_context(started(runtime, bundle, before_exec=group.join))
        each = max(1, int(10 * scale))

        async def send(number: int) -> None:
            connection = Connection(server.port)
            for n in range(each):
                texts = [f"{number} {n} {k} " + "minced oxtail " * 15 for k in range(256)]
                body = json.dumps({"texts": texts}).encode()
                status, _ = await connection.ask("/classify?scores=all", body)
                if status != 200:
                    raise FaultError(f"found status {status} for a large body, expected 200")
            connection.close()

        async def faults() -> int:
            await asyncio.gather(*map(send, range(16)))
            return 16 * each

        row = await beside(server, faults)
        if killed := group.killed():
            raise FaultError(f"found {killed} processes killed for memory, expected none")
        return row


async def new_texts(runtime: str, bundle: Path, scale: float) -> dict:
    """Ever new texts of all scripts, after so many that every cache is full: a leak would show."""
    with started(runtime, bundle) as server:
        texts = fuzz.texts(1)
        connection = Connection(server.port)

        async def send(number: int) -> int:
            for _ in range(number // 20):
                body = json.dumps({"texts": list(itertools.islice(texts, 20))}).encode()
                status, _ = await connection.ask("/classify?scores=all", body)
                if status != 200:
                    raise FaultError(f"found status {status} for odd texts, expected 200")
            return number // 20 * 20

        await send(int(40_000 * scale))
        row = await beside(server, lambda: send(int(80_000 * scale)))
        connection.close()
        return row


async def full_disk(runtime: str, bundle: Path, scale: float) -> dict:
    """Nothing of the log can be written."""
    with open("/dev/full", "wb") as full, started(runtime, bundle, full) as server:
        return await beside(server, _seconds(5 * scale))


async def deaf_log(runtime: str, bundle: Path, scale: float) -> dict:
    """A pipe for the log that nobody reads, and that is full before long."""
    reading, writing = os.pipe()
    try:
        with started(runtime, bundle, writing) as server:
            return await beside(server, _seconds(5 * scale), rate=200)
    finally:
        os.close(reading)
        os.close(writing)


def _seconds(number: float) -> Callable[[], Awaitable[int]]:
    """Every second of which is a fault."""

    async def wait() -> int:
        await asyncio.sleep(number)
        return max(1, round(number))

    return wait


async def clock_jumps(runtime: str, bundle: Path, scale: float) -> dict:
    """The wall clock goes a year on, ten years back, a day on, a day back, every second."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise LabError("cc: found no C compiler, which benchmarks/faults/clock.c needs")
    with tempfile.TemporaryDirectory() as folder:
        offset, library = Path(folder) / "offset", Path(folder) / "clock.so"
        source = Path(__file__).with_name("clock.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        fake = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(offset)}
        with started(runtime, bundle, **fake) as server:

            async def faults() -> int:
                number = max(1, int(10 * scale))
                for n in range(number):
                    offset.write_text(str((365 * DAY, -3_650 * DAY, DAY, -DAY)[n % 4]))
                    await asyncio.sleep(1.1)  # for one second Node says what it said before
                    seen = await asyncio.to_thread(server.clock)
                    if abs(seen - time.time()) < DAY / 2:
                        raise FaultError("found a server whose clock does not jump, expected one")
                return number

            return await beside(server, faults)


async def broken_bundles(runtime: str, bundle: Path, scale: float) -> dict:
    """A byte of each file turned over, each file cut, each missing: no start, and a line why."""
    files = [path.relative_to(bundle) for path in sorted(bundle.rglob("*")) if path.is_file()]
    # The manifest's own figures and descriptions are hashed by nobody.
    files.remove(Path("manifest.json"))
    files = files[: max(1, int(len(files) * scale))]
    number = 0
    for file in files:
        for change in (_turn_over, _cut, Path.unlink):
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / "bundle"
                shutil.copytree(bundle, copy)
                change(copy / file)
                _starts_not(runtime, copy, file)
            number += 1
    return {"requests": 0, "lost": 0, "wrong": 0, "faults": number}


def _turn_over(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _starts_not(runtime: str, bundle: Path, file: Path) -> None:
    with tempfile.TemporaryFile() as out:
        server = Server(runtime, bundle, out)
        try:
            status = server.process.wait(30)
        except subprocess.TimeoutExpired:
            raise FaultError(f"{file}: found a server that runs with it, expected none") from None
        finally:
            process.stop(server.process, 0)
        out.seek(0)
        said = out.read().decode("utf-8", "replace")
    if status == 0 or f"error: {bundle / file}: found " not in said:
        raise FaultError(f"{file}: found status {status} and {said[-200:]!r}, expected a line "
                         "that names it")  # fmt: skip


async def kills(runtime: str, bundle: Path, scale: float) -> dict:
    """kill -9 under load, of the whole function; a supervisor starts it again."""
    with started(runtime, bundle) as server, supervised(server) as starts:

        async def faults() -> int:
            number = max(1, int(5 * scale))
            for _ in range(number):
                await asyncio.sleep(0.5)
                known = len(starts)
                server.kill()
                while len(starts) == known or not await asyncio.to_thread(server.ready):
                    await asyncio.sleep(0.05)
            return number

        row = await beside(server, faults, callers=8, rate=200)
        # One that is in flight dies with the process, for every caller and kill.
        return {**row, "in_flight": 8 * row["faults"], "memory_bytes": None, "files": None}


@contextlib.contextmanager
def _swappable(runtime: str, bundle: Path) -> Iterator[tuple[Server, Path]]:
    """A server and the folder of its bundle, a copy. Raises LabError where it cannot swap."""
    if runtime != "python":
        raise LabError("a Node function gets another model with another process")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "bundle"
        shutil.copytree(bundle, place)
        with started(runtime, place) as server:
            yield server, place


def _expect(server: Server, number: int) -> None:
    """Raises FaultError where it serves another version than that of this number."""
    if (found := server.model()) != (expected := f"ingredients-9.0.{number}"):
        raise FaultError(f"found model {found} after swap {number}, expected {expected}")


async def swaps(runtime: str, bundle: Path, scale: float) -> dict:
    """Bundles that are swapped in under load, three of four of them broken: python's SIGHUP."""
    with _swappable(runtime, bundle) as (server, place):
        versions = itertools.count()

        async def faults() -> int:
            number = max(2, int(12 * scale))
            for n in itertools.islice(versions, number):
                shutil.rmtree(place)
                shutil.copytree(bundle, place)
                _spoil(place, n)
                os.kill(server.process.pid, signal.SIGHUP)
                await asyncio.sleep(1)
                await asyncio.to_thread(_expect, server, n - n % 4)
            return number

        return await beside(server, faults, callers=8, rate=200)


async def hot_swap(runtime: str, bundle: Path, scale: float) -> dict:
    """Good swaps under 500 requests a second: what they add to the p99 outside their own second."""
    with _swappable(runtime, bundle) as (server, place):
        number, swapped, held = max(2, int(6 * scale)), [], []
        good = Callers(server.port, server.known(), 16, 500)
        asking = asyncio.create_task(good.run())
        await asyncio.sleep(20 * scale + 2)
        began = time.monotonic()
        for n in range(number):
            bundles.next_version(place, n)
            swapped.append(time.monotonic())
            os.kill(server.process.pid, signal.SIGHUP)
            await asyncio.sleep(max(1.5, 4 * scale))
            await asyncio.to_thread(_expect, server, n)
            held.append(server.held())
        good.stop()
        tally = await asking
    without = tally.p99_ms(lambda at: at < began)
    outside = tally.p99_ms(
        lambda at: at > began and not any(swap <= at <= swap + 1 for swap in swapped)
    )
    return {**tally.row(), "faults": number, "p99_ms": outside, "p99_before_ms": without,
            **grown(held[number // 2 - 1], held[-1])}  # fmt: skip


def _spoil(bundle: Path, number: int) -> None:
    """Another version of the bundle, a corrupt one, one of other questions, or one too large."""
    (bundles.next_version, bundles.corrupt, bundles.mismatched, bundles.too_large)[number % 4](
        bundle, number
    )


SCENARIOS = (
    slow_bodies, dropped_connections, malformed_requests, crowd, little_memory, new_texts,
    full_disk, deaf_log, clock_jumps, broken_bundles, kills, swaps, hot_swap,
)  # fmt: skip
