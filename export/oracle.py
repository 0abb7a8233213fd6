"""The reference that the light runtime is held against: Hugging Face tokenizers, and torch.

Shares no code with `function/`: ids come from the tokenizer file, probabilities from torch in
float32, and the answer is worked out anew from the contract's JSON.
"""

from __future__ import annotations

import json
from pathlib import Path

import tokenizers
import torch
import transformers
from tokenizers import Tokenizer
from transformers import AutoModelForTokenClassification

VERSIONS = {
    "tokenizers": tokenizers.__version__,
    "transformers": transformers.__version__,
    "torch": torch.__version__.split("+")[0],
}


class Oracle:
    """The student in `folder` as its libraries see it, answering by the contract in a file."""

    def __init__(self, folder: Path, contract: Path):
        if not (folder / "config.json").exists():
            raise ValueError(f"--student {folder}: found no trained student there")
        self.contract = json.loads(contract.read_text("utf-8"))
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.encode_special_tokens = True  # a `[SEP]` in a text is ordinary text
        self.model = AutoModelForTokenClassification.from_pretrained(folder).eval()

    def encode(self, text: str) -> list[int]:
        """[CLS] pieces, cut, controls, [SEP]."""
        tasks, room = self.contract["tasks"], self.contract["max_pieces"]
        pieces = self.tokenizer.encode(text, add_special_tokens=False).ids
        named = ["[CLS]", *(task["control"] for task in tasks), "[SEP]"]
        first, *last = map(self.tokenizer.token_to_id, named)
        return [first, *pieces[: room - len(named)], *last]

    @torch.inference_mode()
    def logits(self, ids: list[int]) -> torch.Tensor:
        """(T, L), float32."""
        return self.model(input_ids=torch.tensor([ids])).logits[0]

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """(T, L) logits of one text to the L probabilities."""
        parts, start, tasks = [], 0, self.contract["tasks"]
        for n, task in enumerate(tasks):
            columns = slice(start, start := start + len(task["labels"]))
            row = logits[len(logits) - 1 - len(tasks) + n, columns].double()
            if task["kind"] == "single":
                parts.append(torch.softmax(row / task.get("temperature", 1.0), 0))
            else:
                parts.append(torch.sigmoid(row))
        return torch.cat(parts)

    def answer(self, probabilities: torch.Tensor) -> dict:
        """The labels of each task: one or None for `single`, a sorted list for `multi`."""
        answer, start = {}, 0
        for task in self.contract["tasks"]:
            p = probabilities[start : (start := start + len(task["labels"]))]
            holds = all(answer[name] == label for name, label in task.get("only_if", {}).items())
            if task["kind"] == "single":
                answer[task["name"]] = task["labels"][int(p.argmax())] if holds else None
            else:
                least = task.get("thresholds", [0.5] * len(p))
                over = [x for x, q, y in zip(task["labels"], p, least, strict=True) if q >= y]
                answer[task["name"]] = sorted(over) if holds else []
        return answer
