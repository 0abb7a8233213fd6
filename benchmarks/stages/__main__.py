"""Four stages of one service and the empty function below them, measured in one run.

    python -m benchmarks.stages

`make bench-stages` makes what it needs first: the models of stages 0 and 1, whose weights are
random, and the folder of stage 3. Cold starts run from the start of the process to the right answer
to a known phrase, on 1 CPU, once with the page cache dropped and then with it warm, the stages in
turns. What this machine does not allow is left out and said at the end.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.stages import table
from benchmarks.stages.measure import CPUS, MEMORY, measure
from benchmarks.stages.subjects import STAGES, Stage
from timing import coldstart
from timing.lab import LabError, cgroup, report
from timing.lab.question import Question

OUT = Path("benchmarks/results/stages.json")
TEXT, TASK, LABEL = "smoked paprika", "source", "plant"
TIMEOUT_S = 120


def main(given: list[str] | None = None, stages: Sequence[Stage] = STAGES) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stages", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--starts", type=int, default=10, metavar="N",
                        help="of each stage, cached and not (default: 10)")  # fmt: skip
    parser.add_argument("--out", type=Path, default=OUT, help=f"default: {OUT}")
    options = parser.parse_args(given)
    if options.starts < 1:
        parser.error(f"--starts: found {options.starts}, expected a number from 1 up")
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        # What the lab itself would do with these options, and its notes on what it cannot.
        lab = coldstart.arguments([
            "--text", TEXT, "--expect", f"{TASK}={LABEL}", "--cpus", f"{CPUS:g}", "--memory",
            MEMORY[0], "--drop-page-cache", "--timeout", str(TIMEOUT_S), stages[0].command,
        ])  # fmt: skip
        bench, _, notes = coldstart.prepared(lab, Question(TEXT, TASK, LABEL))
        measured = {
            "schema": 1,
            "machine": report.machine(),
            "text": TEXT,
            "cpus": CPUS if cgroup.CPU in bench.controllers else None,
            "starts": options.starts,
            "stages": measure(stages, bench, options.starts),
            "notes": [f"{note[:1].upper()}{note[1:]}." for note in notes
                      if not note.startswith("files were not counted")],
        }
        report.write(options.out, measured)
    except LabError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.filename or 'this machine'}: {error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit("error: interrupted")
    print(table.table(measured))


def _end(number: int, _frame) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    # These would end this process at once, and leave the server's behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    main()
