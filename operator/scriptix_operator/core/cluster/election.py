"""Leader election as decisions on an observed Lease, in seconds of one clock of our own.

Clocks of different machines are never compared. Another process's Lease has expired when *we* have
seen no renewal for its whole duration, counted from when we first saw the last renewal. Our own
Lease has expired when we could not renew it for the renew deadline, counted from before the last
renewal was sent. The duration is longer than the deadline, so a leader knows that its leadership
has ended before another process takes over.
"""

import enum
from dataclasses import dataclass
from datetime import datetime

__all__ = ["LeaseObservation", "LeaseTimes", "Move", "decide", "observe"]


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Seconds of the election.

    Raises:
        ValueError: An order of the times in which two could lead at once, or none could renew.
    """

    duration: int = 15
    """Without a renewal for so long, a standby takes over. Whole seconds, as the Lease has them."""
    renew_deadline: float = 10.0
    """Without a successful renewal for so long, the leader stops."""
    retry: float = 2.0
    """Time between renewals, and between reads of a standby."""
    request: float = 4.0
    """Time-out of one request."""
    release: float = 2.0
    """Time-out of the release of the Lease; afterwards the Lease is left to expire."""
    reconnect: float = 60.0
    """A standby that could not read the Lease for so long reads the cluster's CA and credentials
    again, each time that this interval has passed."""

    def __post_init__(self) -> None:
        if not self.duration > self.renew_deadline > self.retry + self.request > self.retry > 0:
            raise ValueError("it takes duration > renew_deadline > retry + request > retry > 0")


class Move(enum.Enum):
    """What to do about the Lease."""

    ACQUIRE = "Acquire"
    """No process holds the Lease, or its holder has stopped renewing: try to acquire it."""
    RENEW = "Renew"
    """We hold the Lease."""
    WAIT = "Wait"
    """Another process holds the Lease."""
    LOST = "Lost"
    """We led, and the Lease is not ours any more."""


@dataclass(frozen=True, slots=True)
class LeaseObservation:
    """A Lease as read, and since when it was not renewed."""

    holder: str | None
    renewed: datetime | None
    """The renewTime by the holder's clock: tells renewals apart, and is not compared with ours."""
    duration: float
    """Seconds that the holder asks others to wait for."""
    since: float
    """When this holder and renewal were first read, by our clock."""


def observe(
    before: LeaseObservation | None,
    holder: str | None,
    renewed: datetime | None,
    duration: float,
    now: float,
) -> LeaseObservation:
    """The observation of a Lease: `since` stays unless the Lease was renewed since `before`.

    Args:
        before: The last observation, None at first.
        holder: The Lease's holderIdentity; None or "": no process.
        renewed: The Lease's renewTime.
        duration: The Lease's leaseDurationSeconds.
        now: Our clock, read after the reply.
    """
    holder = holder or None
    unchanged = before is not None and (before.holder, before.renewed) == (holder, renewed)
    return LeaseObservation(
        holder, renewed, duration, before.since if before and unchanged else now
    )


def decide(seen: LeaseObservation | None, identity: str, now: float, *, leading: bool) -> Move:
    """Decide what to do about a Lease; None is one that does not exist.

    Args:
        seen: What `observe` made of it.
        identity: Our name as a holder.
        now: Our clock.
        leading: Whether we have been leading so far. Then any holder but ourselves ends our
            leadership, even none: another process may have led meanwhile.
    """
    if seen is not None and seen.holder == identity:
        return Move.RENEW
    if leading:
        return Move.LOST
    if seen is None or seen.holder is None or now - seen.since > seen.duration:
        return Move.ACQUIRE
    return Move.WAIT
