"""Who may ask, and what a log says of a text. Over HTTP: conformance/headers.json and guarded/."""

import hmac

import pytest

from function import guard
from function.errors import Problem


def test_nothing_is_wanted_and_nobody_allowed_by_default():
    default = guard.read({})
    default.admit({})
    assert default.cors({"Origin": "https://app.example"}) == {}
    asked = {"Origin": "", "Access-Control-Request-Method": "POST"}
    assert default.preflight(asked, ["POST"]) == {}


@pytest.mark.parametrize(
    "origin", ["*", "null", "app.example", "https://app.example/", "https://App.example", "file://x"]
)
def test_an_origin_that_no_browser_sends_is_refused(origin):
    with pytest.raises(guard.GuardError, match=r"ALLOWED_ORIGINS: found .*expected an origin"):
        guard.read({"ALLOWED_ORIGINS": f"https://app.example,{origin}"})


@pytest.mark.parametrize("key", ["a\n", " a", "a ", "naïve", "a\tb", "\udce9"])
def test_a_key_that_no_header_carries_is_refused_unseen(key):
    with pytest.raises(guard.GuardError) as told:
        guard.read({"API_KEY": key})
    expected = "API_KEY: found a key that no header carries, expected visible ASCII"
    assert str(told.value) == expected


def test_origins_are_read_with_ports_and_spaces():
    found = guard.read({"ALLOWED_ORIGINS": " http://localhost:5173 , https://[::1]:8443,"})
    assert found.origins == {"http://localhost:5173", "https://[::1]:8443"}


def test_keys_are_compared_in_constant_time_and_at_one_length(monkeypatch):
    compared = []

    def compare(a, b):
        compared.append((len(a), len(b)))
        return compare_digest(a, b)

    compare_digest = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    keyed = guard.read({"API_KEY": "correct horse"})
    keyed.admit({"X-API-Key": "correct horse"})
    for wrong in ("", "c", "correct horse ", "x" * 10_000, "\udce9"):
        with pytest.raises(Problem) as caught:
            keyed.admit({"X-API-Key": wrong})
        assert caught.value.status == 401 and caught.value.headers["WWW-Authenticate"]
        assert b"correct" not in caught.value.document()
    assert compared == [(32, 32)] * 6


def test_the_guard_does_not_show_its_key():
    shown = repr(guard.read({"API_KEY": "correct horse", "LOG_KEY": "battery"}))
    assert "correct horse" not in shown and "battery" not in shown


def test_the_logs_digest_needs_the_key():
    one, same, other = (guard.read({"LOG_KEY": key}) for key in ("a", "a", "b"))
    assert one.digest(["cat"]) == same.digest(["cat"]) != one.digest(["dog"])
    assert one.digest(["cat"]) != other.digest(["cat"])
    assert one.digest(["cat", "dog"]) != one.digest(["catdog"])
    assert one.digest(["cat", "é"]) == "a64767cff2d13d7d"  # also that of guard.test.js
    # Without one every process has its own.
    assert guard.read({}).digest(["cat"]) != guard.read({}).digest(["cat"])
