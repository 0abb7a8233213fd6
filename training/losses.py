"""What the encoder is punished for: one loss for hard labels and for a teacher's soft ones."""

from collections import Counter

import torch
from torch.nn import functional

from function.contract import Contract

FLOOR = -12.0  # so far below another, or 0, a logit is as good as never


def loss(
    rows: torch.Tensor, wanted: torch.Tensor, applies: torch.Tensor, contract: Contract
) -> torch.Tensor:
    """The sum over tasks of their mean loss over the texts they apply to, times their `weights`.

    rows: (B, tasks, L) logits at the control positions. wanted: (B, L) probabilities, 0 or 1 for
    hard labels. applies: (B, tasks) weights; 0 adds nothing. A `single` task pays the
    cross-entropy of a softmax over its own columns, a `multi` task one sigmoid cross-entropy per
    label. Their sum, not their mean: with the mean, tasks of many labels hardly learn.
    """
    total = rows.new_zeros(())
    for t, (task, weight) in enumerate(zip(contract.tasks, weights(contract), strict=True)):
        logits = rows[:, t, task.start : task.stop].float()
        target = wanted[:, task.start : task.stop]
        if task.kind == "single":
            each = functional.cross_entropy(logits, target, reduction="none")
        else:
            each = functional.binary_cross_entropy_with_logits(
                logits, target, reduction="none"
            ).sum(1)
        # A batch in which the task applies nowhere adds nothing rather than 0/0.
        total = total + weight * (each * applies[:, t]).sum() / applies[:, t].sum().clamp(min=1)
    return total


def weights(contract: Contract) -> list[int]:
    """One for each task, and one more for every other task that applies only if it says so: where
    it is wrong, so are they. Without, a task of two labels drowns in the loss of one of many."""
    awaited = Counter(name for task in contract.tasks for name, _ in task.only_if)
    return [1 + awaited[task.name] for task in contract.tasks]


def foreign(rows: torch.Tensor, contract: Contract) -> torch.Tensor:
    """Small where, at each task's position, the labels of the other tasks are very unlikely: then
    the likeliest of all labels there, which stock pipelines print, is the task's own answer.

    rows: (B, tasks, L) logits at the control positions. For a `single` task unlikely means far
    below its own best, since a softmax leaves open how high its logits lie.
    """
    every = []
    for t, task in enumerate(contract.tasks):
        logits = rows[:, t].float()
        others = torch.cat([logits[:, : task.start], logits[:, task.stop :]], 1)
        best = logits[:, task.start : task.stop].amax(1, keepdim=True)
        every.append(functional.softplus(others - FLOOR - (best if task.kind == "single" else 0)))
    return torch.cat(every, 1).mean() if len(every) > 1 else rows.new_zeros(())


def probabilities(
    rows: torch.Tensor, contract: Contract, temperature: float = 1.0
) -> torch.Tensor:
    """(B, tasks, L) logits at the control positions to (B, L) probabilities, float32; a
    temperature above 1 makes them less sure."""
    parts = []
    for t, task in enumerate(contract.tasks):
        logits = rows[:, t, task.start : task.stop].float() / temperature
        parts.append(logits.softmax(1) if task.kind == "single" else logits.sigmoid())
    return torch.cat(parts, 1)
