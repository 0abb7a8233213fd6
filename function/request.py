"""From what came over HTTP to the texts to classify, or a Problem that names the fault."""

from __future__ import annotations

import json
from collections.abc import Mapping

from function.errors import Problem, named, pointed

VERSION = "1.2.0"  # of the API, semantic; what changed is in CHANGELOG.md
MAX_BODY = 64 * 1024  # bytes
MAX_TEXTS = 256
MAX_CHARACTERS = 1_000  # code points of one text


def parse(body: bytes) -> object:
    """The JSON in `body`, strictly: UTF-8, no NaN, no key twice. Raises Problem 400."""
    try:
        return json.loads(
            body.decode("utf-8"), parse_constant=_constant, object_pairs_hook=_unique
        )
    except RecursionError:
        reason = "it is nested too deeply"
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8"
    except ValueError as error:
        reason = str(error)
    raise Problem(400, f"The body is not JSON: {reason}.", [pointed(reason)])


def _constant(name: str):
    raise ValueError(f"{name} is not a JSON value")


def _unique(pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a key twice")
    return found


def texts_of(data: object) -> list[str]:
    """The texts that a decoded body asks for. Raises Problem 422 with every fault in it."""
    if not isinstance(data, dict):
        raise _unprocessable([pointed(f"found {_kind(data)}, expected an object")])
    faults = [
        pointed(f"found unknown field {key!r}, expected 'text' or 'texts'", key)
        for key in data
        if key not in ("text", "texts")
    ]
    given = [key for key in ("text", "texts") if key in data]
    if len(given) != 1:
        found = "both" if given else "neither"
        faults.append(pointed(f"found {found} of 'text' and 'texts', expected exactly one"))
    elif given == ["text"]:
        faults += _text_faults(data["text"], "text")
    elif not isinstance(data["texts"], list):
        faults.append(pointed(f"found {_kind(data['texts'])}, expected a list of texts", "texts"))
    elif not 1 <= len(data["texts"]) <= MAX_TEXTS:
        found = len(data["texts"])
        faults.append(pointed(f"found {found} texts, expected 1 to {MAX_TEXTS}", "texts"))
    else:
        for n, text in enumerate(data["texts"]):
            faults += _text_faults(text, "texts", n)
    if faults:
        raise _unprocessable(faults)
    return list(map(well_formed, data["texts"] if given == ["texts"] else [data["text"]]))


def text_of(query: Mapping[str, list[str]]) -> str:
    """The `text` of a GET's query parameters. Raises Problem 422."""
    given = query.get("text", [])
    if len(given) != 1:
        raise _unprocessable([named(f"found {len(given)} times, expected once", "text")])
    if problem := _problem(given[0]):
        raise _unprocessable([named(problem, "text")])
    return well_formed(given[0])


def scores_of(query: Mapping[str, list[str]], known: tuple[str, ...]) -> bool:
    """Whether every label's probability is asked for. Raises Problem 422, also for a query
    parameter that is not `known`: a misspelt one must not go unnoticed."""
    faults = [
        named(f"found an unknown query parameter, expected {' or '.join(known)}", name)
        for name in query
        if name not in known
    ]
    if query.get("scores", ["all"]) != ["all"]:
        faults.append(named("expected the value 'all', once", "scores"))
    if faults:
        raise _unprocessable(faults)
    return "scores" in query


def well_formed(text: str) -> str:
    """`text` with every lone surrogate replaced by U+FFFD, as JavaScript's `toWellFormed`: JSON
    can carry one, UTF-8 cannot. The tokenizer ignores both."""
    if text.isascii():
        return text
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)


def _text_faults(text: object, *path: str | int) -> list[dict]:
    problem = _problem(text)
    return [pointed(problem, *path)] if problem else []


def _problem(text: object) -> str | None:
    if not isinstance(text, str):
        return f"found {_kind(text)}, expected a string"
    if not text.strip():
        return "found an empty text, expected something to classify"
    if len(text) > MAX_CHARACTERS:
        return f"found {len(text)} characters, expected at most {MAX_CHARACTERS}"
    return None


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean",
             type(None): "null"}  # fmt: skip
    return names.get(type(value), "a number")


def _unprocessable(faults: list[dict]) -> Problem:
    first = faults[0]
    place = first.get("pointer") or first["parameter"]
    more = f" ({len(faults)} faults in all)" if len(faults) > 1 else ""
    return Problem(422, f"{place}: {first['detail']}{more}.", faults)
