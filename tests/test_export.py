"""Export, from a student to a bundle that everything opens, and the gates that stop bad ones."""

import hashlib
import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from optimum.onnxruntime import ORTModelForTokenClassification
from transformers import AutoTokenizer

from export import bundle as bundles
from export import check_parity, make_golden, quantize, to_onnx
from export.oracle import Oracle
from function import model as models
from function.decode import decode, probabilities
from tests.training_fixtures import write_base, write_contract, write_data
from training import encoder
from training.dataset import Row
from training.runs import stage

FIGURES = {
    "rows": {"train": 200, "test": 30},
    "models": {"int8": {"test": {"animal": {"accuracy": 0.9512},
                                 "traits": {"micro_f1": 0.8123, "macro_f1": 0.7001}},
                        "slices": {}}},
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a whole run over an untrained student whose head is sure of itself."""
    folder = tmp_path_factory.mktemp("run")
    student, onnx_folder = folder / "student", folder / "onnx"
    student.mkdir()
    (folder / "teacher").mkdir()
    torch.manual_seed(0)
    base = write_base(folder)
    model, _, _ = encoder.load_base(str(base), write_contract(folder), student)
    with torch.no_grad():
        # Untrained logits lie on the threshold, where every rounding changes the label.
        model.classifier.weight.mul_(40)
    encoder.save_weights(model, student)
    told = {"settings": {"seed": 1}, "base": "all-MiniLM-L6-v2", "preset": "tiny",
            "teachers": ["teacher"]}  # fmt: skip
    for name in ("student", "teacher"):
        content = {**told, "trained_on": "all rows"}
        (folder / name / "metrics.json").write_text(json.dumps(content))
    (folder / "metrics.json").write_text(json.dumps(FIGURES))
    data = write_data(folder, 60)
    paths = SimpleNamespace(
        folder=folder, student=student, data=data, parity=folder / "parity.json",
        golden=folder / "golden.json", fp32=onnx_folder / "model.onnx",
        int8=onnx_folder / "model_quantized.onnx", contract=folder / "contract.json",
    )  # fmt: skip
    to_onnx.to_onnx(student, paths.fp32)
    quantize.quantize(paths.fp32, paths.int8)
    # Not calibrated: of a model that knows nothing, thresholds lie where its answers crowd.
    shutil.copyfile(student / "contract.json", paths.contract)
    parity(paths)
    golden(paths)
    return paths


@pytest.fixture(scope="module")
def bundle(run):
    out = run.folder / "bundle"
    bundles.bundle(run.folder, run.folder / "metrics.json", out, "1.0.0")
    return out


def parity(run, int8=None, out=None):
    call(check_parity.main, "--student", run.student, "--onnx", run.fp32, "--data", run.data,
         "--contract", run.contract, "--int8", int8 or run.int8,
         "--out", out or run.parity)  # fmt: skip


def golden(run, out=None):
    call(make_golden.main, "--student", run.student, "--int8", run.int8, "--data", run.data,
         "--contract", run.contract, "--out", out or run.golden)  # fmt: skip


def call(main, *arguments):
    """A stage as from the command line, in this process: its imports take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["stage", *map(str, arguments)])
        stage(main)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}  # fmt: skip


def test_fp32_is_torch_at_every_length_and_in_a_padded_batch(run):
    oracle, graph = Oracle(run.student, run.contract), check_parity.session(run.fp32)
    for shape in ((1, 4), (1, 32), (3, 9)):
        ids = torch.randint(1000, 30000, shape, generator=torch.Generator().manual_seed(0))
        mask = torch.ones_like(ids)
        mask[1:, 5:] = 0
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": ids * 0}
        with torch.inference_mode():
            wanted = oracle.model(**given).logits
        (found,) = graph.run(None, {name: x.numpy() for name, x in given.items()})
        kept = mask.bool().numpy()
        assert np.allclose(found[kept], wanted.numpy()[kept], atol=1e-4)


def test_int8_has_unsigned_weights_a_scale_per_word_and_an_fp32_head(run):
    graph = onnx.load(run.int8).graph
    weights = {x.name: numpy_helper.to_array(x) for x in graph.initializer}
    integers = [node for node in graph.node if node.op_type in check_parity.INTEGER]
    # Attention in of the first layer, attention out of both, the two of the FFN of the last.
    assert [node.op_type for node in integers].count("QAttention") == 1 and len(integers) == 5
    (last,) = (node for node in graph.node if node.op_type == "Attention")
    assert weights[last.input[1]].dtype == np.float32
    # Signed ones would saturate on a CPU with AVX2 but no VNNI.
    assert all(weights[node.input[1]].dtype == np.uint8 for node in integers)
    rows = next(x for x in weights.values() if x.shape == (30522, 128))
    scales = next(x for x in weights.values() if x.shape == (30522, 1))
    assert (rows.dtype, scales.dtype) == (np.int8, np.float32)
    table = Oracle(run.student, run.contract).model.get_input_embeddings().weight.detach().numpy()
    assert (np.abs(rows * scales - table) <= scales / 2 + 1e-7).all()
    products = [node for node in graph.node if node.op_type == "MatMul"]
    assert [(weights[node.input[1]].dtype, weights[node.input[1]].shape) for node in products] == [
        (np.float32, (128, 256)), (np.float32, (256, 128)), (np.float32, (128, 8))
    ]  # fmt: skip
    assert run.int8.stat().st_size < 0.3 * run.fp32.stat().st_size


def test_biases_are_part_of_the_matrix_products(run):
    graph = onnx.load(run.int8).graph
    operators = Counter(node.op_type for node in graph.node)
    # Those that take them take longer than their parts (benchmarks/LOG.md).
    assert not {"SkipLayerNormalization", "BiasGelu"} & operators.keys()
    products = [node for node in graph.node if node.op_type == "DynamicQuantizeMatMul"]
    assert len(products) == 4 and all(node.input[4].endswith(".bias") for node in products)
    assert (operators["LayerNormalization"], operators["Gelu"]) == (5, 2)


def test_quantizing_twice_gives_the_same_bytes(run, tmp_path):
    quantize.quantize(run.fp32, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == run.int8.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.onnx"]


def test_quantize_names_what_is_missing_and_leaves_nothing(run, tmp_path):
    with pytest.raises(SystemExit) as stop:
        call(quantize.main, "--onnx", tmp_path / "no.onnx", "--out", tmp_path / "x" / "q.onnx")
    assert "no.onnx: found no file there" in stop.value.code
    with pytest.raises(ValueError, match="found 2 tables of word embeddings"):
        quantize.quantize_rows(onnx.load(run.int8).graph)
    assert not any(tmp_path.rglob("*.onnx"))


def test_parity_reports_both_graphs(run):
    report = json.loads(run.parity.read_text())
    assert report["integer_matmuls"] == 5  # all but the first feed-forward and the last attention
    assert report["fp32"]["max_difference"] < 1e-3
    assert 0 < report["int8"]["max_difference"] < 1
    assert set(report["int8"]["agreement"]) == {"animal", "kind", "traits"}


def test_parity_compares_held_out_texts_and_where_they_are_few_others_too():
    def texts(held_out, train):
        rows = [Row(f"h{n}", {}, "x", ("dev", "test")[n % 2], n) for n in range(held_out)]
        rows += [Row(f"t{n}", {}, "x", "train", n) for n in range(train)]
        return check_parity.texts_of(rows)

    assert texts(2, 3)[:2] == ["h0", "h1"] and sorted(texts(2, 3)[2:]) == ["t0", "t1", "t2"]
    few = texts(60, 5_000)
    assert len(set(few)) == len(few) == 1_000 and few[:60] == [f"h{n}" for n in range(60)]
    assert few == texts(60, 5_000)
    assert texts(3_000, 5_000) == [f"h{n}" for n in range(3_000)]


def test_parity_refuses_fp32_given_as_int8(run, tmp_path):
    with pytest.raises(SystemExit) as stop:
        parity(run, int8=run.fp32, out=tmp_path / "parity.json")
    assert "found no integer matmul in the graph" in stop.value.code
    assert not (tmp_path / "parity.json").exists()


def test_parity_refuses_a_model_whose_labels_changed(run, tmp_path):
    model = onnx.load(run.int8)
    head = next(node for node in model.graph.node if node.op_type == "MatMul").input[1]
    weight = next(x for x in model.graph.initializer if x.name == head)
    turned = np.ascontiguousarray(numpy_helper.to_array(weight)[:, ::-1])
    weight.CopyFrom(numpy_helper.from_array(turned, head))
    onnx.save(model, tmp_path / "turned.onnx")
    with pytest.raises(SystemExit) as stop:
        parity(run, int8=tmp_path / "turned.onnx", out=tmp_path / "parity.json")
    assert "turned.onnx: found label agreement" in stop.value.code
    assert not (tmp_path / "parity.json").exists()


def test_parity_refuses_a_truncated_model_in_one_line(run, tmp_path):
    (tmp_path / "half.onnx").write_bytes(run.int8.read_bytes()[:100_000])
    with pytest.raises(SystemExit) as stop:
        parity(run, int8=tmp_path / "half.onnx", out=tmp_path / "parity.json")
    assert "half.onnx" in stop.value.code and "\n" not in stop.value.code


def test_agreement_counts_only_where_the_condition_holds(run):
    contract, _ = encoder.load_words(run.student / "contract.json", run.student)
    no = [0.1, 0.9, 0.8, 0.1, 0.1, 0.9, 0.1, 0.1]
    yes = [0.9, 0.1, *no[2:]]
    other = [*no[:2], 0.1, 0.1, 0.8, 0.1, 0.9, 0.1]
    truth, found = np.array([no, yes]), np.array([other, yes])
    agreement = check_parity._agreement(truth, found, contract)["agreement"]
    assert agreement == {"animal": 1, "kind": 1, "traits": 1}
    found = np.array([no, [*yes[:2], *other[2:]]])
    agreement = check_parity._agreement(truth, found, contract)["agreement"]
    assert agreement == {"animal": 1, "kind": 0, "traits": 0}


def test_golden_is_byte_stable_and_small(run, tmp_path):
    golden(run, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == run.golden.read_bytes()
    assert run.golden.stat().st_size < 150_000


def test_light_core_gives_the_golden_answers(run, bundle):
    model, content = models.load(bundle), json.loads(run.golden.read_text())
    assert len(content["phrases"]) > 90
    for phrase in content["phrases"]:
        ids = model.wordpiece.encode(phrase["text"], model.contract)
        assert ids == phrase["ids"], phrase["text"]
        found = probabilities(model.run(ids), model.contract)
        wanted = phrase["probabilities"]
        assert np.abs(np.subtract(found, wanted)).max() <= content["tolerance"], phrase["text"]
        assert labels(decode(wanted, model.contract)) == phrase["answer"], phrase["text"]


def labels(answer: dict) -> dict:
    """The function's answer without scores, as the golden file has it."""
    return {name: sorted(x["label"] for x in given) if isinstance(given, list)
            else given and given["label"] for name, given in answer.items()}  # fmt: skip


def test_typed_special_tokens_are_text(run):
    oracle = Oracle(run.student, run.contract)
    ids = oracle.encode("[SEP] # + | [CLS]")
    sep, cls = oracle.tokenizer.token_to_id("[SEP]"), oracle.tokenizer.token_to_id("[CLS]")
    assert (ids.count(sep), ids.count(cls)) == (1, 1)
    assert len(oracle.encode("tabby " * 200)) == 32


def test_two_bundles_of_one_run_are_the_same_bytes(run, bundle, tmp_path):
    bundles.bundle(run.folder, run.folder / "metrics.json", tmp_path / "again", "1.0.0")
    assert snapshot(tmp_path / "again") == snapshot(bundle)
    # A second time over the first, which is replaced as a whole.
    (tmp_path / "again" / "stray.txt").write_text("old")
    bundles.bundle(run.folder, run.folder / "metrics.json", tmp_path / "again", "1.0.0")
    assert snapshot(tmp_path / "again") == snapshot(bundle)
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_manifest_has_every_file_and_nothing_of_this_machine(run, bundle):
    manifest, files = json.loads((bundle / "manifest.json").read_text()), snapshot(bundle)
    assert set(manifest["files"]) == set(files) - {"manifest.json"}
    for path, entry in manifest["files"].items():
        assert entry == {"sha256": hashlib.sha256(files[path]).hexdigest(),
                         "size": len(files[path])}  # fmt: skip
    for path, content in files.items():
        assert str(run.folder).encode() not in content, path
        assert str(Path(encoder.default_base())).encode() not in content, path
    contract = json.loads((bundle / "contract.json").read_text())
    assert contract["version"] == manifest["version"]


def test_card_shows_the_figures_and_whose_they_are(bundle):
    card = (bundle / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\nbase_model: sentence-transformers/")
    assert "| int8 | animal | 0.9512 | – | – |" in card
    assert "| int8 | traits | – | 0.8123 | 0.7001 |" in card
    assert "*shipped* model" in card and "Apache License" in card


def test_bundle_names_a_missing_stage_and_keeps_the_old_one(run, bundle, tmp_path):
    before = snapshot(bundle)
    run.golden.rename(run.folder / "aside.json")
    try:
        with pytest.raises(ValueError, match=r"golden\.json: found no file"):
            bundles.bundle(run.folder, run.folder / "metrics.json", bundle, "1.0.0")
    finally:
        (run.folder / "aside.json").rename(run.golden)
    assert snapshot(bundle) == before


def test_bundle_never_replaces_a_folder_that_is_no_bundle(run, tmp_path):
    (tmp_path / "thesis.txt").write_text("the only copy")
    with pytest.raises(ValueError, match="expected a bundle"):
        bundles.bundle(run.folder, run.folder / "metrics.json", tmp_path, "1.0.0")
    assert (tmp_path / "thesis.txt").read_text() == "the only copy"


def test_transformers_and_optimum_open_the_bundle(bundle):
    tokenizer = AutoTokenizer.from_pretrained(bundle)
    opened = ORTModelForTokenClassification.from_pretrained(
        bundle, subfolder="onnx", file_name="model_quantized.onnx"
    )
    model = models.load(bundle)
    assert tuple(opened.config.id2label.values()) == model.contract.columns
    controls = tokenizer.convert_tokens_to_ids(["#", "+", "|"])
    pieces = tokenizer.encode("Grey Tabby, 2 kg", add_special_tokens=False)
    ids = [tokenizer.cls_token_id, *pieces, *controls, tokenizer.sep_token_id]
    assert ids == model.wordpiece.encode("Grey Tabby, 2 kg", model.contract)
    row = torch.tensor([ids])
    found = opened(input_ids=row, attention_mask=torch.ones_like(row)).logits[0].numpy()
    assert np.allclose(found, model.run(ids), atol=1e-5)


def test_the_cards_examples_run_and_read_what_the_light_core_answers(
    run, bundle, monkeypatch, capsys
):
    monkeypatch.chdir(run.folder)
    card = (bundle / "README.md").read_text()
    code = "".join(block.split("```")[0] for block in card.split("```python")[1:])
    model = models.load(bundle)
    for text in ("Grey Tabby, 2 kg", "naïve terrier"):
        said = code.replace("a phrase", text).replace("build/train/student", str(run.student))
        capsys.readouterr()
        exec(said, {})
        scores = model.answer([text], scores=True)[0][0]["scores"]
        expected = {
            task.name: max(scores[task.name], key=scores[task.name].get)
            if task.kind == "single"
            else [x for x, p in scores[task.name].items() if p >= 0.5]
            for task in model.contract.tasks
        }
        printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
        assert printed == [str(expected)] * 2
