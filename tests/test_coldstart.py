"""The cold-start lab against a server of which one knows how long it takes and what it does."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.cold import ASKED, groups, server
from tests.conftest import ROOT
from timing import coldstart
from timing.lab import LabError, lines, local, report, strace


def test_the_measured_time_is_at_least_the_known_one(lab, alive):
    found, printed = lab("--starts", "3", server(0.2))
    (measured,) = found["configurations"]
    assert len(measured["starts"]) == 3 and not alive()
    for sample in measured["starts"]:
        assert 200 <= sample["stages_ms.sleep"] == sample["spans_ms.load"]
        assert sample["spans_ms.load"] <= sample["listening_ms"] < sample["first_answer_ms"]
        stages = sample["stages_ms.sleep"] + sample["stages_ms.rest"]
        assert stages == pytest.approx(sample["spans_ms.startup"])
        assert stages <= sample["first_answer_ms"]
        assert sample["resident_peak_bytes"] > 1_000_000 and sample["read_bytes"] > 1_000
    figures = measured["summary"]["first_answer_ms"]
    times = [sample["first_answer_ms"] for sample in measured["starts"]]
    assert figures["n"] == 3 and figures["p50"] == round(sorted(times)[1], 3)
    assert (figures["min"], figures["max"]) == (round(min(times), 3), round(max(times), 3))
    assert "first answer ms" in printed and "stage: sleep ms" in printed


def test_configurations_take_turns_after_a_first_start_of_each_command(
    lab, tmp_path, monkeypatch, untraced
):
    monkeypatch.setenv("COLD_ORDER", str(tmp_path / "order"))
    found, _ = lab("--starts", "2", server(0, "a"), server(0, "b"))
    assert (tmp_path / "order").read_text().split() == ["a", "b"] * 3
    assert [len(one["starts"]) for one in found["configurations"]] == [2, 2]
    assert "files were not counted: not in this test" in found["notes"]


def test_a_server_that_says_503_while_it_starts_is_waited_for(lab, untraced):
    found, _ = lab("--starts", "1", "--expect", "kinds=b", server(0, "starting"))
    assert found["configurations"][0]["summary"]["first_answer_ms"]["n"] == 1


def test_a_command_may_name_its_port_and_the_lab_too(lab, untraced):
    port = local.free_port(None)
    command = f"env PORT= sh -c 'PORT={{port}} exec {server(0)}'"
    assert lab("--starts", "2", "--port", str(port), command)[0]["configurations"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (server(0, "nowhere"), "found no answer within 1 s (nothing listens)"),
        (server(0, "silent"), "found no answer within 1 s (it listens and does not answer)"),
        (server(0, "wrong"), "found source ['fungus'], expected 'plant'"),
        (server(0, "404"), "found HTTP status 404, expected 200"),
        (server(0, "html"), "found the answer '<html>', expected a result with 'source'"),
        (server(0, "dies"), "it died, exit status 1 (error: found no model)"),
        (f"sh -c 'kill -9 $$; {server(0)}'", "it died, signal 9 (no message)"),
        ("/nowhere/server", "/nowhere/server: cannot be started (No such file or directory)"),
        ("'unbalanced", "cannot be read as a command (No closing quotation)"),
        (" ", "found an empty command"),
    ],
)
def test_a_bad_server_ends_it_with_one_line_and_leaves_nothing(
    lab, untraced, alive, tmp_path, command, expected
):
    with pytest.raises(SystemExit) as ended:
        lab("--timeout", "1", command)
    assert str(ended.value).startswith("error: ") and expected in str(ended.value)
    assert "\n" not in str(ended.value)
    assert not alive() and not (tmp_path / "out" / "coldstart.json").exists()
    assert not groups()


def test_a_server_that_does_not_want_to_end_is_killed_with_all_it_started(lab, alive, monkeypatch):
    monkeypatch.setattr(local, "GRACE_S", 0.1)
    assert lab("--starts", "1", server(0, "stubborn"))[0]["configurations"]
    assert not alive()


def test_a_port_in_use_is_told(lab, alive):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit, match=f"port {port}: found it in use"):
            lab("--port", str(port), server(0))
        with pytest.raises(SystemExit, match="port 99999: found it in use or not allowed"):
            lab("--port", "99999", server(0))
    assert not alive()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_process_behind(alive, tmp_path, number):
    command = [sys.executable, "-m", "timing.coldstart", *ASKED, "--out", str(tmp_path / "out"),
               server(0, "silent")]  # fmt: skip
    running = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # These tests may run in the background, where a shell has Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while len(alive()) < 4:  # the lab, the server and what it left behind
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(number)
    out, errors = running.communicate(timeout=30)
    assert running.returncode == 128 + number and out == ""
    assert errors == ("error: interrupted\n" if number == signal.SIGINT else "")
    assert not alive() and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], "expected either COMMAND or --gcloud SERVICE"),
        (["a", "--gcloud", "s", "--region", "r"], "expected either"),
        (["--gcloud", "s"], "expected --gcloud SERVICE and --region together"),
        (["--gcloud", "s", "--region", "r", "--cpus", "1"], "expected none with --gcloud"),
        (["a", "--cpus", "0"], "expected 0.01 to"),
        (["a", "--cpus", "4096"], "expected 0.01 to"),
        (["a", "--timeout", "nan"], "expected 0.01 to 3600"),
        (["a", "--memory", "512"], "expected a size such as 512Mi"),
        (["a", "--starts", "0"], "expected a number from 1 up"),
        (["a", "--expect", "plant"], "expected such as source=plant"),
    ],
)
def test_bad_options_are_told(capsys, given, expected):
    with pytest.raises(SystemExit):
        coldstart.main([*ASKED, *given])
    assert expected in capsys.readouterr().err.splitlines()[-1]


def test_an_output_that_cannot_be_written_is_told(tmp_path, untraced, alive):
    (tmp_path / "file").write_text("")
    for out in (tmp_path, tmp_path / "file" / "out"):
        with pytest.raises(SystemExit, match=r"error: .*"):
            coldstart.main([*ASKED, "--out", str(out), server(0)])
    with pytest.raises(LabError, match="cannot be written"):
        report.write(tmp_path / "none" / "out", {})


def test_the_page_cache_is_dropped_before_every_start_where_one_may(
    lab, tmp_path, monkeypatch, untraced
):
    dropped: list[str] = []
    monkeypatch.setattr(local.os, "sync", lambda: dropped.append("sync"))
    monkeypatch.setattr(local, "DROP_CACHES", tmp_path / "drop_caches")
    found, _ = lab("--starts", "2", "--drop-page-cache", server(0))
    assert len(dropped) == 3 and (tmp_path / "drop_caches").read_text() == "3\n"
    assert found["page_cache"] == "dropped"
    monkeypatch.setattr(local, "DROP_CACHES", tmp_path / "none" / "drop_caches")
    found, printed = lab("--starts", "1", "--drop-page-cache", server(0))
    assert found["page_cache"] == "kept" and "the page cache was not dropped: " in printed


def test_lines_are_read_as_far_as_they_can_be():
    found = lines.records('words\n{"span": "a", "duration_ms": 1}\n{broken\n{"span": 3}\n[1]\n'
                          '{"span": "b", "duration_ms": NaN}\n{"span": "c", "duration_ms": "1"}\n'
                          '{"span": "a", "duration_ms": 9}\n{"span": "s", "duration_ms": 5, '
                          '"stages_ms": {"x": 2, "y": null}}\n')  # fmt: skip
    assert lines.durations(found) == {"stages_ms.x": 2, "spans_ms.a": 1, "spans_ms.s": 5}
    assert lines.last_words("{}\nfirst\nSome Error: x\nNode.js v20\n") == "Some Error: x"


def test_a_summary_counts_the_starts_that_had_a_stage():
    found = report.summarize([{"a_ms": 1.0}, {"a_ms": 2.0, "b_ms": 5.0}, {"a_ms": 3.0}])
    assert found["a_ms"] == {"n": 3, "p50": 2.0, "p95": 2.9, "min": 1.0, "max": 3.0}
    assert found["b_ms"] == {"n": 1, "p50": 5.0, "p95": 5.0, "min": 5.0, "max": 5.0}


def test_opened_files_are_counted(tmp_path):
    (tmp_path / "trace.1").write_text(
        'openat(AT_FDCWD</>, "a", O_RDONLY) = 3</a>\n'
        'openat(AT_FDCWD</>, "a", O_RDONLY) = 4</a>\n'
        'openat(AT_FDCWD</>, "d", O_RDONLY|O_DIRECTORY) = 5</d>\n'
        'openat(AT_FDCWD</>, "b", O_RDONLY) = -1 ENOENT (No such file or directory)\n'
    )
    (tmp_path / "trace.2").write_text('open("c", O_RDONLY) = 3</c>\n')
    assert strace.count(tmp_path) == {"files_opened": 2, "opens": 3, "opens_failed": 1}


def test_the_first_start_is_traced_where_it_can_be(lab):
    try:
        strace.probe()
    except LabError as error:
        pytest.skip(str(error))
    found, printed = lab("--starts", "1", server(0))
    assert found["configurations"][0]["opened"]["files_opened"] > 10
    assert "files opened" in printed
