"""Does the shipped model give the same answers on CPUs without AVX-512 and VNNI?

    python -m benchmarks.portability

Runs the bundle through the function's own code here and under emulated CPUs (qemu-x86_64, Debian's
package qemu-user), and compares every probability and label. A control shows that the emulation
bites: a product of signed weights, which an AVX2 CPU without VNNI saturates and gets wrong.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

import numpy as np
import onnxruntime

from function import model as models
from function.decode import decode, probabilities

OUT = Path("benchmarks/results/portability.json")
DATA = Path("training/data/labelled.csv")
QEMU = "qemu-x86_64"
CPUS = {"Haswell": "AVX2, no AVX-512, no VNNI", "SandyBridge": "AVX, no AVX2, no VNNI"}
SAMPLED = 300  # texts of the data, beside the golden phrases
DEPTH = 64  # of the control's product


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.portability", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=Path("bundle"))
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        measure(options.bundle, options.child)
        return
    if not shutil.which(QEMU):
        print(f"portability: not measured, found no {QEMU} (`apt-get install qemu-user` has it)")
        return
    try:
        report = compare(options.bundle)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    if any(cpu["texts_with_other_labels"] for cpu in report["emulated"].values()):
        sys.exit("portability: found labels that depend on the CPU, expected none")


def compare(bundle: Path) -> dict:
    """What each emulated CPU answers otherwise than this one. Raises ValueError where one fails."""
    model = models.load(bundle)
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "texts.json").write_text(json.dumps(texts(bundle)))
        write_control(here / "control.onnx")
        native = answers(bundle, here, [])
        report = {
            "model": model.id,
            "sha256": model.fingerprint,
            "onnxruntime": onnxruntime.__version__,
            "texts": len(native["found"]),
            "emulated": {},
        }
        for cpu, features in CPUS.items():
            emulated = answers(bundle, here, [QEMU, "-cpu", cpu])
            pairs = zip(native["found"], emulated["found"], strict=True)
            others = sum(labels(a, model.contract) != labels(b, model.contract) for a, b in pairs)
            gap = np.abs(np.subtract(native["found"], emulated["found"])).max()
            report["emulated"][cpu] = {
                "features": features,
                "max_difference": float(f"{gap:.2g}"),
                "texts_with_other_labels": others,
                "control_saturates": emulated["control"] != native["control"],
            }
    return report


def texts(bundle: Path) -> list[str]:
    golden = json.loads((bundle / "golden.json").read_text("utf-8"))
    lines = DATA.read_text("utf-8-sig").splitlines()[1:]
    sample = Random(0).sample(lines, min(SAMPLED, len(lines)))
    # Whole lines of the file, commas and all: any text serves, and longer ones serve better.
    return [phrase["text"] for phrase in golden["phrases"]] + sample


def write_control(path: Path) -> None:
    """A graph of one product of unsigned by signed bytes, the operands at their limits."""
    from onnx import TensorProto, helper, numpy_helper, save

    weights = numpy_helper.from_array(np.full((DEPTH, 16), 127, np.int8), "weights")
    given = helper.make_tensor_value_info("x", TensorProto.UINT8, [1, DEPTH])
    result = helper.make_tensor_value_info("y", TensorProto.INT32, [1, 16])
    node = helper.make_node("MatMulInteger", ["x", "weights"], ["y"])
    graph = helper.make_graph([node], "control", [given], [result], [weights])
    opsets = [helper.make_opsetid("", 18)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def run_control(path: Path, value: int) -> list[int]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (product,) = session.run(None, {"x": np.full((1, DEPTH), value, np.uint8)})
    return product[0].tolist()


def answers(bundle: Path, folder: Path, emulator: list[str]) -> dict:
    """What a process of its own, under `emulator` if any, answers to folder/texts.json."""
    command = [*emulator, sys.executable, "-m", "benchmarks.portability",
               "--bundle", str(bundle), "--child", str(folder)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        name = " ".join(emulator) or "this CPU"
        raise ValueError(f"{name}: found exit status {done.returncode} ({last}), expected answers")
    return json.loads((folder / "answers.json").read_text())


def measure(bundle: Path, folder: Path) -> None:
    """The child: write probabilities (N, L) and the control's result to folder/answers.json."""
    model = models.load(bundle)
    encoded = [model.wordpiece.encode(text, model.contract)
               for text in json.loads((folder / "texts.json").read_text())]  # fmt: skip
    found = [probabilities(model.run(ids), model.contract) for ids in encoded]
    content = {"found": found, "control": run_control(folder / "control.onnx", 255)}
    (folder / "answers.json").write_text(json.dumps(content))


def labels(found: list[float], contract) -> dict:
    answer = decode(found, contract)
    return {name: {x["label"] for x in given} if isinstance(given, list)
            else given and given["label"] for name, given in answer.items()}  # fmt: skip


if __name__ == "__main__":
    main()
