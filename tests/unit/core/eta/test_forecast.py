"""core/eta/forecast.py: the extrapolation of a learning curve; `make bench` measures its band."""

from collections.abc import Sequence

import pytest

from scriptix_operator.api.status import LearningPoint
from scriptix_operator.core.eta.forecast import final_rate, is_rising, trend_of

DOCUMENT = (45.2, 39.8, 35.2, 31.5, 28.3)
"""The curve of the API's document, whose run ends with 12.5 % after 20 epochs."""


def curve(rates: Sequence[float | str], of: int = 20, first: int = 1) -> list[LearningPoint]:
    return [
        LearningPoint(epoch=epoch, of=of, word_error_rate=str(rate))
        for epoch, rate in enumerate(rates, first)
    ]


def test_band_has_the_end_of_the_documents_run() -> None:
    expected = final_rate(curve(DOCUMENT))
    assert expected is not None
    assert 0 < expected.low < 12.5 < expected.high < 28.3
    assert expected.low < expected.likely < expected.high


def test_power_law_is_extrapolated_exactly() -> None:
    trend = trend_of(range(1, 10), [60 * epoch**-0.5 for epoch in range(1, 10)], 36)
    assert trend.level == pytest.approx(2.995732)  # ln 20: the rate after 9 epochs
    assert trend.end == pytest.approx(2.302585)  # ln 10: the rate after 36
    assert trend.noise == pytest.approx(0, abs=1e-9)


def test_rising_curve_is_not_extrapolated() -> None:
    trend = trend_of(range(1, 7), [12.0, 13.0, 14.0, 15.0, 16.0, 17.0], 60)
    assert trend.rise > 0
    assert trend.end == trend.level


def test_band_becomes_narrower_towards_the_end() -> None:
    rates = [12.5 + 32.7 * 0.834**epoch for epoch in range(20)]
    widths = []
    for seen in (5, 10, 15, 20):
        expected = final_rate(curve(rates[:seen]))
        assert expected is not None
        widths.append(expected.high - expected.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 2


@pytest.mark.parametrize(
    "points",
    [
        pytest.param([], id="no epoch"),
        pytest.param(curve(DOCUMENT[:4]), id="four epochs"),
        pytest.param(curve(DOCUMENT, of=0), id="unknown number of epochs"),
        pytest.param(curve(DOCUMENT, of=4), id="fewer epochs planned than seen"),
        pytest.param(curve(DOCUMENT, first=0), id="epoch 0"),
        pytest.param(curve([*DOCUMENT[:4], "many"]), id="no number"),
        pytest.param(curve([*DOCUMENT[:4], "nan"]), id="NaN"),
        pytest.param(curve([*DOCUMENT[:4], "inf"]), id="infinite"),
        pytest.param(curve(DOCUMENT)[::-1], id="not in order"),
    ],
)
def test_there_is_no_forecast_without_enough_facts(points: list[LearningPoint]) -> None:
    assert final_rate(points) is None


@pytest.mark.parametrize("rates", [[0.0] * 5, [9999.0] * 5, [0.0, 9999.0] * 3])
def test_extreme_rates_have_a_finite_forecast(rates: list[float]) -> None:
    expected = final_rate(curve(rates, of=10**6))
    assert expected is not None
    assert 0 <= expected.low <= expected.likely <= expected.high <= 9999


@pytest.mark.parametrize(
    ("rates", "rising"),
    [
        pytest.param((20, 15, 12, 12.5, 13, 13.6, 14), True, id="rises"),
        pytest.param((20, 15, 12, 13, 12.9, 13.8, 14.5), True, id="with noise"),
        pytest.param(DOCUMENT, False, id="falls"),
        pytest.param((20, 15, 12, 12, 12, 12, 12), False, id="stays"),
        pytest.param((20, 15, 12, 12.1, 12.2, 12.3, 12.4), False, id="by 3 percent at most"),
        pytest.param((20, 15, 13, 11, 13, 11, 13), False, id="less than the noise"),
        pytest.param((12, 13, 14, 15), False, id="four epochs"),
    ],
)
def test_rate_rises_over_several_epochs(rates: Sequence[float], *, rising: bool) -> None:
    assert is_rising(curve(rates)) == rising
    assert is_rising(curve(rates, of=0)) == rising
