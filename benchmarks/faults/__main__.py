"""Every fault against both functions, into benchmarks/results/reliability.json:

    python -m benchmarks.faults [--only NAME …]

A row is written as soon as it is there; one that is there already is not measured again unless it
is named. Ends with 1 where a good request was lost that was not in flight, an answer was wrong,
memory grew, or a server hung, broke down or served what is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from benchmarks.faults.cases import schemathesis
from benchmarks.faults.lab import COMMANDS, FaultError
from benchmarks.faults.scenarios import SCENARIOS
from function.golden import GoldenError
from timing.lab import LabError
from training.runs import whole

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "benchmarks/results/reliability.json"
# Bytes. Until every cache is full V8's heap grows by that much; what leaks shows in new_texts,
# where they are full.
LEAK = {"node": 40_000_000, "python": 20_000_000}
FULL = 15_000_000
ALL = {scenario.__name__: scenario for scenario in (*SCENARIOS, schemathesis)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=ALL, help="these, measured anew")
    options = parser.parse_args()
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    rows = [row for row in rows if row["scenario"] not in (options.only or ())]
    failed = False
    for name in options.only or ALL:
        for runtime in COMMANDS:
            key = {"scenario": name, "runtime": runtime}
            if any(key.items() <= row.items() for row in rows):
                continue
            try:
                row = key | asyncio.run(ALL[name](runtime, ROOT / "bundle", 1))
            except LabError as error:
                print(f"{name}, {runtime}: not measured: {error}", flush=True)
                continue
            except (FaultError, GoldenError) as error:
                print(f"{name}, {runtime}: failed: {error}", flush=True)
                failed = True
                continue
            rows.append(row)
            failed |= bad(row)
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
            with whole(RESULTS) as temporary:
                temporary.write_text(f"{json.dumps(rows, indent=1)}\n", "utf-8")
    sys.exit(failed)


def bad(row: dict) -> bool:
    most = FULL if row["scenario"] == "new_texts" else LEAK[row["runtime"]]
    grown = row.get("memory_bytes") or 0
    return row["wrong"] > 0 or row["lost"] > row.get("in_flight", 0) or grown > most


if __name__ == "__main__":
    main()
