"""The stages: how each is started, and what has to be deployed for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.stages import size

SERVING = ("onnxruntime", "numpy", "functions-framework")
TRANSFORMERS = ("torch", "transformers", "functions-framework")


@dataclass(frozen=True)
class Stage:
    """`files` are deployed, and `packages` with all that they need, as installed under
    `installed`: a virtual environment or a node_modules folder."""

    name: str
    weights: str
    command: str
    files: tuple[str, ...]
    packages: tuple[str, ...] = ()
    installed: str = ""

    def deployed_bytes(self) -> int:
        """Raises LabError where a part of it is missing."""
        packages = size.npm if self.installed.endswith("node_modules") else size.python
        own = sum(size.files(Path(path)) for path in self.files)
        return own + (packages(Path(self.installed), self.packages) if self.packages else 0)


def python(environment: str, source: str, settings: str = "") -> str:
    return f"{settings}{environment}/bin/python -m functions_framework --source {source} " \
           "--target classify"  # fmt: skip


def on_torch(source: str) -> str:
    """One thread, for there is one CPU, and no look at a hub: both are to its advantage."""
    settings = f"env MODELS=build/stages/{source} OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 "
    return python(".venv", f"benchmarks/stages/{source}.py", settings)


OURS = ("function", "timing")
STAGES = (
    Stage(
        "0: three BERT-base", "random", on_torch("three"),
        (*OURS, "benchmarks/stages/surface.py", "benchmarks/stages/three.py", "build/stages/three"),
        TRANSFORMERS, ".venv",
    ),
    Stage(
        "1: one BERT-base", "random", on_torch("one"),
        (*OURS, "benchmarks/stages/surface.py", "benchmarks/stages/one.py", "build/stages/one"),
        TRANSFORMERS, ".venv",
    ),
    Stage(
        "2: the bundle, Python", "shipped",
        python(".venv-serve", "function/main.py"), (*OURS, "bundle"), SERVING, ".venv-serve",
    ),
    Stage(
        "3: the bundle, Node", "shipped", "node build/stage-node/index.cjs",
        ("build/stage-node",),
    ),
    Stage(
        "empty function, Python", "none", python(".venv-serve", "benchmarks/stages/empty.py"),
        ("benchmarks/stages/empty.py",), ("functions-framework",), ".venv-serve",
    ),
    Stage(
        "empty function, Node", "none",
        "node_modules/.bin/functions-framework --source benchmarks/stages/empty.js "
        "--target classify",
        ("benchmarks/stages/empty.js",), ("@google-cloud/functions-framework",), "node_modules",
    ),
)  # fmt: skip
