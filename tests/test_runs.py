"""A disk that is full: one clear line, and no half-written file; memory that is freed."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
from contextlib import contextmanager

import pytest

from export import bundle
from tests.conftest import ROOT
from tests.pipeline import run
from training import encoder, runs, teacher


@contextmanager
def full_disk(most: int):
    """No file can grow beyond `most` bytes: writing on fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_checkpoint_that_does_not_fit(pets, tmp_path):
    out = tmp_path / "teacher"
    with (
        full_disk(4_000_000),
        pytest.raises(OSError, match=r"checkpoint\.pt: could not be written"),
    ):
        run(teacher, "--base", pets["base"], "--contract", pets["contract"], "--data", pets["data"],
            "--out", out, "--epochs", 2)  # fmt: skip
    assert not list(out.glob("checkpoint*")) and not (out / "metrics.json").exists()


def test_weights_that_do_not_fit_leave_the_old_ones(finished, tmp_path):
    model, *_ = encoder.load(finished / "student")
    (tmp_path / "model.safetensors").write_text("the old ones")
    with full_disk(100_000), pytest.raises(OSError, match=r"model\.safetensors: could not be"):
        encoder.save_weights(model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert (tmp_path / "model.safetensors").read_text() == "the old ones"


def test_a_bundle_that_does_not_fit_leaves_nothing(finished, tmp_path):
    out = tmp_path / "bundle"
    with full_disk(100_000), pytest.raises(OSError):
        bundle.bundle(finished, finished / "metrics.json", out, "1.0.0")
    assert list(tmp_path.iterdir()) == []


def test_it_is_told_in_one_line(tmp_path, monkeypatch, capsys):
    def main() -> None:
        with full_disk(10):
            runs.write_json(tmp_path / "big.json", list(range(100)))

    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(SystemExit) as stop:
        runs.stage(main)
    assert str(stop.value).startswith("error: ") and "big.json: could not be" in str(stop.value)
    assert "\n" not in str(stop.value) and list(tmp_path.iterdir()) == []


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_kept_for_the_next_batch():
    code = """if True:
        import resource, sys
        from training import runs

        def faults():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(5):
                b"x" * (40 << 20)
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

        (runs.keep_memory if sys.argv[1] == "keep" else int)()
        faults()
        print(faults())
    """
    kept, given_back = (
        int(subprocess.check_output([sys.executable, "-c", code, how], cwd=ROOT, text=True))
        for how in ("keep", "leave")
    )
    assert kept < given_back / 10, (kept, given_back)
