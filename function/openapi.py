"""The API's description (OpenAPI 3.1), made from the contract so that labels are enums."""

from __future__ import annotations

from function.contract import Contract, Task
from function.request import MAX_CHARACTERS, MAX_TEXTS


def describe(contract: Contract, model_id: str) -> dict:
    """The OpenAPI document of the function serving this contract."""
    text = {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS}
    texts = {"type": "array", "items": text, "minItems": 1, "maxItems": MAX_TEXTS}
    body = {
        "oneOf": [
            {"type": "object", "properties": {name: schema}, "required": [name],
             "additionalProperties": False}
            for name, schema in (("text", text), ("texts", texts))
        ]
    }  # fmt: skip
    scores = _query("scores", {"const": "all"}, "every label's probability as well", False)
    post = {
        "summary": "Classify one text or several",
        "parameters": [scores],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": _responses("400", "413", "415", "422"),
    }
    get = {
        "summary": "Classify one text; the answer may be cached",
        "parameters": [_query("text", text, "what to classify", True), scores],
        "responses": {**_responses("422"), "304": {"description": "known by its ETag"}},
    }
    plain = {"get": {"responses": {"200": {"description": "yes"}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{contract.name} classifier", "version": model_id},
        "paths": {
            "/classify": {"get": get, "post": post},
            "/": {"post": post},
            "/health": plain,
            "/ready": plain,
        },
        "components": {"schemas": _schemas(contract)},
    }


def _query(name: str, schema: dict, description: str, required: bool) -> dict:
    return {"name": name, "in": "query", "required": required, "description": description,
            "schema": schema}  # fmt: skip


def _responses(*refusals: str) -> dict:
    answers = {"$ref": "#/components/schemas/Answers"}
    problem = {"$ref": "#/components/schemas/Problem"}
    return {
        "200": {"description": "the answers", "content": {"application/json": {"schema": answers}}},
        **{
            status: {"description": "refused",
                     "content": {"application/problem+json": {"schema": problem}}}
            for status in refusals
        },
    }  # fmt: skip


def _schemas(contract: Contract) -> dict:
    result = {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            **{task.name: _answer(task) for task in contract.tasks},
            "scores": {"type": "object"},
        },
        "required": ["text", *(task.name for task in contract.tasks)],
    }
    return {
        "Answers": {
            "type": "object",
            "properties": {"model": {"type": "string"}, "results": {"type": "array",
                                                                    "items": result}},
            "required": ["model", "results"],
        },
        "Problem": {
            "type": "object",
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
                "errors": {"type": "array", "items": {"type": "object"}},
            },
            "required": ["type", "title", "status", "detail"],
        },
    }  # fmt: skip


def _answer(task: Task) -> dict:
    one = {
        "type": "object",
        "properties": {
            "label": {"enum": list(task.labels)},
            "score": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": ["label", "score"],
    }
    if task.kind == "multi":
        return {"type": "array", "items": one}
    one["properties"]["abstain"] = {"const": True, "description": "too unsure: ask a person"}
    return {"oneOf": [one, {"type": "null"}]} if task.only_if else one
