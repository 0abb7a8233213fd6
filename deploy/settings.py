"""What is deployed where and how large: from the environment, so that `make deploy MEMORY=512Mi`
and cloudbuild.yaml say it alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

RUNTIMES = {"python": "build/stage", "node": "build/stage-node"}


class SettingsError(ValueError):
    """A setting that is missing or cannot be meant: its name, what was found, what is expected."""


@dataclass(frozen=True)
class Settings:
    """Each is an environment variable of that name in capitals; an empty one counts as none."""

    project: str
    region: str
    service: str = "classify"
    runtime: str = "python"
    # Documented as the one with the faster cold start; gen2 needs 512Mi.
    execution_environment: str = "gen1"
    # Requests at once in one instance. The work is all CPU, a ms for one text and some tens for
    # 256 new ones: more at once would wait for each other instead of for another instance.
    concurrency: str = "16"
    memory: str = "256Mi"
    min_instances: str = "0"
    max_instances: str = "10"

    @property
    def folder(self) -> str:
        """The staged folder, relative to the repository."""
        return RUNTIMES[self.runtime]

    def account(self, role: str) -> str:
        """The service account that runs the service (`run`), asks it the golden phrases (`smoke`)
        or deploys it from Cloud Build (`build`)."""
        return f"{self.service}-{role}@{self.project}.iam.gserviceaccount.com"


def read(environment: Mapping[str, str]) -> Settings:
    """Raises SettingsError, with every fault at once."""
    given = {
        field.name: environment[field.name.upper()]
        for field in fields(Settings)
        if environment.get(field.name.upper())
    }
    missing = [name.upper() for name in ("project", "region") if name not in given]
    if missing:
        usual = " ".join(f"{name}=…" for name in missing)
        raise SettingsError(f"found no {' and no '.join(missing)}, expected {usual}")
    settings = Settings(**given)
    faults = [
        f"{name.upper()}: found {getattr(settings, name)!r}, expected {expected}"
        for name, pattern, expected in _RULES
        if not re.fullmatch(pattern, getattr(settings, name))
    ]
    if settings.execution_environment == "gen2" and settings.memory in ("128Mi", "256Mi"):
        faults.append(f"MEMORY: found {settings.memory!r}, expected at least '512Mi' for gen2")
    if faults:
        raise SettingsError("; ".join(faults))
    return settings


_RULES = (
    ("project", r"[a-z][a-z0-9-]{4,28}[a-z0-9]", "a project's id"),
    ("region", r"[a-z]+-[a-z]+\d+", "a region such as europe-west1"),
    # A service account's id has 30 characters at most, and `-smoke` is appended to it.
    ("service", r"[a-z][a-z0-9-]{2,22}[a-z0-9]", "4 to 24 of a-z, 0-9 and -"),
    ("runtime", "|".join(RUNTIMES), " or ".join(RUNTIMES)),
    ("execution_environment", "gen1|gen2", "gen1 or gen2"),
    ("concurrency", r"[1-9]\d{0,2}|1000", "1 to 1000"),
    ("memory", r"(128|256|512)Mi|[1-9]\d?Gi", "an amount such as 512Mi or 1Gi"),
    ("min_instances", r"\d+", "a whole number"),
    ("max_instances", r"[1-9]\d*", "a whole number above 0"),
)
