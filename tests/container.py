"""A revision of the stand-in's Cloud Run: the uploaded source, started as the buildpack would."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

START_S = 60  # until its start-up probe must have been answered
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class Container:
    """`source`, a zip file, in `folder`; runs from its start on, or from the first request."""

    def __init__(self, folder: Path, source: bytes, build: dict, template: dict):
        zipfile.ZipFile(io.BytesIO(source)).extractall(folder)
        (container,) = template["spec"]["containers"]
        self.folder, self.probed = folder, container["startupProbe"]["httpGet"]["path"]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        entrypoint = build.get("environmentVariables", {}).get("GOOGLE_ENTRYPOINT")
        default = [sys.executable, "-m", "functions_framework"]
        self.command = entrypoint.split() if entrypoint else default
        given = {entry["name"]: entry.get("value", "") for entry in container.get("env", ())}
        self.environment = given | {
            "PATH": os.environ["PATH"], "PORT": str(self.port), "HOST": "127.0.0.1",
            "FUNCTION_TARGET": build.get("functionTarget", ""),
        }  # fmt: skip
        self.process: subprocess.Popen | None = None
        self.requests: list[dict] = []  # as Cloud Run logs them
        self.lock = Lock()

    def start(self) -> bool:
        """Whether its start-up probe was answered."""
        with self.lock:
            if self.process is None:
                self.started = now()
                with (self.folder / "log").open("wb") as log:
                    self.process = subprocess.Popen(self.command, cwd=self.folder, stdout=log,
                                                    env=self.environment, stderr=log)  # fmt: skip
            deadline = time.monotonic() + START_S
            while time.monotonic() < deadline and self.process.poll() is None:
                try:
                    return self._ask("GET", self.probed, {}, b"")[0] == 200
                except urllib.error.URLError:
                    time.sleep(0.05)
        return False

    def ask(self, method: str, path: str, headers, body: bytes) -> tuple[int, bytes]:
        began, stamp = time.perf_counter(), now()
        kept = {name: headers[name] for name in ("Content-Type", "X-API-Key") if headers[name]}
        found = self._ask(method, path, kept, body) if self.start() else (503, b"no instance")
        latency = f"{time.perf_counter() - began:.9f}s"
        asked = {"userAgent": headers["User-Agent"], "latency": latency}
        self.requests.append({"timestamp": stamp, "httpRequest": asked})
        return found

    def entries(self) -> list[dict]:
        """Its log."""
        lines = (self.folder / "log").read_text().splitlines() if self.process else []
        own = [{"timestamp": self.started, "jsonPayload": json.loads(line)}
               for line in lines if line.startswith("{")]  # fmt: skip
        return own + self.requests

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(20)

    def _ask(self, method: str, path: str, headers: dict, body: bytes) -> tuple[int, bytes]:
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, body or None, headers, method=method)
        try:
            with OPENER.open(request, timeout=START_S) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
