"""Milliseconds per text, one text at a time on one thread, all in one run.

    python -m benchmarks.latency

BERT-base in PyTorch padded to 128 and the bundle's teacher in PyTorch unpadded (their weights are
random: time does not depend on them), and the shipped int8 student through the function's own
encode, run and decode. Rounds are interleaved so that what else the machine does hits all alike.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoConfig, BertConfig, BertForTokenClassification, BertTokenizerFast

import timing
from function import model as models
from training import dataset, encoder, runs

OUT = Path("benchmarks/results/latency.json")
BUNDLE = Path("bundle")
ROUNDS, TEXTS = 15, 20
WARM_UP = 3


def main() -> None:
    torch.set_num_threads(1)
    timing.sink = lambda record: None
    student = models.load(BUNDLE)
    grown = BertTokenizerFast(vocab_file=str(BUNDLE / "vocab.txt"))
    plain = BertTokenizerFast(vocab_file=f"{encoder.default_base()}/vocab.txt")  # BERT-base's own
    columns = len(student.contract.columns)
    rows = dataset.read("training/data/labelled.csv", student.contract)
    texts = [row.text for row in rows if row.split == "test"]
    bert = BertForTokenClassification(BertConfig(num_labels=columns)).eval()
    config = AutoConfig.from_pretrained(encoder.default_base(), num_labels=columns)
    recipe = json.loads((BUNDLE / "manifest.json").read_text())["recipe"]["teacher"]
    config.vocab_size = len(grown)
    layers = config.num_hidden_layers = recipe["layers"] or config.num_hidden_layers
    teacher = BertForTokenClassification(config).eval()

    def by_student(text: str) -> None:
        student.cache = models.Cache(0)  # an answer from the cache would be no inference
        student.answer([text])

    subjects: dict[str, Callable[[str], None]] = {
        "BERT-base, PyTorch, padded to 128": lambda text: ask(bert, plain, text, 128),
        f"teacher ({layers}×384), PyTorch": lambda text: ask(teacher, grown, text, None),
        "student (2×128), int8, onnxruntime": by_student,
    }
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for n in range(WARM_UP + ROUNDS):
        for name, subject in subjects.items():
            # The slow ones need no more than one text a round.
            asked = texts[n * TEXTS :][: TEXTS if subject is by_student else 1]
            for text in asked:
                began = time.perf_counter()
                subject(text)
                if n >= WARM_UP:
                    times[name].append((time.perf_counter() - began) * 1e3)
    first = statistics.median(next(iter(times.values())))
    results = [
        {
            "name": name,
            "p50_ms": round(statistics.median(ms), 4),
            "p95_ms": round(sorted(ms)[int(0.95 * len(ms))], 4),
            "times_faster": round(first / statistics.median(ms), 1),
        }
        for name, ms in times.items()
    ]
    print(f"{'one text, one thread':40}{'p50 ms':>10}{'p95 ms':>10}{'faster':>10}")
    for result in results:
        print(f"{result['name']:40}{result['p50_ms']:>10.3f}{result['p95_ms']:>10.3f}"
              f"{result['times_faster']:>9.0f}×")  # fmt: skip
    OUT.parent.mkdir(parents=True, exist_ok=True)
    runs.write_json(OUT, {"threads": 1, "results": results})


@torch.inference_mode()
def ask(model, tokenizer, text: str, length: int | None) -> None:
    """Tokenize and run, as a pipeline would."""
    given = tokenizer(text, return_tensors="pt", truncation=True, max_length=length or 64,
                      padding="max_length" if length else False)  # fmt: skip
    model(**given).logits.softmax(-1).tolist()


if __name__ == "__main__":
    main()
