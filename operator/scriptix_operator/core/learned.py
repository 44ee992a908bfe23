"""Learned limits as the start ledger keeps them, so that they survive restarts."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from scriptix_operator.api.base import ApiModel
from scriptix_operator.api.times import Time
from scriptix_operator.core.lessons import Lesson

__all__ = ["Learned", "LearnedLimits", "from_lessons", "kept", "to_lessons"]

KEPT = timedelta(days=31)
"""What was learned longer ago is tried anew: no API budgets over more than a month."""
MAX_KEYS = 500
"""API keys of which it is kept; 0.1 of the 1 MiB that a ConfigMap holds."""


class Learned(ApiModel):
    """A limit that the API was found to have."""

    seconds: float
    """Length of the window."""
    count: int
    """Calls in it."""
    at: Time
    """When it was learned."""
    clean_windows: float
    """After so many without a refusal one call more is tried."""


LearnedLimits = dict[str, dict[str, tuple[Learned, ...]]]
"""By key fingerprint and kind of call."""


def from_lessons(lessons: Iterable[Lesson], wall: datetime, now: float) -> tuple[Learned, ...]:
    """Lessons in wall time.

    Args:
        lessons: In monotonic seconds.
        wall: The time, UTC.
        now: The same in monotonic seconds.
    """
    return tuple(
        Learned(
            seconds=lesson.seconds,
            count=lesson.count,
            at=(wall - timedelta(seconds=now - lesson.at)).replace(microsecond=0),
            clean_windows=lesson.clean_windows,
        )
        for lesson in lessons
    )


def to_lessons(learned: Iterable[Learned], wall: datetime, now: float) -> tuple[Lesson, ...]:
    """The lessons in monotonic seconds; arguments as for from_lessons."""
    return tuple(
        Lesson(one.seconds, one.count, now - (wall - one.at).total_seconds(), one.clean_windows)
        for one in learned
        if one.seconds > 0 and one.count > 0 and one.clean_windows > 0
    )


def kept(limits: Mapping[str, Mapping[str, tuple[Learned, ...]]], now: datetime) -> LearnedLimits:
    """What is kept: what is not too old, of so many keys, the last ones learned."""
    young = {
        key: {
            call: tuple(one for one in learned if one.at > now - KEPT)
            for call, learned in calls.items()
        }
        for key, calls in limits.items()
    }
    newest = {
        key: max(one.at for learned in calls.values() for one in learned)
        for key, calls in young.items()
        if any(calls.values())
    }
    chosen = sorted(newest, key=lambda key: newest[key])[-MAX_KEYS:]
    return {key: {c: learned for c, learned in young[key].items() if learned} for key in chosen}
