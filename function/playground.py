"""The playground's files, served at `/` when PLAYGROUND=1: page, worker, wasm, model.

The paths are fixed as the server starts, so that none can point outside the folder.
"""

from __future__ import annotations

from pathlib import Path

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
}
HEADERS = {
    "Cache-Control": "no-cache",
    # Nothing from elsewhere; onnxruntime compiles WebAssembly. Nobody frames it, no form of it is
    # sent: the page asks by fetch.
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Service-Worker-Allowed": "/",
}


def files(folder: Path) -> dict[str, Path]:
    """The file of each path, none where `folder` is not there."""
    found = {}
    for file in folder.rglob("*"):
        path = file.relative_to(folder).as_posix()
        if file.is_file():
            found["/" if path == "index.html" else f"/playground/{path}"] = file
    return found


def read(file: Path) -> tuple[bytes, dict[str, str]]:
    """A file's content and the headers to send it with."""
    kind = TYPES.get(file.suffix, "application/octet-stream")
    return file.read_bytes(), {"Content-Type": kind, **HEADERS}
