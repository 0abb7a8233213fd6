"""schemathesis over the function's own description: all that /openapi.json promises, and what a
caller may send who has not read it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.faults.lab import FaultError, started
from benchmarks.faults.scenarios import grown

LEAST = 20_000  # cases


async def schemathesis(runtime: str, bundle: Path, scale: float) -> dict:
    """The row of a run of at least 20,000 × `scale` cases, none of which may find anything."""
    with started(runtime, bundle) as server, tempfile.TemporaryDirectory() as folder:
        report, found, held = Path(folder) / "report.json", 0, []
        while len(held) < 2 or found < LEAST * scale:
            seed = len(held) + 1
            done = subprocess.run(
                [Path(sys.executable).with_name("schemathesis"), "run",
                 f"http://127.0.0.1:{server.port}/openapi.json", "--checks", "all",
                 "--request-timeout", "10", "--max-examples", str(max(5, int(2_000 * scale))),
                 "--seed", str(seed), "--report", "json", "--report-json-path", report],
                cwd=folder, capture_output=True, text=True,
            )  # fmt: skip
            if done.returncode:
                raise FaultError(f"found faults with seed {seed}:\n{done.stdout[-4_000:]}")
            found += json.loads(report.read_text("utf-8"))["test_cases"]["generated"]
            held.append(server.held())
    return {"requests": 0, "lost": 0, "wrong": 0, "faults": found,
            **grown(held[(len(held) - 1) // 2], held[-1])}  # fmt: skip
