"""Requests that nobody should send: whole ones of HTTP, damaged, and bodies that mean nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

HEADERS = {"Host": "faults", "Content-Type": "application/json"}
WORDS = ("text", "texts", "scores", "", "salt", "\ud800", "\0", "e\u0301" * 40, "🍕", ">", "[SEP]")
PATHS = ("/classify", "/", "/classify?text=", "/classify?scores=most", "/classify?text=%ff&text=x",
         "/health", "/nothing", "/classify/../x", "/%00", "/classify?" + "a=b&" * 500)  # fmt: skip
METHODS = ("POST", "GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "BREW")


def requests(seed: int, number: int) -> Iterator[bytes]:
    """`number` of them, each the bytes of a connection of its own; the same for the same seed."""
    random = Random(seed)
    kinds = (_bad_json, _bad_fields, _bad_head, _flipped, _cut)
    for n in range(number):
        yield kinds[n % len(kinds)](random)


def texts(seed: int) -> Iterator[str]:
    """Ever new ones, of three to three hundred characters of all planes; the same for a seed."""
    random = Random(seed)
    planes = ((32, 127), (0xA0, 0x3000), (0x4E00, 0xD800), (0x10000, 0x1FFFF))
    while True:
        length = random.choice((3, 10, 60, 300))
        yield "x" + "".join(chr(random.randrange(*random.choice(planes))) for _ in range(length))


def _request(random: Random, body: bytes, **headers: str) -> bytes:
    method, path = "POST", random.choice(("/classify", "/", "/classify?scores=all"))
    lines = {**HEADERS, "Content-Length": str(len(body)), "Connection": "close"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def _bad_json(random: Random) -> bytes:
    good = json.dumps({"texts": [random.choice(WORDS) or "x", "oat milk"]}).encode()
    at = random.randrange(len(good))
    return _request(random, random.choice((
        good[:at],
        good[:at] + bytes([random.randrange(256)]) + good[at + 1 :] + b"}",
        b"[" * random.randrange(1, 40_000),
        b'{"text": ' + b"9" * random.randrange(1, 30_000) + b"}",
        random.randbytes(random.randrange(200)),
        b'{"text": NaN}',
    )))  # fmt: skip


def _bad_fields(random: Random) -> bytes:
    def value(depth: int = 0):
        kind = random.randrange(8 if depth < 3 else 5)
        if kind == 5:
            return [value(depth + 1) for _ in range(random.randrange(4))]
        if kind == 6:
            return {random.choice(WORDS): value(depth + 1) for _ in range(random.randrange(4))}
        if kind == 7:
            return random.choice(WORDS) * random.randrange(300)
        return (None, True, -1, 1e308, random.choice(WORDS))[kind]

    return _request(random, json.dumps({"more": value(), random.choice(WORDS): value()}).encode())


def _bad_head(random: Random) -> bytes:
    body = b'{"text": "salt"}'
    headers = random.choice((
        {"Content_Length": random.choice(("-1", "x", "1e3", "99999999999", "5, 6", ""))},
        {"Transfer_Encoding": random.choice(("chunked", "gzip", "chunked, chunked", "x"))},
        {"Content_Type": random.choice(("text/plain", "", "application/json\0", "a" * 5_000))},
        {"X_API_Key": "é" * random.randrange(1, 500)},
        {"If_None_Match": '"' * random.randrange(1, 500)},
        {"Origin": "null"},
    ))  # fmt: skip
    whole = _request(random, body, **headers)
    if random.random() < 0.5:
        line = f"{random.choice(METHODS)} {random.choice(PATHS)} HTTP/1.1".encode()
        whole = line + whole[whole.index(b"\r\n") :]
    return whole


def _flipped(random: Random) -> bytes:
    content = bytearray(_request(random, b'{"text": "salt"}'))
    for _ in range(random.randrange(1, 6)):
        content[random.randrange(len(content))] = random.randrange(256)
    return bytes(content)


def _cut(random: Random) -> bytes:
    whole = _request(random, b'{"text": "salt"}')
    return whole[: random.randrange(1, len(whole))]
