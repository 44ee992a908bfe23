"""Replies other than 2xx."""

import json
from http import HTTPStatus

import httpx
import pytest

from scriptix_operator.core.model.remote import CallFailure, FailureKind
from scriptix_operator.scriptix.refusals import error_in_success, refusal

SECRET = "secret-key"


def refused(
    body: object,
    status: int = 409,
    headers: dict[str, str] | None = None,
    location: str | None = None,
) -> CallFailure:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return refusal(
        status,
        httpx.Headers(headers),
        payload,
        location,
        lambda text: text.replace(SECRET, "***"),
    )


NOT_READY = {
    "error": "Conflict",
    "message": "Cannot start training: model not ready",
    "error_code": "MODEL_NOT_READY",
    "details": {"current_status": 1, "required_status": 2, "message": "Upload training data"},
}


@pytest.mark.parametrize("body", [NOT_READY, {"result": NOT_READY}])
def test_the_documents_error(body: object) -> None:
    assert refused(body) == CallFailure(
        kind=FailureKind.CONFLICT,
        message="HTTP 409 MODEL_NOT_READY: Cannot start training: model not ready",
        status=409,
        code="MODEL_NOT_READY",
        details={"current_status": 1, "required_status": 2, "message": "Upload training data"},
    )


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error": "Conflict"}, "HTTP 409: Conflict", None),
        ({"error": {"code": "X", "message": "No"}}, "HTTP 409 X: No", "X"),
        ({"error": {"error_code": 17}, "message": " "}, "HTTP 409 17: ", "17"),
        ({"message": "No", "error_code": True}, "HTTP 409: No", None),
        ({"message": "a\nb\x1b[2J", "error_code": "x\ny"}, "HTTP 409 x y: a b [2J", "x y"),
    ],
)
def test_other_bodies(body: object, message: str, code: str | None) -> None:
    failure = refused(body)
    assert failure.kind is FailureKind.CONFLICT
    assert failure.message.startswith(message)
    assert failure.code == code
    assert not failure.is_from_gateway


GATEWAY_BODIES = [
    (b"", "{phrase}"),
    (b"default backend - 404", "default backend - 404"),
    (b"<html><b>Bad", "<html><b>Bad"),
    (b"[1]", "[1]"),
    (b"\xff\xfe", "\ufffd\ufffd"),
    ({}, "{{}}"),
    ({"message": "Forbidden"}, "Forbidden"),
    ({"result": {}}, '{{"result": {{}}}}'),
    ({"error": None, "error_code": ""}, '{{"error": null, "error_code": ""}}'),
    ({"detail": "Not Found"}, '{{"detail": "Not Found"}}'),
]


@pytest.mark.parametrize(("body", "text"), GATEWAY_BODIES)
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 407, 409, 413, 422, 451])
def test_4xx_without_the_json_of_the_api_is_from_a_gateway(
    status: int, body: object, text: str
) -> None:
    failure = refused(body, status)
    assert (failure.kind, failure.is_from_gateway) == (FailureKind.AMBIGUOUS, True)
    words = text.format(phrase=HTTPStatus(status).phrase)
    assert failure.message == f"HTTP {status}: {words}"


@pytest.mark.parametrize("body", [body for body, _ in GATEWAY_BODIES])
def test_429_and_5xx_of_a_gateway_mean_the_same(body: object) -> None:
    limited, broken = refused(body, 429), refused(body, 503)
    assert (limited.kind, limited.is_from_gateway) == (FailureKind.RATE_LIMITED, False)
    assert (broken.kind, broken.is_from_gateway) == (FailureKind.AMBIGUOUS, False)


def test_unknown_http_status_has_a_message() -> None:
    assert refused(b"", 599).message == "HTTP 599: unknown status"


def test_everything_is_bounded() -> None:
    long = "x" * 10_000
    deep: object = 1
    for _ in range(100):
        deep = [deep]
    failure = refused(
        {
            "message": long,
            "error_code": long,
            "details": {"deep": deep, "text": long, long: 1} | {f"d{n}": n for n in range(100)},
        }
    )
    assert len(failure.message) == 1024
    assert failure.code is not None
    assert len(failure.code) == 64
    assert len(failure.details) == 32
    assert max(len(name) for name in failure.details) == 64
    assert all(len(str(value)) <= 256 for value in failure.details.values())


def test_details_are_plain() -> None:
    details = {"hours": 2.5, "n": 3, "no": None, "yes": True, "list": [1, 0.5], "big": 2**60}
    assert refused({"details": details}).details == {
        "hours": 2.5,
        "n": 3,
        "no": None,
        "yes": True,
        "list": '[1, "0.5"]',
        "big": str(2**60),
    }
    assert isinstance(refused({"details": details}).details["hours"], float)
    assert refused({"details": ["a"]}).details == {}
    assert refused(b'{"details": {"x": 1e999}}').details == {"x": '"1E+999"'}
    assert refused({"error": {"details": {"a": 1}}}).details == {"a": 1}


def test_redirect_message_shows_neither_key_nor_query() -> None:
    failure = refused(b"", 302, location=f"https://login.example/{SECRET}?session=12345")
    assert failure.kind is FailureKind.AMBIGUOUS
    assert failure.is_from_gateway
    assert failure.message == (
        "HTTP 302: redirected to https://login.example/***, which is not followed; "
        "check the base URL"
    )
    assert refused(b"", 304).message.startswith("HTTP 304: redirected, which")


def test_the_pause_is_read_from_headers_and_body() -> None:
    assert refused({"retry_after": 7}, 429).retry_after == 7
    assert refused({"result": {"retry_after": 7}}, 429).retry_after == 7
    assert refused({"retry_after": 7}, 503, {"Retry-After": "8"}).retry_after == 8
    assert refused(b"<html>", 429).retry_after is None


@pytest.mark.parametrize("header", ["0", "8"])
def test_retry_after_precedes_the_reset(header: str) -> None:
    headers = {"Retry-After": header, "X-RateLimit-Reset": "9"}
    assert refused({"error": "x"}, 429, headers).retry_after == float(header)


@pytest.mark.parametrize(("status", "pause"), [(429, 9), (503, None)])
def test_rate_limit_reset_is_no_retry_time_of_a_5xx(status: int, pause: float | None) -> None:
    headers = {"X-RateLimit-Reset": "9"}
    assert refused({"error": "x"}, status, headers).retry_after == pause


def test_refusal_never_contains_the_key() -> None:
    failure = refused(
        {
            "message": f"Invalid key {SECRET}",
            "error_code": SECRET,
            "details": {SECRET: SECRET, "x": [SECRET]},
        },
        401,
        {"Content-Type": SECRET, "Retry-After": SECRET},
    )
    assert SECRET not in repr(failure)
    assert repr(failure).count("***") == 6
    assert SECRET not in repr(refused(f"<html>{SECRET}".encode(), 502))


ERROR: dict[str, object] = {"error": "Bad Request", "message": "No data", "error_code": "NO_DATA"}


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (ERROR, "HTTP 200 NO_DATA: No data", "NO_DATA"),
        ({"result": ERROR}, "HTTP 200 NO_DATA: No data", "NO_DATA"),
        ({**ERROR, "result": {}}, "HTTP 200 NO_DATA: No data", "NO_DATA"),
        ({**ERROR, "training_status": None}, "HTTP 200 NO_DATA: No data", "NO_DATA"),
        ({"error": {"code": "X", "message": "No"}}, "HTTP 200 X: No", "X"),
        ({"errors": ["No"]}, "HTTP 200: No", None),
        ({"errors": [{"message": "No", "code": "X"}]}, "HTTP 200 X: No", "X"),
        ({"error_code": "X"}, "HTTP 200 X: the reply reports a failure", "X"),
        ({"success": False}, "HTTP 200: the reply reports a failure", None),
        ({"result": {"success": False, "message": "No"}}, "HTTP 200: No", None),
    ],
)
def test_a_2xx_with_an_error_and_no_training_status_is_ambiguous(
    body: dict[str, object], message: str, code: str | None
) -> None:
    failure = error_in_success(200, body)
    assert failure is not None
    assert (failure.kind, failure.is_error_in_success) == (FailureKind.AMBIGUOUS, True)
    assert (failure.status, failure.message, failure.code) == (200, message, code)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"error": None, "errors": None, "error_code": None},
        {"error": "", "errors": [], "error_code": ""},
        {"error": {}, "errors": {}},
        {"error": " "},
        {"success": True},
        {"success": None},
        {**ERROR, "training_status": 5},
        {**ERROR, "result": {"training_status": 3}},
        {"result": [ERROR]},
    ],
)
def test_a_2xx_without_an_error_is_none(body: dict[str, object]) -> None:
    assert error_in_success(200, body) is None
