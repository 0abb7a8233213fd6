"""What every stage shares: its folder, what it depends on, and how it reports and fails."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def fingerprint(settings: dict, *files: str | Path | None) -> str:
    """A hash of the settings and of the files' contents: what makes two runs the same run."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in files:
        if path is None:
            digest.update(b"-")
        else:
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def finished(out: Path, mark: str) -> bool:
    """Whether `out` holds the result of this very run. Makes the folder where there is none."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "metrics.json"
    return path.exists() and json.loads(path.read_text()).get("fingerprint") == mark


def finish(out: Path, metrics: dict) -> None:
    """Write `metrics.json`, which marks the stage as finished, and drop the checkpoint."""
    write_json(out / "metrics.json", metrics)
    (out / "checkpoint.pt").unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    with whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to, renamed to it in the end. Where the writing
    fails nothing is left behind. Raises OSError."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with writing(path):
            yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A full disk is an OSError here, whatever the library that writes makes of it."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{path}: could not be written ({error.strerror or error})") from error
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise OSError(f"{path}: could not be written ({reason})") from error


def stage(main: Callable[[], None]) -> None:
    """Run a stage's `main`; what a user can mend is told in one line, without a traceback."""
    keep_memory()
    try:
        main()
    except (OSError, ValueError, FloatingPointError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from the last finished epoch")


def keep_memory() -> None:
    """Have freed memory kept for the next batch, where the C library is glibc (mallopt(3)).

    It hands large blocks back to the kernel and gets them anew, page by page: 14,000 page faults a
    batch, and on a virtual machine whose host takes idle memory back, up to half of the time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        trim_threshold, mmap_max = -1, -4  # of malloc.h
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, -1)
