"""Cold starts of a server, measured from the start of its process to its first right answer.

    python -m timing.coldstart --text "smoked paprika" --expect source=plant --cpus 1 --cpus 0.5 \\
        ".venv-serve/bin/functions-framework --source function/main.py --target classify"
    python -m timing.coldstart --text "smoked paprika" --expect source=plant \\
        --gcloud SERVICE --region REGION

Every command is started under every limit, in turns, so that drift hits all alike; the first start
of each command is not counted, but traced (strace) for the files it opens. A command gets its port
as PORT in the environment and where it says {port}; it must answer `POST /classify`. What this
machine does not allow is left out and said at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import signal
import sys
from pathlib import Path

from timing.lab import LabError, cgroup, cloudrun, local, report, strace
from timing.lab.local import Bench, Configuration
from timing.lab.question import Question


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m timing.coldstart", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help="a server, in quotes")
    parser.add_argument("--text", required=True, help="what is asked")
    parser.add_argument("--expect", required=True, metavar="TASK=LABEL", type=_expected,
                        help="what must be answered")  # fmt: skip
    parser.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'",
                        type=_header, help="of every request, such as an Authorization")
    parser.add_argument("--starts", type=_natural, default=30, help="of each (default: 30)")
    parser.add_argument("--cpus", type=_cpus, action="append", help="limit, such as 0.5")
    parser.add_argument("--memory", type=_size, action="append",
                        help="limit, such as 512Mi")  # fmt: skip
    parser.add_argument("--drop-page-cache", action="store_true",
                        help="before every start, of the whole machine")  # fmt: skip
    parser.add_argument("--port", type=_natural, help="of a server that does not heed PORT")
    parser.add_argument("--timeout", type=_seconds, default=60,
                        help="s that one start may take (default: 60)")  # fmt: skip
    parser.add_argument("--gcloud", metavar="SERVICE", help="of Cloud Run, instead of commands")
    parser.add_argument("--region", help="of the service")
    parser.add_argument("--out", type=Path, default=Path("build/coldstart.json"),
                        help="file for every figure (default: build/coldstart.json)")  # fmt: skip
    options = parser.parse_args(given)
    if bool(options.commands) == bool(options.gcloud):
        parser.error("expected either COMMAND or --gcloud SERVICE")
    if bool(options.gcloud) != bool(options.region):
        parser.error("expected --gcloud SERVICE and --region together")
    if options.gcloud and (options.cpus or options.memory or options.drop_page_cache
                           or options.port):  # fmt: skip
        parser.error("found limits of this machine, expected none with --gcloud")
    return options


def main(given: list[str] | None = None) -> None:
    options = arguments(given)
    question = Question(options.text, *options.expect, dict(options.header))
    try:
        if options.out.is_dir():
            raise LabError(f"{options.out}: found a folder, expected a file to write")
        options.out.parent.mkdir(parents=True, exist_ok=True)
        measured = on_cloud_run(options, question) if options.gcloud else here(options, question)
        measured = {"schema": 1, "text": options.text, **measured}
        print(report.table(measured))
        report.write(options.out, measured)
    except LabError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.filename or 'this machine'}: {error.strerror or error}")
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


def here(options: argparse.Namespace, question: Question) -> dict:
    """The report of all configurations on this machine. Raises LabError."""
    bench, traced, notes = prepared(options, question)
    cpus = (cgroup.CPU in bench.controllers and options.cpus) or [None]
    memory = (cgroup.MEMORY in bench.controllers and options.memory) or [None]
    opened = {command: local.first(command, bench, traced) for command in options.commands}
    product = itertools.product(options.commands, cpus, memory)
    samples = {Configuration(*configuration): [] for configuration in product}
    try:
        for n in range(options.starts):
            for configuration, kept in samples.items():
                progress(f"start {n + 1} of {options.starts}: {configuration.name}")
                kept.append(local.start(configuration, bench))
    finally:
        progress("")
    return {
        "machine": report.machine(),
        "page_cache": "dropped" if bench.drops_page_cache else "kept",
        "configurations": [
            {
                "name": configuration.name,
                "command": configuration.command,
                "cpus": configuration.cpus,
                "memory": configuration.memory,
                "summary": report.summarize(kept),
                "opened": opened[configuration.command],
                "starts": kept,
            }
            for configuration, kept in samples.items()
        ],
        "notes": notes,
    }


def prepared(options: argparse.Namespace, question: Question) -> tuple[Bench, bool, list[str]]:
    """What of the asked this machine allows, whether it can trace, and notes of the rest."""
    notes: list[str] = []
    controllers, refused = allowed(options.cpus is not None)
    if cgroup.CPU in refused:
        notes.append(f"CPUs were not limited: {refused[cgroup.CPU]}")
    if cgroup.MEMORY in refused:
        limited = "limited, its peak not " if options.memory else ""
        notes.append(f"memory was not {limited}measured by cgroup: {refused[cgroup.MEMORY]}")
    drops, traced = options.drop_page_cache, True
    if drops:
        try:
            local.drop_page_cache()
        except OSError as error:
            drops = False
            notes.append(f"the page cache was not dropped: {error.filename}: {error.strerror}")
    try:
        strace.probe()
    except LabError as error:
        traced = False
        notes.append(f"files were not counted: {error}")
    bench = Bench(question, options.timeout, options.port, controllers, drops)
    return bench, traced, notes


def allowed(limits_cpus: bool) -> tuple[tuple[str, ...], dict[str, str]]:
    """The controllers that may be used here, and by controller why others may not."""
    refused: dict[str, str] = {}
    choices = [(cgroup.CPU, cgroup.MEMORY)] if limits_cpus else []
    choices += [(cgroup.MEMORY,)] + ([(cgroup.CPU,)] if limits_cpus else [])
    for choice in choices:
        try:
            with cgroup.group(choice):
                return choice, {c: why for c, why in refused.items() if c not in choice}
        except LabError as error:
            refused |= dict.fromkeys(choice, str(error))
    return (), refused


def on_cloud_run(options: argparse.Namespace, question: Question) -> dict:
    """The report of a Cloud Run service. Raises LabError, also where no start was a cold one."""
    service = cloudrun.Service(options.gcloud, options.region)
    samples, notes = cloudrun.measure(service, question, options.starts, options.timeout)
    if not samples:
        raise LabError(f"{service.name}: found no cold start ({notes[0]})")
    name = f"Cloud Run {service.name} in {service.region}"
    summary = report.summarize(samples)
    configuration = {"name": name, "summary": summary, "starts": samples}
    return {"configurations": [configuration], "notes": notes}


def progress(text: str) -> None:
    """Where a person waits for it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text[:80]}")
        sys.stderr.flush()


def _expected(text: str) -> tuple[str, str]:
    task, equals, label = text.partition("=")
    if not (task and equals and label):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected such as source=plant")
    return task, label


def _header(text: str) -> tuple[str, str]:
    name, colon, value = (part.strip() for part in text.partition(":"))
    if not (name and colon and value and text.isprintable()):
        raise argparse.ArgumentTypeError("found no header, expected such as 'X-API-Key: KEY'")
    return name, value


def _natural(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number from 1 up")
    return int(text)


def _cpus(text: str) -> float:
    return _between(0.01, os.cpu_count() or 1, text)  # more than there are would limit nothing


def _seconds(text: str) -> float:
    return _between(0.01, 3600, text)


def _between(least: float, most: float, text: str) -> float:
    with contextlib.suppress(ValueError):
        if least <= float(text) <= most:
            return float(text)
    raise argparse.ArgumentTypeError(f"found {text!r}, expected {least} to {most}")


def _size(text: str) -> str:
    try:
        local.parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _end(number: int, _frame) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    # These two would end this process at once, and leave the server's behind.
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, _end)
    main()
