"""Cold starts of what serves now, by the cold-start lab (timing/coldstart.py)."""

from __future__ import annotations

import json
import os
from pathlib import Path

from deploy import shell
from deploy.settings import Settings
from timing import coldstart

STARTS = 3  # each is a revision of its own, which takes Cloud Run a while
OUT = "build/cold-starts.json"


def measure(to: Settings, headers: dict[str, str]) -> None:
    """Into build/cold-starts.json; ends the process with one line where that cannot be."""
    text, expected = ("TEXT", "TASK=LABEL") if shell.dry() else question(Path(to.folder))
    arguments = [
        f"--gcloud={to.service}", f"--region={to.region}", f"--text={text}", f"--expect={expected}",
        f"--starts={STARTS}", f"--out={OUT}",
    ]  # fmt: skip
    # Who asks is not for a log.
    shown = [f"--header={name}: …" for name in headers]
    shell.show(["python3", "-m", "timing.coldstart", *arguments, *shown])
    if not shell.dry():
        os.environ["CLOUDSDK_CORE_PROJECT"] = to.project  # the lab asks of what gcloud is set to
        given = [f"--header={name}: {value}" for name, value in headers.items()]
        coldstart.main([*arguments, *given])


def question(folder: Path) -> tuple[str, str]:
    """The golden phrase that the staged bundle is surest of, and what it must be answered, such as
    `ingredient=not_ingredient`."""
    golden = json.loads((folder / "bundle" / "golden.json").read_text("utf-8"))
    contract = json.loads((folder / "bundle" / "contract.json").read_text("utf-8"))
    task = contract["tasks"][0]  # which applies whatever the others' answers are
    _, label, text = max(
        (p, label, phrase["text"])
        for phrase in golden["phrases"]
        for p, label in zip(phrase["probabilities"], task["labels"], strict=False)
    )
    return text, f"{task['name']}={label}"
