"""status.published: the result that the result ConfigMap holds."""

from datetime import datetime

from scriptix_operator.api.reasons import Outcome
from scriptix_operator.api.status import Metrics, Published, TrainingStatus

__all__ = ["last_published", "published_result"]


def published_result(status: TrainingStatus, now: datetime) -> Published:
    """The result of the run in status, which is published now.

    Raises:
        ValueError: There is no run.
    """
    if status.run is None:
        raise ValueError("no run to publish")
    metrics = status.metrics or Metrics()
    return Published(
        run_id=status.run.id,
        model_key=status.model.key if status.model else None,
        word_error_rate=metrics.word_error_rate,
        character_error_rate=metrics.character_error_rate,
        published_at=now.replace(microsecond=0),
    )


def last_published(status: TrainingStatus) -> Published | None:
    """The result that is published while the run in status is judged; None: none is known.

    An older version of the operator recorded no published result: then the newest run in history
    that has succeeded counts, which that version has published.
    """
    if status.published is not None:
        return status.published
    succeeded = (past for past in status.history if past.outcome == Outcome.SUCCEEDED)
    newest = next(succeeded, None)
    if newest is None:
        return None
    return Published(
        run_id=newest.id,
        model_key=status.model.key if status.model else None,
        word_error_rate=newest.word_error_rate,
        character_error_rate=newest.metrics.character_error_rate if newest.metrics else None,
    )
