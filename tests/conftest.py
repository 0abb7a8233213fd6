"""Shared fixtures: the shipped bundle, and a small one of another domain made on the spot."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may wait for a hub

import timing
from tests.cold import alive, lab, untraced  # noqa: F401

ROOT = Path(__file__).parent.parent
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "#", "+", "cat", "dog", "grey", "##s", "!", ">", "é"]
CONTRACT = {
    "schema": 1,
    "name": "pets",
    "version": "0.1.0",
    "max_pieces": 12,
    "tasks": [
        {"name": "animal", "control": "#", "kind": "single", "labels": ["yes", "no"]},
        {"name": "kinds", "control": "+", "kind": "multi", "labels": ["cat", "dog", "grey"],
         "only_if": {"animal": "yes"}},
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def records(monkeypatch) -> list[dict]:
    """What was timed in this test, instead of on standard error."""
    found: list[dict] = []
    monkeypatch.setattr(timing, "sink", found.append)
    return found


@pytest.fixture
def clock(monkeypatch) -> list[int]:
    """A clock for `timing` that stands still; add to its one item to let ns pass."""
    now = [0]
    monkeypatch.setattr(timing, "clock", lambda: now[0])
    return now


@pytest.fixture(scope="session")
def shipped() -> Path:
    return ROOT / "bundle"


@pytest.fixture(scope="session")
def pets(tmp_path_factory) -> dict[str, Path]:
    """Contract, labelled rows and base encoder of a small domain."""
    from tests import pipeline  # torch comes along: only for tests that train

    return pipeline.domain(tmp_path_factory.mktemp("pets"))


@pytest.fixture(scope="session")
def finished(pets) -> Path:
    """The folder of a finished run of `pets`; read, not written by tests."""
    from tests import pipeline

    return pipeline.finish(pets)


@pytest.fixture
def pets_bundle(tmp_path) -> Path:
    """A whole bundle whose model is a bag of words: it counts `cat`, `dog` and `grey`."""
    return make_bundle(tmp_path / "pets")


def make_bundle(folder: Path) -> Path:
    (folder / "onnx").mkdir(parents=True)
    onnx.save(bag_of_words(), folder / "onnx" / "model_quantized.onnx")
    (folder / "contract.json").write_text(json.dumps(CONTRACT))
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in WORDS), "utf-8")
    seal(folder)
    return folder


def seal(folder: Path) -> None:
    """Write the manifest of what is in the folder now."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "manifest.json":
            content = path.read_bytes()
            files[path.relative_to(folder).as_posix()] = {
                "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)
            }  # fmt: skip
    manifest = {"schema": 1, "name": "pets", "version": "0.1.0", "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def bag_of_words() -> onnx.ModelProto:
    """Every row of the logits is the sum of what the text's pieces weigh: known beforehand.

    `cat`, `dog` and `grey` each weigh +8 for their own label, and an animal is what is a cat or
    a dog.
    """
    weights = np.zeros((len(WORDS), 5), np.float32)
    weights[WORDS.index("cat")] = [8, 0, 8, 0, 0]
    weights[WORDS.index("dog")] = [8, 0, 0, 8, 0]
    weights[WORDS.index("grey")] = [0, 0, 0, 0, 8]
    weights[WORDS.index("[CLS]")] = [0, 4, -4, -4, -4]
    nodes = [
        helper.make_node("Gather", ["weights", "input_ids"], ["each"]),
        helper.make_node("ReduceSum", ["each", "axis"], ["bag"], keepdims=1),
        helper.make_node("Mul", ["each", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "bag"], ["logits"]),
    ]
    ids = [helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"])
           for name in ("input_ids", "attention_mask")]  # fmt: skip
    out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", "T", 5])
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.array([1], np.int64), "axis"),
        numpy_helper.from_array(np.array(0, np.float32), "zero"),
    ]
    graph = helper.make_graph(nodes, "pets", ids, [out], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
