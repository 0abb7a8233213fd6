"""Who may ask from where, what goes along with every answer, and what of a text a log may hold.

    ALLOWED_ORIGINS  pages that may ask from a browser, such as `https://a.example,https://b.example`
                     (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol); none by default
    API_KEY          if set, what a classification must bring in the header `X-API-Key`
    LOG_KEY          what texts are hashed with in the log; by default random, one per process
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from function.errors import Problem, named

KEY_HEADER = "X-API-Key"
# An answer is data: whatever a browser is made to do with it, it shall not run it, frame it or
# tell others of it. HSTS counts over HTTPS alone, so it does not hurt on localhost.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000",
    "X-Content-Type-Options": "nosniff",
}
_ORIGIN = re.compile(r"https?://[a-z0-9.\-\[\]:]+")
_KEY = re.compile(r"[!-~]([ -~]*[!-~])?")  # a header's value has no space at either end


class GuardError(ValueError):
    """A setting that cannot be meant: names the variable, what was found and what is expected."""


@dataclass(frozen=True)
class Guard:
    origins: frozenset[str]
    key: bytes | None = field(repr=False)  # sha256 of the API key
    log_key: bytes = field(repr=False)

    def admit(self, headers: Mapping[str, str]) -> None:
        """Raises Problem 401 where the API key is missing or wrong. Both are hashed first, so that
        the time of the comparison tells neither the key nor its length."""
        given = hashlib.sha256(headers.get(KEY_HEADER, "").encode("utf-8", "replace")).digest()
        if self.key is not None and not hmac.compare_digest(given, self.key):
            fault = named("found a missing or wrong key, expected the one agreed on", KEY_HEADER)
            raise Problem(401, f"{KEY_HEADER}: {fault['detail']}.", [fault],
                          WWW_Authenticate=KEY_HEADER)  # fmt: skip

    def cors(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers that let the page which asked read the answer, if it may."""
        if not self.origins:
            return {}
        origin = headers.get("Origin", "")
        # Also where it may not: a cache must not give one page's answer to another.
        found = {"Vary": "Origin"}
        if origin in self.origins:
            found["Access-Control-Allow-Origin"] = origin
            found["Access-Control-Expose-Headers"] = (
                "API-Version, ETag, Model-Version, Server-Timing"
            )
        return found

    def preflight(self, headers: Mapping[str, str], methods: Iterable[str]) -> dict[str, str]:
        """The headers of the answer to a browser that asks first whether its page may ask; none
        where that is not asked, or of a page that may not."""
        asks = "Access-Control-Request-Method" in headers
        if not asks or headers.get("Origin") not in self.origins:
            return {}
        return {
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": f"Content-Type, {KEY_HEADER}",
            "Access-Control-Max-Age": "7200",  # seconds, the most that Chromium keeps
        }

    def digest(self, texts: Iterable[str]) -> str:
        """What the log says of texts: the same for the same, nothing for who lacks the key. A hash
        without one could be looked up, as there are not that many phrases."""
        return hmac.digest(self.log_key, "\0".join(texts).encode(), "sha256").hex()[:16]


def read(environment: Mapping[str, str]) -> Guard:
    """The guard that the environment's variables ask for. Raises GuardError."""
    origins = [part.strip() for part in environment.get("ALLOWED_ORIGINS", "").split(",")]
    for origin in filter(None, origins):
        if not _ORIGIN.fullmatch(origin):
            raise GuardError(
                f"ALLOWED_ORIGINS: found {origin!r}, expected an origin as browsers send it, "
                "such as https://example.org"
            )
    key, log_key = environment.get("API_KEY"), environment.get("LOG_KEY")
    if key and not _KEY.fullmatch(key):
        raise GuardError("API_KEY: found a key that no header carries, expected visible ASCII")
    return Guard(
        frozenset(filter(None, origins)),
        hashlib.sha256(key.encode()).digest() if key else None,
        log_key.encode() if log_key else os.urandom(32),
    )
