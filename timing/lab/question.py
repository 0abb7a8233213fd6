"""The known question, the answer it must get, and the connection it goes over."""

from __future__ import annotations

import json
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from timing.lab import LabError

AGENT = "timing.coldstart"
MAX_ANSWER = 1_000_000  # bytes
LOOK_S = 0.1  # how often one looks whether the server that is to answer still lives


@dataclass(frozen=True)
class Question:
    """`text` must be given `label` for `task`: fast and wrong is no answer. `headers` say who asks,
    and are shown nowhere."""

    text: str
    task: str
    label: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)

    def check(self, status: int, content: bytes) -> None:
        """Raises LabError where this is not the right answer."""
        if status != 200:
            hint = " (who asks? see --header)" if status in (401, 403) else ""
            raise LabError(f"found HTTP status {status}{hint}, expected 200")
        try:
            given = json.loads(content)["results"][0][self.task]
            several = given if isinstance(given, list) else [given] if given else []
            labels = [one["label"] for one in several]
        except (ValueError, KeyError, IndexError, TypeError, RecursionError):
            found = content[:80].decode("utf-8", "replace")
            raise LabError(f"found the answer {found!r}, expected a result with {self.task!r}"
                           ) from None  # fmt: skip
        if self.label not in labels:
            raise LabError(f"{self.text!r}: found {self.task} {labels}, expected {self.label!r}")


def connect(url: str, timeout_s: float) -> HTTPConnection:
    """A connection that stands. Raises OSError."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.netloc, timeout=timeout_s)
    connection.connect()
    return connection


def ask(
    connection: HTTPConnection,
    question: Question,
    timeout_s: float,
    look: Callable[[], None] = lambda: None,
) -> tuple[int, bytes]:
    """Status and content of the answer; `look` is called while waiting and may raise.

    Raises OSError where the connection ends or the time is up, LabError where no HTTP comes back.
    """
    body = json.dumps({"text": question.text})
    headers = {**question.headers, "Content-Type": "application/json", "User-Agent": AGENT}
    deadline = time.monotonic() + timeout_s
    try:
        connection.request("POST", "/classify", body, headers)
        while not select.select([connection.sock], [], [], LOOK_S)[0]:
            look()
            if time.monotonic() > deadline:
                raise TimeoutError
        answer = connection.getresponse()
        return answer.status, answer.read(MAX_ANSWER)
    except HTTPException as error:
        if isinstance(error, OSError):  # http.client's own name for a connection that was closed
            raise
        raise LabError(f"found an answer that is no HTTP ({error!r}), expected JSON") from None
