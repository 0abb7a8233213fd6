"""Stage 0, if you like: adapt an encoder to the domain's language before it is fine-tuned.

    python -m training.adapt --out build/base
    python -m training.adapt --corpus lines.txt.gz --out build/base
    python -m training.teacher --base build/base ...

Masked-language-model training with whole-word masking (Devlin et al., BERT, 2018, arXiv 1810.04805,
and the whole-word models of its repository; Gururangan et al., Don't Stop Pretraining, 2020, arXiv
2004.10964) on sentences made of the training rows, or on a corpus of your own: one text a line,
plain or gzip, of any size.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from random import Random

import torch
from torch.nn import functional
from transformers import AutoModelForMaskedLM

from training import augment, corpus, dataset, encoder, facts, runs
from training.batches import bucketed, pad
from training.loop import Schedule, autocast, device, fit
from training.teacher import CONTRACT, DATA, base_name

SIZE = 150_000  # texts of a corpus that an epoch reads
SHARE = 0.15  # of the words are masked, at least one of each text
HELD_OUT = 2_000  # texts at most that loss and perplexity are measured on
LONGEST = 64  # pieces of a text, the rest is cut off
IGNORED = -100  # a target that no loss is counted for


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.adapt", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--base", help="hub name or folder (all-MiniLM-L6-v2 from its package)")
    parser.add_argument("--corpus", type=Path, help="one text a line, plain or gzip")
    parser.add_argument("--contract", type=Path, default=CONTRACT)
    parser.add_argument("--data", type=Path, default=DATA, help="labelled CSV")
    parser.add_argument("--out", type=Path, required=True, help="folder of the adapted encoder")
    parser.add_argument("--size", type=int,
                        help=f"texts an epoch (one a row; {SIZE:,} of a corpus)")  # fmt: skip
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rate", type=float, default=1e-4, help="learning rate of the encoder")
    parser.add_argument("--head-rate", type=float, default=1e-3, help="learning rate of the head")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    base = options.base or encoder.default_base()
    words_path = options.data.with_name("augment.json")
    settings = {k: v for k, v in vars(options).items()
                if k not in ("out", "corpus", "contract", "data")}  # fmt: skip
    read = [options.corpus] if options.corpus else [
        options.data, options.contract, words_path if words_path.exists() else None
    ]  # fmt: skip
    mark = runs.fingerprint({"stage": "adapt", **settings}, *read)
    if runs.finished(options.out, mark):
        print(f"adapt: {options.out} is finished already")
        return
    torch.manual_seed(options.seed)
    config, tokenizer = encoder.open_base(base)
    encoder.write_tokenizer(tokenizer.get_vocab(), config.max_position_embeddings, options.out)
    model, loading = AutoModelForMaskedLM.from_pretrained(
        base, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.0,
        attn_implementation=encoder.ATTENTION, output_loading_info=True
    )
    # As in the fine-tuning: words that no text has keep their place beside their like.
    model.get_input_embeddings().weight.requires_grad = False
    if options.corpus:
        held_out = corpus.held_out(options.corpus, HELD_OUT)

        def texts(epoch: int) -> list[str]:
            return corpus.chunk(options.corpus, epoch, options.size or SIZE)

    else:
        contract, _ = encoder.load_words(options.contract, options.out)
        rows = dataset.read(options.data, contract)
        words = augment.read_words(words_path)
        train = [row for row in rows if row.split == "train"]
        random = Random(options.seed)
        held_out = [facts.sentence(row, words, random) for row in rows if row.split == "dev"]

        def texts(epoch: int) -> list[str]:
            random = Random(f"{options.seed} {epoch}")
            return [facts.sentence(random.choice(train), words, random)
                    for _ in range(options.size or len(train))]  # fmt: skip

    def encode(texts: list[str]) -> list[list[int]]:
        return tokenizer(texts, padding=False, truncation=True, max_length=LONGEST)["input_ids"]

    follows = torch.zeros(len(tokenizer), dtype=torch.bool)
    for piece, n in tokenizer.get_vocab().items():
        follows[n] = piece.startswith("##")
    follows = follows.tolist()

    def masked(texts: list[str], random: Random) -> list[tuple[list[int], list[int]]]:
        return [mask_words(ids, follows, tokenizer.mask_token_id, random) for ids in encode(texts)]

    def epoch_batches(epoch: int) -> list:
        random = Random(f"{options.seed} {epoch} mask")
        found = masked(texts(epoch), random)
        order = bucketed([len(ids) for ids, _ in found], options.batch_size, random)
        return [[found[n] for n in batch] for batch in order]

    measured = masked(held_out[:HELD_OUT], Random(options.seed))
    before = perplexity(model, measured)
    print(f"adapt: before  {said(before)}", flush=True)
    head = [p for p in model.cls.parameters() if p.requires_grad]  # not the tied embeddings
    body = [p for p in model.bert.parameters() if p.requires_grad]
    schedule = Schedule(options.epochs, options.batch_size, (options.rate, options.head_rate))
    history = fit(
        model, [body, head], schedule, epoch_batches, lambda batch: loss(model, batch),
        options.out, mark, options.seed, "adapt", lambda _: said(perplexity(model, measured)),
    )  # fmt: skip
    after = perplexity(model, measured)
    encoder.save_weights(model, options.out)
    runs.finish(options.out, {
        "fingerprint": mark, "stage": "adapt", "base": base_name(options.base),
        "corpus": "a corpus" if options.corpus else "sentences of the training rows",
        "head": "new" if loading["missing_keys"] else "of the base",
        "settings": settings, "history": history, "held_out_texts": len(measured),
        "before": before, "after": after,
    })  # fmt: skip


def mask_words(
    ids: list[int], follows: list[bool], mask_id: int, random: Random
) -> tuple[list[int], list[int]]:
    """The pieces with some words masked, and the pieces to guess there (IGNORED elsewhere).

    ids: a text between its two special tokens; follows: whether an id continues a word. Whole words
    are chosen; of their pieces 80 % become the mask, 10 % any piece, 10 % stay. (The collator of
    transformers passes over words of more pieces than 15 % of the text: in short phrases the rare
    words, the very ones to learn.)
    """
    starts = [n for n in range(1, len(ids) - 1) if n == 1 or not follows[ids[n]]]
    chosen = [n for n in starts if random.random() < SHARE]
    chosen = chosen or random.sample(starts, min(1, len(starts)))
    found, targets = list(ids), [IGNORED] * len(ids)
    for start in chosen:
        n = start
        while n == start or (n < len(ids) - 1 and follows[ids[n]]):
            targets[n] = ids[n]
            lot = random.random()
            if lot < 0.9:
                found[n] = mask_id if lot < 0.8 else random.randrange(len(follows))
            n += 1
    return found, targets


def loss(model, batch: list[tuple[list[int], list[int]]]) -> torch.Tensor:
    """The mean cross-entropy over the masked pieces, scored there alone: the vocabulary is wide."""
    input_ids, mask = (x.to(model.device) for x in pad([ids for ids, _ in batch],
                                                       model.config.pad_token_id))  # fmt: skip
    targets = pad([targets for _, targets in batch], IGNORED)[0].to(model.device)
    hidden = model.bert(input_ids=input_ids, attention_mask=mask).last_hidden_state
    at = targets != IGNORED
    return functional.cross_entropy(model.cls(hidden[at]).float(), targets[at])


@torch.inference_mode()
def perplexity(model, measured: list[tuple[list[int], list[int]]]) -> dict[str, float] | None:
    """Loss and perplexity over the masked pieces of the held-out texts; None without any."""
    if not measured:
        return None
    model.to(device()).eval()
    total, count = 0.0, 0
    for batch in bucketed([len(ids) for ids, _ in measured], 256, None):
        pairs = [measured[n] for n in batch]
        pieces = sum(target != IGNORED for _, targets in pairs for target in targets)
        if pieces:
            with autocast(device()):
                total += loss(model, pairs).item() * pieces
            count += pieces
    mean = total / max(count, 1)
    return {"loss": round(mean, 4), "perplexity": round(math.exp(mean), 2)}


def said(figures: dict | None) -> str:
    return "" if figures is None else f"perplexity {figures['perplexity']:.1f}"


if __name__ == "__main__":
    runs.stage(main)
