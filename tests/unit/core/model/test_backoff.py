"""core/model/backoff.py: exponential delays."""

import pytest

from scriptix_operator.core.model.backoff import backoff


@pytest.mark.parametrize(
    ("doublings", "seconds"),
    [(-1, 60), (0, 60), (1, 120), (5, 1920), (6, 3600), (7, 3600), (10**6, 3600)],
)
def test_backoff_doubles_up_to_its_bound(doublings: int, seconds: float) -> None:
    assert backoff(60, doublings, 3600) == seconds


def test_bound_below_the_first_backoff_is_kept() -> None:
    assert backoff(60, 0, 5) == 5


def test_backoff_of_a_millisecond_reaches_its_bound() -> None:
    """Sixteen doublings, as in an earlier version, would stop at a minute."""
    assert backoff(0.001, 40, 3600) == 3600
