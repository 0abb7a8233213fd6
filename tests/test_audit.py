"""What an audit makes of the reports of pip-audit and npm, and of none."""

import json
import sys

import pytest

from deploy import audit

PIP = {"dependencies": [
    {"name": "flask", "version": "3.1.3", "vulns": []},
    {"name": "werkzeug", "version": "3.1.9",
     "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["3.1.10"], "aliases": []}]},
    {"name": "numpy", "skip_reason": "Dependency not found on PyPI"},
]}  # fmt: skip
NPM = {"vulnerabilities": {"express": {"range": "<5", "severity": "high"}},
       "metadata": {"dependencies": {"total": 90}}}  # fmt: skip


def test_advisories_are_named():
    said, asked = audit.of_pip(json.dumps(PIP))
    assert said == ["werkzeug 3.1.9: PYSEC-2026-1, mended in 3.1.10"] and asked == 2
    assert audit.of_npm(json.dumps(NPM)) == (["express <5: high"], 90)


def test_none_is_none():
    clean = {"dependencies": PIP["dependencies"][:1]}
    assert audit.of_pip(json.dumps(clean)) == ([], 1)
    assert audit.of_npm(json.dumps(NPM | {"vulnerabilities": {}})) == ([], 90)


@pytest.mark.parametrize(
    "read, text",
    [
        (audit.of_pip, json.dumps({"dependencies": [PIP["dependencies"][0],
                                                    PIP["dependencies"][2]]})),
        (audit.of_pip, ""),
        (audit.of_pip, '{"dependencies": 3}'),
        (audit.of_npm, '{"statusCode": 405, "error": {}}'),
        (audit.of_npm, "[]"),
    ],
)  # fmt: skip
def test_what_was_not_asked_is_not_called_clean(read, text):
    with pytest.raises(audit.AuditError):
        read(text)


@pytest.mark.parametrize("advisories, status", [([], 0), (["express <5: high"], 1)])
def test_an_advisory_ends_it_and_silence_does_not(monkeypatch, capsys, advisories, status):
    def out_of_reach(_):
        raise audit.AuditError("out of reach")

    monkeypatch.setattr(audit, "output", lambda _: "")
    monkeypatch.setattr(audit, "of_pip", out_of_reach)
    monkeypatch.setattr(audit, "of_npm", lambda _: (advisories, 90))
    with pytest.raises(SystemExit) as ended:
        audit.main()
    said = capsys.readouterr().out
    assert ended.value.code == status
    assert "pip-audit: not audited: out of reach" in said and "npm audit: 90 packages" in said


def test_a_command_that_is_not_there_is_said():
    with pytest.raises(audit.AuditError, match="no-such"):
        audit.output([sys.executable + "-no-such"])
