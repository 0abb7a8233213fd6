"""Every stage in turns through the lab: starts, the ms of an inference, the memory it needs."""

from __future__ import annotations

import bisect
import contextlib
import functools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from http.client import HTTPException

from benchmarks.stages.subjects import Stage
from timing.coldstart import progress
from timing.lab import LabError, cgroup, local, question, report
from timing.lab.local import Bench, Configuration

CPUS = 1.0
MEMORY = ("128Mi", "256Mi", "512Mi", "1Gi", "2Gi", "4Gi")  # the settings of Cloud Run
# Different ones, for what has been asked before is answered from a cache.
PHRASES = [
    f"{how} {what}"
    for how in ("fresh", "dried", "frozen", "chopped", "roasted", "pickled", "organic", "ground")
    for what in ("tomato", "basil", "salmon", "oat", "almond", "mushroom", "onion", "plum",
                 "barley", "lentil", "pepper", "cheese", "chicken", "carrot", "rice")
]  # fmt: skip
WARM_UP = 20  # of the phrases, which are not counted
FEW = 5  # phrases where memory is looked at, not time
MOST_READING = 2  # times what is read from storage without a limit


def measure(stages: Sequence[Stage], bench: Bench, starts: int) -> list[dict]:
    """The figures of each stage: `starts` of each with the page cache dropped (where `bench` says
    so) and as many with it kept. Raises LabError where a stage does not answer."""
    cpus = CPUS if cgroup.CPU in bench.controllers else None
    warm = replace(bench, drops_page_cache=False)
    deployed = [stage.deployed_bytes() for stage in stages]
    kept: dict[Stage, list[dict]] = {stage: [] for stage in stages}
    dropped: dict[Stage, list[dict]] = {stage: [] for stage in stages}
    inference: dict[Stage, list[dict]] = {stage: [] for stage in stages}
    memory: dict[Stage, dict] = {}
    try:
        for n in range(starts):
            for stage in stages:
                progress(f"start {n + 1} of {starts}: {stage.name}")
                configuration = Configuration(stage.command, cpus)
                # One whose files are read from storage brings them into the cache for the next.
                if bench.drops_page_cache:
                    dropped[stage].append(local.start(configuration, bench, few))
                elif n == 0:
                    local.first(stage.command, bench, traced=False)
                found: list[float] = []
                kept[stage].append(local.start(
                    configuration, warm, lambda url, found=found: found.extend(infer(url, PHRASES))
                ))  # fmt: skip
                inference[stage] += [{"inference_ms": ms} for ms in found[WARM_UP:]]
        for stage in stages:
            progress(f"smallest memory: {stage.name}")
            memory[stage] = smallest(Configuration(stage.command, cpus), bench, dropped[stage])
    finally:
        progress("")
    return [
        {
            "name": stage.name,
            "weights": stage.weights,
            "command": stage.command,
            "deployed_bytes": size,
            **memory[stage],
            **report.summarize(inference[stage]),
            "kept": report.summarize(kept[stage]),
            "dropped": report.summarize(dropped[stage]),
        }
        for stage, size in zip(stages, deployed, strict=True)
    ]


def infer(url: str, phrases: Sequence[str]) -> list[float]:
    """The ms that the server itself took for each phrase, by its Server-Timing header: from the
    text to the labels, without HTTP. Empty where it does not tell. Raises LabError."""
    found: list[float] = []
    asked = 0
    try:
        with contextlib.closing(question.connect(url, local.GRACE_S * 10)) as connection:
            for phrase in phrases:
                body = json.dumps({"text": phrase})
                connection.request("POST", "/classify", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    raise LabError(f"{phrase!r}: found HTTP status {answer.status}, expected 200")
                if parts := re.findall(r"dur=([\d.]+)", answer.getheader("Server-Timing", "")):
                    found.append(sum(map(float, parts)))
                asked += 1
    except (OSError, HTTPException) as error:
        raise LabError(f"found no answer to phrase {asked + 1} of {len(phrases)} ({error!r})"
                       ) from None  # fmt: skip
    return found


few = functools.partial(infer, phrases=PHRASES[:FEW])


def smallest(configuration: Configuration, bench: Bench, unlimited: Sequence[dict]) -> dict:
    """`memory`, the smallest setting under which it answers without a process being killed and
    without living off its storage (None where there is none, or none can be set); `refused`, by
    smaller setting why not. `unlimited` are starts without one."""
    refused: dict[str, str] = {}
    if cgroup.MEMORY not in bench.controllers:
        return {"memory": None, "refused": refused}
    read = [sample.get("read_storage_bytes", 0) for sample in unlimited]
    most = MOST_READING * max(read, default=0)

    def survives(memory: str) -> bool:
        limited = replace(configuration, memory=memory)
        try:
            found = local.start(limited, bench, few).get("read_storage_bytes", 0)
            # It was not killed because the kernel threw out its code and its mapped weights, and
            # read them again for every phrase.
            if most and found > most:
                raise LabError(f"found {found >> 20} MiB read from storage, expected at most "
                               f"{most >> 20} MiB")  # fmt: skip
        except LabError as error:
            refused[memory] = str(error).removeprefix(f"{limited.name}: ")
            return False
        return True

    n = first(MEMORY, survives)
    return {"memory": MEMORY[n] if n < len(MEMORY) else None, "refused": refused}


def first(settings: Sequence[str], survives: Callable[[str], bool]) -> int:
    """The place of the first setting that is survived; what survives one survives larger ones."""
    return bisect.bisect_left(settings, True, key=survives)
