"""Stage 5: temperatures and thresholds, fitted on the dev split after quantization.

    python -m export.calibrate --student build/train/student \
        --int8 build/train/onnx/model_quantized.onnx --out build/train/contract.json

Writes the contract with what was fitted in it; of a data set without dev rows, as it is.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from function import model as models
from training import calibration, dataset, encoder, runs
from training.teacher import DATA


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m export.calibrate", description=__doc__)
    parser.add_argument("--student", type=Path, required=True, help="folder of the student")
    parser.add_argument("--int8", type=Path, required=True, help="int8 ONNX file")
    parser.add_argument("--data", type=Path, default=DATA, help="labelled CSV")
    parser.add_argument("--out", type=Path, required=True, help="contract to write")
    options = parser.parse_args()
    path = options.student / "contract.json"
    contract, wordpiece = encoder.load_words(path, options.student)
    dev = [row for row in dataset.read(options.data, contract) if row.split == "dev"]
    fitted = {}
    if dev:
        model = models.Model(contract, wordpiece, models.open_session(options.int8.read_bytes()))
        ids = [wordpiece.encode(row.text, contract) for row in dev]
        fitted = calibration.fit(np.array(model.infer(ids)), dev, contract)
    content = json.loads(path.read_text("utf-8"))
    for task in content["tasks"]:
        task.update(fitted.get(task["name"], {}))
    runs.write_json(options.out, content)
    print(f"calibrate: {len(dev)} dev rows, {fitted}")


if __name__ == "__main__":
    runs.stage(main)
