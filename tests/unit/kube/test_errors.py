"""kube/errors.py: the client's exceptions become the operator's, without secrets."""

import json

import aiohttp
import pytest

from scriptix_operator.kube.errors import (
    ApiError,
    ConflictError,
    GoneError,
    KubeError,
    RefusedError,
    UnavailableError,
    translated,
)

SECRET = '{"data": "c2VjcmV0"'


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RefusedError),
        (401, RefusedError),
        (403, RefusedError),
        (404, GoneError),
        (408, UnavailableError),
        (409, ConflictError),
        (410, GoneError),
        (422, RefusedError),
        (429, UnavailableError),
        (500, UnavailableError),
        (503, UnavailableError),
        (504, UnavailableError),
        (0, UnavailableError),
    ],
)
def test_a_status_decides_the_kind(status: int, kind: type[KubeError]) -> None:
    with (
        pytest.raises(KubeError, match=f"^get it: {status} Because") as caught,
        translated("get it"),
    ):
        raise ApiError(status, "Because", b"")
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"kind": "Status", "message": "exceeded quota: few"}', "exceeded quota: few"),
        ('{"kind": "Status"}', '{"kind": "Status"}'),
        ('{"message": ""}', '{"message": ""}'),
        ('["odd"]', '["odd"]'),
        ("a proxy's <b>page</b>", "a proxy's <b>page</b>"),
        ("", "Forbidden"),
        ('{"message": "' + "x" * 600 + '"}', "x" * 511 + "…"),
    ],
    ids=["a Status", "no message", "empty message", "no object", "no JSON", "no body", "long"],
)
def test_api_server_message_is_unwrapped(body: str, expected: str) -> None:
    with pytest.raises(RefusedError) as caught, translated("create it"):
        raise ApiError(403, "Forbidden", body.encode())
    assert str(caught.value) == f"create it: 403 {expected}"


@pytest.mark.parametrize(
    "error",
    [TimeoutError(), aiohttp.ServerDisconnectedError(), ConnectionResetError()],
    ids=["no reply in time", "cut", "reset"],
)
def test_missing_reply_is_retryable(error: Exception) -> None:
    expected = f"^get it: {type(error).__name__}"
    with pytest.raises(UnavailableError, match=expected), translated("get it"):
        raise error


def test_a_reply_that_cannot_be_read_is_not_quoted() -> None:
    with pytest.raises(UnavailableError, match="cannot be read") as caught, translated("get it"):
        json.loads(SECRET)
    assert "c2VjcmV0" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    with pytest.raises(json.JSONDecodeError) as of_json:
        json.loads(SECRET)
    assert of_json.value.doc == SECRET  # so the error itself must not be kept
