"""The report: on files, standard input, what gcloud prints, and what is none of these."""

import io
import json
import re
import sys
from itertools import pairwise
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from timing import report
from timing.histogram import LEAST, MOST, buckets

STAGES = {"interpreter": 20.0, "session": 70.0, "first request": 5.0, "first answer": 5.0}
COLD = {"span": "startup", "duration_ms": 100.0, "stages_ms": STAGES, "faas.init_duration": 0.09}


def span(ms: float, **more) -> dict:
    return {"severity": "INFO", "span": "work", "duration_ms": ms, **more}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Report on the contents of logs (text, or records to be a line each)."""

    def run(*logs, stdin=b"", more=()) -> tuple[str, str, object]:
        names = []
        for n, log in enumerate(logs):
            path = tmp_path / f"{n}.log"
            if not isinstance(log, str):
                log = "".join(json.dumps(record) + "\n" for record in log)
            path.write_text(log, "utf-8")
            names.append(str(path))
        monkeypatch.setattr(sys, "argv", ["report", *(names or ["-"]), *more])
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin)))
        status = None
        try:
            report.main()
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return out, err.replace(f"{tmp_path}/", ""), status

    return run


def row(out: str, name: str) -> list[str]:
    return next(line for line in out.splitlines() if line.startswith(name + " ")).split()


def test_a_table_of_spans(run):
    lines = [span(float(ms)) for ms in range(100)] + [span(100.0, error="KeyError")]
    out, err, status = run(lines[:50], lines[50:])
    assert (err, status) == ("", None)
    assert row(out, "span")[:2] == ["span", "count"]
    assert row(out, "work") == ["work", "101", "50.000", "95.000", "99.000", "100.000", "1"]


def test_the_longest_in_all_come_first(run):
    out, *_ = run([span(1.0), *[{"span": "often", "duration_ms": 0.5}] * 3])
    assert out.index("often ") < out.index("work ")


def test_a_histogram_of_each_span(run):
    out, *_ = run([span(1.0)] * 3 + [span(100.0)])
    assert re.findall(r"^ +(\S+) to +(\S+) +(#+) (\d+)$", out, re.M) == [
        ("1.000", "10.000", "#" * 40, "3"), ("10.000", "100.000", "#" * 13, "1")
    ]  # fmt: skip


def test_standard_input(run):
    out, err, _ = run(stdin=json.dumps(span(2.0)).encode() + b"\n\n")
    assert row(out, "work")[1] == "1" and err == ""


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("before", ["", "\n", "\ufeff"])
def test_what_gcloud_prints(run, indent, before):
    entries = [
        {"insertId": "a", "jsonPayload": COLD, "timestamp": "2025-01-31T12:00:05.123456789Z"},
        {"jsonPayload": {**COLD, "faas.init_duration": 0.08}, "timestamp": "2025-01-31T12:00:04Z"},
        {"jsonPayload": span(2.0), "labels": {}, "timestamp": "2025-01-31T12:00:03Z"},
        {"textPayload": "[2025-01-31] Listening", "timestamp": "2025-01-31T12:00:02Z"},
        {"jsonPayload": {"message": "GET 200", "status": 200}},
    ]
    out, err, status = run(before + json.dumps(entries, indent=indent))
    assert (err, status) == ("", None)
    assert row(out, "work")[1] == "1" and row(out, "startup")[1] == "2"
    # gcloud prints the newest first; the report tells the latest last
    assert re.findall(r"^cold start at (.*)", out, re.M) == [
        "2025-01-31 12:00:04 UTC: 80.000 ms until it listened, 100.000 ms until the first answer",
        "2025-01-31 12:00:05 UTC: 90.000 ms until it listened, 100.000 ms until the first answer",
    ]


def test_cold_starts_without_time_stay_in_their_order(run):
    out, *_ = run([{**COLD, "faas.init_duration": init} for init in (0.03, 0.02)])
    assert re.findall(r"^cold start: (\S+)", out, re.M) == ["30.000", "20.000"]


def test_a_cold_start_by_stage(run):
    out, err, _ = run([COLD])
    assert err == ""
    assert row(out, "cold starts: 1")[3] == "count"
    assert row(out, "session") == ["session", "1", *["70.000"] * 4]
    assert re.search(r"^  session +70.000   74%  #{29}$", out, re.M)
    assert re.search(r"^  first request +5.000$", out, re.M)  # waiting is no work


def test_only_the_latest_cold_starts_are_told_one_by_one(run):
    out, *_ = run([COLD] * (report.SHOWN + 3))
    assert out.count("until it listened") == report.SHOWN
    assert f"cold starts: {report.SHOWN + 3}" in out


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("[2025-01-31] [INFO] up", 'found "[2025-01-31] [INFO] up", expected a JSON object'),
        ("\x1b[31mred", r'found "\u001b[31mred", expected a JSON object'),
        ('{"span": "cut o', r'found "{\"span\": \"cut o", expected a JSON object'),
        ("3", "found 3, expected a JSON object"),
        ("[" * 5_000, 'found "[[['),
        ('{"jsonPayload": 3}', "jsonPayload: found 3, expected an object"),
        ('{"span": 3, "duration_ms": 1}', "span: found 3, expected a name"),
        ('{"span": " ", "duration_ms": 1}', 'span: found " ", expected a name'),
        ('{"span": "x"}', "duration_ms: found null, expected a number of ms, 0 or more"),
        ('{"span": "x", "duration_ms": "1"}', 'duration_ms: found "1", expected'),
        ('{"span": "x", "duration_ms": -1}', "duration_ms: found -1, expected"),
        ('{"span": "x", "duration_ms": true}', "duration_ms: found true, expected"),
        ('{"span": "x", "duration_ms": NaN}', "duration_ms: found NaN, expected"),
        ('{"span": "x", "duration_ms": 1%s}' % ("0" * 400), "duration_ms: found 1000"),
        (json.dumps({**COLD, "stages_ms": {}}), "stages_ms: found {}, expected an object"),
        (json.dumps({**COLD, "stages_ms": {"a": "b"}}), "stages_ms: found {"),
        (json.dumps({**COLD, "duration_ms": 200.0}),
         "stages_ms: found 100.0, expected 200.0 ms in all, within 10%"),
        (json.dumps({**COLD, "faas.init_duration": None}), "faas.init_duration: found null"),
    ],
)  # fmt: skip
def test_a_bad_line_is_told_and_skipped(run, line, fault):
    out, err, status = run(f"{json.dumps(span(1.0))}\n{line}\n{json.dumps(span(2.0))}\n")
    assert err.startswith(f"0.log:2: {fault}") and err.count("\n") == 1
    assert status is None and row(out, "work")[1] == "2"
    assert len(err) < 200


def test_a_log_may_begin_with_a_servers_own_lines(run):
    out, err, _ = run("[2025-01-31 12:00] [1] up\n" + json.dumps(span(1.0)))
    assert err.startswith("0.log:1: found") and row(out, "work")[1] == "1"


def test_a_bad_entry_of_an_array_is_named_by_its_index(run):
    out, err, _ = run(json.dumps([span(1.0), {"jsonPayload": {"span": "x"}}, 3]))
    assert err.splitlines() == [
        "0.log: $[1]: duration_ms: found null, expected a number of ms, 0 or more",
        "0.log: $[2]: found 3, expected a JSON object",
    ]
    assert row(out, "work")[1] == "1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[\n {"span": "x"},\n {"span', "0.log:3: found broken JSON (Unterminated"),
        ('[{"span": ' + "[" * 100_000, "0.log: found no JSON ("),
        ("", "0.log: found no timing record, expected lines with `span` and `duration_ms`"),
        ("[]", "0.log: found no timing record"),
        ('{"message": "GET 200"}\n', "0.log: found no timing record"),
    ],
)
def test_a_log_that_holds_nothing_is_refused(run, content, message):
    out, err, status = run(content)
    assert out == err == "" and status.split("/")[-1].startswith(message)


def test_a_missing_log_is_one_line(run, tmp_path):
    _, _, status = run([span(1.0)], more=[str(tmp_path / "none.log")])
    expected = "none.log: found no readable file (No such file or directory), expected a log"
    assert status == f"error: {tmp_path}/{expected}"


def test_many_faults_are_counted(run):
    _, err, _ = run("x\n" * (report.FAULTS + 7) + json.dumps(span(1.0)))
    assert err.count("\n") == report.FAULTS + 1 and err.endswith("… and 7 more\n")


def test_names_cannot_move_the_cursor(run):
    out, *_ = run([span(1.0, span="a\x1b[2J"), {**COLD, "stages_ms": {"b\n": 100.0}}])
    assert "a\ufffd[2J" in out and "b\ufffd" in out and "\x1b" not in out


def test_the_page_holds_everything_and_needs_nothing(run, tmp_path):
    out = tmp_path / "report.html"
    lines = [COLD, *(span(float(ms), span="<work>") for ms in range(9))]
    _, err, status = run(lines, more=["--html", str(out)])
    assert (err, status) == ("", None)
    page = out.read_text("utf-8")
    for part in ("<h2>&lt;work&gt;</h2>", "<td>9</td>", "<td>session</td>", "Cold starts: 1",
                 "session: 70.000 ms"):  # fmt: skip
        assert part in page, part
    assert "<work>" not in page and "http" not in page and "src=" not in page
    drawn = re.findall(r"<svg.*?</svg>", page, re.S)
    assert len(drawn) == 3  # the cold starts and a histogram of each span
    assert all(ElementTree.fromstring(picture).get("aria-label") for picture in drawn)
    assert {path.name for path in tmp_path.iterdir()} == {"0.log", "report.html"}


def test_a_page_that_cannot_be_written_leaves_nothing(run, tmp_path):
    (tmp_path / "taken").mkdir()
    for path in (tmp_path / "none" / "report.html", tmp_path / "taken"):
        _, _, status = run([span(1.0)], more=["--html", str(path)])
        assert status.startswith(f"error: {path}: could not be written (")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.log", "taken"]


def test_buckets_hold_every_duration_once():
    assert buckets([3.0] * 9) == [(3.0, 3.0, 9)]
    assert buckets([0.0, 0.0]) == [(LEAST, LEAST, 2)]
    found = buckets([1.5**n for n in range(500)])
    assert len(found) == MOST and sum(count for *_, count in found) == 500
    assert (found[0][0], found[-1][1]) == (1.0, 1.5**499)
    assert all(before[1] == after[0] for before, after in pairwise(found))
    assert sum(count for *_, count in buckets([0.0, 1.0, 2.0])) == 3
