"""What is deployed is pinned with hashes, and told in a bill of materials."""

import json
import re
import subprocess
import sys

from tests.conftest import ROOT

DIRECT = (ROOT / "function" / "requirements.in").read_text()
LOCK = (ROOT / "function" / "requirements.txt").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
PIN = re.compile(r"^([a-z0-9-]+)==(\S+) \\$((?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?$)+)", re.M)


def test_the_function_needs_three_packages_and_no_more():
    names = [line.split("==")[0] for line in DIRECT.split()]
    assert names == ["onnxruntime", "numpy", "functions-framework"]


def test_every_pin_has_hashes_and_the_direct_ones_are_the_same():
    pins = {name: version for name, version, _ in PIN.findall(LOCK)}
    assert len(pins) == len(re.findall(r"^[a-z]", LOCK, re.M)) > 20  # no line without
    assert set(DIRECT.split()) <= {f"{name}=={version}" for name, version in pins.items()}
    assert not {"torch", "transformers", "tokenizers"} & set(pins)


def test_no_file_of_requirements_names_where_packages_come_from():
    for text in (DIRECT, LOCK, (ROOT / "requirements.txt").read_text()):
        assert "://" not in text and "--index" not in text and "--find-links" not in text


def test_the_bill_of_materials_lists_every_pin(tmp_path):
    out = tmp_path / "sbom.json"
    (recipe,) = re.findall(r"^\t\.venv/bin/cyclonedx-py (.* -o) build/sbom.json$", MAKEFILE, re.M)
    arguments = recipe.split()
    command = [sys.executable, "-m", "cyclonedx_py", *arguments, str(out)]
    subprocess.run(command, cwd=ROOT, check=True)
    bill = json.loads(out.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    told = {part["purl"]: part["externalReferences"][0]["hashes"] for part in bill["components"]}
    for name, version, hashes in PIN.findall(LOCK):
        found = {entry["content"] for entry in told.pop(f"pkg:pypi/{name}@{version}")}
        assert found == set(re.findall(r"sha256:(\w+)", hashes))
    assert not told
