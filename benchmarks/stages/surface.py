"""The shipped function's `POST /classify`, for the stages that run on PyTorch."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import flask

from function import request
from function.contract import Contract
from function.decode import decode
from function.errors import Problem
from timing import Span, headers


def serve(
    contract: Contract, ask: Callable[[str], Sequence[float]]
) -> Callable[[flask.Request], flask.Response]:
    """The HTTP function over `ask`, which gives the probability of every label of a text, in the
    order of the contract's columns. What that took is `infer` in the Server-Timing header."""

    def classify(asked: flask.Request) -> flask.Response:
        try:
            texts = request.texts_of(request.parse(asked.get_data()))
        except Problem as problem:
            return flask.Response(problem.document(), problem.status,
                                  content_type="application/problem+json")  # fmt: skip
        with Span("infer") as span:
            results = [{"text": text, **decode(ask(text), contract)} for text in texts]
        content = json.dumps({"model": contract.name, "results": results}, ensure_ascii=False)
        answer = flask.Response(content, content_type="application/json")
        answer.headers["Server-Timing"] = headers.server_timing({"infer": span.duration_ms})
        return answer

    return classify
