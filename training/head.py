"""In the place of teacher and student: a new head on an encoder that stays as it is.

    python -m training.head --encoder build/mine/encoder --contract my.json --data my.csv \
        --out build/mine/student

The encoder reads each phrase once; what it says at the control tokens is kept, and one linear layer
per task is trained on it. A control token that the encoder was trained on serves best.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from transformers import AutoModelForTokenClassification

from training import check, dataset, encoder, losses, metrics, runs
from training.batches import bucketed
from training.loop import device
from training.teacher import CONTRACT, DATA, predict

STEPS = 2_000
BATCH = 512
RATE = 3e-3


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.head", description=__doc__)
    parser.add_argument("--encoder", type=Path, required=True, help="folder of a trained student")
    parser.add_argument("--contract", type=Path, default=CONTRACT)
    parser.add_argument("--data", type=Path, default=DATA, help="labelled CSV")
    parser.add_argument("--out", type=Path, required=True, help="folder of the trained student")
    parser.add_argument("--all-rows", action="store_true", help="train on dev and test rows too")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    contract, wordpiece = encoder.load_words(options.contract, options.encoder)
    rows = dataset.read(options.data, contract)
    check.require_every_label(options.data, rows, contract)
    train = [row for row in rows if options.all_rows or row.split == "train"]
    model = AutoModelForTokenClassification.from_pretrained(
        options.encoder, **encoder.labels(contract), ignore_mismatched_sizes=True
    )
    longest = model.config.max_position_embeddings
    if contract.max_pieces > longest:
        raise ValueError(
            f"{options.contract}: $.max_pieces: found {contract.max_pieces}, expected at most the "
            f"{longest} positions of {options.encoder}"
        )
    ids = [wordpiece.encode(row.text, contract) for row in train]
    seen = features(model, ids, len(contract.tasks))
    wanted, applies = map(torch.from_numpy, dataset.targets(train, contract))
    torch.manual_seed(options.seed)
    model.classifier = fit(seen, wanted, applies, contract)
    encoder.write_tokenizer(wordpiece.vocab, contract.max_pieces, options.out)
    shutil.copyfile(options.contract, options.out / "contract.json")
    encoder.save_weights(model, options.out)
    dev = [row for row in rows if row.split == "dev"]
    scores = metrics.score(predict(model, contract, wordpiece, [r.text for r in dev]), dev,
                           contract) if dev else None  # fmt: skip
    print(f"head: {len(train)} rows  {metrics.line(scores) if scores else ''}")
    runs.finish(options.out, {
        "stage": "head", "base": "the encoder of another bundle, kept as it was",
        "preset": "head", "trained_on": "all rows" if options.all_rows else "train split",
        "recipe": {"head": {"seed": options.seed}}, "rows": len(train), "dev": scores,
    })  # fmt: skip


@torch.inference_mode()
def features(model, ids: list[list[int]], tasks: int) -> torch.Tensor:
    """What the encoder says at each text's control tokens, (N, tasks, width)."""
    where = device()
    model.to(where).eval()
    found = torch.zeros(len(ids), tasks, model.config.hidden_size)
    for batch in tqdm(bucketed(list(map(len, ids)), 256, None), "head", mininterval=2, leave=False):
        found[batch] = encoder.control_states(model, [ids[n] for n in batch], tasks).cpu()
    return found


def fit(seen: torch.Tensor, wanted, applies, contract) -> torch.nn.Linear:
    """The linear layer (width to labels) of least loss on the features."""
    layer = torch.nn.Linear(seen.shape[2], len(contract.columns))
    optimizer = torch.optim.AdamW(layer.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    random = np.random.default_rng(torch.initial_seed())
    for _ in tqdm(range(STEPS), "head", mininterval=2, leave=False):
        batch = torch.from_numpy(random.integers(0, len(seen), min(BATCH, len(seen))))
        value = losses.loss(layer(seen[batch]), wanted[batch], applies[batch], contract)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    return layer


if __name__ == "__main__":
    runs.stage(main)
