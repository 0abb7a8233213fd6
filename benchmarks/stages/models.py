"""The models of stages 0 and 1: bert-base-uncased in every measure, its weights random.

    python -m benchmarks.stages.models OUT

Time and memory do not depend on the weights. So that the lab gets a right answer, the biases of
the heads (and they alone) are set to give `KNOWN` for whatever is asked.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertTokenizerFast,
    PreTrainedModel,
)

from training.encoder import default_base

BUNDLE = Path("bundle")
KNOWN = {"ingredient:ingredient", "source:plant", "categories:spice"}  # of "smoked paprika"
SURE = 10.0  # a bias that outweighs random weights' logits, which are below 1


def make(out: Path, bundle: Path = BUNDLE, known: set[str] = KNOWN, **shape: int) -> None:
    """Write `out/three` and `out/one`, for the contract of `bundle`.

    known: columns of the contract to be answered. shape: of BertConfig, where it is not that of
    bert-base-uncased.
    """
    torch.manual_seed(0)
    tasks = json.loads((bundle / "contract.json").read_text("utf-8"))["tasks"]
    columns = {task["name"]: [f"{task['name']}:{label}" for label in task["labels"]]
               for task in tasks}  # fmt: skip
    # The vocabulary of bert-base-uncased, which all-MiniLM-L6-v2 has too.
    tokenizer = BertTokenizerFast(vocab_file=f"{default_base()}/vocab.txt")
    shape = {"vocab_size": len(tokenizer), **shape}
    for part in ("three", "one"):
        shutil.rmtree(out / part, ignore_errors=True)
        (out / part).mkdir(parents=True)
        shutil.copy(bundle / "contract.json", out / part)

    def save(folder: Path, model: PreTrainedModel, names: list[str]) -> None:
        for n, name in enumerate(names):
            model.classifier.bias.data[n] = SURE if name in known else -SURE
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    for task in tasks:
        labels = dict(enumerate(task["labels"]))
        kind = {"single": "single_label", "multi": "multi_label"}[task["kind"]]
        config = BertConfig(id2label=labels, label2id={label: n for n, label in labels.items()},
                            problem_type=f"{kind}_classification", **shape)  # fmt: skip
        save(out / "three" / task["name"], BertForSequenceClassification(config),
             columns[task["name"]])  # fmt: skip
    every = [column for names in columns.values() for column in names]
    save(out / "one", BertForTokenClassification(BertConfig(num_labels=len(every), **shape)), every)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
