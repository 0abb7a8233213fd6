"""Bytes to deploy: files, and installed packages with all that they need.

Not counted: Python, Node and the system below them, which a base image brings.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from timing.lab import LabError


def files(path: Path, without: str = "__pycache__") -> int:
    """Of a file, or of all files in a folder, except those in folders named `without`."""
    if not path.exists():
        raise LabError(f"{path}: found nothing, expected what `make bench-stages` puts there")
    inside = path.rglob("*") if path.is_dir() else [path]
    return sum(
        file.stat().st_size for file in inside
        if file.is_file() and without not in file.relative_to(path).parts
    )  # fmt: skip


def python(environment: Path, names: Iterable[str]) -> int:
    """Of these distributions and all that they require here, as installed in the virtual
    environment. Raises LabError where one is not."""
    sites = [str(site) for site in environment.glob("lib/python*/site-packages")]
    installed = {canonicalize_name(d.name): d for d in distributions(path=sites)}
    wanted, extras, found = [*map(Requirement, names)], {}, {}
    while wanted:
        asked = wanted.pop()
        name = canonicalize_name(asked.name)
        if name not in installed:
            raise LabError(f"{environment}: found no {name}, expected it installed")
        new = {"", *asked.extras} - extras.setdefault(name, set())
        extras[name] |= new
        found[name] = installed[name]
        for needed in map(Requirement, installed[name].requires or ()):
            if any(not needed.marker or needed.marker.evaluate({"extra": e}) for e in new):
                wanted.append(needed)
    return sum(map(_installed_bytes, found.values()))


def _installed_bytes(distribution: Distribution) -> int:
    paths = [Path(file.locate()) for file in distribution.files or ()]
    return sum(path.stat().st_size for path in paths if path.is_file())


def npm(modules: Path, names: Iterable[str]) -> int:
    """Of these packages and their dependencies, found as Node finds them from the folder that
    holds `modules`. Raises LabError where one is not there."""
    wanted, found = [(modules.parent, name) for name in names], set()
    while wanted:
        asking, name = wanted.pop()
        places = [above / modules.name / name for above in (asking, *asking.parents)]
        folder = next((place for place in places if place.is_dir()), None)
        if folder is None:
            raise LabError(f"{modules}: found no {name}, expected it installed")
        if folder not in found:
            found.add(folder)
            needed = json.loads((folder / "package.json").read_text("utf-8"))
            wanted += [(folder, each) for each in needed.get("dependencies", {})]
    return sum(files(folder, without=modules.name) for folder in found)
