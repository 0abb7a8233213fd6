"""The functions over real HTTP: every conformance case, and what JSON cannot express.

The cases in `conformance/*.json` know no language: each is a request and what is expected of the
answer (status, headers that contain, headers that are absent, JSON that holds at least this). Those
in `conformance/guarded` are for a server with the environment named there.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, make_bundle
from tests.serving import COMMANDS, RUNTIMES, ask, server

CASES = [
    pytest.param(case, id=f"{path.stem}: {case['name']}")
    for path in sorted((ROOT / "tests" / "conformance").glob("*.json"))
    for case in json.loads(path.read_text("utf-8"))
]
GUARDED = json.loads((ROOT / "tests" / "conformance" / "guarded" / "cases.json").read_text())


@pytest.fixture(scope="module", params=RUNTIMES)
def runtime(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def log(tmp_path_factory, runtime) -> Path:
    return tmp_path_factory.mktemp(runtime) / "log"


@pytest.fixture(scope="module")
def port(tmp_path_factory, runtime, log) -> Iterator[int]:
    with server(make_bundle(tmp_path_factory.mktemp("bundle") / "pets"), log, runtime) as port:
        yield port


def send(port: int, request: dict):
    """(status, headers, content) of a case's request."""
    headers = dict(request.get("headers", {}))
    if "json" in request:
        body = json.dumps(request["json"]).encode()
    elif "base64" in request:
        body = base64.b64decode(request["base64"])
    else:
        # A body is a string, or a list of strings and [string, times].
        parts = request.get("body", [])
        parts = [parts] if isinstance(parts, str) else parts
        body = "".join(p if isinstance(p, str) else p[0] * p[1] for p in parts).encode()
        body = body if "body" in request else None
    chunked = request.get("chunked", False)
    if chunked:
        headers["Transfer-Encoding"] = "chunked"
    return ask(port, request["method"], request["path"], body, headers, chunked)


@pytest.mark.parametrize("case", CASES)
def test_conformance(case, port):
    conform(case, port)
    # Whatever came before, the next request is served.
    assert ask(port, "GET", "/classify?text=cat")[0] == 200


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, runtime) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("guarded")
    bundle = make_bundle(folder / "pets")
    with server(bundle, folder / "log", runtime, **GUARDED["environment"]) as port:
        yield port


@pytest.mark.parametrize("case", GUARDED["cases"], ids=lambda case: case["name"])
def test_conformance_with_key_and_origins(case, guarded):
    conform(case, guarded)


def conform(case: dict, port: int) -> None:
    request, expected = case["request"], case["expect"]
    status, found, content = send(port, request)
    if expected["status"] == "4xx":
        assert 400 <= status < 500, content
    else:
        assert status == expected["status"], content
    for name, part in expected.get("headers", {}).items():
        assert part in found.get(name, ""), name
    assert [name for name in expected.get("absent", []) if name in found] == []
    if request["method"] == "HEAD":
        assert content == b""
    if "json" in expected:
        assert_holds(json.loads(content), expected["json"], "$")


def assert_holds(found, expected, at: str) -> None:
    """`found` has at least what `expected` has; lists have the same length."""
    if isinstance(expected, dict):
        assert isinstance(found, dict), at
        for key, value in expected.items():
            assert key in found, f"{at}.{key}"
            assert_holds(found[key], value, f"{at}.{key}")
    elif isinstance(expected, list):
        assert isinstance(found, list) and len(found) == len(expected), at
        for n, value in enumerate(expected):
            assert_holds(found[n], value, f"{at}[{n}]")
    else:
        assert found == expected, at


def test_keys_come_in_the_contracts_order(port):
    body = json.dumps({"text": "cat"}).encode()
    content = ask(port, "POST", "/", body, {"Content-Type": "application/json"})[2]
    assert list(json.loads(content)["results"][0]) == ["text", "animal", "kinds"]


def test_etag_answers_not_modified(port):
    path = "/classify?text=cat"
    _, headers, _ = ask(port, "GET", path)
    status, again, content = ask(port, "GET", path, headers={"If-None-Match": headers["ETag"]})
    assert (status, content, again["ETag"]) == (304, b"", headers["ETag"])
    tags = (f"W/{headers['ETag']}", f'"x", {headers["ETag"]}', "*")
    assert [ask(port, "GET", path, headers={"If-None-Match": tag})[0] for tag in tags] == [304] * 3
    for other in ("/classify?text=dog", path + "&scores=all"):
        assert ask(port, "GET", other)[1]["ETag"] != headers["ETag"]
        assert ask(port, "GET", other, headers={"If-None-Match": headers["ETag"]})[0] == 200


def test_a_body_shorter_than_announced_does_not_block_others(port):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as half:
        half.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     b"Content-Length: 500\r\n\r\n{\"text\"")  # fmt: skip
        assert ask(port, "GET", "/classify?text=cat")[0] == 200
        half.shutdown(socket.SHUT_WR)
        answer = half.recv(4096)
        assert answer == b"" or b" 400 " in answer.splitlines()[0]
    assert ask(port, "GET", "/health")[0] == 200


@pytest.mark.parametrize(
    "chunks",
    [b"ZZ\r\n{}\r\n", b"-5\r\nabcde\r\n", b"2\r\n{}XX\r\n", b"ff\r\n{"],
    ids=["no size", "negative size", "no end", "cut off"],
)
def test_broken_chunks_are_the_callers_fault(port, chunks):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                           b"Transfer-Encoding: chunked\r\n\r\n" + chunks)  # fmt: skip
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ") and b"application/problem+json" in answer
    assert ask(port, "GET", "/classify?text=cat")[0] == 200


def test_log_lines_are_json_and_hold_no_text_of_users(port, log):
    secret = "unmistakable"
    assert ask(port, "GET", f"/classify?text={secret}")[0] == 200
    ask(port, "POST", "/", json.dumps({secret: secret}).encode(),
        {"Content-Type": "application/json"})  # fmt: skip
    content = log.read_text()
    assert secret not in content and "Traceback" not in content
    records = [json.loads(line) for line in content.splitlines() if line.startswith("{")]
    assert {"load", "encode", "infer", "decode", "request"} <= {r.get("span") for r in records}
    summary = [r for r in records if "status" in r and r.get("texts") == 1][-1]
    assert {"severity", "message", "encode_ms", "infer_ms", "decode_ms"} <= set(summary)
    assert summary["characters"] == len(secret) and len(summary["digest"]) == 16


def test_the_first_answer_logs_the_cold_start_by_stage(port, log):
    trace = "0af7651916cd43dd8448eb211c80319c"
    ask(port, "GET", "/ready", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    records = [json.loads(x) for x in log.read_text().splitlines() if x.startswith("{")]
    (cold,) = [record for record in records if "stages_ms" in record]
    assert list(cold["stages_ms"]) == [
        "interpreter", "framework", "function", "bundle", "vocabulary", "contract", "onnxruntime",
        "session", "warm-up", "listening", "first request", "first answer",
    ]  # fmt: skip
    assert sum(cold["stages_ms"].values()) == pytest.approx(cold["duration_ms"], rel=0.1)
    requests = [record for record in records if record.get("span") == "request"]
    assert [r["labels"]["faas.coldstart"] for r in requests].count("true") == 1
    assert trace in requests[-1]["logging.googleapis.com/trace"]
    inner = next(record for record in records if record.get("span") == "infer")
    assert inner["parent"] == "request" and "message" in inner


def test_what_nobody_expected_is_a_500_problem(pets_bundle, monkeypatch, records):
    monkeypatch.setenv("BUNDLE", str(pets_bundle))
    from werkzeug.test import EnvironBuilder

    from function import main

    def fail(texts, *_):
        raise ArithmeticError(texts)

    monkeypatch.setattr(main, "answered", fail)
    import flask

    app = flask.Flask("test")
    builder = EnvironBuilder("/classify", query_string={"text": "secret"})
    with app.request_context(builder.get_environ()):
        answer = main.classify(flask.request)
    assert answer.status_code == 500 and answer.mimetype == "application/problem+json"
    assert b"Arithmetic" not in answer.data and "secret" not in json.dumps(records)
    assert records[-1]["stack"].endswith("ArithmeticError") and records[-1]["severity"] == "ERROR"


def start(bundle: Path, runtime: str, **environment: str) -> subprocess.CompletedProcess:
    env = {**os.environ, "BUNDLE": str(bundle), "PYTHONPATH": str(ROOT), **environment}
    command = [*COMMANDS[runtime], "0"]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: (folder / "vocab.txt").unlink(), "vocab.txt: found no readable file"),
        (lambda folder: (folder / "vocab.txt").write_text("[PAD]\n"), "vocab.txt: found sha256"),
        (lambda folder: shutil.rmtree(folder), "manifest.json: found no file"),
    ],
)
def test_a_bad_bundle_stops_the_start_with_one_line(pets_bundle, runtime, harm, message):
    harm(pets_bundle)
    done = start(pets_bundle, runtime)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert done.returncode != 0 and len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ") and message in lines[0]


@pytest.mark.parametrize(
    ("environment", "fault"),
    [
        ({"ALLOWED_ORIGINS": "https://a.example, https://app.example/page"},
         "ALLOWED_ORIGINS: found 'https://app.example/page', expected an origin as browsers send "
         "it, such as https://example.org"),
        ({"API_KEY": "a secret with a line end\n"},
         "API_KEY: found a key that no header carries, expected visible ASCII"),
    ],
)  # fmt: skip
def test_a_bad_setting_stops_the_start_with_one_line(pets_bundle, runtime, environment, fault):
    done = start(pets_bundle, runtime, **environment)
    assert (done.returncode != 0, done.stderr) == (True, f"error: {fault}\n")


def test_the_playground_is_served_where_it_is_wanted(runtime, pets_bundle, tmp_path):
    built = ROOT / "build" / "playground"
    if not (built / "assets.json").exists():
        pytest.skip("needs make playground")
    with server(pets_bundle, tmp_path / "log", runtime, PLAYGROUND="1") as port:
        for path, file, kind in (
            ("/", "index.html", "text/html; charset=utf-8"),
            ("/playground/worker.js", "worker.js", "text/javascript; charset=utf-8"),
            ("/playground/ort-wasm-simd-threaded.wasm", None, "application/wasm"),
            ("/playground/bundle/manifest.json", "bundle/manifest.json", "application/json"),
        ):
            status, headers, content = ask(port, "GET", path)
            assert (status, headers["Content-Type"]) == (200, kind)
            policy = headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
            assert headers["X-Content-Type-Options"] == "nosniff" and headers["API-Version"]
            assert file is None or content == (built / file).read_bytes()
        assert ask(port, "HEAD", "/")[::2] == (200, b"")
        for path in ("/playground/../function.js", "/playground/%2e%2e/main.py", "/index.html"):
            assert ask(port, "GET", path)[0] == 404
        assert ask(port, "DELETE", "/")[0] == 405
        assert ask(port, "GET", "/classify?text=cat")[0] == 200


def test_the_shipped_model_answers_the_readmes_questions(shipped, runtime, tmp_path):
    with server(shipped, tmp_path / "log", runtime) as port:
        body = json.dumps({"texts": ["smoked paprika", "poop cake", "oat milk", "gelatin"]})
        content = ask(port, "POST", "/", body.encode(), {"Content-Type": "application/json"})[2]
    paprika, cake, milk, gelatin = json.loads(content)["results"]
    assert paprika["ingredient"]["label"] == "ingredient"
    assert paprika["source"]["label"] == "plant"
    assert "spice" in [category["label"] for category in paprika["categories"]]
    assert cake["ingredient"]["label"] == "not_ingredient"
    assert cake["source"] is None and cake["categories"] == []
    assert milk["source"]["label"] == "plant"
    assert gelatin["source"]["label"] == "dead_animal"


@pytest.mark.parametrize("language, command", [
    ("python", [sys.executable, "-c"]),
    pytest.param("js", ["node", "--input-type=module", "-e"], marks=pytest.mark.skipif(
        not shutil.which("node"), reason="needs node")),
])  # fmt: skip
def test_the_readmes_clients_get_answers(shipped, runtime, tmp_path, language, command):
    readme = (ROOT / "README.md").read_text("utf-8")
    section = readme.partition("## Run it\n")[2].partition("\n## ")[0]
    (code,) = re.findall(rf"```{language}\n(.*?)```", section, re.S)
    with server(shipped, tmp_path / "log", runtime) as port:
        here = code.replace("localhost:8080", f"127.0.0.1:{port}")
        done = subprocess.run([*command, here], capture_output=True, text=True, timeout=60)
    said = [f"{text} ingredient plant" for text in ("smoked paprika", "oat milk")]
    assert done.stdout.splitlines() == said, done.stderr
