"""A few of each fault against both functions, and whether the good callers notice what they must.

All of them: `make faults`. Slow bodies and deaf logs are in test_lifecycle.py.
"""

import asyncio
import itertools
import json
import shutil
from pathlib import Path

import pytest

from benchmarks.faults import bundles, fuzz, scenarios
from benchmarks.faults.__main__ import bad
from benchmarks.faults.cases import schemathesis
from benchmarks.faults.client import Callers
from benchmarks.faults.silence import leaks
from tests.conftest import ROOT
from tests.serving import RUNTIMES
from timing.lab import LabError

KNOWN = [("salt", {"text": "salt", "is": 1}), ("oat milk", {"text": "oat milk", "is": 2})]
SOME = (
    (scenarios.dropped_connections, 0.05), (scenarios.malformed_requests, 0.05),
    (scenarios.crowd, 0.1), (scenarios.little_memory, 0.05), (scenarios.clock_jumps, 0.05),
    (scenarios.broken_bundles, 0.05), (scenarios.kills, 0.2), (scenarios.swaps, 0.05),
    (schemathesis, 0.005),
)  # fmt: skip


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("scenario, scale", SOME, ids=lambda value: getattr(value, "__name__", ""))
def test_good_callers_notice_nothing(scenario, scale, runtime, shipped):
    try:
        row = asyncio.run(scenario(runtime, shipped, scale))
        row |= {"scenario": scenario.__name__, "runtime": runtime}
    except LabError as error:
        pytest.skip(str(error))
    assert row["faults"] > 0 and not bad(row), row


def serve(answer) -> tuple:
    """(callers' tally after ten requests, requests that came) of a server that gives `answer`
    of the number of the request and its text: bytes after which it closes, or None."""
    came = []

    async def handle(reader, writer) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            fields = head.lower().split(b"\r\n")
            length = next(int(f[15:]) for f in fields if f.startswith(b"content-length:"))
            text = json.loads(await reader.readexactly(length))["text"]
            came.append(text)
            content = answer(len(came), text)
            if content is None:
                writer.transport.abort()
                return
            writer.write(content)
            if b"close" in content:
                writer.close()
                return

    async def run():
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await Callers(port, KNOWN, 1).run(each=10)

    return asyncio.run(run()), came


def response(results, status="200 OK", more="") -> bytes:
    body = json.dumps({"results": results}).encode()
    return (f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n").encode() + body


def right(text: str) -> list[dict]:
    return [dict(KNOWN)[text]]


def test_right_answers_are_counted_as_such():
    tally, came = serve(lambda _, text: response(right(text)))
    assert (tally.sent, tally.lost, tally.wrong, len(tally.times)) == (10, 0, 0, 10)
    assert set(came) == {"salt", "oat milk"}


@pytest.mark.parametrize(
    "third, lost, wrong",
    [
        (lambda _: response([{"text": "salt", "is": 7}]), 0, 1),
        (lambda text: response(right(text), "500 Oh"), 1, 0),
        (lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nclose", 1, 0),
    ],
    ids=["wrong", "refused", "cut off"],
)
def test_what_is_not_right_is_noticed(third, lost, wrong):
    tally, _ = serve(lambda n, text: third(text) if n == 3 else response(right(text)))
    assert (tally.sent, tally.lost, tally.wrong) == (10, lost, wrong)


def test_a_kept_connection_that_is_closed_costs_one_more_try_and_no_request():
    tally, came = serve(lambda n, text: None if n == 3 else response(right(text)))
    assert (tally.sent, tally.lost, len(came)) == (10, 0, 11)


def test_a_request_that_is_never_answered_is_lost():
    tally, came = serve(lambda n, text: None if n in (3, 4) else response(right(text)))
    assert (tally.sent, tally.lost, len(came)) == (10, 1, 11)


def test_the_fuzzer_repeats_itself_and_knows_many_requests():
    first, again = (list(fuzz.requests(7, 500)) for _ in range(2))
    assert first == again and len(set(first)) > 400
    texts = [list(itertools.islice(fuzz.texts(7), 500)) for _ in range(2)]
    assert texts[0] == texts[1] and len(set(texts[0])) > 480


@pytest.mark.parametrize(
    "line",
    [
        '{"severity": "INFO", "message": "smoked paprika"}',
        '{"severity": "INFO", "message": "PAPRIKA 405 in 1.0 ms", "status": 405}',
        '{"severity": "INFO", "message": "load 1.0 ms", "text": "paprika"}',
        '{"severity": "INFO", "message": "load 1.0 ms", "labels": {"text": "paprika"}}',
        '{"severity": "ERROR", "message": "load 1.0 ms", "error": "ValueError: paprika"}',
        "Traceback (most recent call last):",
        '{"severity": "INFO", "mess',
    ],
)
def test_a_line_that_may_hold_a_text_is_a_leak(line):
    fine = '{"severity": "INFO", "message": "POST 200 in 1.234 ms", "status": 200, "texts": 2}'
    assert list(leaks(f"{fine}\n{line}\n{fine}\n")) == [line]


def test_bundles_for_a_swap_are_what_they_say(tmp_path):
    from function import model as models

    for make in (bundles.corrupt, bundles.too_large):
        shutil.copytree(ROOT / "bundle", tmp_path / make.__name__)
        make(tmp_path / make.__name__, 3)
    with pytest.raises(models.BundleError, match="found sha256"):
        models.verify(tmp_path / "corrupt")
    assert models.size(tmp_path / "too_large") > 10**12
    for make, found in ((bundles.next_version, "ingredients-9.0.3"),
                        (bundles.mismatched, "vegetables-9.0.3")):  # fmt: skip
        folder: Path = tmp_path / make.__name__
        shutil.copytree(ROOT / "bundle", folder)
        make(folder, 3)
        assert models.load(folder).id == found
