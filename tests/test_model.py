"""Loading a bundle: every file is checked, and the shipped one agrees with its golden vectors."""

import json

import numpy as np
import onnx
import pytest

from function import model as models
from tests.conftest import seal


def test_answers_known_beforehand(pets_bundle, records):
    model = models.load(pets_bundle)
    answers, stages = model.answer(["grey CATS", "zebra"])
    assert [kind["label"] for kind in answers[0]["kinds"]] == ["cat", "grey"]
    assert answers[1] == {"text": "zebra", "animal": {"label": "no", "score": 0.982}, "kinds": []}
    assert list(stages) == ["encode", "infer", "decode"] and min(stages.values()) >= 0
    assert [record["span"] for record in records] == ["load", "encode", "infer", "decode"]
    assert model.id == "pets-0.1.0"


def test_an_answer_does_not_depend_on_its_neighbours(shipped):
    model = models.load(shipped)
    texts = ["smoked paprika", "2 cups of very finely chopped flat-leaf parsley", "poop cake"]
    encoded = [model.wordpiece.encode(text, model.contract) for text in texts]
    together = model.infer(encoded)
    model.cache = models.Cache(8)
    assert together == [model.infer([ids])[0] for ids in encoded]


def test_cached_answers_are_the_same_and_need_no_run(pets_bundle, monkeypatch):
    model = models.load(pets_bundle)
    ids = model.wordpiece.encode("cat", model.contract)
    first = model.infer([ids])
    monkeypatch.setattr(model, "run", None)
    assert model.infer([ids, ids]) == first * 2


def test_cache_forgets_the_oldest():
    cache = models.Cache(2)
    for n in (1, 2):
        cache.put((n,), [n])
    cache.get((1,))
    cache.put((3,), [3])
    assert (cache.get((1,)), cache.get((2,)), cache.get((3,))) == ([1], None, [3])


def truncate(path):
    path.write_bytes(path.read_bytes()[:-10])


def alter(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["onnx/model_quantized.onnx", "contract.json", "vocab.txt"])
@pytest.mark.parametrize("harm", [truncate, alter, lambda path: path.unlink()])
def test_a_harmed_file_is_named_with_both_hashes(pets_bundle, name, harm):
    entry = json.loads((pets_bundle / "manifest.json").read_text())["files"][name]
    harm(pets_bundle / name)
    with pytest.raises(models.BundleError) as error:
        models.load(pets_bundle)
    message = str(error.value)
    assert message.startswith(f"{pets_bundle / name}: found ") and "\n" not in message
    assert f"expected sha256 {entry['sha256']}" in message
    assert message.count("sha256") == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "found no readable manifest"),
        ("[]", "found no readable manifest"),
        ('{"schema": 2, "name": "pets", "files": {}}', r"\$.schema: found 2, expected 1"),
        ('{"schema": 1, "name": "pets", "files": {"a": 1}}', "found no readable manifest"),
        ('{"schema": 1, "name": "pets", "files": {}}', "found no 'onnx/model_quantized.onnx'"),
    ],
)
def test_a_bad_manifest_is_named(pets_bundle, content, message):
    (pets_bundle / "manifest.json").write_text(content)
    with pytest.raises(models.BundleError, match=message):
        models.load(pets_bundle)


def test_a_wrong_size_is_named_though_the_hash_is_right(pets_bundle):
    path = pets_bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["vocab.txt"]["size"] += 1
    path.write_text(json.dumps(manifest))
    with pytest.raises(models.BundleError, match=r"vocab.txt: found sha256 \w+ of \d+ bytes"):
        models.load(pets_bundle)


@pytest.mark.parametrize("outside", ["../secret", "/secret", "a\0b"])
def test_a_manifest_cannot_point_outside(pets_bundle, outside):
    path = pets_bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][outside] = {"sha256": "0", "size": 0}
    path.write_text(json.dumps(manifest))
    with pytest.raises(models.BundleError, match="expected a path inside the bundle"):
        models.load(pets_bundle)


def test_what_is_no_model_is_one_line(pets_bundle):
    (pets_bundle / "onnx/model_quantized.onnx").write_bytes(b"not a graph")
    seal(pets_bundle)
    with pytest.raises(models.BundleError, match="onnxruntime cannot open") as error:
        models.load(pets_bundle)
    assert "\n" not in str(error.value)


def test_a_vocabulary_beyond_the_graph_stops_the_start(pets_bundle):
    path = pets_bundle / "vocab.txt"
    more = "".join(f"x{n}\n" for n in range(30))  # moves the control tokens' ids past its rows
    path.write_text(path.read_text("utf-8").replace("#\n", f"{more}#\n", 1), "utf-8")
    seal(pets_bundle)
    with pytest.raises(models.BundleError, match="found a graph that does not run") as error:
        models.load(pets_bundle)
    assert "\n" not in str(error.value)


def test_logits_that_are_no_numbers_stop_the_start(pets_bundle, monkeypatch):
    monkeypatch.setattr(models.Model, "run", lambda *_: np.full((4, 5), np.nan, np.float32))
    with pytest.raises(models.BundleError, match="found logits that are no numbers"):
        models.load(pets_bundle)


def test_a_model_of_another_contract_is_refused(pets_bundle):
    contract = json.loads((pets_bundle / "contract.json").read_text())
    contract["tasks"][1]["labels"].append("bird")
    (pets_bundle / "contract.json").write_text(json.dumps(contract))
    seal(pets_bundle)
    with pytest.raises(models.BundleError, match="found 5 logit columns, expected one for each of"):
        models.load(pets_bundle)


def test_the_shipped_bundle_is_small_int8_and_whole(shipped):
    model = models.load(shipped)  # verifies every hash
    size = sum(path.stat().st_size for path in shipped.rglob("*") if path.is_file())
    assert size <= 6_000_000
    graph = onnx.load(shipped / "onnx/model_quantized.onnx").graph
    kinds = {node.op_type for node in graph.node}
    assert kinds & {"MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"}
    listed = set(json.loads((shipped / "manifest.json").read_text())["files"])
    there = {path.relative_to(shipped).as_posix() for path in shipped.rglob("*") if path.is_file()}
    assert there == listed | {"manifest.json"}
    assert len(model.contract.columns) == 34


def test_golden_vectors_through_the_function(shipped):
    """Ids are the reference's exactly; probabilities and labels within what int8 costs."""
    model = models.load(shipped)
    golden = json.loads((shipped / "golden.json").read_text("utf-8"))
    tolerance = golden["tolerance"]
    assert len(golden["phrases"]) >= 100 and tolerance < 0.2
    for phrase in golden["phrases"]:
        text, expected = phrase["text"], np.array(phrase["probabilities"])
        ids = model.wordpiece.encode(text, model.contract)
        assert ids == phrase["ids"], text
        found = np.array(model.infer([ids])[0])
        np.testing.assert_allclose(found, expected, atol=tolerance, err_msg=text)
        (answer,), _ = model.answer([text])
        for task in model.contract.tasks:
            p = expected[task.start : task.stop]
            if task.kind == "single":
                if np.diff(np.sort(p)[-2:])[0] > 2 * tolerance and phrase["answer"][task.name]:
                    assert answer[task.name]["label"] == phrase["answer"][task.name], text
            elif (np.abs(p - task.thresholds) > tolerance).all():
                labels = {one["label"] for one in answer[task.name]}
                assert labels == set(phrase["answer"][task.name]), text
