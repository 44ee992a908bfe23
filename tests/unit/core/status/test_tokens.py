"""core/status/tokens.py: which texts are equal request tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.core.status.tokens import canonical, spellings

MIDNIGHT = "2026-11-29T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "token"),
    [
        pytest.param("2026-11-29", MIDNIGHT, id="a date is midnight UTC"),
        pytest.param("2026-1-2", "2026-01-02T00:00:00Z", id="no leading zeros in the date"),
        pytest.param("2026-1-2T3:4:5Z", "2026-01-02T03:04:05Z", id="nor in the time"),
        pytest.param(MIDNIGHT, MIDNIGHT, id="canonical"),
        pytest.param("2026-11-29t00:00:00z", MIDNIGHT, id="lower case"),
        pytest.param("2026-11-29 00:00:00", MIDNIGHT, id="a space, no zone"),
        pytest.param("2026-11-29  00:00:00", MIDNIGHT, id="two spaces"),
        pytest.param("2026-11-29T00:00:00", MIDNIGHT, id="no zone is UTC, as in YAML"),
        pytest.param("2026-11-29 00:00:00 Z", MIDNIGHT, id="a space before Z"),
        pytest.param("2026-11-29T00:00:00+00:00", MIDNIGHT, id="offset zero"),
        pytest.param("2026-11-29T00:00:00-00:00", MIDNIGHT, id="offset minus zero"),
        pytest.param("2026-11-29T01:30:00+01:30", MIDNIGHT, id="east"),
        pytest.param("2026-11-28 22:30:00 -01:30", MIDNIGHT, id="west, the day before"),
        pytest.param("2026-11-29T23:59:00+23:59", MIDNIGHT, id="the largest offset"),
        pytest.param("2024-02-29", "2024-02-29T00:00:00Z", id="a leap day"),
        pytest.param("0001-01-01", "0001-01-01T00:00:00Z", id="the first day"),
        pytest.param("9999-12-31", "9999-12-31T00:00:00Z", id="the last day"),
        pytest.param("2026-11-29T00:00:00.000Z", MIDNIGHT, id="a fraction of zero"),
        pytest.param("2026-11-29T00:00:00.500Z", "2026-11-29T00:00:00.5Z", id="zeros at its end"),
        pytest.param("2026-11-29T00:00:00,5Z", "2026-11-29T00:00:00.5Z", id="a comma"),
        pytest.param(
            "2026-11-29T02:00:00.123456789+02:00",
            "2026-11-29T00:00:00.123456789Z",
            id="nanoseconds",
        ),
        pytest.param(
            "2026-11-29T00:00:00.1234567899Z",
            "2026-11-29T00:00:00.123456789Z",
            id="a tenth digit is cut",
        ),
    ],
)
def test_spellings_of_one_instant_are_one_token(text: str, token: str) -> None:
    assert canonical(text) == token
    assert canonical(token) == token


@pytest.mark.parametrize(
    "text",
    [
        *("", "v1", "V1", "1", "1.0", "01", "0x10", "1_000", "yes", "on", "null"),
        *("2026", "2026-11", "20261129", "26-11-29", "2026-W48-7", "2026-333", "2026/11/29"),
        *("2026-11-29-2", "2026-11-29a", "v2026-11-29", " 2026-11-29", "2026-11-29\n"),
        *("2026-11-29Z", "2026-11-29T00", "2026-11-29T00:00", "2026-11-29T00:00Z"),
        *("2026-11-29T00:00:00.Z", "2026-11-29T00:00:00 UTC", "2026-11-29T00:00:00+0000"),
        *("2026-02-29", "2026-13-01", "2026-00-01", "2026-11-29T24:00:00Z", "0000-01-01"),
        *("2026-11-29T23:59:60Z", "2026-11-29T00:00:00+24:00", "2026-11-29T00:00:00+01:60"),
        *("9999-12-31T23:00:00-01:00", "0001-01-01T00:00:00+00:01"),
        *("\u0662\u0660\u0662\u0666-11-29", "T00:00:00Z"),
    ],
)
def test_other_tokens_are_compared_exactly(text: str) -> None:
    assert canonical(text) == text
    assert spellings(text) == {text}


@given(st.datetimes().map(str) | st.dates().map(str) | st.text("0123456789-:.,TtZz+ ", max_size=64))
def test_a_canonical_token_is_its_own(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        pytest.param("2026-11-29", {"2026-11-29", MIDNIGHT}, id="a date"),
        pytest.param(MIDNIGHT, {"2026-11-29", MIDNIGHT}, id="what Kustomize makes of it"),
        pytest.param(
            "2026-11-29 00:00:00",
            {"2026-11-29 00:00:00", "2026-11-29", MIDNIGHT},
            id="as it was given",
        ),
        pytest.param("2026-11-29T10:00:00Z", {"2026-11-29T10:00:00Z"}, id="not at midnight"),
        pytest.param("v1T00:00:00Z", {"v1T00:00:00Z"}, id="no date before midnight"),
    ],
)
def test_a_hash_of_an_earlier_version_counts(text: str, known: set[str]) -> None:
    assert spellings(text) == known
