"""The in-process state of a resource: facts that are not in its status.

A restart loses the state, which only lengthens waits and never causes a start.
"""

from dataclasses import dataclass
from datetime import datetime

from scriptix_operator.api.status import Failure
from scriptix_operator.core.ledger.ledger import InFlightStart
from scriptix_operator.core.reconcile.call_results import Posted, PostFailed

__all__ = ["InProcessState", "LogFetchState", "PollState", "StartCooldown", "StartState"]


@dataclass(frozen=True, slots=True)
class PollState:
    """The polls of the model so far, and when the next ones are due."""

    failed: int = 0
    """The number of consecutive polls without an answer."""
    answered_at: datetime | None = None
    """The time at which the last answered poll was made."""
    unreadable: tuple[str, ...] = ()
    """The fields of the last usable reply that could not be read."""
    refused_since: datetime | None = None
    """The time since which the API has refused each poll, contrary to what was known. A second
    refusal has yet to confirm the first. None: the last poll was not refused."""
    gateway_refused_since: datetime | None = None
    """The time since which a gateway has refused each poll. None: no gateway refused the last
    poll."""
    interval: float | None = None
    """The wanted poll interval in seconds, for example near the estimated completion. None: the
    requested one."""
    credits: float | None = None
    """The poll credits for the estimated completion, as poll_interval.next_poll counts them. None:
    those earned since the start of the run."""
    results_due_at: datetime | None = None
    """The time of the next poll for the results of a pending end. None: not known yet."""


@dataclass(frozen=True, slots=True)
class StartCooldown:
    """A start that the API refused for its key, although the key may poll the model."""

    key: str
    """The fingerprint of the API key."""
    failure: Failure
    until: datetime
    """The time before which no start is made with the key: each attempt consumes the shared start
    quota."""


@dataclass(frozen=True, slots=True)
class StartState:
    """The starts so far, and the in-flight start whose outcome is awaited."""

    refusals: int = 0
    """The number of consecutive starts that were refused, or not sent, although the model was
    ready."""
    cooldown: StartCooldown | None = None
    """The cooldown after a start that was refused for its key."""
    in_flight: InFlightStart | None = None
    """The in-flight start that the fields below describe."""
    reply: Posted | PostFailed | None = None
    """The API's reply to this process's own start, until the reply is recorded."""
    intent_seen_at: datetime | None = None
    """The time at which this process first saw the in-flight start, or at which its own POST ended
    in a reset."""
    reset_seen: bool = False
    """Whether this process's own POST ended in a reset: the POST is not in flight any more."""
    not_happened_at: datetime | None = None
    """The time of the first of two polls that agree that the start has not happened, both sent
    after a POST in flight must have acted. None: there is no such poll yet."""
    unconfirmed_run_at: datetime | None = None
    """The time at which a poll first showed a run that may be the one before the start. A second
    poll has yet to confirm that run."""


@dataclass(frozen=True, slots=True)
class LogFetchState:
    """The log fetches of the run so far, and when the next one may be made."""

    is_wanted: bool = False
    """Whether status has changed since the log was last fetched."""
    failed: int = 0
    """The number of consecutive failed log fetches."""
    refusals: int = 0
    """The number of replies of the API that there is no log, since the log was last fetched."""
    gateway_refusals: int = 0
    """The number of replies of a gateway, and of unusable replies, since the log was last
    fetched."""
    write_refusals: int = 0
    """The number of writes of the log that the cluster refused, since the log was last stored."""
    write_failures: int = 0
    """The number of writes of the log that failed, refused or not, since the log was last
    stored."""
    not_before: datetime | None = None
    """The time from which the log may be fetched again: each attempt consumes one of the key's few
    log calls."""


@dataclass(frozen=True, slots=True)
class InProcessState:
    """The in-process state of one resource, by what the facts are about."""

    polls: PollState = PollState()
    """The polls of the model."""
    start: StartState = StartState()
    """The starts, and the in-flight start."""
    log_fetches: LogFetchState = LogFetchState()
    """The log fetches."""
    failed_publishes: int = 0
    """The number of consecutive failed attempts to publish the result."""
