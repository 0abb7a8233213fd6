"""A small domain that has nothing to do with food, and a tiny untrained base to start from."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from training.encoder import default_base

CONTRACT = {
    "schema": 1,
    "name": "pets",
    "max_pieces": 32,
    "tasks": [
        {"name": "animal", "control": "#", "kind": "single", "labels": ["yes", "no"]},
        {"name": "kind", "control": "+", "kind": "single", "labels": ["cat", "dog", "bird"],
         "only_if": {"animal": "yes"}},
        {"name": "traits", "control": "|", "kind": "multi", "labels": ["small", "loud", "rare"],
         "only_if": {"animal": "yes"}},
    ],
}  # fmt: skip
HEADS = {"cat": ["tabby", "siamese", "kitten"], "dog": ["hound", "terrier", "poodle"],
         "bird": ["parrot", "finch", "sparrow"]}  # fmt: skip
TRAITS = {"small": "tiny", "loud": "noisy", "rare": "unusual"}
THINGS = ["table", "engine", "letter", "window", "garden", "bottle", "ladder", "mirror"]
COLOURS = ["red", "green", "white", "black", "grey", "golden", "brown", "yellow", "pale", "dark"]


def write_contract(folder: Path) -> Path:
    path = folder / "contract.json"
    path.write_text(json.dumps(CONTRACT))
    return path


def write_data(folder: Path, rows: int = 400) -> Path:
    """A CSV that a model can learn: every word has one meaning."""
    random, lines = Random(0), {}
    while len(lines) < rows:
        colours = " ".join(random.sample(COLOURS, 2))
        if random.random() < 0.35:
            lines[f"{colours} {random.choice(THINGS)}"] = "no,,"
            continue
        kind = random.choice(list(HEADS))
        traits = [trait for trait in TRAITS if random.random() < 0.4]
        words = " ".join([colours, *(TRAITS[trait] for trait in traits)])
        lines[f"{words} {random.choice(HEADS[kind])}"] = f"yes,{kind},{'|'.join(traits)}"
    path = folder / "pets.csv"
    body = "".join(f"{text},{labels},made\n" for text, labels in lines.items())
    path.write_text("text,animal,kind,traits,origin\n" + body)
    return path


def write_base(folder: Path) -> Path:
    """A BERT of 2 layers, 128 wide, with the real vocabulary and random weights."""
    base = folder / "base"
    torch.manual_seed(0)
    tokenizer = BertTokenizerFast(vocab_file=str(Path(default_base()) / "vocab.txt"))
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=128, num_hidden_layers=2,
                        num_attention_heads=2, intermediate_size=256,
                        max_position_embeddings=64)  # fmt: skip
    BertModel(config).save_pretrained(base)
    tokenizer.save_pretrained(base)
    return base
