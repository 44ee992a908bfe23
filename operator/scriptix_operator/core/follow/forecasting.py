"""What the learning curve of a run under way says of its end: the forecast, and its warnings.

The curve changes when the log is fetched (log_collection.py). The quality gate may change at any
time, so each poll holds the forecast against the gate.
"""

from datetime import datetime

from scriptix_operator.api.base import replace
from scriptix_operator.api.spec import TrainingSpec
from scriptix_operator.api.status import Forecast, LearningPoint, TrainingStatus
from scriptix_operator.core.eta.forecast import final_rate, is_rising
from scriptix_operator.core.status.published import last_published
from scriptix_operator.core.status.quality_gate import is_above_bound

__all__ = ["with_curve", "with_forecast"]


def with_curve(
    spec: TrainingSpec, status: TrainingStatus, curve: tuple[LearningPoint, ...], now: datetime
) -> TrainingStatus:
    """With a learning curve of a run under way, and what follows from the curve."""
    status, run = replace(status, learning_curve=curve, forecast=None), status.run
    if run is not None and run.word_error_rate_rising_at is None and is_rising(curve):
        run = replace(run, word_error_rate_rising_at=now.replace(microsecond=0))
        status = replace(status, run=run)
    return with_forecast(spec, status, now)


def with_forecast(spec: TrainingSpec, status: TrainingStatus, now: datetime) -> TrainingStatus:
    """With the forecast, made once for each curve, and the first time that the gate is at risk."""
    now = now.replace(microsecond=0)
    forecast, run = status.forecast or _forecast(status.learning_curve, now), status.run
    if forecast is None or run is None:
        return status
    is_at_risk = is_above_bound(forecast.low, spec.quality_gate, last_published(status))
    if is_at_risk and run.gate_at_risk_at is None:
        run = replace(run, gate_at_risk_at=now)
    return replace(status, forecast=forecast, run=run)


def _forecast(curve: tuple[LearningPoint, ...], now: datetime) -> Forecast | None:
    expected = final_rate(curve)
    if expected is None:
        return None
    return Forecast(
        word_error_rate=f"{expected.likely:.1f}",
        low=f"{expected.low:.1f}",
        high=f"{expected.high:.1f}",
        at=now,
    )
