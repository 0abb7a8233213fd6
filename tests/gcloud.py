"""The real gcloud, cut off from the world: whatever it asks arrives at a stand-in on this machine.

gcloud is told hosts that exist nowhere (`http://run.test/`) and the stand-in as its proxy, so that
every request of every API arrives there, whatever region it puts before a host's name.
"""

from __future__ import annotations

import os
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

APIS = ("run", "cloudbuild", "artifactregistry", "storage", "serviceusage", "iam",
        "iamcredentials", "cloudresourcemanager", "logging", "monitoring")  # fmt: skip
needed = pytest.mark.skipif(
    not shutil.which("gcloud"), reason="needs gcloud (https://cloud.google.com/sdk)"
)


class StandIn(ThreadingHTTPServer):
    """A server that lives as long as its `with`; what inherits from it says what it answers."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def answer(self, method: str, target: str, headers, body: bytes) -> tuple:
        """Status, JSON and, where there are any, headers; `target` is a whole URL where this
        server was asked as a proxy."""
        raise NotImplementedError

    def __enter__(self):
        self.thread = Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: StandIn

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, content, *more = self.server.answer(self.command, self.path, self.headers, body)
        self.send_response(status)
        for name, value in dict(*more).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def log_message(self, *_) -> None:
        pass


def environment(folder: Path, port: int, project: str, token: str) -> dict[str, str]:
    """What makes gcloud ask the stand-in at `port`, as somebody with an access token and no
    account, and keep its state in `folder`; nothing of this machine's own settings."""
    (folder / "token").write_text(token)
    own = {name: value for name, value in os.environ.items()
           if not name.startswith("CLOUDSDK_") and "proxy" not in name.lower()}  # fmt: skip
    settings = {
        "CONFIG": str(folder / "config"),
        "AUTH_ACCESS_TOKEN_FILE": str(folder / "token"),
        "CORE_PROJECT": project,
        "CORE_CHECK_GCE_METADATA": "false",
        "CORE_DISABLE_USAGE_REPORTING": "true",
        "COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
        "PROXY_TYPE": "http",
        "PROXY_ADDRESS": "127.0.0.1",
        "PROXY_PORT": str(port),
        **{f"API_ENDPOINT_OVERRIDES_{api.upper()}": f"http://{api}.test/" for api in APIS},
    }
    # What impersonates an account asks by a library of its own, which heeds these alone.
    proxy = {"http_proxy": f"http://127.0.0.1:{port}", "no_proxy": "127.0.0.1"}
    return own | proxy | {f"CLOUDSDK_{name}": value for name, value in settings.items()}
