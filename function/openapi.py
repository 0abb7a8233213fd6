"""The API's description (OpenAPI 3.1), made from the contract so that labels are enums."""

from __future__ import annotations

from function.contract import Contract, Task
from function.guard import KEY_HEADER
from function.request import MAX_CHARACTERS, MAX_TEXTS, VERSION

REFUSED = {
    "400": "the body is no JSON or could not be read",
    "401": "the API key is missing or wrong",
    "408": "the body came too slowly",
    "413": "the body is too large",
    "415": "the body is not called JSON",
    "422": "the body or the query does not say what to classify; every fault is named",
}
# At least one character that `str.strip` would leave; `\S` means another set in every dialect.
_SEEN = r"[^\t-\r\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"


def describe(contract: Contract, keyed: bool) -> dict:
    """The OpenAPI document of the function serving this contract; `keyed`: it wants an API key."""
    text = {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS, "pattern": _SEEN}
    texts = {"type": "array", "items": text, "minItems": 1, "maxItems": MAX_TEXTS}
    body = {
        "oneOf": [
            {"type": "object", "properties": {name: schema}, "required": [name],
             "additionalProperties": False}
            for name, schema in (("text", text), ("texts", texts))
        ],
        "examples": [{"text": "smoked paprika"}, {"texts": ["smoked paprika", "oat milk"]}],
    }  # fmt: skip
    scores = _query("scores", {"const": "all"}, "every label's probability as well", False)
    own = ["401"] if keyed else []
    post = {
        "summary": "Classify one text or several",
        "parameters": [scores],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": _responses("Answers", *own, "400", "408", "413", "415", "422", timed=True),
    }
    get = {
        "summary": "Classify one text; the answer may be cached",
        "parameters": [
            _query("text", text, "what to classify", True),
            scores,
            {"name": "If-None-Match", "in": "header", "schema": {"type": "string"},
             "description": "the ETag of an answer at hand"},
        ],
        "responses": {
            **_responses("Answers", *own, "422", timed=True, kept=True),
            "304": {"description": "the answer at hand is still right",
                    "headers": _headers("ETag", "Cache-Control")},
        },
    }  # fmt: skip
    for operation in (get, post):
        operation["security"] = [{"key": []}] if keyed else []

    def plain(summary: str, schema: str) -> dict:
        return {"summary": summary, "responses": _responses(schema)}

    paths = {
        "/classify": {"get": get, "post": post},
        "/": {"post": post},
        "/health": {"get": plain("Is the process alive?", "Health")},
        "/ready": {"get": plain("Is the model loaded and warmed up?", "Ready")},
        "/openapi.json": {"get": plain("This description", "Description")},
    }
    for path, operations in paths.items():
        name = path.strip("/").partition(".")[0] or "root"
        if "get" in operations:
            operations["head"] = _head(operations["get"])
        paths[path] = {
            method: {"operationId": f"{method}_{name}", **operation}
            for method, operation in operations.items()
        }
    components = {"schemas": _schemas(contract), "headers": _HEADERS}
    if keyed:
        key = {"type": "apiKey", "in": "header", "name": KEY_HEADER}
        components["securitySchemes"] = {"key": key}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{contract.name} classifier",
            "version": VERSION,
            "description": "Short texts in, one answer a task out. Refusals are problem documents "
            "(RFC 9457) that name the field.",
        },
        "paths": paths,
        "components": components,
    }


def _query(name: str, schema: dict, description: str, required: bool) -> dict:
    return {"name": name, "in": "query", "required": required, "description": description,
            "schema": schema}  # fmt: skip


def _responses(schema: str, *refusals: str, timed: bool = False, kept: bool = False) -> dict:
    """The 200 with a body of `schema`, the `refusals`, and whatever else may go wrong."""
    more = [*(["Server-Timing"] if timed else []), *(["ETag"] if kept else [])]
    return {
        "200": _response("as asked", "application/json", schema, *more),
        **{
            status: _response(REFUSED[status], "application/problem+json", "Problem")
            for status in refusals
        },
        "default": _response("anything else", "application/problem+json", "Problem"),
    }


def _response(description: str, kind: str, schema: str, *headers: str) -> dict:
    return {
        "description": description,
        "headers": _headers("Cache-Control", *headers),
        "content": {kind: {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _headers(*names: str) -> dict:
    names = ("API-Version", "Model-Version", *names)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _head(get: dict) -> dict:
    """HEAD answers as GET does, without the body."""
    return {
        **get,
        "responses": {
            status: {key: value for key, value in response.items() if key != "content"}
            for status, response in get["responses"].items()
        },
    }


def _header(description: str) -> dict:
    return {"description": description, "required": True, "schema": {"type": "string"}}


_HEADERS = {
    "API-Version": _header("semantic version of the API, as in info.version"),
    "Model-Version": _header("name and semantic version of the model, such as ingredients-1.0.0"),
    "Cache-Control": _header("no-store, but for answers to GET, which may be kept"),
    "ETag": _header("changes with the text and the model"),
    "Server-Timing": _header("ms that each stage took: encode, infer, decode"),
}


def _object(properties: dict, *optional: str) -> dict:
    """Of an answer: further properties may come with a later minor version."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _schemas(contract: Contract) -> dict:
    string = {"type": "string"}
    result = _object(
        {
            "text": string,
            **{task.name: _answer(task) for task in contract.tasks},
            "scores": _object({task.name: _scores(task) for task in contract.tasks}),
        },
        "scores",
    )
    fault = _object({"detail": string, "pointer": string, "parameter": string},
                    "pointer", "parameter")  # fmt: skip
    return {
        "Answers": _object(
            {"api": string, "model": string, "results": {"type": "array", "items": result}}
        ),
        "Health": _object({"status": {"const": "ok"}}),
        "Ready": _object({"status": {"const": "ready"}, "api": string, "model": string}),
        "Description": {"type": "object", "required": ["openapi", "info", "paths"]},
        "Problem": _object(
            {
                "type": string,
                "title": string,
                "status": {"type": "integer"},
                "detail": string,
                "errors": {
                    "type": "array",
                    "items": fault,
                    "description": "each fault at a JSON pointer into the body (RFC 6901), or of "
                    "the query parameter or header of that name",
                },
            },
            "errors",
        ),
    }


def _scores(task: Task) -> dict:
    return _object({label: _PROBABILITY for label in task.labels})


_PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}


def _answer(task: Task) -> dict:
    """`single`: a label, or null where the task does not apply; `multi`: any number of them."""
    given = {"label": {"enum": list(task.labels)}, "score": _PROBABILITY}
    if task.kind == "multi":
        return {"type": "array", "items": _object(given)}
    given["abstain"] = {"const": True, "description": "too unsure: ask a person"}
    one = _object(given, "abstain")
    return {"oneOf": [one, {"type": "null"}]} if task.only_if else one
