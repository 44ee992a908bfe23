"""How long to wait: every place, its precedence, and every way to say nonsense."""

from decimal import Decimal

import httpx
import pytest

from scriptix_operator.scriptix.pauses import MAX_PAUSE, retry_after

DATE = "Thu, 16 Jan 2025 08:00:00 GMT"
DATE_UNIX = 1_737_014_400


def pause(body: dict[str, object] | None = None, **headers: str) -> float | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return retry_after(httpx.Headers(named), body or {})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60", 60),
        (" 60 ", 60),
        ("0", 0),
        ("0.0", 0),
        ("1.5", 1.5),
        ("86399", 86_399),
        ("86400", MAX_PAUSE),
        ("86401", MAX_PAUSE),
        ("999999999", MAX_PAUSE),
        ("9" * 15, MAX_PAUSE),
        ("1." + "5" * 15, 1.555555555555555),
    ],
)
def test_retry_after_in_seconds(text: str, seconds: float) -> None:
    assert pause(retry_after=text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-0",
        "-1",
        "-0.5",
        "+1",
        "1.",
        ".5",
        "nan",
        "inf",
        "Infinity",
        "1e3",
        "1_0",
        "0x10",
        "soon",
        "60, 60",
        "9" * 16,
        "1." + "9" * 16,
        "9" * 400,
        "٦٠",
    ],
)
def test_nonsense_in_retry_after_is_as_good_as_missing(text: str) -> None:
    headers = httpx.Headers([(b"Retry-After", text.encode()), (b"Date", DATE.encode())])
    assert retry_after(headers, {}) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Thu, 16 Jan 2025 08:01:30 GMT", 90),
        ("Thu, 16 Jan 2025 09:01:30 +0100", 90),
        ("Thu, 16 Jan 2025 08:01:30 -0000", 90),
        (DATE, 0),
        ("Thu, 16 Jan 2025 07:59:59 GMT", None),
        ("Fri, 17 Jan 2025 09:00:00 GMT", MAX_PAUSE),
        ("Sun, 16 Feb 2025 08:00:00 GMT", MAX_PAUSE),
        ("Sun, 16 Feb 2025 08:00:01 GMT", None),
        ("Thu, 16 Jan 2125 08:00:00 GMT", None),
    ],
)
def test_retry_after_as_a_date_is_read_against_the_replys_date(
    text: str, seconds: float | None
) -> None:
    assert pause(retry_after=text, date=DATE) == seconds


def test_an_instant_without_a_date_to_read_it_against_says_nothing() -> None:
    assert pause(retry_after="Thu, 16 Jan 2025 08:01:30 GMT") is None
    assert pause(retry_after="Thu, 16 Jan 2025 08:01:30 GMT", date="today") is None
    assert pause(x_ratelimit_reset=str(DATE_UNIX + 30)) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (60, 60),
        (Decimal("1.5"), 1.5),
        ("60", 60),
        (0, 0),
        (0.0, 0),
        ("0", 0),
        (10**15, MAX_PAUSE),
        (-1, None),
        (Decimal("-0.5"), None),
        ("-1", None),
        ("", None),
        ("soon", None),
        (True, None),
        (False, None),
        (Decimal("NaN"), None),
        (Decimal("1E+999"), None),
        (None, None),
        ([60], None),
    ],
)
def test_retry_after_in_the_body(value: object, seconds: float | None) -> None:
    assert pause({"retry_after": value}) == seconds
    assert pause({"details": {"retry_after": value}}) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (str(DATE_UNIX + 30), 30),
        (str(DATE_UNIX), 0),
        (str(DATE_UNIX - 1), None),
        (str(DATE_UNIX + 2 * 86_400), MAX_PAUSE),
        (f"{DATE_UNIX}000", None),  # milliseconds
        ("60", None),  # seconds from now: not what X-RateLimit-Reset means here
        ("soon", None),
    ],
)
def test_rate_limit_reset_is_unix_seconds(text: str, seconds: float | None) -> None:
    assert pause(x_ratelimit_reset=text, date=DATE) == seconds


def test_the_header_comes_before_the_body_and_the_reset() -> None:
    reset = {"x_ratelimit_reset": str(DATE_UNIX + 3), "date": DATE}
    assert pause({"retry_after": 2}, retry_after="1", **reset) == 1
    assert pause({"retry_after": 2}, retry_after="x", **reset) == 2
    assert pause({"retry_after": -2}, **reset) == 3


def test_a_pause_of_zero_is_an_answer_that_nothing_behind_it_overrules() -> None:
    reset = {"x_ratelimit_reset": str(DATE_UNIX + 3), "date": DATE}
    assert pause({"retry_after": 2}, retry_after="0", **reset) == 0
    assert pause({"retry_after": 0, "details": {"retry_after": 2}}, **reset) == 0
    assert pause({"details": {"retry_after": 0}}, **reset) == 0
