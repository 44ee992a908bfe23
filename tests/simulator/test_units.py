"""Durations, limits and instants."""

import pytest

from scriptix_simulator.units import Limit, isoformat, parse_hours, parse_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("90s", 90), ("1.5h", 5400), (" 30m ", 1800), ("2d", 172_800)],
)
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "-1h", "1 h", "1e3s", "1h30m"])
def test_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration; write for example"):
        parse_seconds(text)


def test_a_number_means_hours_already() -> None:
    assert parse_hours("30m") == 0.5
    assert parse_hours(8) == 8


def test_a_limit_is_a_count_and_a_duration() -> None:
    assert Limit.parse("5/1h") == Limit(5, 3600)


@pytest.mark.parametrize("text", ["5", "5/", "/1h", "0/1h", "5/0s", "five/1h", "5/1 h"])
def test_invalid_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="limit"):
        Limit.parse(text)


def test_an_instant_is_utc_and_cut_to_the_second() -> None:
    assert isoformat(1_737_014_400.999) == "2025-01-16T08:00:00Z"
