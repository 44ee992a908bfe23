"""How many calls of one kind a key may still make.

Windows slide, and a call ages from when its reply was read: whoever keeps to that is not refused,
whether the server's windows slide or are fixed. Times are monotonic seconds, given by the caller.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scriptix_operator.core.allowance import BELIEVED, Allowance
from scriptix_operator.core.lessons import Lesson
from scriptix_operator.core.limits import Limit
from scriptix_operator.core.remote import CallFailure, FailureKind, RateTold
from scriptix_operator.core.spending import Spending, Spent, Ticket
from scriptix_operator.core.spread import Spread

__all__ = ["LATE", "Budget"]

BURST = 0.2
"""Of a window's calls that may be made at once where an allowance is spent evenly."""

LATE = 10.0
"""Seconds for which a call may still reach the server after it was given up without a reply…"""
LATE_PART = 1 / 6
"""… at most this part of a window."""


@dataclass(slots=True)
class _Left:
    """What the API has said is left, where that is less than our own calls explain."""

    calls: int
    until: float


class Budget:
    """The allowance of one API key for one kind of call, and what was spent of it.

    Args:
        limits: As configured, at least one; all of them hold at once.
        evenly: Whether calls are spread over the window, but for a burst after a pause.
    """

    def __init__(self, limits: Sequence[Limit], *, evenly: bool = False) -> None:
        self._allowance = Allowance(limits)
        self._spread = Spread() if evenly else None
        self._even_until = float("-inf")
        self._spending = Spending()
        self._left: _Left | None = None

    @property
    def in_flight(self) -> int:
        """Calls that are not answered yet."""
        return len(self._spending.in_flight)

    @property
    def is_proved(self) -> bool:
        """Whether the API has let a whole window's calls through."""
        return self._allowance.is_proved

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        """What was learned of the API's limits."""
        return self._allowance.lessons

    def learn(self, lessons: Iterable[Lesson]) -> None:
        """Take over what was learned before, in another process."""
        self._allowance.learn(lessons)

    def limits(self, now: float) -> tuple[Limit, ...]:
        """The limits to keep to, shortest window first."""
        return self._allowance.limits(now)

    def rate(self, now: float) -> float:
        """Calls a second that can be kept up."""
        return min(limit.count / limit.seconds for limit in self.limits(now))

    def spent_by_tag(self, now: float) -> Counter[str]:
        """The calls in the longest window, those on their way too, by tag."""
        begin = now - self.limits(now)[-1].seconds
        tags = [spent.tag for spent in self._spending.spent if spent.at > begin]
        return Counter([*tags, *(ticket.tag for ticket in self._spending.in_flight)])

    def wait(self, now: float, ahead: int = 0) -> float:
        """Seconds until a call fits, `ahead` others going first; 0: it does now."""
        earliest = free_at = max(now, self._allowance.held_until)
        limits = self.limits(now)
        self._spending.forget(now - limits[-1].seconds)
        for limit in limits:
            free_at = max(free_at, self._spending.free_at(limit, now, earliest, ahead))
        if self._left is not None and now < self._left.until and ahead >= self._left.calls:
            free_at = max(free_at, self._left.until)
        wait = free_at - now
        if self._spread is not None:
            burst = 1 if now < self._even_until else max(int(limits[0].count * BURST), 1)
            wait = max(wait, self._spread.wait(now, 1 / self.rate(now), burst, ahead))
        return wait

    def is_unspent(self, now: float) -> bool:
        """Whether nothing counts against it, nor holds it: no more is known of it than was told."""
        self._spending.forget(now - self.limits(now)[-1].seconds)
        is_spent = self._spending.spent or self._spending.in_flight
        return not is_spent and self._allowance.held_until <= now

    def take(self, now: float, tag: str = "") -> Ticket:
        """Spend one call, sent now."""
        ticket = Ticket(now, tag)
        self._spending.in_flight.add(ticket)
        if self._left is not None:
            self._left.calls -= 1
        if self._spread is not None:
            self._spread.take(now, 1 / self.rate(now))
        return ticket

    def give_back(self, ticket: Ticket, now: float) -> None:
        """Take back a call that never reached the server."""
        self._spending.in_flight.discard(ticket)
        if self._left is not None:
            self._left.calls += 1
        if self._spread is not None:
            self._spread.give_back(1 / self.rate(now))

    def recall(self, spent: Iterable[Spent]) -> None:
        """Count calls that were made before, in another process; go on in step with the last."""
        self._spending.recall(spent)
        self._allowance.passed = array("d", (one.at for one in self._spending.spent))
        if self._spread is not None and self._spending.spent:
            last = self._spending.spent[-1].at
            self._spread.follow(last, 1 / self.rate(last))

    def spend_evenly(self, now: float) -> None:
        """Make no bursts for a window: what was spent just before is not known."""
        self._even_until = now + self.limits(now)[0].seconds

    def answered(
        self,
        ticket: Ticket,
        now: float,
        failure: CallFailure | None = None,
        told: RateTold | None = None,
    ) -> bool:
        """Count a call whose reply was read, or given up.

        Args:
            ticket: The call.
            now: When that was. It ages from then on: when the server counted it is not known, only
                that it has by now; if there was no reply, that it will before long.
            failure: What went wrong; None: nothing.
            told: What the reply says of the limit.

        Returns:
            Whether something was learned of the limits.
        """
        kind = None if failure is None else failure.kind
        if kind is FailureKind.NOT_SENT:
            self.give_back(ticket, now)
            return False
        self._spending.in_flight.discard(ticket)
        if failure is not None and kind is FailureKind.RATE_LIMITED:
            has_learned = self._allowance.refused(ticket.sent_at, failure, told, now)
            self._remember_back_to(now - self.limits(now)[-1].seconds)
            if failure.retry_after is None:  # else its own word says when to come back
                self._spending.settle(ticket, now)
            return has_learned
        has_no_reply = failure is not None and failure.status is None
        is_lost = kind is FailureKind.AMBIGUOUS and has_no_reply
        late = min(LATE, LATE_PART * self.limits(now)[0].seconds) if is_lost else 0.0
        self._spending.settle(ticket, now + late)
        if kind in {FailureKind.AMBIGUOUS, FailureKind.UNAUTHORIZED}:
            return False  # whether it got as far as the limit is not known
        has_learned = self._allowance.let_through(ticket.sent_at, now, told)
        if told is not None and told.remaining is not None and told.reset is not None:
            self._hear_left(told.remaining, told.reset, now)
        return has_learned

    def _hear_left(self, remaining: int, reset: float, now: float) -> None:
        """Where less is left than our own calls explain, somebody else uses the key, too.

        A reset that is farther away than any window, or an hour, is tried before: nothing else
        could tell that it was not meant so.
        """
        limits = self.limits(now)
        own = min(limit.count - self._spending.since(now - limit.seconds) for limit in limits)
        reset_at = now + min(reset, max(limits[-1].seconds, BELIEVED))
        is_less = remaining < own
        calls = max(remaining - self.in_flight, 0)
        self._left = _Left(calls, reset_at) if is_less else None

    def _remember_back_to(self, begin: float) -> None:
        """Count what was let through before, for a window longer than those known so far."""
        spent = self._spending.spent
        known_from = spent[0].at if spent else float("inf")
        older = (Spent(at) for at in self._allowance.passed if begin < at < known_from)
        self._spending.recall(older)
