"""core/scheduling/failure_window.py: when the latest calls show that the API is unreachable."""

import pytest

from scriptix_operator.core.scheduling.failure_window import (
    LEAST_CALLS,
    LENGTH,
    MODELS,
    OLDEST,
    FailureWindow,
)


def _window(calls: str, spacing: float = 0.1, models: int = LEAST_CALLS) -> FailureWindow:
    """A window after calls in turn to the models: `.` is answered, `x` is not."""
    window = FailureWindow()
    for number, call in enumerate(calls):
        window.record(number % models, number * spacing, is_unanswered=call == "x")
    return window


@pytest.mark.parametrize(
    ("calls", "shows_outage"),
    [
        pytest.param("x" * LEAST_CALLS, True, id="all"),
        pytest.param("x" * (LEAST_CALLS - 1), False, id="too few calls"),
        pytest.param(".xxxxxxxxx", True, id="nine of ten"),
        pytest.param("..xxxxxxxx", False, id="eight of ten"),
        pytest.param("." * 3 + "x" * 17, False, id="just below the ratio"),
        pytest.param("." * 2 + "x" * 18, True, id="at the ratio"),
        pytest.param("x." * 50, False, id="every second one"),
    ],
)
def test_ratio_of_unanswered_calls_decides(calls: str, *, shows_outage: bool) -> None:
    assert _window(calls).shows_outage == shows_outage


@pytest.mark.parametrize(("models", "shows_outage"), [(MODELS - 1, False), (MODELS, True)])
def test_so_many_models_have_to_fail(models: int, *, shows_outage: bool) -> None:
    assert _window("x" * 30, models=models).shows_outage == shows_outage


def test_model_whose_failures_are_over_counts_no_more() -> None:
    window = _window("x")
    for number in range(100):
        window.record(1 + number % (MODELS - 1), LENGTH * number, is_unanswered=True)
    assert not window.shows_outage


@pytest.mark.parametrize(
    ("spacing", "shows_outage"),
    [
        pytest.param(0.1, False, id="the last twenty calls count"),
        pytest.param(LENGTH / LEAST_CALLS, True, id="the last ten seconds count"),
        pytest.param(LENGTH, True, id="the last ten calls count, however long ago"),
        pytest.param(OLDEST / LEAST_CALLS + 4, False, id="older calls do not count"),
    ],
)
def test_length_of_the_window(spacing: float, *, shows_outage: bool) -> None:
    assert _window("." * 190 + "x" * 10, spacing).shows_outage == shows_outage


def test_nothing_is_known_after_a_clear() -> None:
    window = _window("x" * 50)
    window.clear()
    window.record(1, 6.0, is_unanswered=True)
    assert not window.shows_outage
