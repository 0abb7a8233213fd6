"""The bytes of a request's body: at most MAX_BODY of them, and within BODY_S.

gunicorn reads a body when it is asked to, in one of its threads, for as long as the caller takes.
So a body that is overdue has the receiving side of its connection shut from another thread.
"""

from __future__ import annotations

import time
from contextlib import suppress
from socket import SHUT_RD, socket
from threading import Condition, Thread

import flask

from function.errors import Problem, named
from function.request import MAX_BODY

BODY_S = 10  # of the 30 that `make deploy` gives a whole request


def read(asked: flask.Request) -> bytes:
    """The bytes of a JSON body. Raises Problem 400, 408, 413 or 415."""
    if asked.mimetype != "application/json":
        found = asked.mimetype or "none"
        fault = named(f"found {found}, expected application/json", "Content-Type")
        raise Problem(415, f"The content type is {found}, expected application/json.", [fault])
    connection = asked.environ.get("gunicorn.socket")
    number = _watch.begin(connection) if connection else None
    content, whole = b"", False
    try:
        # A chunked body announces no length: read at most one byte more than may come.
        if (asked.content_length or 0) <= MAX_BODY:
            while len(content) <= MAX_BODY and (
                part := asked.stream.read(MAX_BODY + 1 - len(content))
            ):
                content += part
            whole = len(content) <= MAX_BODY
    except Exception:  # of gunicorn or werkzeug: cut off, or chunks that are none
        content = None
    if number is not None and _watch.end(number):
        raise Problem(408, f"The body did not come within {BODY_S} s.", Connection="close")
    if content is None:
        detail = "The body could not be read, expected all of its announced length or chunks."
        raise Problem(400, detail, Connection="close")
    if not whole:
        raise Problem(413, f"The body is over {MAX_BODY} bytes.", Connection="close")
    return content


class _Watch:
    """Shuts connections whose bodies are overdue. Its thread lives from the first body on, and
    sleeps until the oldest of those under way is due."""

    def __init__(self) -> None:
        self._due: dict[int, tuple[float, socket]] = {}  # oldest first
        self._next = 0
        self._changed = Condition()
        self._thread: Thread | None = None

    def begin(self, connection: socket) -> int:
        """The number of the body that is now read from `connection`."""
        with self._changed:
            self._next += 1
            self._due[self._next] = time.monotonic() + BODY_S, connection
            if self._thread is None:
                self._thread = Thread(target=self._run, name="bodies", daemon=True)
                self._thread.start()
            elif len(self._due) == 1:
                self._changed.notify()
            return self._next

    def end(self, number: int) -> bool:
        """Nothing more is read of it; whether it was overdue."""
        with self._changed:
            return self._due.pop(number, None) is None

    def _run(self) -> None:
        with self._changed:
            while True:
                if not self._due:
                    self._changed.wait()
                    continue
                number, (due, connection) = next(iter(self._due.items()))
                if (left := due - time.monotonic()) > 0:
                    self._changed.wait(left)
                    continue
                del self._due[number]
                with suppress(OSError):  # its caller was faster
                    connection.shutdown(SHUT_RD)


_watch = _Watch()
