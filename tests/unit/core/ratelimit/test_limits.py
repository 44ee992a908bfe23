"""core/ratelimit/limits.py: limits and durations in settings."""

import pytest

from scriptix_operator.core.ratelimit.limits import (
    Limit,
    format_duration,
    parse_duration,
    parse_limits,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("5s", 5.0), ("1m", 60.0), ("2h", 7200.0), ("31d", 2678400.0), (" 5s ", 5.0)],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("5", '"5" is not a duration, for example 250ms, 5s, 1m, 1h or 1d'),
        ("", '"" is not a duration, for example 250ms, 5s, 1m, 1h or 1d'),
        ("-5s", '"-5s" is not a duration, for example 250ms, 5s, 1m, 1h or 1d'),
        ("1h30m", '"1h30m" is not a duration, for example 250ms, 5s, 1m, 1h or 1d'),
        ("\u0665s", '"\u0665s" is not a duration, for example 250ms, 5s, 1m, 1h or 1d'),
        ("0ms", '"0ms" is no time at all'),
        ("32d", '"32d" is more than 31d'),
    ],
)
def test_invalid_duration_has_an_error_message(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_duration(text)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("5/1h", (Limit(5, 3600.0),)),
        ("100/250ms", (Limit(100, 0.25),)),
        ("5/1h,20/1d", (Limit(5, 3600.0), Limit(20, 86400.0))),
        ("20/1d , 5/1h", (Limit(5, 3600.0), Limit(20, 86400.0))),
    ],
)
def test_limits_are_read_shortest_window_first(text: str, limits: tuple[Limit, ...]) -> None:
    assert parse_limits(text) == limits


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("5 per hour", '"5 per hour" is not count/duration, for example 5/1h'),
        ("", '"" is not count/duration, for example 5/1h'),
        ("5/1h,", '"" is not count/duration, for example 5/1h'),
        ("-5/1h", '"-5/1h" is not count/duration, for example 5/1h'),
        ("5/1w", '"5/1w" is not count/duration, for example 5/1h'),
        ("5\n/1h", '"5 /1h" is not count/duration, for example 5/1h'),
        ("0/1h", '"0/1h" allows no call at all'),
        ("100001/1h", '"100001/1h" is more than 100000 calls'),
        ("5/0s", '"0s" is no time at all'),
        ("5/32d", '"32d" is more than 31d'),
        ("5/1h,6/60m", "5/1h and 6/1h contradict each other"),
        ("5/1h,5/1d", "5/1h never takes effect beside 5/1d"),
        ("5/1h,4/1d,50/2d", "5/1h never takes effect beside 4/1d"),
    ],
)
def test_invalid_limit_has_an_error_message(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_limits(text)
    assert str(caught.value) == problem


@pytest.mark.parametrize("text", ["250ms", "5s", "90s", "1m", "25h", "1d"])
def test_duration_is_equal_after_a_round_trip(text: str) -> None:
    assert format_duration(parse_duration(text)) == text
    assert str(parse_limits(f"7/{text}")[0]) == f"7/{text}"
