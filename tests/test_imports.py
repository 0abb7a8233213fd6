"""Who may import whom: the light part never imports the heavy part."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

HEAVY = {"torch", "transformers", "tokenizers", "optimum", "onnx", "scipy", "sklearn",
         "safetensors"}  # fmt: skip
ROOMS = {"timing", "function", "training", "export", "deploy", "benchmarks", "tests"}
STDLIB = set(sys.stdlib_module_names)
LIGHT = {"function.contract", "function.wordpiece", "function.decode"}
# What each room may import besides the standard library and itself; a name covers what is below.
ALLOWED = {
    "timing": set(),
    "function": {"timing"},  # onnxruntime by its library alone, see function/ort.py
    # evaluate measures int8 through function.model, the very code that serves it
    "training": {"torch", "transformers", "tokenizers", "numpy", "scipy", "sklearn", "tqdm",
                 "wordfreq",
                 "timing", *LIGHT, "function.model"},
    "export": {"torch", "transformers", "tokenizers", "numpy", "optimum", "onnx", "onnxruntime",
               "google.protobuf",
               "tqdm", "training", "timing", *LIGHT, "function.model"},
    "deploy": {"timing", "function.golden"},
}  # fmt: skip
MORE = {"function/main.py": {"flask", "functions_framework"}, "function/body.py": {"flask"}}
FILES = [path for room in ALLOWED for path in sorted((ROOT / room).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it, by its full name."""
    found = set()
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            # `from function import model` imports the module function.model
            below = {f"{base}.{a.name}" for a in node.names if is_module(f"{base}.{a.name}")}
            found |= below or {base}
    return found


def is_module(name: str) -> bool:
    return (ROOT / name.replace(".", "/")).with_suffix(".py").exists()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_rooms_import_only_what_they_may(path):
    relative = path.relative_to(ROOT).as_posix()
    room = relative.split("/")[0]
    allowed = ALLOWED[room] | {room} | MORE.get(relative, set())

    def covered(name: str) -> bool:
        parts = name.split(".")
        return parts[0] in STDLIB or any(
            ".".join(parts[:n]) in allowed for n in range(1, len(parts) + 1)
        )

    assert sorted(name for name in imported(path) if not covered(name)) == []


def test_the_rule_can_fail(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "function").mkdir()
    path = tmp_path / "function" / "bad.py"
    path.write_text("def f():\n    import torch.nn\n    from . import good\n")
    assert imported(path) == {"torch.nn", "function"}
    with pytest.raises(AssertionError):
        test_rooms_import_only_what_they_may(path)


def loaded(code: str, bundle: Path) -> set[str]:
    env = {**os.environ, "BUNDLE": str(bundle)}
    code = f"import sys, json; {code}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True,
                          text=True, check=True)  # fmt: skip
    return {name.split(".")[0] for name in json.loads(done.stdout)}


def test_the_served_function_brings_nothing_heavy(pets_bundle):
    found = loaded("import function.main", pets_bundle)
    # The last two: onnxruntime's library is loaded without its module and what that needs.
    assert not found & (HEAVY | {"training", "export", "numpy", "onnxruntime"})


def test_the_description_is_loaded_only_when_it_is_asked_for(pets_bundle):
    code = "import function.main; assert 'function.openapi' not in sys.modules"
    assert "function" in loaded(code, pets_bundle)


def test_the_timing_library_brings_only_the_standard_library(pets_bundle):
    assert not loaded("import timing", pets_bundle) & ({"numpy", "flask"} | ROOMS - {"timing"})


def test_the_command_line_needs_no_web_framework(pets_bundle):
    found = loaded("import function.__main__", pets_bundle)
    assert not found & (HEAVY | {"flask", "functions_framework"})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_worker_forked_after_the_import_ends_well():
    """What onnxruntime's telemetry thread would break: the worker then hangs or aborts."""
    code = """if True:
        import os, signal, sys, function.model
        if (pid := os.fork()) == 0:
            signal.alarm(10)  # a worker that hangs dies of it
            sys.exit(0)
        print(os.waitpid(pid, 0)[1])"""
    env = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True,
                          text=True)  # fmt: skip
    assert (done.stdout, done.stderr) == ("0\n", "")
