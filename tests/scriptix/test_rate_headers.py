"""scriptix/rate_headers.py: the rate-limit info of a reply, and invalid values."""

import httpx
import pytest

from scriptix_operator.core.model.remote import RateLimitInfo
from scriptix_operator.scriptix.rate_headers import MAX_CALLS, rate_limit_info, wait_for_reset
from scriptix_operator.scriptix.retry_after import MAX_WAIT

DATE = "Thu, 16 Jan 2025 08:00:00 GMT"
DATE_UNIX = 1_737_014_400
MONTH = 31 * 86_400
SECRET = "sk-Zq8/verysecret+key=="


def rate_info_by(*headers: tuple[str, str]) -> RateLimitInfo | None:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return rate_limit_info(httpx.Headers(raw), lambda text: text.replace(SECRET, "[API key]"))


def of_a_limit(text: str) -> RateLimitInfo | None:
    return rate_info_by(("X-RateLimit-Limit", text))


def of_a_remainder(text: str, limit: str | None = None) -> RateLimitInfo | None:
    headers = [] if limit is None else [("X-RateLimit-Limit", limit)]
    return rate_info_by(("X-RateLimit-Remaining", text), *headers)


def of_a_reset(text: str, date: str | None = DATE) -> RateLimitInfo | None:
    headers = [] if date is None else [("Date", date)]
    return rate_info_by(("X-RateLimit-Reset", text), *headers)


def test_reply_without_rate_headers_has_no_rate_info() -> None:
    assert rate_info_by() is None
    assert rate_info_by(("Date", DATE), ("Retry-After", "60"), ("X-RateLimit", "5")) is None


def test_limit_remaining_and_reset_are_read_together() -> None:
    assert rate_info_by(
        ("x-ratelimit-limit", "100"),
        ("X-RATELIMIT-REMAINING", "99"),
        ("X-RateLimit-Reset", str(DATE_UNIX + 30)),
        ("Date", DATE),
    ) == RateLimitInfo(limit=100, remaining=99, reset=30)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("1", 1),
        ("100", 100),
        (" 100 ", 100),
        ("0100", 100),
        ("100, 100;w=60", 100),
        ("100;w=60", 100),
        ("100 ;w=60, 5", 100),
        (str(MAX_CALLS), MAX_CALLS),
    ],
)
def test_a_limit_is_the_first_number_of_its_header(text: str, limit: int) -> None:
    assert of_a_limit(text) == RateLimitInfo(limit=limit)


def test_a_header_sent_twice_is_a_list() -> None:
    twice = (("X-RateLimit-Limit", "100"), ("X-RateLimit-Limit", "5"))
    assert rate_info_by(*twice) == RateLimitInfo(limit=100)


NO_CALLS = "is not a number of calls"
NO_COUNTS = [
    ("", NO_CALLS),
    ("-1", NO_CALLS),
    ("+1", NO_CALLS),
    ("1.0", NO_CALLS),
    ("1e3", NO_CALLS),
    ("1_0", NO_CALLS),
    ("nan", NO_CALLS),
    ("many", NO_CALLS),
    ("100 calls", NO_CALLS),
    (", 100", NO_CALLS),
    ("w=60;100", NO_CALLS),
    ("٦٠", NO_CALLS),
    ("9" * 16, NO_CALLS),
    ("9" * 15, "is more than 1000000 calls"),
    ("2147483647", "is more than 1000000 calls"),
    (str(MAX_CALLS + 1), "is more than 1000000 calls"),
]


@pytest.mark.parametrize(("text", "why"), [*NO_COUNTS, ("0", "would allow no call, ever")])
def test_invalid_limit_is_a_flaw(text: str, why: str) -> None:
    assert of_a_limit(text) == RateLimitInfo(flaw=f'X-RateLimit-Limit: "{text}" {why}')


@pytest.mark.parametrize(
    ("text", "remaining"),
    [("0", 0), ("1", 1), ("7, 7;w=60", 7), (str(MAX_CALLS), MAX_CALLS)],
)
def test_remaining_is_read_with_or_without_a_limit(text: str, remaining: int) -> None:
    assert of_a_remainder(text) == RateLimitInfo(remaining=remaining)
    assert of_a_remainder(text, str(MAX_CALLS)) == RateLimitInfo(
        limit=MAX_CALLS, remaining=remaining
    )


@pytest.mark.parametrize(("text", "why"), NO_COUNTS)
def test_invalid_remaining_is_a_flaw(text: str, why: str) -> None:
    flaw = f'X-RateLimit-Remaining: "{text}" {why}'
    assert of_a_remainder(text, "5") == RateLimitInfo(limit=5, flaw=flaw)


@pytest.mark.parametrize(
    ("text", "limit", "rate_info"),
    [
        ("5", "5", RateLimitInfo(limit=5, remaining=5)),
        (
            "6",
            "5",
            RateLimitInfo(limit=5, flaw='X-RateLimit-Remaining: "6" is more than the limit of 5'),
        ),
        (
            "6",
            "0",
            RateLimitInfo(remaining=6, flaw='X-RateLimit-Limit: "0" would allow no call, ever'),
        ),
    ],
)
def test_remaining_above_the_limit_is_a_flaw(
    text: str, limit: str, rate_info: RateLimitInfo
) -> None:
    assert of_a_remainder(text, limit) == rate_info


@pytest.mark.parametrize(
    ("text", "reset"),
    [
        (str(DATE_UNIX + 30), 30),
        (f"{DATE_UNIX + 30}.5", 30.5),
        (str(DATE_UNIX), 0),
        (str(DATE_UNIX - 1), 0),
        ("100000000", 0),
        (str(DATE_UNIX + 2 * 86_400), 2 * 86_400),
        (str(DATE_UNIX + MONTH), MONTH),
        ("0", 0),
        ("1.5", 1.5),
        ("60, 60;w=60", 60),
        (str(MONTH), MONTH),
    ],
)
def test_reset_is_read_in_seconds_from_the_reply(text: str, reset: float) -> None:
    assert of_a_reset(text) == RateLimitInfo(reset=reset)


NO_TIME = "is neither a unix time nor a number of seconds"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", NO_TIME),
        ("-1", NO_TIME),
        ("soon", NO_TIME),
        ("1e3", NO_TIME),
        ("inf", NO_TIME),
        ("2025-01-16T08:00:30Z", NO_TIME),
        ("9" * 16, NO_TIME),
        ("9" * 15, "is more than a month away"),
        (str(MONTH + 1), "is more than a month away"),
        ("99999999", "is more than a month away"),
        (str(DATE_UNIX + MONTH + 1), "is more than a month away"),
        (f"{DATE_UNIX}000", "is more than a month away"),
    ],
)
def test_invalid_reset_is_a_flaw(text: str, why: str) -> None:
    assert of_a_reset(text) == RateLimitInfo(flaw=f'X-RateLimit-Reset: "{text}" {why}')


@pytest.mark.parametrize("date", [None, "today"])
def test_unix_reset_without_a_reply_date_is_ignored(date: str | None) -> None:
    assert of_a_reset(str(DATE_UNIX + 30), date) == RateLimitInfo()
    assert of_a_reset("99999999", date) == RateLimitInfo(
        flaw='X-RateLimit-Reset: "99999999" is more than a month away'
    )
    assert of_a_reset("100000000", date) == RateLimitInfo()
    assert of_a_reset("30", date) == RateLimitInfo(reset=30)


def test_header_without_x_prefix_replaces_a_missing_one() -> None:
    plain = (("RateLimit-Limit", "10"), ("RateLimit-Remaining", "9"), ("RateLimit-Reset", "8"))
    assert rate_info_by(*plain) == RateLimitInfo(limit=10, remaining=9, reset=8)
    assert rate_info_by(*plain, ("X-RateLimit-Limit", "50")) == RateLimitInfo(50, 9, 8)
    assert rate_info_by(*plain, ("X-RateLimit-Remaining", "5")) == RateLimitInfo(10, 5, 8)
    assert rate_info_by(*plain, ("X-RateLimit-Reset", "5")) == RateLimitInfo(10, 9, 5)
    assert rate_info_by(*plain, ("X-RateLimit-Limit", "")) == RateLimitInfo(
        remaining=9, reset=8, flaw='X-RateLimit-Limit: "" is not a number of calls'
    )
    assert rate_info_by(("RateLimit-Limit", "no")) == RateLimitInfo(
        flaw='RateLimit-Limit: "no" is not a number of calls'
    )


def test_several_flaws_are_one_bounded_line_without_the_key() -> None:
    hostile = "a\tb\x1b[2J" + "x" * 19 + SECRET + "x" * 10_000
    names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
    rate_info = rate_info_by(*((name, hostile) for name in names))
    assert rate_info is not None
    quoted = '"a b [2J' + "x" * 19 + '[API key]xxxx…"'
    assert rate_info.flaw == (
        f"X-RateLimit-Limit: {quoted} {NO_CALLS}; X-RateLimit-Remaining: {quoted} {NO_CALLS}; "
        f"X-RateLimit-Reset: {quoted} {NO_TIME}"
    )
    assert (rate_info.limit, rate_info.remaining, rate_info.reset) == (None, None, None)


@pytest.mark.parametrize("before", range(25, 45))
def test_truncation_leaves_no_part_of_the_key(before: int) -> None:
    rate_info = of_a_limit("x" * before + SECRET)
    assert rate_info is not None
    assert rate_info.flaw is not None
    assert "sk-" not in rate_info.flaw
    assert len(rate_info.flaw) <= len(f'X-RateLimit-Limit: "" {NO_CALLS}') + 40


def test_invalid_retry_after_is_a_flaw_beside_a_limit() -> None:
    flaw = 'Retry-After: "soon" is neither a number of seconds nor a date'
    assert rate_info_by(("Retry-After", "soon")) == RateLimitInfo(flaw=flaw)
    limit = ("X-RateLimit-Limit", "5")
    assert rate_info_by(("Retry-After", "soon"), limit) == RateLimitInfo(5, flaw=flaw)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60, 60;w=60", 60),
        (str(DATE_UNIX + 30), 30),
        (str(DATE_UNIX), 0),
        (str(DATE_UNIX - 1), None),
        (str(MONTH), MAX_WAIT),
        (str(MONTH + 1), None),
        ("soon", None),
    ],
)
def test_wait_for_reset_is_bounded_and_never_in_the_past(text: str, seconds: float | None) -> None:
    for name in ("X-RateLimit-Reset", "RateLimit-Reset"):
        assert wait_for_reset(httpx.Headers({name: text, "Date": DATE})) == seconds
