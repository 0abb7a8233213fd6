"""Stage 9: the folder that ships, with a hash of every file in it.

    python -m export.bundle --run build/train --out build/train/bundle

`--run` is the folder of a whole run: student/, onnx/, contract.json, parity.json, golden.json and,
where it was evaluated, metrics.json. The same run gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
from importlib.metadata import version
from pathlib import Path

from export.card import card
from training.runs import stage, write_json

COPIED = ("config.json", "special_tokens_map.json", "tokenizer_config.json", "vocab.txt")
LIBRARIES = ("torch", "transformers", "tokenizers", "optimum", "optimum-onnx", "onnx",
             "onnxruntime")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m export.bundle", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of a training run")
    parser.add_argument("--metrics", type=Path, help="metrics.json of the measured run, if another")
    parser.add_argument("--version", default="1.0.0", help="of the model, by semantic versioning")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    options = parser.parse_args()
    metrics = options.metrics or options.run / "metrics.json"
    bundle(options.run, metrics, options.out, options.version)
    size = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file())
    print(f"bundle: {options.out} {size / 1e6:.2f} MB")


def bundle(run: Path, metrics_path: Path, out: Path, model_version: str) -> None:
    """Assemble the bundle of `run` in `out`, replacing what was there in one rename.

    Raises ValueError naming the first file that the run has not made, or where `out` is a folder
    of something else.
    """
    if out.exists() and not (out / "manifest.json").exists():
        raise ValueError(f"--out {out}: found something else there, expected a bundle or nothing")
    student = run / "student"
    sources = {name: student / name for name in COPIED}
    sources["onnx/model_quantized.onnx"] = run / "onnx" / "model_quantized.onnx"
    sources["golden.json"] = run / "golden.json"
    # Without a teacher (a new head on a frozen encoder, a measured student that went on learning)
    # the student tells its own base.
    taught_by = run / "teacher" if (run / "teacher").exists() else student
    read = [run / "contract.json", student / "tokenizer.json", student / "metrics.json",
            taught_by / "metrics.json", run / "parity.json"]  # fmt: skip
    for path in [*sources.values(), *read]:
        if not path.exists():
            raise ValueError(f"{path}: found no file, expected the result of an earlier stage")
    contract, tokenizer, distilled, taught, parity = (
        json.loads(path.read_text("utf-8")) for path in read
    )
    metrics = json.loads(metrics_path.read_text("utf-8")) if metrics_path.exists() else None
    contract["version"] = model_version
    if taught_by != student:
        learnt = {**distilled["settings"], "teachers": len(distilled["teachers"])}
        made = {"teacher": taught["settings"], "student": learnt}
    else:
        made = distilled["recipe"]
    recipe = {stage: {k: v for k, v in settings.items() if k != "base"}
              for stage, settings in made.items()}  # fmt: skip

    facts = {
        "schema": 1,
        "name": contract["name"],
        "version": model_version,
        "base": taught["base"],
        "preset": distilled["preset"],
        "trained_on": distilled["trained_on"],
        "recipe": recipe,
        "made_with": {name: version(name).split("+")[0] for name in LIBRARIES},
        "parity": parity,
        "metrics": metrics,
        "slices": own_slices(run),
    }
    fresh = out.with_name(out.name + ".tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fill(fresh, sources, contract, tokenizer, facts)
        replace(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def own_slices(run: Path) -> dict:
    """What this very model and its rival TF-IDF reach on the challenging phrases, by model and
    slice: no model was trained on those, so that they judge a model of all rows too."""
    path = run / "metrics.json"
    models = json.loads(path.read_text("utf-8"))["models"] if path.exists() else {}
    return {name: models[name]["slices"] for name in ("tfidf", "int8") if name in models}


def fill(
    fresh: Path, sources: dict[str, Path], contract: dict, tokenizer: dict, facts: dict
) -> None:
    """Every file of the bundle, the manifest last. Raises OSError."""
    (fresh / "onnx").mkdir(parents=True)
    for name, path in sources.items():
        shutil.copyfile(path, fresh / name)
    write_json(fresh / "contract.json", contract)
    # Without white space: a third smaller, and as good to every reader.
    (fresh / "tokenizer.json").write_text(
        json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")), "utf-8"
    )
    size = (fresh / "onnx" / "model_quantized.onnx").stat().st_size
    (fresh / "README.md").write_text(card(contract, facts, size), "utf-8")
    paths = sorted(path for path in fresh.rglob("*") if path.is_file())
    files = {path.relative_to(fresh).as_posix(): _hashed(path) for path in paths}
    write_json(fresh / "manifest.json", {**facts, "files": files})


def _hashed(path: Path) -> dict:
    content = path.read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


def replace(fresh: Path, out: Path) -> None:
    """Put the folder `fresh` in the place of `out`; a kill in between leaves the old one beside."""
    old = out.with_name(out.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        os.rename(out, old)
    os.rename(fresh, out)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    stage(main)
