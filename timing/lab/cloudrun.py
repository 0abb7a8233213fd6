"""Cold starts of a Cloud Run service, by the `gcloud` of the person who is logged in.

Each start is a new revision, made by another value of an environment variable. It gets a tag and
no traffic, and no instance is started to check its deployment: the first request to the tag's own
URL is what starts it, and visitors of the service notice nothing. In the end the variable and the
tag are removed and traffic goes where it went before.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from timing.lab import LabError, lines, process, question
from timing.lab.question import AGENT, Question

VARIABLE, TAG = "COLD_START_LAB", "coldstart"
UNCHECKED = "run.googleapis.com/health-check-disabled"
GCLOUD_S = 600  # a deployment may take minutes
LOGS_S = 120  # until the last line of a log may be read
POLL_S = 3.0


@dataclass(frozen=True)
class Service:
    """A service of Cloud Run in the project that gcloud is set to."""

    name: str
    region: str

    def update(self, *options: str) -> dict:
        """A new revision, which gets no traffic: the service as it is then. Raises LabError."""
        # beta, for the option about the health check
        return _gcloud("beta", "run", "services", "update", self.name, "--region", self.region,
                       "--no-traffic", *options)  # fmt: skip


def measure(
    service: Service, question: Question, starts: int, timeout_s: float
) -> tuple[list[dict[str, float]], list[str]]:
    """The samples of the starts that were cold, and what is to be said of the others.

    `client.first_answer_ms` and `client.second_answer_ms` as seen from here, each on a connection
    of its own; `server.latency_ms` of the first in Cloud Run's own request log; the service's
    durations as in lines.py. Raises LabError.
    """
    before = _gcloud("run", "services", "describe", service.name, "--region", service.region)
    samples: dict[str, dict[str, float]] = {}
    try:
        for n in range(starts):
            value = f"{VARIABLE}={time.time_ns()}-{n}"
            made = service.update("--update-env-vars", value, "--tag", TAG,
                                  "--no-deploy-health-check")  # fmt: skip
            revision, url = _reached_by(made)
            samples[revision] = {
                f"client.{which}_answer_ms": _ask(url, question, timeout_s)
                for which in ("first", "second")
            }
    except BaseException as error:
        try:
            _restore(service, before)
        except LabError as another:
            raise LabError(f"{error or 'interrupted'}; {another}") from None
        raise
    _restore(service, before)
    return _with_logs(service, samples)


def _restore(service: Service, before: dict) -> None:
    annotations = before["spec"]["template"].get("metadata", {}).get("annotations", {})
    checked = str(annotations.get(UNCHECKED)).lower() != "true"
    traffic = [
        f"{'LATEST' if target.get('latestRevision') else target['revisionName']}={percent}"
        for target in before["spec"].get("traffic", ())
        if (percent := target.get("percent"))
    ] or ["LATEST=100"]
    try:
        service.update("--remove-env-vars", VARIABLE,
                       *(["--deploy-health-check"] if checked else []))  # fmt: skip
        _gcloud("run", "services", "update-traffic", service.name, "--region", service.region,
                "--remove-tags", TAG, "--to-revisions", ",".join(traffic))  # fmt: skip
    except LabError as error:
        raise LabError(f"{service.name}: could not be put back as it was ({error}); remove its "
                       f"variable {VARIABLE} and its tag {TAG}") from None  # fmt: skip


def _reached_by(made: dict) -> tuple[str, str]:
    """The new revision and its own URL."""
    for target in made["status"].get("traffic", ()):
        if target.get("tag") == TAG and target.get("url"):
            return target["revisionName"], target["url"]
    raise LabError(f"found no URL of the tag {TAG} in the service, expected one")


def _ask(url: str, asked: Question, timeout_s: float) -> float:
    """ms from nothing, not even a connection, to the right answer."""
    began = time.perf_counter_ns()
    try:
        with contextlib.closing(question.connect(url, timeout_s)) as connection:
            status, content = question.ask(connection, asked, timeout_s)
    except OSError as error:
        reason = error.strerror or error or type(error).__name__
        raise LabError(f"{url}: found no answer ({reason})") from None
    took = (time.perf_counter_ns() - began) / 1e6
    asked.check(status, content)
    return took


def _with_logs(
    service: Service, samples: dict[str, dict[str, float]]
) -> tuple[list[dict[str, float]], list[str]]:
    names = " OR ".join(json.dumps(revision) for revision in samples)
    wanted = ('resource.type="cloud_run_revision" AND '
              f'resource.labels.service_name="{service.name}" AND '
              f'resource.labels.location="{service.region}" AND '
              f"resource.labels.revision_name=({names})")  # fmt: skip
    deadline = time.monotonic() + LOGS_S
    known = -1
    while True:
        entries = _gcloud("logging", "read", wanted, "--order", "asc")
        logs = {revision: _Log(entries, revision) for revision in samples}
        # Lines come in late and in any order: all are here once no more have come.
        complete = len(entries) == known and all(log.complete for log in logs.values())
        if complete or time.monotonic() > deadline:
            break
        known = len(entries)
        time.sleep(POLL_S)
    cold, notes = [], []
    for revision, sample in samples.items():
        log = logs[revision]
        if not log.complete:
            notes.append(f"{revision}: not counted, found no request or no timing lines in its log")
        elif log.was_running():
            notes.append(f"{revision}: not counted, it ran already when the request came")
        else:
            server = {"server.latency_ms": log.latency_ms, **lines.durations(log.records)}
            cold.append(sample | server)
    return cold, notes


class _Log:
    """What Cloud Logging has of one revision: the lab's first request, the timing lines.

    https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry
    """

    def __init__(self, entries: Sequence[dict], revision: str):
        own = [e for e in entries if e["resource"]["labels"]["revision_name"] == revision]
        asked = (e for e in own if e.get("httpRequest", {}).get("userAgent") == AGENT)
        timed = [e for e in own if "span" in e.get("jsonPayload", {})]
        self.request = next(asked, None)
        self.records = [e["jsonPayload"] for e in timed]
        self._first = timed[0]["timestamp"] if timed else ""

    @property
    def complete(self) -> bool:
        return bool(self.request and self.records)

    @property
    def latency_ms(self) -> float:
        return float(self.request["httpRequest"]["latency"].removesuffix("s")) * 1e3

    def was_running(self) -> bool:
        """Whether the instance had written a line before the request came in: the timestamp of a
        request's entry is that of its beginning."""
        first, asked = map(datetime.fromisoformat, (self._first, self.request["timestamp"]))
        return first < asked


def _gcloud(*arguments: str) -> dict | list:
    """What a gcloud command prints as JSON. Raises LabError with its own error."""
    if not shutil.which("gcloud"):
        raise LabError("found no gcloud, expected it installed (https://cloud.google.com/sdk)")
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        command = ["gcloud", *arguments, "--quiet", "--format=json"]
        running = process.spawn(command, output, errors=errors)
        try:
            running.wait(GCLOUD_S)
        except subprocess.TimeoutExpired:
            raise LabError(f"{' '.join(command[:5])}: not done after {GCLOUD_S} s") from None
        finally:
            process.stop(running, 0)
        output.seek(0)
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace").strip().splitlines()
        if running.returncode:
            told = [line for line in said if line.startswith("ERROR:")] or said or ["no message"]
            raise LabError(f"gcloud: {told[0].removeprefix('ERROR: ')}")
        return json.load(output)
