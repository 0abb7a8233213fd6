"""onnxruntime by its C API, against its own Python module."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from function import ort
from tests.conftest import ROOT, bag_of_words

SHIPPED = ROOT / "bundle"


def graph(output: int = TensorProto.FLOAT, shape: tuple = ("B", "T", 2), op: str = "Identity"):
    """`y` is x by `op`, said to be of that type and shape."""
    given = helper.make_tensor_value_info("x", TensorProto.INT64, ["B", "T"])
    result = helper.make_tensor_value_info("y", output, list(shape))
    nodes = [helper.make_node("Cast", ["x"], ["f"], to=output), helper.make_node(op, ["f"], ["y"])]
    made = helper.make_model(helper.make_graph(nodes, "g", [given], [result]), ir_version=8,
                             opset_imports=[helper.make_opsetid("", 18)])  # fmt: skip
    return made.SerializeToString()


def test_the_shipped_graph_says_bit_for_bit_what_the_python_module_says():
    content = (SHIPPED / "onnx/model_quantized.onnx").read_bytes()
    session = ort.Session(content)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    reference = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    assert session.inputs == tuple(given.name for given in reference.get_inputs())
    random = np.random.default_rng(1)
    for length in (1, 2, 7, 32):
        ids = random.integers(1_000, 30_000, length).tolist()
        given = {"input_ids": ids, "attention_mask": [1] * length, "token_type_ids": [0] * length}
        rows = session.run(**given)
        (expected,) = reference.run(None, {name: np.array([x]) for name, x in given.items()})
        assert np.array_equal(np.array(rows), expected[0]) and len(rows) == length


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "No graph was found"),
        (b"not a graph", "[Pp]rotobuf"),
        (graph(TensorProto.INT32), "expected float32 of a known width"),
        (graph(shape=("B", "T", "L")), "expected float32 of a known width"),
    ],
)
def test_what_is_no_classifier_is_one_line(content, message):
    with pytest.raises(ort.OrtError, match=message) as error:
        ort.Session(content)
    assert "\n" not in str(error.value)


def test_another_number_of_logits_is_told_and_not_read():
    session = ort.Session(graph(shape=("B", 2)))
    with pytest.raises(ort.OrtError, match="found 3 logits, expected 6"):
        session.run(x=[1, 2, 3])
    assert [row.tolist() for row in ort.Session(graph(shape=("B", 1))).run(x=[5])] == [[5.0]]


def test_a_run_that_fails_leaves_a_session_that_works():
    session = ort.Session(bag_of_words().SerializeToString())
    with pytest.raises(ort.OrtError, match="indices element out of data bounds"):
        session.run(input_ids=[999], attention_mask=[1])
    assert len(session.run(input_ids=[2, 3], attention_mask=[1, 1])) == 2


def test_threads_get_their_own_answers():
    session = ort.Session(bag_of_words().SerializeToString())
    alone = {ids: session.run(input_ids=ids, attention_mask=[1] * len(ids))
             for ids in [(2, 6, 3), (2, 7, 8, 3), (2, 3)]}  # fmt: skip
    wrong = []

    def work() -> None:
        for _ in range(200):
            for ids, expected in alone.items():
                if session.run(input_ids=ids, attention_mask=[1] * len(ids)) != expected:
                    wrong.append(ids)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_session_that_is_forgotten_frees_its_memory():
    content = (SHIPPED / "onnx/model_quantized.onnx").read_bytes()

    def resident() -> int:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    for _ in range(3):
        ort.Session(content)
    gc.collect()
    before = resident()
    for _ in range(20):
        ort.Session(content)
    gc.collect()
    assert resident() - before < 20 * len(content) / 1024 / 4  # KiB, a quarter of what they held


def test_without_its_wheel_one_line_tells_what_to_install():
    code = """if True:
        import sys
        from function import ort
        ort.find_spec = lambda name: None
        try:
            ort.Session(b"")
        except ort.OrtError as error:
            print(error)
    """
    said = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert said == "found no onnxruntime, expected `pip install -r function/requirements.txt`\n"


def test_a_wheel_without_its_library_is_told(tmp_path, monkeypatch):
    (tmp_path / "capi").mkdir()

    class Spec:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr(ort, "find_spec", lambda name: Spec)
    with pytest.raises(ort.OrtError, match="found no library of onnxruntime, expected that of its"):
        ort._library()
    for name in ("libonnxruntime.so.1", "libonnxruntime.dylib", "onnxruntime.dll"):
        (tmp_path / "capi" / name).write_text("no library")
    with pytest.raises(ort.OrtError, match="found no library that can be loaded"):
        ort.Api(ort._library())
