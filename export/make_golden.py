"""Stage 7: golden vectors from the reference tokenizer and torch, for every runtime's tests.

    python -m export.make_golden --student build/train/student \
        --int8 build/train/onnx/model_quantized.onnx --contract build/train/contract.json \
        --out build/train/golden.json
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from random import Random

import torch

from export.check_parity import feed, session
from export.oracle import VERSIONS, Oracle
from training import dataset, encoder
from training.runs import stage, whole
from training.teacher import DATA

SAMPLED = 100
ODD = (  # what a tokenizer or a reader of control tokens may stumble over
    "a", "7", "!", "...", ">", "> + |", "[SEP]", "[CLS] butter [SEP]", "butter > + |", "##ing",
    "BUTTER", "Crème fraîche", "jalapeño", "jalapen\u0303o", "İstanbul", "ΣΊΣΥΦΟΣ", "straße",
    "豆腐", "日本の味噌汁", "김치", "🍕", "👩‍🍳 salt", "½ cup sugar", "olive\u00a0oil",
    "olive\toil\n",
    "\u200bsalt\ufeff", "na\u0308\u0301\u0316ive", "х​леб", "נענע", "گلاب", "नमक", "น้ำปลา",
    "a" * 101, "x" * 100, "salt " * 60, "extra-virgin (cold-pressed) olive oil, 500ml",
    "O'Brien's \"best\" butter & jam", "100% cocoa", "e\u0301" * 40,
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m export.make_golden", description=__doc__)
    parser.add_argument("--student", type=Path, required=True, help="folder of the student")
    parser.add_argument("--contract", type=Path, required=True, help="the calibrated contract")
    parser.add_argument("--int8", type=Path, required=True, help="int8 ONNX file")
    parser.add_argument("--data", type=Path, default=DATA, help="labelled CSV, for its texts")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args()
    contract, _ = encoder.load_words(options.contract, options.student)
    rows = dataset.read(options.data, contract)
    sample = Random(0).sample(rows, min(SAMPLED, len(rows)))
    texts = list(dict.fromkeys([row.text for row in sample] + list(ODD)))
    content = golden(Oracle(options.student, options.contract), options.int8, texts)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with whole(options.out) as temporary:
        temporary.write_text(content, "utf-8")
    print(f"make_golden: {len(texts)} phrases, {len(content) / 1e3:.0f} kB")


def golden(oracle: Oracle, int8: Path, texts: list[str]) -> str:
    """The golden file's JSON, one phrase a line.

    `ids`, `probabilities` and `answer` are the reference's alone. `tolerance` is what quantization
    costs: the largest |Δp| between int8 and the reference over these phrases, rounded up.
    """
    graph = session(int8)
    phrases, widest = [], 0.0
    for text in texts:
        ids = oracle.encode(text)
        p = oracle.probabilities(oracle.logits(ids))
        logits = torch.from_numpy(graph.run(None, feed(graph, ids))[0][0])
        widest = max(widest, float((oracle.probabilities(logits) - p).abs().max()))
        phrases.append({
            "text": text,
            "ids": ids,
            "probabilities": [round(x, 6) for x in p.tolist()],
            "answer": oracle.answer(p),
        })  # fmt: skip
    head = json.dumps({"oracle": VERSIONS, "tolerance": math.ceil(widest * 1000 + 1) / 1000})
    lines = ",\n".join(json.dumps(phrase) for phrase in phrases)
    return f'{head[:-1]}, "phrases": [\n{lines}\n]}}\n'


if __name__ == "__main__":
    stage(main)
