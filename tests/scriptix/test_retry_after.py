"""scriptix/retry_after.py: the wait in a reply's header or body, and invalid values."""

from decimal import Decimal

import httpx
import pytest

from scriptix_operator.scriptix.retry_after import MAX_WAIT, flaw_of, retry_after

DATE = "Thu, 16 Jan 2025 08:00:00 GMT"
SECRET = "sk-Zq8/verysecret+key=="


def wait(body: dict[str, object] | None = None, **headers: str) -> float | None:
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
        ("86400", MAX_WAIT),
        ("86401", MAX_WAIT),
        ("999999999", MAX_WAIT),
        ("9" * 15, MAX_WAIT),
        ("1." + "5" * 15, 1.555555555555555),
    ],
)
def test_retry_after_in_seconds(text: str, seconds: float) -> None:
    assert wait(retry_after=text) == seconds


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
def test_invalid_retry_after_counts_as_missing(text: str) -> None:
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
        ("Fri, 17 Jan 2025 09:00:00 GMT", MAX_WAIT),
        ("Sun, 16 Feb 2025 08:00:00 GMT", MAX_WAIT),
        ("Sun, 16 Feb 2025 08:00:01 GMT", None),
        ("Thu, 16 Jan 2125 08:00:00 GMT", None),
    ],
)
def test_retry_after_date_is_relative_to_the_reply_date(text: str, seconds: float | None) -> None:
    assert wait(retry_after=text, date=DATE) == seconds


def test_retry_after_date_without_a_reply_date_is_ignored() -> None:
    assert wait(retry_after="Thu, 16 Jan 2025 08:01:30 GMT") is None
    assert wait(retry_after="Thu, 16 Jan 2025 08:01:30 GMT", date="today") is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (60, 60),
        (Decimal("1.5"), 1.5),
        ("60", 60),
        (0, 0),
        (0.0, 0),
        ("0", 0),
        (10**15, MAX_WAIT),
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
    assert wait({"retry_after": value}) == seconds
    assert wait({"details": {"retry_after": value}}) == seconds


def test_retry_after_header_precedes_the_body() -> None:
    assert wait({"retry_after": 2}, retry_after="1") == 1
    assert wait({"retry_after": 2}, retry_after="0") == 0
    assert wait({"retry_after": 2}, retry_after="x") == 2
    assert wait({"retry_after": 0, "details": {"retry_after": 2}}) == 0


@pytest.mark.parametrize("text", ["-5", "soon", "1e3", "", f"x{SECRET}"])
def test_invalid_retry_after_is_a_flaw_without_the_key(text: str) -> None:
    shown = text.replace(SECRET, "[API key]")
    flaw = flaw_of({"Retry-After": text}, lambda text: text.replace(SECRET, "[API key]"))
    assert flaw == f'Retry-After: "{shown}" is neither a number of seconds nor a date'


@pytest.mark.parametrize("headers", [{}, *({"Retry-After": v} for v in ("0", "30", "1.5", DATE))])
def test_missing_or_usable_retry_after_is_no_flaw(headers: dict[str, str]) -> None:
    assert flaw_of(headers, str) is None
