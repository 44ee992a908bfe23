"""Formats in the texts of the operator."""

from datetime import UTC, datetime

import pytest

from scriptix_operator.core.model.wording import duration, sentence, timestamp


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (45, "45s"),
        (60, "1m"),
        (3599, "59m59s"),
        (5400, "1h30m"),
        (86400, "24h"),
    ],
)
def test_duration_is_printed_as_kubernetes_prints_it(seconds: int, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 59, tzinfo=UTC), "2026-01-02 03:04Z"),
        (None, "an unknown time"),
    ],
)
def test_time_is_printed_to_the_minute(at: datetime | None, text: str) -> None:
    assert timestamp(at) == text


@pytest.mark.parametrize("text", ["It failed", "It failed.", "Why?", "No!", "cut …"])
def test_sentence_ends_with_one_stop(text: str) -> None:
    assert sentence(text) == (f"{text}." if text == "It failed" else text)
