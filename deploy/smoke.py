"""Does a served function give the golden answers? Asked over HTTP, of a revision or of the staged
folder started here."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from pathlib import Path

from function.golden import GoldenError, compare

BATCH = 64  # texts a request
TIMEOUT = 30  # seconds; the first request may meet a cold start


class SmokeError(Exception):
    """What differs from the golden answers, or why none came."""


def check(url: str, folder: Path, headers: dict[str, str]) -> str:
    """Ask the function at `url` every golden phrase of the bundle in the staged `folder`; `headers`
    say who asks. Returns what was found in one line; raises SmokeError."""
    golden = json.loads((folder / "bundle" / "golden.json").read_text("utf-8"))
    contract = json.loads((folder / "bundle" / "contract.json").read_text("utf-8"))
    expected = "-".join(filter(None, (contract["name"], contract.get("version"))))
    model = _ask(f"{url}/ready", None, headers).get("model")
    if model != expected:
        raise SmokeError(f"{url}/ready: found model {model!r}, expected {expected!r}")
    phrases, results = golden["phrases"], []
    for start in range(0, len(phrases), BATCH):
        body = {"texts": [phrase["text"] for phrase in phrases[start : start + BATCH]]}
        results += _ask(f"{url}/classify?scores=all", body, headers)["results"]
    tasks = [task["name"] for task in contract["tasks"]]
    try:
        same = compare(golden, tasks, results)
    except GoldenError as error:
        raise SmokeError(f"{url}: {error}") from None
    return f"{url}: {model} gives the golden answers, {same} of {len(phrases)} to the label"


def key() -> dict[str, str]:
    """The header that a function with `API_KEY` wants; none where the environment has none."""
    found = os.environ.get("API_KEY")
    return {"X-API-Key": found} if found else {}


def _ask(url: str, body: dict | None, headers: dict[str, str]) -> dict:
    """The JSON of the answer to a POST of `body`, or to a GET. Raises SmokeError."""
    headers = {"Content-Type": "application/json", **headers} if body else headers
    content = json.dumps(body).encode() if body else None
    try:
        request = urllib.request.Request(url, content, headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        detail = error.read(500).decode("utf-8", "replace")
        raise SmokeError(f"{url}: found status {error.code} ({detail}), expected 200") from None
    except (OSError, ValueError) as error:
        raise SmokeError(f"{url}: found no answer ({error}), expected one") from None
