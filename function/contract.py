"""The contract: which tasks, labels and control tokens the model was made for.

Training reads `training/contract.json`; both runtimes read the copy in the bundle, to which
export added what it measured (version, temperatures, thresholds).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

KINDS = ("single", "multi")
_TASK_KEYS = {"name", "control", "kind", "labels"}
_OPTIONAL = {
    "single": {"only_if", "temperature", "threshold"},
    "multi": {"only_if", "thresholds"},
}


class ContractError(ValueError):
    """A contract that breaks a rule: `file: JSON path: what was found, what is expected`."""


@dataclass(frozen=True)
class Task:
    """One question. Its logits are columns `start:stop`, read at its own control token.

    `single`: a softmax of the logits divided by `temperature`; an answer that scores below
    `threshold` abstains. `multi`: a label is given from its own one of `thresholds` on.
    """

    name: str
    control: str
    control_id: int
    kind: str
    labels: tuple[str, ...]
    only_if: tuple[tuple[str, str], ...]
    start: int
    stop: int
    temperature: float
    threshold: float
    thresholds: tuple[float, ...]


@dataclass(frozen=True)
class Contract:
    """All questions. `max_pieces` is the longest whole sequence, special tokens included."""

    schema: int
    name: str
    version: str | None
    max_pieces: int
    tasks: tuple[Task, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The name of every logit column, such as `source:plant`."""
        return tuple(f"{task.name}:{label}" for task in self.tasks for label in task.labels)

    @property
    def control_ids(self) -> tuple[int, ...]:
        return tuple(task.control_id for task in self.tasks)


def load(path: str | Path, vocab: Mapping[str, int]) -> Contract:
    """The contract in the file at `path`; `vocab` maps word pieces to ids.

    Raises ContractError naming the file and the JSON path, and OSError when it cannot be read.
    """
    try:
        data = json.loads(Path(path).read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{path}: $: found broken JSON ({error})") from None
    return parse(data, vocab, str(path))


def parse(data: object, vocab: Mapping[str, int], where: str = "contract.json") -> Contract:
    """The contract in decoded JSON; `where` names its origin in errors. Raises ContractError."""
    check = _Check(where)
    check.keys(data, "$", {"schema", "name", "max_pieces", "tasks"}, {"version"})
    schema = data["schema"]
    check.that(type(schema) is int and schema == 1, "$.schema", schema, "1")
    check.text(data["name"], "$.name")
    if "version" in data:
        check.text(data["version"], "$.version")
    entries = data["tasks"]
    check.that(isinstance(entries, list) and entries, "$.tasks", entries, "a list of tasks")
    tasks: list[Task] = []
    for n, entry in enumerate(entries):
        tasks.append(_task(entry, f"$.tasks[{n}]", tasks, vocab, check))
    # [CLS], at least one piece, the controls, [SEP]
    least, longest = len(tasks) + 3, data["max_pieces"]
    check.that(
        type(longest) is int and longest >= least,
        "$.max_pieces", longest, f"a whole number of at least {least}",
    )  # fmt: skip
    return Contract(1, data["name"], data.get("version"), longest, tuple(tasks))


def _task(entry, at: str, before: list[Task], vocab: Mapping[str, int], check: _Check) -> Task:
    """The task in `entry`, found at JSON path `at`, after the tasks `before`."""
    check.keys(entry, at, _TASK_KEYS, set().union(*_OPTIONAL.values()))
    name, control, kind, labels = (entry[key] for key in ("name", "control", "kind", "labels"))
    check.text(name, f"{at}.name")
    names = [task.name for task in before]
    check.that(name not in names, f"{at}.name", name, "a name that no other task has")
    # `text` and `scores` are keys of an answer beside the tasks' names.
    check.that(name not in ("text", "scores"), f"{at}.name", name, "another name, this is reserved")
    check.that(kind in KINDS, f"{at}.kind", kind, f"one of {', '.join(KINDS)}")
    check.keys(entry, at, _TASK_KEYS, _OPTIONAL[kind])
    _control(control, f"{at}.control", before, vocab, check)
    _labels(labels, kind, f"{at}.labels", check)
    temperature = entry.get("temperature", 1.0)
    check.that(
        _number(temperature) and temperature > 0, f"{at}.temperature", temperature,
        "a number above 0",
    )  # fmt: skip
    threshold = entry.get("threshold", 0.0)
    check.that(
        _number(threshold) and 0 <= threshold < 1, f"{at}.threshold", threshold,
        "a number from 0 to below 1",
    )  # fmt: skip
    thresholds = entry.get("thresholds", [0.5] * len(labels))
    check.that(
        isinstance(thresholds, list)
        and len(thresholds) == len(labels)
        and all(_number(x) and 0 < x < 1 for x in thresholds),
        f"{at}.thresholds", thresholds, f"{len(labels)} numbers between 0 and 1, one per label",
    )  # fmt: skip
    start = before[-1].stop if before else 0
    return Task(
        name, control, vocab[control], kind, tuple(labels),
        _only_if(entry.get("only_if", {}), f"{at}.only_if", before, check),
        start, start + len(labels), float(temperature), float(threshold),
        tuple(map(float, thresholds)),
    )  # fmt: skip


def _control(control, at: str, before: list[Task], vocab: Mapping[str, int], check: _Check) -> None:
    check.text(control, at)
    for task in before:
        check.that(control != task.control, at, control, f"another one than task {task.name}'s")
    special = control.startswith("[") and control.endswith("]") and len(control) > 2
    check.that(
        control in vocab and not special and not control.startswith("##"),
        at, control, "exactly one entry of the vocabulary, neither special nor a continuation",
    )  # fmt: skip


def _labels(labels, kind: str, at: str, check: _Check) -> None:
    least = 2 if kind == "single" else 1
    check.that(
        isinstance(labels, list) and len(labels) >= least, at, labels,
        f"a list of at least {least} labels",
    )  # fmt: skip
    for n, label in enumerate(labels):
        check.text(label, f"{at}[{n}]")
        check.that("|" not in label, f"{at}[{n}]", label, "a label without '|', which joins labels")
        check.that(label not in labels[:n], f"{at}[{n}]", label, "every label once")


def _only_if(data, at: str, before: list[Task], check: _Check) -> tuple[tuple[str, str], ...]:
    """Conditions on earlier `single` tasks, whose answer is one label and already known."""
    check.that(isinstance(data, dict), at, data, "an object of task and label")
    tasks = {task.name: task for task in before if task.kind == "single"}
    for name, label in data.items():
        known = ", ".join(tasks) or "none there is"
        check.that(name in tasks, at, name, f"the name of an earlier single task ({known})")
        options = tasks[name].labels
        check.that(label in options, f"{at}.{name}", label, f"one of {', '.join(options)}")
    return tuple(data.items())


def _number(value: object) -> bool:
    """Whether `value` is a finite number; Python's JSON knows NaN, Infinity and 10^400 too."""
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return real and abs(value) <= sys.float_info.max


class _Check:
    """Raises with the file and the JSON path of the first rule that is broken."""

    def __init__(self, where: str):
        self.where = where

    def that(self, holds: object, at: str, found: object, expected: str) -> None:
        if not holds:
            shown = json.dumps(found, ensure_ascii=False)
            shown = shown if len(shown) <= 80 else shown[:77] + "..."
            raise ContractError(f"{self.where}: {at}: found {shown}, expected {expected}")

    def text(self, value: object, at: str) -> None:
        self.that(isinstance(value, str) and value.strip(), at, value, "a non-empty string")

    def keys(self, value: object, at: str, required: set[str], optional: set[str]) -> None:
        self.that(isinstance(value, dict), at, value, "an object")
        for key in sorted(required - set(value)):
            self.that(False, at, sorted(value), f"a key {key!r}")
        for key in sorted(set(value) - required - optional):
            self.that(False, f"{at}.{key}", key, f"only {', '.join(sorted(required | optional))}")
