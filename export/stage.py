"""A folder to deploy: the light core, its pinned requirements and a bundle, nothing else.

    python -m export.stage build/stage [bundle]

Google's buildpacks make it a function: they look for `main.py` and `requirements.txt` at its root.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAIN = '''"""The function, where the buildpack looks for it."""

from function.main import classify

__all__ = ["classify"]
'''


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m export.stage", description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write; what was in it goes")
    parser.add_argument("bundle", type=Path, nargs="?", default=ROOT / "bundle")
    options = parser.parse_args()
    try:
        stage(options.out, options.bundle)
    except (OSError, shutil.Error) as error:
        sys.exit(f"error: {error}")
    size = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file())
    print(f"{options.out}: {size / 1e6:.1f} MB")


def stage(out: Path, bundle: Path) -> None:
    """Write the folder `out`. Raises OSError before it is touched where the bundle is not there, or
    where `out` is a folder that no stage wrote."""
    (bundle / "manifest.json").stat()
    if out.exists() and not (out / "main.py").exists():
        raise OSError(f"{out}: found a folder without main.py, expected none or an earlier stage")
    shutil.rmtree(out, ignore_errors=True)
    for room in ("function", "timing"):  # not timing/lab/, which measures from outside
        (out / room).mkdir(parents=True)
        for path in (ROOT / room).glob("*"):
            if path.suffix in (".py", ".json"):
                shutil.copyfile(path, out / room / path.name)
    shutil.copytree(bundle, out / "bundle")
    shutil.copyfile(ROOT / "function" / "requirements.txt", out / "requirements.txt")
    (out / "main.py").write_text(MAIN, "utf-8")


if __name__ == "__main__":
    main()
