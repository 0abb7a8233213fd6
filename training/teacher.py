"""Stage 1: fine-tune an encoder into the teacher, one token classifier for all tasks.

    python -m training.teacher --out build/train/teacher
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from random import Random

import numpy as np
import torch
from tqdm import tqdm

from training import augment, check, dataset, encoder, losses, metrics, runs, vocabulary
from training.batches import bucketed
from training.loop import Schedule, autocast, device, fit

DATA = Path("training/data/labelled.csv")
CONTRACT = Path("training/contract.json")
SHOWN = 600_000  # phrases, epoch for epoch, after which dev figures hardly rise any more


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.teacher", description=__doc__)
    parser.add_argument("--base", help="encoder to start from: hub name or folder")
    parser.add_argument("--contract", type=Path, default=CONTRACT)
    parser.add_argument("--data", type=Path, default=DATA, help="labelled CSV")
    parser.add_argument("--out", type=Path, required=True, help="folder of the trained teacher")
    parser.add_argument("--layers", type=int, help="of the base to keep (all)")
    parser.add_argument("--pieces", type=int, default=0,
                        help="of the rows' own words to add to the base's vocabulary")  # fmt: skip
    parser.add_argument("--epochs", type=int,
                        help=f"default: as many as show {SHOWN:,} phrases, 4 to 16")  # fmt: skip
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--accumulate", type=int, default=1, help="batches per optimizer step")
    parser.add_argument("--rate", type=float, default=3e-4, help="learning rate of the encoder")
    parser.add_argument("--head-rate", type=float, default=3e-3, help="learning rate of the head")
    parser.add_argument("--word-rate", type=float, default=0.0,
                        help="learning rate of the word embeddings; 0 keeps them as they are, so "
                        "that a word of no row stays beside its like")  # fmt: skip
    parser.add_argument("--dropout", type=float, default=0.1,
                        help="of the encoder's hidden states")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.pieces < 0:
        raise ValueError(f"--pieces: found {options.pieces}, expected 0 or more")
    base = options.base or encoder.default_base()
    words_path = options.data.with_name("augment.json")
    settings = {k: v for k, v in vars(options).items() if k not in ("out", "contract", "data")}
    mark = runs.fingerprint(
        {"stage": "teacher", **settings}, options.data, options.contract,
        words_path if words_path.exists() else None,
        # An adapted base is told apart by how it was made, not by its folder alone.
        *([adapted] if (adapted := Path(base) / "metrics.json").exists() else []),
    )  # fmt: skip
    if runs.finished(options.out, mark):
        print(f"teacher: {options.out} is finished already")
        return
    torch.manual_seed(options.seed)
    model, contract, wordpiece = encoder.load_base(
        base, options.contract, options.out, options.layers, options.dropout
    )
    rows = dataset.read(options.data, contract)
    check.require_every_label(options.data, rows, contract)
    words = augment.read_words(words_path)
    train = [row for row in rows if row.split == "train"]
    dev = [row for row in rows if row.split == "dev"]
    if options.pieces:
        pieces = vocabulary.grow(wordpiece, (row.text for row in train), options.pieces)
        print(f"teacher: {len(pieces)} pieces more", flush=True)
        contract, wordpiece = encoder.add_pieces(model, pieces, options.out)
    epochs = options.epochs or default_epochs(len(train))
    print(f"teacher: {len(train)} rows to train on, {len(dev)} dev rows", flush=True)
    wanted, applies = map(torch.from_numpy, dataset.targets(train, contract))
    where = device()

    def epoch_batches(epoch: int) -> list:
        random = Random(f"{options.seed} {epoch}")
        ids = [wordpiece.encode(augment.augment(row.text, words, random), contract)
               for row in train]  # fmt: skip
        order = bucketed(list(map(len, ids)), options.batch_size, random)
        return [(batch, [ids[n] for n in batch]) for batch in order]

    def batch_loss(batch) -> torch.Tensor:
        numbers, ids = batch
        found = encoder.control_logits(model, ids, contract)
        return losses.loss(found, wanted[numbers].to(where), applies[numbers].to(where), contract)

    def after_epoch(epoch: int) -> str:
        found = predict(model, contract, wordpiece, [row.text for row in dev])
        return metrics.line(metrics.score(found, dev, contract))

    head, embeddings = list(model.classifier.parameters()), [model.get_input_embeddings().weight]
    embeddings[0].requires_grad = options.word_rate > 0
    others = {id(p) for p in head + embeddings}
    body = [p for p in model.parameters() if id(p) not in others]
    rates = options.rate, options.head_rate, options.word_rate
    schedule = Schedule(epochs, options.batch_size, rates, options.accumulate)
    history = fit(
        model, [body, head, embeddings], schedule, epoch_batches, batch_loss, options.out, mark,
        options.seed, "teacher", after_epoch if dev else None,
    )  # fmt: skip
    encoder.save_weights(model, options.out)
    runs.finish(options.out, {
        "fingerprint": mark, "stage": "teacher", "base": base_name(options.base),
        "trained_on": "train split", "rows": len(train),
        "settings": settings, "history": history,
        "dev": metrics.score(predict(model, contract, wordpiece, [r.text for r in dev]), dev,
                             contract) if dev else None,
    })  # fmt: skip


def default_epochs(rows: int) -> int:
    """Few rows are read often, many rows less often; 16 times at most, for the time (LOG.md)."""
    return min(16, max(4, round(SHOWN / rows)))


def base_name(base: str | None) -> str:
    """What the model card calls the base; of a folder its last part, the rest is nobody's."""
    if base is None:
        return "all-MiniLM-L6-v2"
    if not Path(base).is_dir():
        return base
    adapted = Path(base) / "metrics.json"  # made by training.adapt of another base
    if adapted.exists():
        return json.loads(adapted.read_text("utf-8"))["base"]
    return Path(base).resolve().name


@torch.inference_mode()
def predict(
    model, contract, wordpiece, texts: list[str], temperature: float = 1.0, batch_size: int = 256,
    shown_as: str | None = None,
) -> np.ndarray:
    """Probabilities of every label for each text, float32 (N, L), in the texts' order; with
    `shown_as` a bar of that name shows how far it is."""
    where = device()
    model.to(where).eval()
    found = np.zeros((len(texts), len(contract.columns)), np.float32)
    ids = [wordpiece.encode(text, contract) for text in texts]
    batches = bucketed(list(map(len, ids)), batch_size, None)
    for batch in tqdm(batches, shown_as, mininterval=2, leave=False, disable=shown_as is None):
        with autocast(where):
            rows = encoder.control_logits(model, [ids[n] for n in batch], contract)
        found[batch] = losses.probabilities(rows, contract, temperature).cpu().numpy()
    return found


if __name__ == "__main__":
    runs.stage(main)
