"""Retries: further runs after an owned run has failed in a way that may pass (spec.backoffLimit).

The failed run stays in status until its retry begins (`run.retryAt`). Until then its log can be
collected and its failure shown, and a lowered limit makes the failed run final. The time of the
retry is a fact in status, not a timer: a restart neither shortens nor lengthens the wait.
"""

from datetime import datetime, timedelta

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import Ownership
from scriptix_operator.api.spec import TrainingSpec
from scriptix_operator.api.status import Run, TrainingStatus
from scriptix_operator.core.model.backoff import backoff
from scriptix_operator.core.model.text import one_line
from scriptix_operator.core.status.texts import end_texts

__all__ = ["retry_delay", "retry_text", "with_retry"]

FIRST_DELAY, MAX_DELAY = 60.0, 3600.0
"""Seconds between a failed run and its retry; doubles with each retry."""
WHY = 512
"""Characters of the API's words beside a retry, so that an event has room for what follows."""


def retry_delay(retries: int) -> float:
    """Seconds until the next retry of a request after so many failed retries."""
    return backoff(FIRST_DELAY, retries, MAX_DELAY)


def with_retry(spec: TrainingSpec, status: TrainingStatus, now: datetime) -> TrainingStatus:
    """The status of a run that has just failed, with the time of its retry, if there is one.

    The retry is decided once, when the run fails: a limit that is raised later starts nothing. An
    adopted run was started by another user, who decides whether to repeat it.
    """
    run, why = status.run, status.failure
    if run is None or why is None or not why.retryable or run.retries >= spec.backoff_limit:
        return status
    if run.ownership not in {Ownership.OWNED, Ownership.UNCONFIRMED}:
        return status
    at = now.replace(microsecond=0) + timedelta(seconds=retry_delay(run.retries))
    return replace(status, run=replace(run, retry_at=at))


def retry_text(spec: TrainingSpec, run: Run, why: str) -> str:
    """The message of a scheduled retry: the failure, the number and the time of the retry."""
    return end_texts.retry_scheduled(
        run.id, one_line(why, WHY), run.retries + 1, spec.backoff_limit, run.retry_at
    )
