"""Unambiguous spellings of times and numbers."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from scriptix_operator.scriptix import spellings
from scriptix_operator.scriptix.jsontext import read_object

EIGHT = datetime(2025, 1, 16, 8, tzinfo=UTC)


def given(value: object) -> object:
    """A value as parsed from a reply."""
    return read_object(json.dumps({"value": value}).encode(), "", str)["value"]


@pytest.mark.parametrize(
    "value",
    [
        "2025-01-16T08:00:00Z",
        "2025-01-16T08:00:00",
        "2025-01-16t08:00:00z",
        "2025-01-16 08:00:00Z",
        "2025-01-16T08:00:00.999999999Z",
        "2025-01-16T08:00:00,5Z",
        "2025-01-16T08:00Z",
        "2025-01-16T08:00",
        "2025-01-16 08:00",
        " 2025-01-16T09:00+01:00 ",
        "2025-01-16T09:00:00+01:00",
        "2025-01-16T09:00:00.5+0100",
        "2025-01-16T09:00+01",
        "2025-01-16T00:00:00-08:00",
        "Thu, 16 Jan 2025 08:00:00 GMT",
        "Thu, 16 Jan 2025 08:00:00 UTC",
        "Thu, 16 Jan 2025 09:00:00 +0100",
        1737014400,
        1737014400.9,
        "1737014400",
        1737014400999,
        "1737014400999",
    ],
)
def test_time_is_read_as_utc_cut_to_the_second(value: object) -> None:
    assert spellings.instant(given(value)) == EIGHT


@pytest.mark.parametrize(
    "value",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "0001-01-01",
        "0000-00-00 00:00:00",
        "0000-00-00T00:00:00.000Z",
        "0000-00-00",
        "-0001-11-30T00:00:00+00:00",
        "-0001-11-30 00:00:00",
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00Z",
        "1970-01-01T23:59:59Z",
        "1969-12-31T23:59:59Z",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        0,
        0.0,
        "0",
        False,
        [],
        {},
    ],
)
def test_zero_date_or_empty_value_is_no_time(value: object) -> None:
    assert spellings.instant(given(value)) is None


@pytest.mark.parametrize(
    "value",
    [
        "1970-01-02T00:00:00Z",
        "2000-01-01T00:00:00Z",
        946684800,  # 2000-01-01
        4102444799,  # the last second of 2099
        946684800000,
        4102444799999,
    ],
)
def test_first_and_last_times_that_are_read(value: object) -> None:
    assert spellings.instant(given(value)) is not None


@pytest.mark.parametrize(
    "value",
    [
        "2025-01-16",
        "20250116T080000Z",
        "2025-W03-4T08:00:00",
        "2025-13-01T00:00:00Z",
        "2025-01-16T25:00:00Z",
        "9999-12-31T23:59:59-01:00",
        "2025-01-16T08:00:00Z and more",
        "2025-01-16T08:00:00+99:99",
        "2025-01-16T08Z",
        "16.01.2025 08:00",
        "01/02/2025 08:00:00",
        "0000-00-01",
        "-0001-11-29T00:00:00Z",
        "Fri, 16 Jan 2025 08:00:00 GMT",  # the date was a Thursday
        "Thu, 16 Jan 25 08:00:00 GMT",
        "Thu, 16 Jan 2025 08:00:00 CET",
        "Thu, 16 Xxx 2025 08:00:00 GMT",
        "Thu, 16 Jan 2025 08:00:00 +9999",
        "2025",
        2025,
        1,
        946684799,
        4102444800,
        946684799999,
        4102444800000,
        -1737014400,
        1737014400000000,
        "1737014400 s",
        float("nan"),
        10**30,
        True,
        [0],
        {"time": 0},
    ],
)
def test_ambiguous_time_is_not_read(value: object) -> None:
    with pytest.raises(ValueError, match=r"^expected a time such as 2025-01-16T08:00:00Z, found "):
        spellings.instant(given(value))


@pytest.mark.parametrize(
    ("value", "number"), [("45%", 45), ("45 %", 45), (" 45.9% ", 45), ("45", 45), (45.9, 45)]
)
def test_percentage_may_be_text_with_its_sign(value: object, number: int) -> None:
    assert spellings.percent(given(value)) == number
    assert spellings.rate(given(value)) == Decimal(str(value).strip(" %"))


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        (spellings.percent, "45%%"),
        (spellings.percent, "45 percent"),
        (spellings.percent, "4,5%"),
        (spellings.percent, "%"),
        (spellings.rate, "-1%"),
        (spellings.rate, -1),
        (spellings.hours, "7%"),
        (spellings.hours, -1),
        (spellings.whole, "3%"),
        (spellings.whole, 3.5),
    ],
)
def test_implausible_number_is_not_read(reader: Callable[[object], object], value: object) -> None:
    with pytest.raises(ValueError, match=r"^expected a .*, found "):
        reader(given(value))


def test_only_an_improvement_may_be_negative() -> None:
    assert spellings.improvement(given("-1.5%")) == Decimal("-1.5")
