"""The Cloud Run function: entry point `classify` over functions-framework.

    functions-framework --source function/main.py --target classify

The bundle is `BUNDLE` or the folder `bundle/` beside this one. It is loaded and warmed up before
the server listens; a bad one ends the process with one line. After a SIGHUP what is in that folder
then takes over (swap.py). With `PLAYGROUND=1` the page that `make playground` builds is served at
`/`. What else the environment decides is in guard.py.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import traceback
from pathlib import Path
from urllib.parse import parse_qs

import flask
import functions_framework

import timing
import timing.startup  # first of ours: what came before it was the framework
from function import body, guard, playground, request
from function import model as models
from function.contract import ContractError
from function.errors import Problem
from function.model import Model
from function.ort import OrtError
from function.swap import Served
from function.wordpiece import VocabularyError
from timing import headers

GET, POST = ("GET", "HEAD"), ("POST",)
# What the log names; any other word for a method is a text of its caller.
METHODS = {*GET, *POST, "DELETE", "OPTIONS", "PATCH", "PUT"}
ROUTES = {
    "/": POST,
    "/classify": GET + POST,
    "/health": GET,
    "/ready": GET,
    "/openapi.json": GET,
}
# Of gunicorn, made as they are needed: a body that comes slowly holds one.
os.environ.setdefault("THREADS", "64")
MAX_AGE = 86_400  # seconds an answer to a GET may be kept; its ETag changes with the model
ROOT = Path(__file__).resolve().parent.parent


def start() -> tuple[guard.Guard, Served]:
    """Guard and model, or the end of the process with one line that says what is wrong."""
    folder = os.environ.get("BUNDLE") or ROOT / "bundle"
    try:
        return guard.read(os.environ), Served(folder, models.load(folder))
    except (
        guard.GuardError, models.BundleError, OrtError, ContractError, VocabularyError, OSError
    ) as error:  # fmt: skip
        sys.exit(f"error: {error}")


GUARD, SERVED = start()
SERVED.listen()
PAGES = (
    playground.files(ROOT / "build" / "playground") if os.environ.get("PLAYGROUND") == "1" else {}
)


@functions_framework.http
def classify(asked: flask.Request) -> flask.Response:
    """Answer one request. Never raises: what nobody expected is a 500 problem document."""
    log: dict = {}
    model = SERVED.model  # of all of this answer, whatever takes over meanwhile
    headers.receive(asked.headers)
    with timing.startup.invocation("request") as span:
        try:
            answer = route(asked, model, log)
        except Problem as problem:
            answer = respond(problem.document(), problem.status, "application/problem+json")
            answer.headers.update(problem.headers)
        except Exception as error:
            # To the log alone, a traceback tells a stranger too much; and the exception's type
            # without its message, which may quote what a user typed.
            log["stack"] = "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__
            problem = Problem(500, "Something went wrong here; the request may be fine.")
            answer = respond(problem.document(), 500, "application/problem+json")
        # functions-framework reads what is left of a body after the answer, all of it into memory
        # and with an exception where it was cut: there is nothing left.
        asked.stream = io.BytesIO()
    versions = {"API-Version": request.VERSION, "Model-Version": model.id}
    for name, value in (guard.HEADERS | versions | GUARD.cors(asked.headers)).items():
        answer.headers.setdefault(name, value)
    method = asked.method if asked.method in METHODS else "a request"
    timing.emit({
        "severity": "ERROR" if answer.status_code >= 500 else "INFO",
        "message": f"{method} {answer.status_code} in {span.duration_ms:.3f} ms",
        "status": answer.status_code,
        **log,
    })  # fmt: skip
    return answer


def route(asked: flask.Request, model: Model, log: dict) -> flask.Response:
    """The response to a well-formed request; `log` gets what is worth a line. Raises Problem."""
    if asked.method in GET and asked.path in PAGES:
        content, headers = playground.read(PAGES[asked.path])
        return flask.Response(content, headers=headers)
    methods = ROUTES.get(asked.path)
    if methods is None:
        raise Problem(404, f"There is nothing here, expected one of {', '.join(ROUTES)}.")
    if asked.method == "OPTIONS" and (may := GUARD.preflight(asked.headers, methods)):
        return flask.Response(status=204, headers=may)
    if asked.method not in methods:
        allowed = ", ".join(methods)
        raise Problem(405, f"Found {asked.method}, expected one of {allowed}.", Allow=allowed)
    if asked.path == "/health":
        return respond(b'{"status": "ok"}')
    if asked.path == "/ready":  # the model was warmed up before the server began to listen
        ready = {"status": "ready", "api": request.VERSION, "model": model.id}
        return respond(json.dumps(ready).encode())
    if asked.path == "/openapi.json":
        from function import openapi  # hardly ever asked for: no cold start waits for it

        keyed = GUARD.key is not None
        return respond(json.dumps(openapi.describe(model.contract, keyed)).encode())
    GUARD.admit(asked.headers)
    # As URLSearchParams reads it: bytes that are no UTF-8 become U+FFFD.
    query = parse_qs(asked.query_string.decode("latin-1"), keep_blank_values=True)
    if asked.method in GET:
        scores = request.scores_of(query, ("text", "scores"))
        return cached(asked, model, request.text_of(query), scores, log)
    scores = request.scores_of(query, ("scores",))
    return answered(model, request.texts_of(request.parse(body.read(asked))), scores, log)


def cached(
    asked: flask.Request, model: Model, text: str, scores: bool, log: dict
) -> flask.Response:
    """The answer to a GET, which a browser or CDN may keep; 304 where it has it already."""
    # The model file's hash, so that a retrained model of the same version is asked anew.
    known = f"{model.id} {model.fingerprint} {scores} {text}"
    etag = hashlib.sha256(known.encode()).hexdigest()[:32]
    # Weak too: a proxy that compresses an answer weakens its ETag.
    if asked.if_none_match.contains_weak(etag):
        answer = flask.Response(status=304)
    else:
        answer = answered(model, [text], scores, log)
    answer.set_etag(etag)
    # What only a key opens is not for a cache that others share.
    shared = "public" if GUARD.key is None else "private"
    answer.headers["Cache-Control"] = f"{shared}, max-age={MAX_AGE}"
    return answer


def answered(model: Model, texts: list[str], scores: bool, log: dict) -> flask.Response:
    results, stages = model.answer(texts, scores)
    log |= {"texts": len(texts), "characters": sum(map(len, texts)), "digest": GUARD.digest(texts)}
    log |= {f"{name}_ms": round(ms, 3) for name, ms in stages.items()}
    found = {"api": request.VERSION, "model": model.id, "results": results}
    answer = respond(json.dumps(found, ensure_ascii=False).encode())
    answer.headers["Server-Timing"] = headers.server_timing(stages)
    return answer


def respond(content: bytes, status: int = 200, kind: str = "application/json") -> flask.Response:
    return flask.Response(content, status, content_type=kind)
