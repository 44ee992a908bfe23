"""Formats in the texts of the operator."""

import pytest

from scriptix_operator.core.status.texts.registry import duration


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
