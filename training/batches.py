"""Encoded phrases in batches of like length, each padded to its own longest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from random import Random

import numpy as np
import torch


def bucketed(lengths: Sequence[int], batch_size: int, random: Random | None) -> list[list[int]]:
    """Row numbers in batches of about one length.

    With `random` the rows are shuffled first and the batches afterwards; without, they come in
    order of length, for inference. Lengths are sorted within windows of many batches only, so that
    a shuffled epoch still mixes which rows meet.
    """
    order = list(range(len(lengths)))
    window = len(order) if random is None else 50 * batch_size
    if random is not None:
        random.shuffle(order)
    order = [
        n
        for start in range(0, len(order), max(window, 1))
        for n in sorted(order[start : start + window], key=lambda n: lengths[n])
    ]
    batches = [order[n : n + batch_size] for n in range(0, len(order), batch_size)]
    if random is not None:
        random.shuffle(batches)
    return batches


def pad(ids: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`input_ids` and `attention_mask`, int64 (B, T) with T the longest of the batch."""
    lengths = np.fromiter(map(len, ids), np.int64, len(ids))
    mask = np.arange(lengths.max()) < lengths[:, None]
    padded = np.full(mask.shape, pad_id, np.int64)
    padded[mask] = np.fromiter(chain.from_iterable(ids), np.int64, lengths.sum())
    return torch.from_numpy(padded), torch.from_numpy(mask.astype(np.int64))


def control_rows(logits: torch.Tensor, mask: torch.Tensor, tasks: int) -> torch.Tensor:
    """The logits (B, T, L) at each text's own control positions: (B, tasks, L).

    The controls stand before the last piece, so for a text of T pieces at T-1-tasks .. T-2.
    """
    first = mask.sum(1) - 1 - tasks
    at = first[:, None] + torch.arange(tasks, device=mask.device)
    return logits.gather(1, at[:, :, None].expand(-1, -1, logits.shape[2]))
