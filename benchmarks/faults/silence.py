"""A log that tells nothing of what users sent: every line is one of those that are known."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

SPANS = "load|encode|infer|decode|request|startup|swap"
MS = r"\d+(?:\.\d+)? ms"
# What each key of a line may hold, as JSON; whatever else is in a line is not ours.
KEYS = {
    "severity": r'"(?:INFO|ERROR)"',
    "message": rf'"(?:(?:{SPANS}) {MS}|(?:[A-Z]+|a request) \d+ in {MS}|cold start {MS}'
    rf'|model [\w.-]+ (?:kept: .+|replaced by [\w.-]+), {MS})"',
    "span": rf'"(?:{SPANS})"',
    "parent": rf'"(?:{SPANS})"',
    "error": r'"\w+"',
    "labels": r'\{"faas.coldstart": "(?:true|false)"\}',
    "digest": r'"[0-9a-f]{16}"',
    "stages_ms": r'\{(?:"[a-z -]+": [\d.e-]+(?:, )?)+\}',
    "faas.coldstart": "true",
    "logging.googleapis.com/trace": r'"(?:projects/[\w-]+/traces/)?[0-9a-f]{32}"',
    "logging.googleapis.com/spanId": r'"[0-9a-f]{16}"',
    **dict.fromkeys(
        ("duration_ms", "status", "texts", "characters", "encode_ms", "infer_ms", "decode_ms",
         "faas.init_duration", "faas.invoke_duration"), r"[\d.e-]+",
    ),
}  # fmt: skip
METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}
# Of the frameworks, and why a function does not start.
OTHERS = re.compile(
    r"Serving function\.\.\.|Function: classify|Signature type: http|URL: http://localhost:\d+/"
    r"|\[[^\]]+\] \[\d+\] \[ERROR\] (?:Worker \(pid:\d+\) .+|Reason: .+|Shutting down: Master)"
    r"|error: .+|Received SIG\w+|"
)


def leaks(log: str) -> Iterator[str]:
    """The lines of a server's log that are not known to hold nothing of what users sent."""
    for line in log.splitlines():
        if not line.startswith("{"):
            if not OTHERS.fullmatch(line):
                yield line
            continue
        try:
            record = json.loads(line)
        except ValueError:
            yield line
            continue
        whole = all(
            key in KEYS and re.fullmatch(KEYS[key], json.dumps(value))
            for key, value in record.items()
        )
        asked = re.match(r"([A-Z]+) \d+ in ", record.get("message", ""))
        if not whole or (asked and asked[1] not in METHODS):
            yield line
