"""core/follow/forecasting.py: the forecast in status, and its two warnings, once a run."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from scriptix_operator.api.status import LearningPoint, LogStatus, TrainingStatus
from scriptix_operator.core.follow.log_collection import with_log_stored
from scriptix_operator.core.reconcile.call_results import LogStored
from tests.unit.core.builders import (
    EIGHT,
    WHOLE_LOG,
    Life,
    a_context,
    a_model,
    a_training,
    at,
    metrics,
)

POOR = (60.0, 55.0, 52.0, 50.0, 49.0, 48.5, 48.0, 47.7, 47.5)
FALLING = (45.2, 39.8, 35.2, 31.5, 28.3, 25.6, 23.5, 21.7, 20.1)
RISING = (30.0, 25.0, 22.0, 20.0, 21.0, 22.0, 23.0, 24.0, 25.0)
GATE = {"max_word_error_rate": "15"}


def curve(rates: Sequence[float]) -> tuple[LearningPoint, ...]:
    return tuple(
        LearningPoint(epoch=epoch, of=12, word_error_rate=str(rate))
        for epoch, rate in enumerate(rates, 1)
    )


def logs(life: Life, rates: Sequence[float]) -> TrainingStatus:
    """The log of the run is fetched, with these epochs."""
    stored = LogStored(LogStatus(entries=3), curve(rates), 60.0, WHOLE_LOG)
    return life.learns(stored).status


def polls(life: Life, progress: int = 60) -> TrainingStatus:
    life.waits(60).polls(a_model(3, started_at=EIGHT, progress=progress))
    return life.status


def warnings(life: Life) -> list[str]:
    """The warnings of a run under way."""
    ours = {"QualityGateAtRisk", "WordErrorRateRising"}
    found = [item for item in life.events if item.reason in ours]
    assert all(item.is_warning for item in found)
    return [item.reason.value for item in found]


def test_forecast_follows_the_curve() -> None:
    life = Life(a_training()).runs().waits(60.5)
    assert logs(life, FALLING[:4]).forecast is None
    first = logs(life, FALLING[:5]).forecast
    assert first is not None
    assert first.at == at(minutes=1)
    assert float(first.low) < float(first.word_error_rate) < float(first.high)
    assert polls(life).forecast == first  # a poll makes no other forecast
    assert logs(life, FALLING).forecast not in {None, first}


def test_forecast_ends_with_the_run() -> None:
    life = Life(a_training()).runs().waits(60)
    assert logs(life, FALLING).forecast is not None
    life.waits(60).succeeds()
    assert (life.status.forecast, len(life.status.learning_curve)) == (None, len(FALLING))


def test_log_after_the_end_makes_no_forecast() -> None:
    ctx = a_context(a_training(status=Life(a_training()).runs().waits(60).succeeds().status))
    stored = LogStored(LogStatus(entries=3), curve(FALLING), None, WHOLE_LOG)
    status = with_log_stored(ctx, stored).status
    assert (status.forecast, len(status.learning_curve)) == (None, len(FALLING))


def test_resumed_run_has_its_forecast_again() -> None:
    life = Life(a_training()).runs().waits(60)
    before = logs(life, FALLING).forecast
    assert before is not None
    assert life.edit(suspend=True).wake_ups().status.forecast is None
    life.edit(suspend=False)
    after = polls(life).forecast
    assert after is not None
    assert (after.low, after.high) == (before.low, before.high)


@pytest.mark.parametrize("mode", ["Enforce", "DryRun"])
def test_gate_at_risk_is_one_event_for_each_run(mode: str) -> None:
    life = Life(a_training(run_token="v1", quality_gate={**GATE, "mode": mode})).runs().waits(60)
    logs(life, POOR)
    assert warnings(life) == ["QualityGateAtRisk"]
    forecast = life.status.forecast
    assert forecast is not None
    assert f"80 % band: {forecast.low}% to {forecast.high}%" in life.events[-1].message
    since = life.run.gate_at_risk_at
    assert since == life.now
    polls(life)
    logs(life, FALLING)  # the band has the bound again
    logs(life, POOR)
    polls(life.restarts())
    assert life.run.gate_at_risk_at == since
    assert warnings(life) == ["QualityGateAtRisk"]
    # Another run has its own event.
    life.waits(60).succeeds(metrics=metrics("14"))
    life.edit(run_token="v2").waits(60)
    start = life.now + timedelta(seconds=1)
    life.runs(start)
    logs(life, POOR)
    assert warnings(life) == ["QualityGateAtRisk"] * 2


def test_gate_is_not_at_risk_while_the_band_has_its_bound() -> None:
    life = Life(a_training(quality_gate=GATE)).runs().waits(60)
    low = logs(life, FALLING).forecast
    assert low is not None
    assert float(low.low) < 15 < float(low.word_error_rate)
    assert warnings(life) == []


def test_edited_gate_is_at_risk_at_the_next_poll() -> None:
    life = Life(a_training()).runs().waits(60)
    logs(life, POOR)
    assert warnings(life) == []
    life.edit(quality_gate=GATE)
    polls(life)
    assert warnings(life) == ["QualityGateAtRisk"]


def test_forecast_is_compared_with_the_published_result() -> None:
    gate = {"max_word_error_rate_increase": "1"}
    life = Life(a_training(run_token="v1", quality_gate=gate)).runs().waits(60)
    logs(life, POOR)
    assert warnings(life) == []
    life.waits(60).succeeds()
    life.edit(run_token="v2").waits(60)
    life.runs(life.now + timedelta(seconds=1))
    logs(life, POOR)
    assert warnings(life) == ["QualityGateAtRisk"]


def test_rising_rate_is_one_event_for_each_run() -> None:
    life = Life(a_training()).runs().waits(60)
    logs(life, RISING[:5])
    assert warnings(life) == []
    logs(life, RISING)
    assert warnings(life) == ["WordErrorRateRising"]
    assert "to 25.0% after epoch 9" in life.events[-1].message
    since = life.run.word_error_rate_rising_at
    logs(life.waits(60), FALLING)
    logs(life.restarts(), RISING)
    assert life.run.word_error_rate_rising_at == since
    assert warnings(life) == ["WordErrorRateRising"]
