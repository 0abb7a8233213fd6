"""Timing with a clock that is told what time it is: instant and exact."""

import asyncio
import io
import json
import sys
import threading

import pytest

import timing
from timing import timed


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock that stands still; add to it to let ns pass."""
    now = [0]
    monkeypatch.setattr(timing, "clock", lambda: now[0])
    return now


def test_block_and_decorator_log_one_record_each(clock, records):
    @timed("work")
    def work(x, *, y):
        """What it does."""
        clock[0] += 2_500_000
        return x + y

    with timed("block") as span:
        clock[0] += 1_000_000
    assert work(1, y=2) == 3
    assert span.duration_ms == 1.0
    assert [(r["span"], r["duration_ms"], r["severity"]) for r in records] == [
        ("block", 1.0, "INFO"), ("work", 2.5, "INFO")
    ]  # fmt: skip
    assert (work.__name__, work.__doc__) == ("work", "What it does.")


def test_bare_decorator_uses_the_functions_own_name(records):
    @timed
    def plain():
        pass

    plain()
    assert records[0]["span"].endswith("plain")


def test_an_exception_is_timed_marked_and_raised_without_its_message(clock, records):
    with pytest.raises(KeyError), timed("fails"):
        clock[0] += 3_000_000
        raise KeyError("secret")
    assert records[0]["duration_ms"] == 3.0
    assert (records[0]["severity"], records[0]["error"]) == ("ERROR", "KeyError")
    assert "secret" not in json.dumps(records)


def test_recursion_times_every_level(clock, records):
    @timed("deep")
    def deep(n):
        clock[0] += 1_000_000
        if n:
            deep(n - 1)

    deep(2)
    assert [record["duration_ms"] for record in records] == [1.0, 2.0, 3.0]


def test_threads_do_not_mix(clock, records):
    inside, go_on = threading.Event(), threading.Event()

    @timed("thread")
    def work():
        inside.set()
        go_on.wait(5)

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(5)
    clock[0] += 4_000_000
    with timed("other"):
        clock[0] += 1_000_000
    go_on.set()
    thread.join()
    assert {r["span"]: r["duration_ms"] for r in records} == {"other": 1.0, "thread": 5.0}


def test_async_functions_are_timed_to_their_end(clock, records):
    @timed("async")
    async def work():
        clock[0] += 1_000_000
        await asyncio.sleep(0)
        clock[0] += 1_000_000
        return 7

    assert asyncio.run(work()) == 7
    assert records[0]["duration_ms"] == 2.0


def test_the_default_sink_writes_one_json_line(clock, monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(timing, "sink", timing.write)
    monkeypatch.setattr(sys, "stderr", out)
    with timed("line"):
        clock[0] += 1_234_567
    assert out.getvalue().count("\n") == 1
    record = json.loads(out.getvalue())
    assert record["message"] == "line 1.235 ms" and record["duration_ms"] == 1.234567
