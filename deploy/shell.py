"""Commands, shown before they run; with `DRY_RUN=1` shown alone."""

from __future__ import annotations

import os
import shlex
import subprocess


def dry() -> bool:
    return bool(os.environ.get("DRY_RUN"))


def show(command: list[str]) -> None:
    print(f"$ {shlex.join(command)}", flush=True)


def run(command: list[str]) -> None:
    """Raises CalledProcessError."""
    show(command)
    if not dry():
        subprocess.run(command, check=True)


def ask(command: list[str], otherwise: str) -> str:
    """What a command prints, `otherwise` in a dry run. Raises CalledProcessError, whose `stderr`
    has what the command said."""
    show(command)
    if dry():
        return otherwise
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout
