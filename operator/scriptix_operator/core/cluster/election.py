"""Who may lead, as decisions: a Lease that is seen, and seconds of one clock of our own.

Clocks of different machines are never compared. Another's lease has expired when *we* have seen no
renewal for its whole duration, counted from when we first saw the last one. Ours has when we could
not renew for the renew deadline, counted from before the last renewal was sent. The first is longer
than the second, so a leader knows that it is deposed before anybody takes over.
"""

import enum
from dataclasses import dataclass
from datetime import datetime

__all__ = ["LeaseObservation", "LeaseTimes", "Move", "decide", "observe"]


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Seconds of the election.

    Raises:
        ValueError: An order of the times in which two could lead at once, or nobody could renew.
    """

    duration: int = 15
    """Without a renewal for so long, a standby takes over. Whole seconds: the Lease says it."""
    renew_deadline: float = 10.0
    """Without a successful renewal for so long, the leader stops."""
    retry: float = 2.0
    """Between renewals, and between looks of a standby."""
    request: float = 4.0
    """One request may take so long."""
    release: float = 2.0
    """Giving up the Lease may take so long; then it is left to expire."""
    reconnect: float = 60.0
    """A standby that has not read the Lease for so long reads the cluster's CA and credentials
    again, and does so again each time that this has passed."""

    def __post_init__(self) -> None:
        if not self.duration > self.renew_deadline > self.retry + self.request > self.retry > 0:
            raise ValueError("it takes duration > renew_deadline > retry + request > retry > 0")


class Move(enum.Enum):
    """What to do about the Lease as it is."""

    ACQUIRE = "Acquire"
    """Nobody holds it, or its holder has stopped renewing: try to take it."""
    RENEW = "Renew"
    """We hold it."""
    WAIT = "Wait"
    """Another holds it."""
    LOST = "Lost"
    """We led, and it is not ours any more."""


@dataclass(frozen=True, slots=True)
class LeaseObservation:
    """A Lease as seen, and since when nothing has been renewed in it."""

    holder: str | None
    renewed: datetime | None
    """By the holder's clock: tells renewals apart, and is compared with no clock of ours."""
    duration: float
    """Seconds that the holder asks others to wait for."""
    since: float
    """Our clock when this holder and renewal were first seen."""


def observe(
    before: LeaseObservation | None,
    holder: str | None,
    renewed: datetime | None,
    duration: float,
    now: float,
) -> LeaseObservation:
    """Look at a Lease: `since` stays where nothing has been renewed since `before`.

    Args:
        before: The last look, None at first.
        holder: Who the Lease says holds it; None or "" is nobody.
        renewed: Its renewTime.
        duration: Its leaseDurationSeconds.
        now: Our clock, read after the reply came.
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
        leading: Whether we have been leading so far. Then anything but our own name in the Lease
            ends that, even nobody's: another may have come and gone.
    """
    if seen is not None and seen.holder == identity:
        return Move.RENEW
    if leading:
        return Move.LOST
    if seen is None or seen.holder is None or now - seen.since > seen.duration:
        return Move.ACQUIRE
    return Move.WAIT
