"""`plain` keeps what decisions read, and drops what is only shown."""

from scriptix_operator.api.status import TrainingStatus
from tests.model.translation import plain
from tests.unit.core.builders import whole_status

KEPT = {
    "estimated_completion_p90_at",
    "failure",
    "forecast",
    "history",
    "learning_curve",
    "poll_interval_seconds",
    "progress_stalled_at",
    "queue",
    "run",
    "served_by",
    "started_at",
    "timeline",
    "used_requests",
}
"""Fields that decisions read, or that no poll of the search sets."""


def test_each_status_field_is_kept_or_dropped_on_purpose() -> None:
    """A new field is named in `plain` if it is only shown, and else here."""
    before = whole_status()
    after = plain(before)
    fields = TrainingStatus.model_fields
    assert {name for name in fields if getattr(after, name) == getattr(before, name)} == KEPT | {
        "observed_generation"  # 1 in both
    }
