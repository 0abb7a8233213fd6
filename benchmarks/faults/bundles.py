"""What may lie in a bundle's folder when a swap is asked for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def next_version(bundle: Path, number: int) -> None:
    """The same model as a new version: its answers are known."""
    _change(bundle, version=f"9.0.{number}")


def corrupt(bundle: Path, number: int) -> None:
    """A new version with a byte of the graph turned over."""
    next_version(bundle, number)
    path = bundle / "onnx" / "model_quantized.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def mismatched(bundle: Path, number: int) -> None:
    """A whole one that asks other questions."""
    _change(bundle, version=f"9.0.{number}", name="vegetables")


def too_large(bundle: Path, number: int) -> None:
    """One with a file of 1 TB, by its manifest and by its length on a disk that has holes."""
    next_version(bundle, number)
    with (bundle / "weights.bin").open("wb") as file:
        file.truncate(10**12)
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    manifest["files"]["weights.bin"] = {"sha256": "0" * 64, "size": 10**12}
    (bundle / "manifest.json").write_text(json.dumps(manifest), "utf-8")


def _change(bundle: Path, **changes: str) -> None:
    """Change the contract and the manifest alike."""
    at, path = bundle / "manifest.json", bundle / "contract.json"
    content = json.dumps(json.loads(path.read_text("utf-8")) | changes).encode()
    path.write_bytes(content)
    manifest = json.loads(at.read_text("utf-8")) | changes
    found = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    manifest["files"]["contract.json"] = found
    at.write_text(json.dumps(manifest), "utf-8")
