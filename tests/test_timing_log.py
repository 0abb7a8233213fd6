"""Log lines, request and response headers, and the recorder."""

import io
import json
import threading
from types import SimpleNamespace

import pytest

import timing
from timing import headers, log, timed
from timing.recorder import Recorder, percentile

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def stderr(monkeypatch) -> io.StringIO:
    """What the default sink writes."""
    out = io.StringIO()
    monkeypatch.setattr(timing, "sink", timing.write)
    # pytest replaces sys.stderr
    monkeypatch.setattr(log, "sys", SimpleNamespace(stderr=out, __stderr__=None))
    return out


@pytest.fixture(autouse=True)
def no_trace(monkeypatch):
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    headers.receive({})
    yield
    headers.receive({})


def test_the_default_sink_writes_one_json_line(clock, stderr):
    with timed("line") as span:
        clock[0] += 1_234_567
        span.labels = {"model": "pets"}
    assert stderr.getvalue().count("\n") == 1
    assert json.loads(stderr.getvalue()) == {
        "severity": "INFO", "message": "line 1.235 ms", "span": "line", "duration_ms": 1.234567,
        "labels": {"model": "pets"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("project", "resource"), [(None, TRACE), ("kitchen", f"projects/kitchen/traces/{TRACE}")]
)
def test_lines_of_a_request_carry_its_trace(stderr, monkeypatch, project, resource):
    if project:
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", project)
    headers.receive({"traceparent": f"00-{TRACE}-{SPAN}-01"})
    with timed("one"):
        pass
    timing.emit({"message": "GET 200", "status": 200})
    headers.receive({"X-Cloud-Trace-Context": TRACE})
    timing.emit({"message": "no span"})
    headers.receive({})
    timing.emit({"message": "no trace"})
    lines = list(map(json.loads, stderr.getvalue().splitlines()))
    at, span = "logging.googleapis.com/trace", "logging.googleapis.com/spanId"
    assert [line.get(at) for line in lines] == [resource, resource, resource, None]
    assert [line.get(span) for line in lines] == [SPAN, SPAN, None, None]
    assert (lines[1]["severity"], lines[1]["status"]) == ("INFO", 200)


def test_a_terminal_gets_words(clock, stderr, monkeypatch):
    monkeypatch.setattr(stderr, "isatty", lambda: True)
    with pytest.raises(KeyError), timed("outer"), timed("inner"):
        clock[0] += 1_500_000
        raise KeyError("secret")
    timing.emit({"message": "GET 200"})
    assert stderr.getvalue() == (
        "inner 1.500 ms in outer: KeyError\nouter 1.500 ms: KeyError\nGET 200\n"
    )


def test_a_log_that_cannot_be_written_fails_nothing(stderr):
    stderr.close()
    with timed("line"):
        pass


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"traceparent": f"00-{TRACE}-{SPAN}-01"}, (TRACE, SPAN)),
        ({"traceparent": f"01-{TRACE}-{SPAN}-01-later"}, (TRACE, SPAN)),
        ({"X-Cloud-Trace-Context": f"{TRACE.upper()}/1;o=1"}, (TRACE, "0000000000000001")),
        ({"X-Cloud-Trace-Context": f"{TRACE}/{2**64 - 1}"}, (TRACE, "f" * 16)),
        ({"X-Cloud-Trace-Context": f"{TRACE}/{2**64}"}, (TRACE, None)),
        ({"X-Cloud-Trace-Context": f"{TRACE}/0;o=0"}, (TRACE, None)),
        ({"X-Cloud-Trace-Context": TRACE}, (TRACE, None)),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01", "X-Cloud-Trace-Context": "1" * 32},
         (TRACE, SPAN)),
        ({"traceparent": "00-broken", "X-Cloud-Trace-Context": "1" * 32}, ("1" * 32, None)),
    ],
)  # fmt: skip
def test_trace_headers(given, expected):
    assert headers.trace_of(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        "", "x", f"00-{TRACE}-{SPAN}", f"00-{TRACE}-{SPAN}-01-more", f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01\n", f"00-{TRACE[:-1]}-{SPAN}-01", f"0-{TRACE}-{SPAN}-01",
    ],
)  # fmt: skip
def test_a_malformed_traceparent_is_none(given):
    assert headers.trace_of({"traceparent": given}) is None


@pytest.mark.parametrize(
    "given",
    ["", "x", f"{TRACE}/", f"{TRACE}/x;o=1", f"{TRACE};o=", "0" * 32, f"{TRACE}/1;o=1\n",
     f"{TRACE}/{'1' * 21}", TRACE[:-1], f"{TRACE}/\u0661"],
)  # fmt: skip
def test_a_malformed_cloud_trace_context_is_none(given):
    assert headers.trace_of({"X-Cloud-Trace-Context": given}) is None


def test_server_timing():
    assert headers.server_timing({}) == ""
    found = headers.server_timing({"encode": 0.0412, "Model.load": 12})
    assert found == "encode;dur=0.041, Model.load;dur=12.000"
    found = headers.server_timing({'a "b"\\\n, é': 1})
    assert found == 'a__b______;desc="a \\"b\\"\\\\_, _";dur=1.000'


def test_the_recorder_has_percentiles_and_errors(clock, monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(timing, "sink", recorder)
    for ms in range(100, -1, -1):
        with timed("work"):
            clock[0] += ms * 1_000_000
    with pytest.raises(KeyError), timed("fails"):
        raise KeyError
    timing.emit({"message": "of no span"})
    assert recorder.summary() == {
        "work": {"count": 101, "p50_ms": 50, "p95_ms": 95, "p99_ms": 99, "max_ms": 100,
                 "errors": 0},
        "fails": {"count": 1, "p50_ms": 0, "p95_ms": 0, "p99_ms": 0, "max_ms": 0, "errors": 1},
    }  # fmt: skip
    assert recorder.durations("work")[:2] == [100, 99] and recorder.durations("nothing") == []


def test_the_recorder_keeps_the_last_and_counts_all():
    recorder = Recorder(2)
    for ms in (9.0, 1.0, 2.0):
        recorder({"span": "work", "duration_ms": ms})
    assert recorder.durations("work") == [1.0, 2.0]
    summary = recorder.summary()["work"]
    assert (summary["count"], summary["max_ms"]) == (3, 2.0)


def test_the_recorder_loses_nothing_between_threads():
    recorder = Recorder()

    def work():
        for _ in range(500):
            recorder({"span": "work", "duration_ms": 1.0, "error": "KeyError"})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    summary = recorder.summary()["work"]
    assert summary["count"] == summary["errors"] == len(recorder.durations("work")) == 2_000


@pytest.mark.parametrize(("p", "expected"), [(0, 1.0), (50, 2.5), (95, 3.85), (100, 4.0)])
def test_percentiles_are_numpys(p, expected):
    np = pytest.importorskip("numpy")
    assert percentile([1.0, 2.0, 3.0, 4.0], p) == pytest.approx(expected)
    assert np.percentile([1.0, 2.0, 3.0, 4.0], p) == pytest.approx(expected)


def test_a_record_of_ones_own_has_a_severity():
    assert log.entry({"message": "x"}) == {"severity": "INFO", "message": "x"}
