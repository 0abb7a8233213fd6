"""Every stage in turns through the lab: starts, the ms of an inference, the memory it needs."""

from __future__ import annotations

import bisect
import contextlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from http.client import HTTPException

from benchmarks.stages.subjects import Stage
from timing.coldstart import progress
from timing.lab import LabError, cgroup, local, process, question, report
from timing.lab.local import Bench, Configuration, Server

CPUS = 1.0
MEMORY = ("128Mi", "256Mi", "512Mi", "1Gi", "2Gi", "4Gi")  # the settings of Cloud Run
# Different ones, for what has been asked before is answered from a cache.
PHRASES = [
    f"{how} {what}"
    for how in ("fresh", "dried", "frozen", "chopped", "roasted", "pickled", "organic", "ground")
    for what in ("tomato", "basil", "salmon", "oat", "almond", "mushroom", "onion", "plum",
                 "barley", "lentil", "pepper", "cheese", "chicken", "carrot", "rice")
]  # fmt: skip
PHRASE_S = 60  # that the answer to one may take
WARM_UP = 20  # of the phrases, which are not counted
FEW = PHRASES[:5]  # where memory is looked at, not time
REREAD = 1 / 4  # of the memory it has; a server that reads more for a few phrases lives off storage


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
                    dropped[stage].append(local.start(
                        configuration, bench, lambda server: infer(server, FEW)
                    ))  # fmt: skip
                elif n == 0:
                    local.first(stage.command, bench, traced=False)
                found: list[float] = []
                kept[stage].append(local.start(
                    configuration, warm,
                    lambda server, found=found: found.extend(infer(server, PHRASES)),
                ))  # fmt: skip
                inference[stage] += [{"inference_ms": ms} for ms in found[WARM_UP:]]
        for stage in stages:
            progress(f"smallest memory: {stage.name}")
            memory[stage] = smallest(Configuration(stage.command, cpus), bench)
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


def infer(server: Server, phrases: Sequence[str]) -> list[float]:
    """The ms that the server itself took for each phrase, by its Server-Timing header: from the
    text to the labels, without HTTP. Empty where it does not tell. Raises LabError."""
    found: list[float] = []
    asked = 0
    try:
        with contextlib.closing(question.connect(server.url, PHRASE_S)) as connection:
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


def smallest(configuration: Configuration, bench: Bench) -> dict:
    """`memory`, the smallest setting under which it answers without a process being killed and
    without living off its storage (None where there is none, or none can be set); `refused`, by
    setting that was tried why not."""
    refused: dict[str, str] = {}
    if cgroup.MEMORY not in bench.controllers:
        return {"memory": None, "refused": refused}

    def survives(memory: str) -> bool:
        limited = replace(configuration, memory=memory)
        most = int(local.parse_size(memory) * REREAD)
        try:
            local.start(limited, bench, lambda server: frugal(server, most))
        except LabError as error:
            refused[memory] = str(error).removeprefix(f"{limited.name}: ")
            return False
        return True

    # By halves: what survives one setting survives the larger ones.
    n = bisect.bisect_left(MEMORY, True, key=survives)
    return {"memory": MEMORY[n] if n < len(MEMORY) else None, "refused": refused}


def frugal(server: Server, most: int) -> None:
    """Raises LabError where it reads over `most` bytes from storage for a few phrases: it was not
    killed because the kernel throws out its code and its mapped weights, to read them again."""

    def read() -> int:
        return process.usage(process.members(server.pid)).get("read_storage_bytes", 0)

    before = read()
    infer(server, FEW)
    if (found := read() - before) > most:
        raise LabError(f"found {found >> 20} MiB read from storage for {len(FEW)} phrases, "
                       f"expected at most {most >> 20} MiB")  # fmt: skip
