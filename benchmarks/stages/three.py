"""Stage 0: a sequence classifier for each task, each in a transformers pipeline.

`MODELS` is the folder that models.py wrote: `contract.json`, and a model in a folder per task.
"""

from __future__ import annotations

import os
from pathlib import Path

from transformers import pipeline

from benchmarks.stages.surface import serve
from function import contract as contracts

FOLDER = Path(os.environ["MODELS"])


def ask(text: str) -> list[float]:
    found: list[float] = []
    for task in CONTRACT.tasks:
        pipe = PIPELINES[task.name]
        (labels,) = pipe([text], truncation=True, max_length=CONTRACT.max_pieces)
        scores = {label["label"]: label["score"] for label in labels}
        found += [scores[label] for label in task.labels]
    return found


PIPELINES = {
    folder.name: pipeline("text-classification", model=str(folder), top_k=None)
    for folder in sorted(FOLDER.iterdir())
    if folder.is_dir()
}
VOCABULARY = next(iter(PIPELINES.values())).tokenizer.get_vocab()
CONTRACT = contracts.load(FOLDER / "contract.json", VOCABULARY)
classify = serve(CONTRACT, ask)
