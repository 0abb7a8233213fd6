"""The timeline of a cold start, with a clock that is told what time it is."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

import timing
from tests.conftest import ROOT
from timing import startup
from timing.startup import Timeline

MS = 1_000_000


@pytest.fixture
def timeline(clock) -> Timeline:
    """A start-up of 600 ms, ready and waiting."""
    clock[0] = 1_000 * MS
    timeline = Timeline(clock[0])
    for stage, ms in (("interpreter", 20), ("numpy", 80), ("function", 5), ("session", 490),
                      ("function", 5)):  # fmt: skip
        clock[0] += ms * MS
        timeline.mark(stage)
    return timeline


def answer(timeline: Timeline, clock: list[int], ms: int) -> None:
    with timeline.invocation("request"):
        clock[0] += ms * MS


def test_the_first_answer_ends_the_timeline(timeline, clock, records):
    clock[0] += 100 * MS
    answer(timeline, clock, 3)
    request, cold = records
    assert (request["duration_ms"], request["labels"]) == (3.0, {"faas.coldstart": "true"})
    assert cold == {
        "severity": "INFO", "message": "cold start 703.000 ms", "span": "startup",
        "duration_ms": 703.0,
        "stages_ms": {"interpreter": 20.0, "numpy": 80.0, "function": 10.0, "session": 490.0,
                      "first request": 100.0, "first answer": 3.0},
        "faas.coldstart": True, "faas.init_duration": 0.6, "faas.invoke_duration": 0.003,
    }  # fmt: skip
    assert sum(cold["stages_ms"].values()) == pytest.approx(cold["duration_ms"], rel=1e-9)


def test_later_requests_are_not_cold_and_later_marks_do_not_count(timeline, clock, records):
    answer(timeline, clock, 3)
    timeline.mark("session")
    answer(timeline, clock, 4)
    assert [record["span"] for record in records] == ["request", "startup", "request"]
    assert records[2]["labels"] == {"faas.coldstart": "false"}
    assert len(records[1]["stages_ms"]) == 6


def test_of_two_requests_at_once_one_is_the_first(timeline, clock, records):
    with timeline.invocation("one"), timeline.invocation("two"):
        clock[0] += MS
    assert [(r["span"], r.get("labels")) for r in records] == [
        ("two", {"faas.coldstart": "false"}), ("one", {"faas.coldstart": "true"}),
        ("startup", None),
    ]  # fmt: skip


def test_a_first_request_that_fails_ends_it_too(timeline, clock, records):
    with pytest.raises(KeyError), timeline.invocation("request"):
        raise KeyError
    assert [record["severity"] for record in records] == ["ERROR", "INFO"]


def test_without_a_sink_the_first_answer_is_no_different(timeline, clock, monkeypatch):
    monkeypatch.setattr(timing, "sink", None)
    answer(timeline, clock, 3)


def test_a_forked_worker_goes_on_and_its_parent_does_not(timeline, clock, records):
    clock[0] += 7 * MS
    timeline.listening()  # as in the child
    answer(timeline, clock, 1)
    assert records[1]["stages_ms"]["listening"] == 7.0
    assert records[1]["faas.init_duration"] == 0.607


def test_a_worker_that_replaces_another_is_no_cold_start(timeline, clock, records):
    timeline.hand_over()  # as in the parent
    clock[0] += 3_600_000 * MS
    timeline.listening()  # as in its second child
    answer(timeline, clock, 1)
    assert [record["span"] for record in records] == ["request"]
    assert records[0]["labels"] == {"faas.coldstart": "false"}


@pytest.mark.parametrize(
    ("logging_ms", "expected"),
    [(250, {"interpreter": 50.0, "framework": 250.0}),
     (0, {"interpreter": 300.0, "framework": 0.0}),
     (400, {"interpreter": 0.0, "framework": 300.0})],
)  # fmt: skip
def test_what_was_before_us(clock, records, monkeypatch, logging_ms, expected):
    clock[0] = 1_000 * MS
    monkeypatch.setattr(startup, "process_age_ns", lambda: 300 * MS)
    monkeypatch.setattr(startup, "logging_age_ns", lambda: logging_ms * MS)
    answer(startup.begin(), clock, 0)
    stages = records[1]["stages_ms"]
    assert {name: stages[name] for name in expected} == expected
    assert records[1]["duration_ms"] == 300.0


def test_the_age_of_a_process_is_read_behind_its_name(tmp_path, monkeypatch):
    stat = tmp_path / "stat"
    fields = " ".join(map(str, range(3, 53)))  # field 22, the start, is 22 ticks
    stat.write_text(f"1 (a) b) (c) {fields}\n")
    monkeypatch.setattr(os, "sysconf", lambda name: 100)
    monkeypatch.setattr(startup.time, "clock_gettime_ns", lambda clock: 1_000 * MS)
    assert startup.process_age_ns(str(stat)) == 780 * MS
    monkeypatch.setattr(startup.time, "clock_gettime_ns", lambda clock: 0)
    assert startup.process_age_ns(str(stat)) == 0  # never negative


@pytest.mark.parametrize("content", ["", "1 (x) S 1", "1 (x) " + "x " * 50, None])
def test_without_a_readable_stat_the_process_begins_now(tmp_path, content):
    stat = tmp_path / "stat"
    if content is not None:
        stat.write_text(content)
    assert startup.process_age_ns(str(stat)) == 0


def test_the_age_of_logging_is_what_its_records_say(monkeypatch):
    logging = SimpleNamespace(makeLogRecord=lambda given: SimpleNamespace(relativeCreated=2.5))
    monkeypatch.setitem(sys.modules, "logging", logging)
    assert startup.logging_age_ns() == 2.5 * MS
    monkeypatch.delitem(sys.modules, "logging")
    assert startup.logging_age_ns() == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc")
def test_this_process_has_an_age():
    assert startup.process_age_ns() > 0 and startup.logging_age_ns() > 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_hands_the_timeline_over():
    """In a fresh interpreter, as a fork here would end this process's own timeline."""
    code = """if True:
        import json, os, timing
        from timing import startup
        timing.sink = lambda record: print(json.dumps(record), flush=True)
        startup.mark("session")
        for _ in range(2):
            if (pid := os.fork()) == 0:
                with startup.invocation("request"):
                    pass
                os._exit(0)
            os.waitpid(pid, 0)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=ROOT)  # fmt: skip
    first, cold, second = map(json.loads, done.stdout.splitlines())
    assert [first["labels"], second["labels"]] == [
        {"faas.coldstart": "true"}, {"faas.coldstart": "false"}
    ]  # fmt: skip
    stages = cold["stages_ms"]
    assert list(stages) == ["interpreter", "framework", "session", "listening", "first request",
                            "first answer"]  # fmt: skip
    assert sum(stages.values()) == pytest.approx(cold["duration_ms"], rel=0.1)
