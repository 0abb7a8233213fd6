"""The API's description against the running servers: every route is in it, and every conformance
case's request and answer are judged alike by both."""

import copy
import json
import re
from collections.abc import Iterator

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from function import openapi
from tests.conftest import ROOT, make_bundle
from tests.serving import RUNTIMES, ask, server
from tests.test_http import CASES, send

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module", params=RUNTIMES)
def port(tmp_path_factory, request) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("openapi")
    with server(make_bundle(folder / "pets"), folder / "log", request.param) as port:
        yield port


@pytest.fixture(scope="module")
def document(port) -> dict:
    return json.loads(ask(port, "GET", "/openapi.json")[2])


def faults(document: dict, schema: dict, value: object) -> list[str]:
    """What `schema`, a part of the document, has against `value`."""
    whole = {**schema, "components": document["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def closed(part):
    """`part` of the document with no object allowed to have more than it says: so a test sees
    what is not described, while a caller must live with what a later version adds."""
    if isinstance(part, list):
        return [closed(one) for one in part]
    if not isinstance(part, dict):
        return part
    part = {key: closed(value) for key, value in part.items()}
    return {**part, "additionalProperties": False} if "properties" in part else part


def test_the_document_is_valid_openapi(document):
    validate(document)
    assert document["openapi"] == "3.1.0" and document["info"]["version"] == openapi.VERSION
    names = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(names) == len(set(names))


def test_every_route_and_method_is_described(document, pets_bundle, monkeypatch):
    monkeypatch.setenv("BUNDLE", str(pets_bundle))
    from function import main

    described = {(path, method.upper()) for path, of in document["paths"].items() for method in of}
    assert described == {(path, method) for path, of in main.ROUTES.items() for method in of}


def test_labels_are_enums(document):
    schemas = document["components"]["schemas"]
    result = schemas["Answers"]["properties"]["results"]["items"]["properties"]
    assert result["animal"]["properties"]["label"]["enum"] == ["yes", "no"]
    assert result["kinds"]["items"]["properties"]["label"]["enum"] == ["cat", "dog", "grey"]


@pytest.mark.parametrize("case", CASES)
def test_requests_and_answers_are_as_described(case, port, document):
    request = case["request"]
    path, _, query = request["path"].partition("?")
    operation = document["paths"].get(path, {}).get(request["method"].lower())
    status, headers, content = send(port, request)
    if operation is None:
        assert status in (404, 405)
        return
    response = operation["responses"].get(str(status))
    assert response is not None, f"{status} is not described"
    for name in response["headers"]:
        assert headers[name], name
    if "content" in response:
        ((kind, media),) = response["content"].items()
        assert headers["Content-Type"].startswith(kind)
        assert faults(closed(document), media["schema"], json.loads(content)) == []
    else:
        assert content == b""
    if "json" in request and not query:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert (faults(document, schema, request["json"]) == []) == (status == 200)


@pytest.mark.parametrize("path", ["/health", "/ready", "/openapi.json"])
def test_the_plain_routes_answer_as_described(path, port, document):
    status, _, content = ask(port, "GET", path)
    schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
    assert status == 200 and faults(document, schema["schema"], json.loads(content)) == []


def test_not_modified_is_described(port, document):
    etag = ask(port, "GET", "/classify?text=cat")[1]["ETag"]
    status, headers, _ = ask(port, "GET", "/classify?text=cat", headers={"If-None-Match": etag})
    described = document["paths"]["/classify"]["get"]["responses"][str(status)]["headers"]
    assert status == 304 and all(headers[name] for name in described)


def test_these_tests_can_fail(port, document):
    """A field that is not described, and a label that is none, are seen."""
    answer = json.loads(ask(port, "POST", "/", b'{"text": "cat"}', JSON)[2])
    schema = {"$ref": "#/components/schemas/Answers"}
    assert faults(closed(document), schema, answer) == []
    more, wrong = copy.deepcopy(answer), copy.deepcopy(answer)
    more["results"][0]["more"] = 1
    wrong["results"][0]["animal"]["label"] = "maybe"
    assert faults(document, schema, more) == []  # a caller bears it
    assert faults(closed(document), schema, more) and faults(document, schema, wrong)


def test_a_key_is_described_where_one_is_wanted(shipped, records):
    from function import model as models

    contract = models.load(shipped).contract
    keyed, free = openapi.describe(contract, True), openapi.describe(contract, False)
    validate(keyed)
    validate(free)
    for path, method in (("/", "post"), ("/classify", "get"), ("/classify", "post")):
        assert keyed["paths"][path][method]["security"] == [{"key": []}]
        assert "401" in keyed["paths"][path][method]["responses"]
        assert "401" not in free["paths"][path][method]["responses"]
    assert "securitySchemes" not in free["components"]


def test_the_changelog_tells_of_this_version_of_api_and_model():
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    api, model = changelog.split("\n## Model\n")
    contract = json.loads((ROOT / "bundle" / "contract.json").read_text())
    assert re.search(r"^### (\S+)", api, re.M)[1] == openapi.VERSION
    assert re.search(r"^### (\S+)", model, re.M)[1] == contract["version"]
    semantic = re.findall(r"^### (\S+)", changelog, re.M)
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in semantic)


def test_a_text_is_described_as_it_is_taken(document):
    """What the pattern of a text leaves out is what `strip` takes off, of all that there is."""
    (text,) = (p["schema"] for p in document["paths"]["/classify"]["get"]["parameters"]
               if p["name"] == "text")  # fmt: skip
    seen = re.compile(text["pattern"])
    every = map(chr, range(0x110000))
    assert [c for c in every if bool(seen.search(c)) != bool(c.strip())] == []
