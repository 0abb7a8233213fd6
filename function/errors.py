"""What a caller gets for a bad request: problem documents (RFC 9457) that name the place."""

from __future__ import annotations

import json

# As RFC 9110 names them; http.HTTPStatus does so only since Python 3.13.
TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    500: "Internal Server Error",
}


class Problem(Exception):
    """A refusal. `errors` lists each fault as {"detail", "pointer" or "parameter"}: a JSON pointer
    into the body (RFC 6901, as a fragment) or the name of a query parameter or header."""

    def __init__(self, status: int, detail: str, errors: list[dict] | None = None, **headers: str):
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors or []
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def document(self) -> bytes:
        """The body, to be sent as `application/problem+json`."""
        body = {
            "type": "about:blank",
            "title": TITLES[self.status],
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = self.errors
        return json.dumps(body).encode()


def pointed(detail: str, *path: str | int) -> dict:
    """One fault at a place of the body."""
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return {"detail": detail, "pointer": "#" + "".join(f"/{part}" for part in escaped)}


def named(detail: str, parameter: str) -> dict:
    """One fault of a query parameter or header."""
    return {"detail": detail, "parameter": parameter}
