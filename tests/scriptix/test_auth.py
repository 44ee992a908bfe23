"""The API key in the request header."""

import httpx
import pytest

from scriptix_operator.core.model.api_key import MAX_KEY_LENGTH, ApiKey, check_key
from scriptix_operator.scriptix.auth import KeyAuth, check_header


def sent(header: str, scheme: str) -> httpx.Request:
    request = httpx.Request("GET", "https://api.example/")
    return next(KeyAuth(ApiKey("sk-123", source="test"), header, scheme).auth_flow(request))


def test_default_scheme_is_bearer_and_an_empty_one_sends_the_key() -> None:
    assert sent("Authorization", "Bearer").headers["authorization"] == "Bearer sk-123"
    bare = sent("x-zoom-s2t-key", "").headers
    assert bare["x-zoom-s2t-key"] == "sk-123"
    assert "authorization" not in bare


@pytest.mark.parametrize(
    ("header", "scheme"), [("", ""), ("x y", ""), ("x:", ""), ("ä", ""), ("x\n", ""), ("x", "a b")]
)
def test_invalid_header_or_scheme_is_refused(header: str, scheme: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        check_header(header, scheme)


@pytest.mark.parametrize("value", ["k", "sk-123", "!~/+=:;,.", "x" * MAX_KEY_LENGTH])
def test_valid_keys_are_accepted(value: str) -> None:
    check_key(value)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "is empty"),
        ("sk-123\n", "line break"),
        ("sk-123\r\nX-Evil: 1", "line break"),
        (" sk-123", "a space"),
        ("sk-123\u00a0", "a space"),
        ("sk-123\x00", "cannot carry"),
        ("sk-123\x7f", "cannot carry"),
        ("sk-123é", "cannot carry"),
        ("sk-123\ud800", "cannot carry"),
        ("sk-123" + "x" * MAX_KEY_LENGTH, "longer than"),
    ],
)
def test_invalid_keys_are_refused(value: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        check_key(value)
    assert "sk-123" not in repr(caught.value)


def test_redaction() -> None:
    auth = KeyAuth(ApiKey("sk-123", source="test"), "Authorization", "Bearer")
    assert auth.redact("no sk-123, sk-123") == "no [API key], [API key]"
    assert "sk-123" not in repr(auth)
    # A key this short is part of ordinary words.
    assert KeyAuth(ApiKey("abc", source="test"), "a", "").redact("abcd") == "abcd"
