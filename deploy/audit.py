"""Are there advisories against what is deployed? `python -m deploy.audit`

Asks pip-audit about function/requirements.txt and npm about package-lock.json. Ends with 1 where
there is one. A registry that keeps no advisories, or that is out of reach, is said and does not
end anything: what it does not know is no finding.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PIP = [str(Path(sys.executable).with_name("pip-audit")), "--format=json", "--progress-spinner=off",
       "--require-hashes", "--disable-pip", "--requirement=function/requirements.txt"]  # fmt: skip
NPM = ["npm", "audit", "--json", "--omit=dev"]


class AuditError(Exception):
    """An audit that found nothing out, and why."""


def main() -> None:
    found = 0
    for name, command, read in (("pip-audit", PIP, of_pip), ("npm audit", NPM, of_npm)):
        try:
            advisories, asked = read(output(command))
        except AuditError as error:
            print(f"{name}: not audited: {error}")
            continue
        found += len(advisories)
        print(f"{name}: {asked} packages, {len(advisories)} advisories")
        for advisory in advisories:
            print(f"  {advisory}")
    sys.exit(1 if found else 0)


def output(command: Sequence[str]) -> str:
    """What it prints, however it ends. Raises AuditError."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AuditError(f"{command[0]}: {error}") from None


def of_pip(text: str) -> tuple[list[str], int]:
    """The advisories in pip-audit's JSON, and how many packages were asked about. Raises
    AuditError."""
    try:
        packages = json.loads(text)["dependencies"]
        asked = [package for package in packages if "skip_reason" not in package]
        reasons = [package["skip_reason"] for package in packages if "skip_reason" in package]
        advisories = [
            f"{package['name']} {package['version']}: {one['id']}, mended in "
            f"{', '.join(one['fix_versions']) or 'no version'}"
            for package in asked
            for one in package["vulns"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise AuditError(f"found no readable report ({error!r})") from None
    if reasons and not advisories:
        raise AuditError(f"{len(reasons)} of {len(packages)} packages: {reasons[0]}")
    return advisories, len(asked)


def of_npm(text: str) -> tuple[list[str], int]:
    """The same of npm's JSON."""
    try:
        report = json.loads(text)
        if "vulnerabilities" not in report:
            raise AuditError(f"found status {report.get('statusCode')} of the registry, "
                             "expected its advisories")  # fmt: skip
        advisories = [
            f"{name} {one['range']}: {one['severity']}"
            for name, one in report["vulnerabilities"].items()
        ]
        return advisories, report["metadata"]["dependencies"]["total"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AuditError(f"found no readable report ({error!r})") from None


if __name__ == "__main__":
    main()
