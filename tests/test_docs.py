"""What the README says is so: its tables are fresh, its files exist, its commands are targets."""

import re

from benchmarks import tables
from function import guard, request
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def test_the_tables_are_made_from_the_results(monkeypatch):
    monkeypatch.chdir(ROOT)
    for path in tables.PARTS:
        text = path.read_text("utf-8")
        assert tables.fresh(path, text) == text, "stale: run `python -m benchmarks.tables`"
        assert tables.fresh(path, text.replace("1", "2")) != text.replace("1", "2")


def test_every_file_named_in_the_map_exists():
    section = README.split("## What is where")[1].split("\n## ")[0]
    room, named = "", []
    for line in section.splitlines():
        indented = re.match(r"(    (?:  )?)((?:[\w.]+(?:\.\w+|/) ?)+)", line)
        if not indented:
            continue
        names = indented[2].split()
        if len(indented[1]) == 4:
            room = names[0] if names[0].endswith("/") else ""
            named += names
        else:
            named += [room + name for name in names]
    assert len(named) > 25
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_make_command_is_a_target():
    makefile = (ROOT / "Makefile").read_text()
    asked = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.M))
    assert {"serve", "test", "train", "ship", "bench"} <= asked
    assert [name for name in asked if not re.search(rf"^{name}:", makefile, re.M)] == []


def test_the_security_page_names_every_header_limit_and_setting():
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    for name, value in guard.HEADERS.items():
        assert f"| `{name}` | `{value}`" in page
    limits = f"{request.MAX_BODY // 1024} KiB", f"{request.MAX_TEXTS} texts", "1,000 characters"
    assert [limit for limit in limits if limit not in page] == [] and request.MAX_CHARACTERS == 1000
    code = "".join((ROOT / "function" / name).read_text() for name in ("guard.py", "main.py"))
    read = set(re.findall(r'(?:environ|environment)\.get\("([A-Z_]+)"', code))
    assert read == {"BUNDLE", *re.findall(r"^\| `([A-Z_]+)` \|", page, re.M)}
