"""Stage 1: one token classifier that answers every task at the task's control token.

`MODELS` is the folder that models.py wrote: `contract.json` and the model.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

from benchmarks.stages.surface import serve
from function import contract as contracts
from function.decode import probabilities

FOLDER = Path(os.environ["MODELS"])
TOKENIZER = AutoTokenizer.from_pretrained(FOLDER)
MODEL = AutoModelForTokenClassification.from_pretrained(FOLDER).eval()
CONTRACT = contracts.load(FOLDER / "contract.json", TOKENIZER.get_vocab())


@torch.inference_mode()
def ask(text: str) -> list[float]:
    longest = CONTRACT.max_pieces - len(CONTRACT.control_ids)
    *pieces, end = TOKENIZER(text, truncation=True, max_length=longest)["input_ids"]
    ids = torch.tensor([[*pieces, *CONTRACT.control_ids, end]])
    return probabilities(MODEL(input_ids=ids).logits[0], CONTRACT)


classify = serve(CONTRACT, ask)
