"""Deploy step by step: `python3 -m deploy release smoke shift`, in the order given.

    check     the settings, before anything takes its time
    setup     once a project: APIs and service accounts
    release   a new revision without traffic
    smoke     the revision gives the golden answers
    shift     all traffic to it
    measure   its cold starts, into build/cold-starts.json
    rollback  all traffic back to the revision before

What is deployed where is in the environment (deploy/settings.py): PROJECT, REGION, SERVICE,
RUNTIME, … `DRY_RUN=1` prints every command and runs none; `API_KEY` is asked with where the service
wants it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from deploy import gcloud, shell, smoke
from deploy.measure import measure
from deploy.settings import Settings, SettingsError, read

# What a dry run takes for the answer to `describe`: a service with a revision before.
DESCRIBED = json.dumps({"status": {"url": "SERVICE_URL", "traffic": [
    {"revisionName": "NEW_REVISION", "tag": gcloud.CANDIDATE, "url": "CANDIDATE_URL"},
    {"revisionName": "CURRENT_REVISION", "percent": 100},
]}})  # fmt: skip


class StepError(Exception):
    """A step that cannot be taken yet: what was found and what is expected."""


def main() -> None:
    steps = sys.argv[1:]
    unknown = [step for step in steps if step not in STEPS]
    if unknown or not steps:
        found = f"unknown {', '.join(unknown)}" if unknown else "no step"
        sys.exit(f"error: found {found}, expected some of {', '.join(STEPS)}")
    try:
        to = read(os.environ)
        if not shell.dry() and not shutil.which("gcloud"):
            raise StepError("found no gcloud, expected it installed (https://cloud.google.com/sdk)")
        for step in steps:
            STEPS[step](to)
    except (SettingsError, StepError, smoke.SmokeError, OSError) as error:
        sys.exit(f"error: {error}")
    except subprocess.CalledProcessError as error:
        sys.stderr.write(error.stderr or "")  # gcloud's own words
        sys.exit(f"error: found exit status {error.returncode} of {shlex.join(error.cmd)}")


def check(to: Settings) -> None:
    print(to)


def setup(to: Settings) -> None:
    person = shell.ask(gcloud.account(), otherwise="ACCOUNT").strip()
    for command in gcloud.setup(to, person):
        shell.run(command)


def release(to: Settings) -> None:
    shell.run(gcloud.deploy(to, first=service(to) is None))


def smoke_test(to: Settings) -> None:
    status = status_of(to)
    who = credentials(to, status)
    url = tagged(status, gcloud.CANDIDATE)["url"]
    print(f"ask {url} the golden phrases", flush=True)
    if not shell.dry():
        print(smoke.check(url, Path(to.folder), who))


def shift(to: Settings) -> None:
    status = status_of(to)
    candidate = tagged(status, gcloud.CANDIDATE)["revisionName"]
    serving = (part["revisionName"] for part in status["traffic"] if part.get("percent"))
    shell.run(gcloud.shift(to, next((name for name in serving if name != candidate), None)))


def cold_starts(to: Settings) -> None:
    measure(to, credentials(to, status_of(to)))


def rollback(to: Settings) -> None:
    shell.run(gcloud.rollback(to))


STEPS: dict[str, Callable[[Settings], None]] = {
    "check": check, "setup": setup, "release": release, "smoke": smoke_test, "shift": shift,
    "measure": cold_starts, "rollback": rollback,
}  # fmt: skip


def credentials(to: Settings, status: dict) -> dict[str, str]:
    """What says who asks."""
    # The audience is the service's own URL, also for the URL of a tag.
    token = shell.ask(gcloud.token(to, status["url"]), otherwise="TOKEN").strip()
    return {"Authorization": f"Bearer {token}", **smoke.key()}


def service(to: Settings) -> dict | None:
    """The service as Cloud Run has it, None where there is none."""
    try:
        return json.loads(shell.ask(gcloud.describe(to), otherwise=DESCRIBED))
    except subprocess.CalledProcessError as error:
        if "Cannot find service" in error.stderr:
            return None
        raise


def status_of(to: Settings) -> dict:
    found = service(to)
    if found is None:
        raise StepError(f"found no service {to.service!r}, expected one: `release` comes first")
    return found["status"]


def tagged(status: dict, tag: str) -> dict:
    """The traffic target with a tag. Raises StepError."""
    for target in status["traffic"]:
        if target.get("tag") == tag:
            return target
    raise StepError(f"found no revision tagged {tag!r}, expected one: `release` comes first")


if __name__ == "__main__":
    main()
