"""Are these the golden answers? They are in the bundle's `golden.json`, from the reference
tokenizer and torch; asked over HTTP of a deployed revision, or of a model before it is swapped in.
"""

from __future__ import annotations

from collections.abc import Sequence

AGREEMENT = 0.95  # of the phrases' labels: int8 turns over one or two that are on the edge


class GoldenError(ValueError):
    """An answer too far from the golden one: names the phrase, or how many differ."""


def compare(golden: dict, tasks: Sequence[str], results: Sequence[dict]) -> int:
    """How many `results`, one for each golden phrase and with every score, agree to the label.

    `tasks` are the contract's names, in its order. Raises GoldenError.
    """
    phrases, same = golden["phrases"], 0
    for phrase, result in zip(phrases, results, strict=True):
        found = [p for task in tasks for p in result["scores"][task].values()]
        far = max(abs(a - b) for a, b in zip(found, phrase["probabilities"], strict=True))
        if far > golden["tolerance"]:
            raise GoldenError(
                f"{phrase['text']!r}: found a probability {far:.3f} off, expected at most "
                f"{golden['tolerance']}"
            )
        same += {task: _labels(result[task]) for task in tasks} == phrase["answer"]
    if same < AGREEMENT * len(phrases):
        raise GoldenError(f"found the labels of {same} of {len(phrases)} phrases, expected at "
                          f"least {AGREEMENT:.0%}")  # fmt: skip
    return same


def _labels(answer: dict | list | None) -> str | list[str] | None:
    """As golden.json has them: those of a multi task in order of the alphabet."""
    if isinstance(answer, list):
        return sorted(one["label"] for one in answer)
    return answer and answer["label"]
