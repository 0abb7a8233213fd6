"""From logits to the answer, in plain doubles, so that JavaScript can do the very same sums."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

from function.contract import Contract

DIGITS = 4  # of a score in an answer


def probabilities(logits, contract: Contract) -> list[float]:
    """The probability of every label, length L, in the order of the contract's columns.

    logits: T rows of float32 (L,) of one text. Task n of N is read at row T-1-N+n, its control
    token, over its own columns: a softmax for `single` (divided by its temperature first), a
    sigmoid each for `multi`.
    """
    found: list[float] = []
    first = len(logits) - 1 - len(contract.tasks)
    for n, task in enumerate(contract.tasks):
        row = logits[first + n][task.start : task.stop].tolist()
        found += softmax(row, task.temperature) if task.kind == "single" else map(sigmoid, row)
    return found


def softmax(logits: Sequence[float], temperature: float) -> list[float]:
    largest = max(logits)
    powers = [exp((x - largest) / temperature) for x in logits]
    total = 0.0
    for power in powers:  # `sum` compensates from Python 3.12 on, and would end a hair elsewhere
        total += power
    return [power / total for power in powers]


def sigmoid(x: float) -> float:
    if x >= 0:
        return 1 / (1 + exp(-x))
    power = exp(x)  # exp(-x) would overflow for a very negative x
    return power / (1 + power)


def decode(found: Sequence[float], contract: Contract, scores: bool = False) -> dict:
    """The answer of each task by name; None or [] where its `only_if` does not hold. A `single`
    answer that scores below the task's threshold carries `"abstain": True`: better ask a person.

    found: probabilities as from `probabilities`. With `scores`, a key `scores` adds every label's
    probability of every task.
    """
    answer: dict = {}
    for task in contract.tasks:
        p = found[task.start : task.stop]
        holds = all(
            answer[name] is not None and answer[name]["label"] == label
            for name, label in task.only_if
        )
        if task.kind == "single":
            best = max(range(len(p)), key=p.__getitem__)
            answer[task.name] = _scored(task.labels[best], p[best]) if holds else None
            if holds and p[best] < task.threshold:
                answer[task.name]["abstain"] = True
        else:
            chosen = [n for n in range(len(p)) if holds and p[n] >= task.thresholds[n]]
            chosen.sort(key=lambda n: -p[n])  # stable: equals stay in the contract's order
            answer[task.name] = [_scored(task.labels[n], p[n]) for n in chosen]
    if scores:
        answer["scores"] = {
            task.name: {
                label: round(p, DIGITS)
                for label, p in zip(task.labels, found[task.start : task.stop], strict=True)
            }
            for task in contract.tasks
        }
    return answer


def _scored(label: str, p: float) -> dict:
    return {"label": label, "score": round(p, DIGITS)}
