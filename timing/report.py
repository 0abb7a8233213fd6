"""What the logs say: how long every span took, and where cold starts spend their time.

    python -m timing.report app.log
    gcloud logging read 'jsonPayload.duration_ms>=0' --format=json | python -m timing.report -
    python -m timing.report app.log --html report.html

Lines that are no timing records are told on standard error and skipped.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from timing import lines
from timing.histogram import buckets
from timing.lines import LogError
from timing.recorder import Recorder
from timing.startup import WAITING

HEAD = ["count", "p50 ms", "p95 ms", "p99 ms", "max ms", "errors"]
SHOWN = 10  # cold starts told one by one, the latest
FAULTS = 20  # told one by one
BAR = 40  # characters


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m timing.report", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("logs", nargs="+", metavar="LOGFILE", help="a log; - is standard input")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots too")
    options = parser.parse_args()
    try:
        spans, starts = collect(options.logs)
        if options.html:
            from timing import page

            write(options.html, page.render(spans, starts))
        print(text(spans, starts), flush=True)
    except BrokenPipeError:
        sys.stderr.close()  # the reader has seen enough (`| head`): no complaint at exit
        sys.exit(0)
    except LogError as error:
        sys.exit(f"error: {error}")


def collect(logs: Sequence[str]) -> tuple[Recorder, list[dict]]:
    """The spans of all logs and their cold starts, in the order of time where all tell theirs.

    Faults go to standard error. Raises LogError where a log cannot be read, or none holds a
    timing record.
    """
    spans, starts, faults = Recorder(None), [], 0

    def fault(line: str) -> None:
        nonlocal faults
        faults += 1
        if faults <= FAULTS:
            print(line, file=sys.stderr)

    for path in logs:
        try:
            for record in lines.read(path, fault):
                spans(record)
                if "stages_ms" in record:
                    starts.append(record)
        except OSError as error:
            found = f"found no readable file ({error.strerror})"
            raise LogError(f"{path}: {found}, expected a log") from None
    if faults > FAULTS:
        print(f"… and {faults - FAULTS} more", file=sys.stderr)
    if not spans.summary():
        expected = "expected lines with `span` and `duration_ms`"
        raise LogError(f"{', '.join(logs)}: found no timing record, {expected}")
    if all(start["when"] for start in starts):
        starts.sort(key=lambda start: start["when"])
    return spans, starts


def text(spans: Recorder, starts: list[dict]) -> str:
    """The report in plain characters."""
    parts = [table(["span", *HEAD], cells(spans))]
    for name in ranked(spans):
        parts.append(f"{name}, ms\n{histogram(spans.durations(name))}")
    if starts:
        parts.append(table([f"cold starts: {len(starts)}", *HEAD[:-1]],
                           [row[:-1] for row in cells(stages(starts), by_time=False)]))  # fmt: skip
        parts += map(cold_start, starts[-SHOWN:])
    return "\n\n".join(parts)


def ranked(spans: Recorder) -> list[str]:
    """The names of the spans, those that took most of the time first."""
    return sorted(spans.summary(), key=lambda name: -sum(spans.durations(name)))


def cells(spans: Recorder, by_time: bool = True) -> list[list[str]]:
    """A row for each span: name, count, p50, p95, p99, max, errors."""
    summary = spans.summary()
    rows = []
    for name in ranked(spans) if by_time else summary:
        count, *times, errors = summary[name].values()
        rows.append([name, str(count), *(f"{ms:.3f}" for ms in times), str(errors)])
    return rows


def stages(starts: list[dict]) -> Recorder:
    """The stages of all cold starts, as if each were a span."""
    found = Recorder(None)
    for start in starts:
        for stage, ms in start["stages_ms"].items():
            found({"span": stage, "duration_ms": ms})
    return found


def table(head: list[str], rows: list[list[str]]) -> str:
    """The first column from the left, figures from the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
        for row in [head, *rows]
    )


def histogram(durations: list[float]) -> str:
    found = buckets(durations)
    most = max(count for *_, count in found)
    return "\n".join(
        f"  {low:>12.3f} to {high:>12.3f}  {bar(count / most)} {count}"
        for low, high, count in found
    )


def cold_start(start: dict) -> str:
    stages, work = start["stages_ms"], working(start)
    total = sum(work.values()) or 1  # of nothing, every share is 0
    width = max(map(len, stages))
    rows = [title(start)]
    for stage, ms in stages.items():
        share = f"{ms / total:>5.0%}  {bar(ms / total)}" if stage in work else ""
        rows.append(f"  {stage.ljust(width)} {ms:>12.3f} {share}".rstrip())
    return "\n".join(rows)


def working(start: dict) -> dict[str, float]:
    """The stages without the wait for a request, which would dwarf them where an instance is kept
    warm for hours."""
    return {stage: ms for stage, ms in start["stages_ms"].items() if stage != WAITING}


def title(start: dict) -> str:
    when = f" at {start['when']:%Y-%m-%d %H:%M:%S %Z}" if start["when"] else ""
    return (f"cold start{when}: {start['init_ms']:.3f} ms until it listened, "
            f"{start['duration_ms']:.3f} ms until the first answer")  # fmt: skip


def bar(share: float) -> str:
    return "#" * round(BAR * share)


def write(path: Path, page: str) -> None:
    """To a temporary name first, so that a full disk leaves no half page. Raises LogError."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(page, "utf-8")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise LogError(f"{path}: could not be written ({error.strerror})") from None


if __name__ == "__main__":
    main()
