"""schemathesis over the function's own description: all that /openapi.json promises, and what a
caller may send who has not read it."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.faults.lab import FaultError, started
from benchmarks.faults.scenarios import grown

EXAMPLES = 1_400  # of each of the four operations with inputs; together over 20,000 cases
ROUNDS, SEEDS = 2, 2  # processes at once, as its own threads trip over Python's parser


async def schemathesis(runtime: str, bundle: Path, scale: float) -> dict:
    """The row of its runs, none of which may find anything."""
    with started(runtime, bundle) as server:
        found, held = 0, []
        for n in range(ROUNDS):
            seeds = range(1 + n * SEEDS, 1 + (n + 1) * SEEDS)
            address = f"http://127.0.0.1:{server.port}/openapi.json"
            examples = max(5, int(EXAMPLES * scale))
            found += sum(await asyncio.gather(*(_run(address, seed, examples) for seed in seeds)))
            held.append(server.held())
    return {"requests": 0, "lost": 0, "wrong": 0, "faults": found, **grown(*held)}


async def _run(address: str, seed: int, examples: int) -> int:
    """The number of cases of one run. Raises FaultError."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("schemathesis"), "run", address, "--checks", "all",
            "--request-timeout", "10", "--max-examples", str(examples), "--seed", str(seed),
            "--report", "json", "--report-json-path", report,
            cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said = (await process.communicate())[0].decode("utf-8", "replace")
        if process.returncode:
            raise FaultError(f"found faults with seed {seed}:\n{said[-4_000:]}")
        return json.loads(report.read_text("utf-8"))["test_cases"]["generated"]
