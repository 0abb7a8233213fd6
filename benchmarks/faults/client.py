"""Good callers: they ask golden phrases over HTTP/1.1 and know the answers."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass, field

TIMEOUT_S = 20  # after which nobody waits for an answer any more
UP_S = 30  # for which a caller tries to be let in


class Refused(Exception):
    """Nobody listens: the request was never taken."""


class Lost(Exception):
    """The request was taken, and no whole answer came."""


@dataclass
class Tally:
    """What good callers saw."""

    sent: int = 0
    lost: int = 0  # without an answer, or with one that is none of 200
    wrong: int = 0  # with another answer than the one known
    turned_away: int = 0  # tries at which nobody listened
    times: list[tuple[float, float]] = field(default_factory=list)  # (at, took), s, of answers

    def row(self) -> dict[str, int]:
        return {"requests": self.sent, "lost": self.lost, "wrong": self.wrong}

    def p99_ms(self, holds=lambda at: True) -> float:
        took = sorted(took for at, took in self.times if holds(at))
        return 1000 * took[min(len(took) - 1, len(took) * 99 // 100)]


class Connection:
    """Kept alive as long as the server does. Raises Refused or Lost."""

    def __init__(self, port: int):
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, path: str, body: bytes) -> tuple[int, bytes]:
        """(status, content) of a POST. One that was sent on a connection which the server just
        closed is sent anew, once, as HTTP clients do (RFC 9112, 9.3.1)."""
        request = (f"POST {path} HTTP/1.1\r\nHost: faults\r\nContent-Type: application/json\r\n"
                   f"Content-Length: {len(body)}\r\n\r\n").encode() + body  # fmt: skip
        kept = self._streams is not None
        try:
            return await self._exchange(request)
        except EOFError:
            if kept:
                with suppress(EOFError):
                    return await self._exchange(request)
            raise Lost("the connection was closed") from None

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        """Raises EOFError where not a byte of an answer came."""
        if self._streams is None:
            try:
                self._streams = await asyncio.wait_for(
                    asyncio.open_connection("127.0.0.1", self.port), TIMEOUT_S
                )
            except (OSError, TimeoutError) as error:
                raise Refused(str(error)) from None
        reader, writer = self._streams
        head = b""
        try:
            writer.write(request)
            async with asyncio.timeout(TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                fields = head.lower().split(b"\r\n")
                (length,) = (int(f[15:]) for f in fields if f.startswith(b"content-length:"))
                content = await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.close()
            if not head and not getattr(error, "partial", b"") and not isinstance(
                error, TimeoutError
            ):
                raise EOFError from None
            raise Lost(f"{type(error).__name__} after {len(head)} bytes") from None
        if b"connection: close" in fields:
            self.close()
        return int(head.split(maxsplit=2)[1]), content

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
        self._streams = None


class Callers:
    """`number` of them, together asking `rate` times a second (as fast as they can if None)."""

    def __init__(self, port: int, known: list[tuple[str, dict]], number: int,
                 rate: float | None = None):  # fmt: skip
        self.port, self.known, self.number, self.rate = port, known, number, rate
        self.tally = Tally()
        self._stop = False

    async def run(self, each: int | None = None) -> Tally:
        """Until `stop`, or for `each` requests of every caller."""
        await asyncio.gather(*(self._call(n, each) for n in range(self.number)))
        return self.tally

    def stop(self) -> None:
        self._stop = True

    async def _call(self, number: int, each: int | None) -> None:
        connection, done = Connection(self.port), 0
        pause = self.number / self.rate if self.rate else 0
        due = time.monotonic() + pause * number / self.number
        while not self._stop and (each is None or done < each):
            await asyncio.sleep(max(0, due - time.monotonic()))
            # Who is late asks at once, but does not make up for what was missed.
            due = max(due + pause, time.monotonic() - pause)
            text, expected = self.known[(number + done * 7) % len(self.known)]
            await self._one(connection, text, expected)
            done += 1
        connection.close()

    async def _one(self, connection: Connection, text: str, expected: dict) -> None:
        tally, began = self.tally, time.monotonic()
        tally.sent += 1
        body = json.dumps({"text": text}).encode()
        while True:
            asked = time.monotonic()
            try:
                status, content = await connection.ask("/classify", body)
            except Refused:
                tally.turned_away += 1
                if asked > began + UP_S:
                    tally.lost += 1
                    return
                await asyncio.sleep(0.02)
                continue
            except Lost:
                tally.lost += 1
                return
            tally.times.append((asked, time.monotonic() - asked))
            if status != 200:
                tally.lost += 1
            elif json.loads(content)["results"] != [expected]:
                tally.wrong += 1
            return
