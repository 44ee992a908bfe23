"""What the API allows one key for one kind of call: as configured, or less where it has said so.

Refusals and headers teach stricter limits (core/lessons.py); nothing ever exceeds the configured
ones. Times are seconds on any clock that does not jump, given by the caller.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from scriptix_operator.core.backoff import backoff
from scriptix_operator.core.lessons import (
    MAX_CLEAN_WINDOWS,
    Lesson,
    courtesy_of,
    heard,
    lesson_of,
    refutes,
)
from scriptix_operator.core.limits import Limit
from scriptix_operator.core.remote import CallFailure, RateTold

__all__ = ["BELIEVED", "Allowance"]

MAX_REMEMBERED = 5000
"""Calls let through that are remembered, to learn from."""
LEARNING = 4
"""Windows within which what was inferred of a limit may be corrected."""
BELIEVED = 3600.0
"""Seconds that a reply may ask for; what is more, and more than any window, is believed when it is
said again."""
MAX_HOLD = 86_400.0
"""Seconds; no refusal stops a key for longer before it is tried again."""
KEEP_AGAIN, CONFIRM = 60.0, 86_400.0
"""Seconds after which what was learned is worth keeping anew: where it has changed, and where it
has only been confirmed. Servers that differ must not cause a write for each reply."""
RESET_ROUNDING = 1.0
"""Seconds by which a reply may give the end of a window too late: servers round up."""
SHORTEST_HOLD = 0.01
"""Of a window, after a refusal: a server that says to come back at once does not mean it."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What a limit was inferred from."""

    limits: tuple[Limit, ...]
    """That were kept to."""
    sent_at: float
    wait: float | None
    """Seconds after which it said to come back."""


class Allowance:
    """The limits that a key has to keep to.

    Args:
        limits: As configured, at least one; all of them hold at once.
    """

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._configured = {limit.seconds: limit for limit in limits}
        self._lessons: dict[float, Lesson] = {}
        self._kept: dict[float, Lesson] = {}
        """What the caller was told to keep, and when that was."""
        self._kept_at = float("-inf")
        self._courtesy: Lesson | None = None
        """What is left to us while others use the key, too."""
        self._refusals = 0
        """In a row."""
        self._inferred: _Refusal | None = None
        """The last lesson is from this refusal, which did not name a limit."""
        self.passed = array("d")
        """When each call that was let through was answered, ascending."""
        self.is_proved = False
        """A whole window's calls were let through, so the limit is known to be no stricter."""
        self.held_until = float("-inf")
        """Nothing may be sent before: the API has refused a call."""

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        """What was learned of the API's limits."""
        return tuple(self._lessons.values())

    def learn(self, lessons: Iterable[Lesson]) -> None:
        """Take over what was learned before, in another process."""
        self._lessons.update({lesson.seconds: lesson for lesson in lessons})
        self._kept = dict(self._lessons)

    def limits(self, now: float) -> tuple[Limit, ...]:
        """The limits to keep to, shortest window first."""
        found = dict(self._configured)
        courtesy = () if self._courtesy is None else (self._courtesy,)
        for lesson in (*self._lessons.values(), *courtesy):
            count = lesson.allows(now)
            if lesson.seconds not in found or count < found[lesson.seconds].count:
                found[lesson.seconds] = Limit(count, lesson.seconds)
        return tuple(found[seconds] for seconds in sorted(found))

    def let_through(self, sent_at: float, now: float, told: RateTold | None) -> bool:
        """A call was let through; returns whether what was learned is worth keeping anew."""
        if len(self.passed) >= 2 * MAX_REMEMBERED:
            del self.passed[:MAX_REMEMBERED]
        self.passed.append(now)
        if sent_at < self.held_until:
            self._infer_again()
        else:
            self._refusals = 0
        shortest = self.limits(now)[0]
        use = len(self.passed) - bisect_right(self.passed, now - shortest.seconds)
        self.is_proved = self.is_proved or use >= shortest.count
        self._raise(now)
        if told is not None:
            self._hear(told, now)
        return self._is_news(now)

    def refused(
        self, sent_at: float, failure: CallFailure, told: RateTold | None, now: float
    ) -> bool:
        """A call was refused for its rate; returns as let_through does."""
        limits, wait = self.limits(now), failure.retry_after
        if sent_at < self.held_until:
            # It was on its way when another was refused, and says no more than that one.
            self._hold(now, wait, limits, is_explained=True)
            return False
        self._refusals += 1
        lesson = self._lesson(_Refusal(limits, sent_at, wait), told, now)
        if lesson is None:
            self._courtesy = courtesy_of(self.passed, limits, sent_at, wait)
        else:
            self._take_in(lesson, now)
            limits = self.limits(now)  # a window that was learned is waited for, too
        self._hold(now, wait, limits, is_explained=lesson is not None)
        return self._is_news(now)

    def _is_news(self, now: float) -> bool:
        """Whether what was learned is to be kept: at once where it is stricter than what is."""
        new, old = self._lessons, self._kept
        is_stricter = any(
            seconds not in old
            or lesson.count < old[seconds].count
            or lesson.clean_windows > old[seconds].clean_windows
            for seconds, lesson in new.items()
        )
        is_changed = _counts(new) != _counts(old) or any(
            lesson.at > old[seconds].at + CONFIRM
            for seconds, lesson in new.items()
            if seconds in old
        )
        is_news = is_stricter or (is_changed and now >= self._kept_at + KEEP_AGAIN)
        if is_news:
            self._kept, self._kept_at = dict(new), now
        return is_news

    def _raise(self, now: float) -> None:
        """Know that one more is allowed where it was tried for long enough."""
        for lesson in self.lessons:
            is_tried = lesson.allows(now) > lesson.count
            if is_tried and refutes(self.passed, lesson.seconds, lesson.count):
                self._lessons[lesson.seconds] = replace(lesson, count=lesson.count + 1, at=now)

    def _hear(self, told: RateTold, now: float) -> None:
        """Take in what a reply that was let through tells of the limit."""
        reset = (told.reset or 0.0) - RESET_ROUNDING
        window = next((limit for s, limit in self._configured.items() if s >= reset), None)
        if window is not None:
            lesson = heard(self._lessons.pop(window.seconds, None), window, told, now)
            if lesson is not None:
                self._lessons[lesson.seconds] = lesson

    def _lesson(self, refusal: _Refusal, told: RateTold | None, now: float) -> Lesson | None:
        """What a refusal says of the limit; None: it is of others that use the key.

        What is not named but inferred can be said of the first refusal in a row only; and not where
        what was inferred before was kept to: who keeps to what is right is refused for others'
        calls. But soon after it was inferred, it may have been wrong.
        """
        self._inferred = None
        lesson = self._lesson_of(refusal, told)
        if lesson is None or (told is not None and told.limit is not None):
            return lesson
        old, in_a_row = self._lessons.get(lesson.seconds), 1
        window = tuple(limit for limit in refusal.limits if limit.seconds == lesson.seconds)
        refusal = replace(refusal, limits=window)
        if old is not None and now <= old.at + LEARNING * old.seconds:
            # The API's word has misled: some servers say the same whenever they are asked.
            in_a_row = 2
            refusal = replace(refusal, wait=None)
            lesson = self._lesson_of(refusal, None)
        elif old is not None and old.allows(now) == old.count:
            return None
        if self._refusals > in_a_row:
            return None
        self._inferred = refusal
        return lesson

    def _lesson_of(self, refusal: _Refusal, told: RateTold | None) -> Lesson | None:
        """What a refusal teaches of itself."""
        limits, sent_at, wait = refusal.limits, refusal.sent_at, refusal.wait
        return lesson_of(self.passed, limits, _counts(self._lessons), sent_at, told, wait)

    def _take_in(self, lesson: Lesson, now: float) -> None:
        old = self._lessons.get(lesson.seconds)
        if old is not None and old.allows(now) > old.count:
            # One more was tried, and refused: not so soon again.
            patience = min(2 * old.clean_windows, MAX_CLEAN_WINDOWS)
            lesson = replace(lesson, clean_windows=patience)
        elif old is not None:
            at = lesson.at if self._inferred is None else old.at  # a limit that is named is new
            lesson = replace(lesson, at=at, clean_windows=old.clean_windows)
        self._lessons[lesson.seconds] = lesson
        self.is_proved = False

    def _infer_again(self) -> None:
        """Raise what was inferred by a call that was on its way then and was let through."""
        if self._inferred is None:
            return
        lesson = self._lesson_of(self._inferred, None)
        if lesson is not None and lesson.seconds in self._lessons:
            old = self._lessons[lesson.seconds]
            self._lessons[old.seconds] = replace(old, count=lesson.count)

    def _hold(
        self, now: float, wait: float | None, limits: Sequence[Limit], *, is_explained: bool
    ) -> None:
        """Send nothing for a while: as long as the API says, longer if it goes on refusing."""
        doublings, shortest, longest = self._refusals - 1, limits[0].seconds, limits[-1].seconds
        if wait is None:
            wait = 0.0 if is_explained else backoff(shortest, doublings, max(longest, BELIEVED))
        else:
            wait = min(wait, backoff(max(longest, BELIEVED), doublings, MAX_HOLD))
        least = backoff(SHORTEST_HOLD * shortest, doublings, longest)
        self.held_until = max(self.held_until, now + max(wait, least))


def _counts(lessons: Mapping[float, Lesson]) -> dict[float, int]:
    return {seconds: lesson.count for seconds, lesson in lessons.items()}
