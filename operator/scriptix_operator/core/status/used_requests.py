"""Which values of spec.runToken and of the annotation requested-at are used.

A value is used once an intent was recorded for a run that answers the value, or that run was
adopted or has ended. status.usedRequests keeps hashes of used values, after the run has left
history. Two spellings of one instant are one value (core/status/tokens.py).
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from scriptix_operator.api.names import REQUESTED_AT_ANNOTATION
from scriptix_operator.api.reasons import AskedBy
from scriptix_operator.api.status import MAX_USED_REQUESTS, HistoryEntry, Run, TrainingStatus
from scriptix_operator.core.model.text import one_line
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.texts import resource_texts
from scriptix_operator.core.status.tokens import canonical, spellings

__all__ = [
    "Ask",
    "asks_for_run",
    "asks_of",
    "asks_of_run",
    "is_used",
    "pending_request",
    "repeated_request",
    "shown_request",
    "used_requests",
]

HASH_DIGITS = 16
"""Hexadecimal digits kept of a hash: 64 bits."""
SHOWN = 100
"""Characters of a value that a message shows."""
_NAMES = {
    AskedBy.RUN_TOKEN: "spec.runToken",
    AskedBy.REQUESTED_AT: f"annotation {REQUESTED_AT_ANNOTATION}",
}


@dataclass(frozen=True)
class Ask:
    """One member of a request. Each member asks on its own.

    Attributes:
        member: Where the value is set.
        value: The value as it is compared.
        text: The value as it was given, to be shown.
    """

    member: AskedBy
    value: str
    text: str = field(compare=False)

    @classmethod
    def of(cls, member: AskedBy, text: str) -> "Ask":
        """Return the member that asks with this text."""
        return cls(member, canonical(text), text)


def _asks(token: str, requested_at: str) -> tuple[Ask, ...]:
    both = (Ask.of(AskedBy.RUN_TOKEN, token), Ask.of(AskedBy.REQUESTED_AT, requested_at))
    return tuple(ask for ask in both if ask.text)


def asks_of(training: Training) -> tuple[Ask, ...]:
    """The members that the resource has set now; an empty value asks for nothing."""
    return _asks(training.spec.run_token, training.requested_at)


def asks_of_run(run: Run | HistoryEntry | None) -> tuple[Ask, ...]:
    """The members that a run answers."""
    return () if run is None else _asks(run.token, run.requested_at)


def asks_for_run(status: TrainingStatus) -> tuple[Ask, ...]:
    """The members that the run in status was made for."""
    run = status.run
    if run is None:
        return ()
    own = asks_of_run(run)
    if run.asked_by is not None:
        return tuple(ask for ask in own if ask.member in run.asked_by)
    # The status of a version without askedBy: the members that changed since the previous request.
    before = next((past for past in status.history if asks_of_run(past) != own), None)
    return () if before is None else tuple(set(own) - set(asks_of_run(before)))


def is_used(status: TrainingStatus, ask: Ask) -> bool:
    """Whether a value is used. History covers statuses of versions without usedRequests."""
    if ask in _used_by_present_run(status):
        return True
    known = status.used_requests
    if any(_hash(ask.member, text) in known for text in spellings(ask.text)):
        return True
    return any(ask in asks_of_run(entry) for entry in status.history)


def used_requests(status: TrainingStatus) -> tuple[str, ...]:
    """status.usedRequests after `status`: oldest first, those of the present run last.

    A value that stays set is renewed by each run, so the bound never drops it while it is set.
    """
    own = _hashes(_used_by_present_run(status))
    known = status.used_requests
    past = [h for entry in reversed(status.history) for h in _hashes(asks_of_run(entry))]
    before = tuple(dict.fromkeys((*(h for h in past if h not in known), *known)))
    # A newer version of the operator may keep more hashes.
    most = max(MAX_USED_REQUESTS, len(known))
    return (*(h for h in before if h not in own), *own)[-most:]


def repeated_request(training: Training, status: TrainingStatus) -> str | None:
    """The message of a resource that asks with used values, with the runs that answered them.

    The value of the run in status is not repeated: the request for that run still stands. A
    resource that is being deleted asks for nothing.
    """
    own = asks_of_run(status.run)
    repeated = [ask for ask in asks_of(training) if ask not in own and is_used(status, ask)]
    if status.run is None or training.is_being_deleted or not repeated:
        return None
    texts = " ".join(_repeated_text(status, ask) for ask in repeated)
    return resource_texts.used_values_set(texts)


def pending_request(training: Training, status: TrainingStatus) -> str | None:
    """The values that ask for another run once the run in status is over."""
    own = asks_of_run(status.run)
    asks = [ask for ask in asks_of(training) if ask not in own and not is_used(status, ask)]
    return None if status.run is None or not asks else shown_request(asks)


def shown_request(asks: Iterable[Ask]) -> str:
    """The values of a request, for a sentence."""
    return " and ".join(f'{_NAMES[ask.member]} "{one_line(ask.text, SHOWN)}"' for ask in asks)


def _used_by_present_run(status: TrainingStatus) -> tuple[Ask, ...]:
    run = status.run
    if run is None:
        return ()
    # The baseline is recorded with the first intent.
    is_used = run.baseline or run.ownership or status.finished_at
    return asks_of_run(run) if is_used else ()


def _repeated_text(status: TrainingStatus, ask: Ask) -> str:
    article = "The " if ask.member is AskedBy.REQUESTED_AT else ""
    answers = (entry.id for entry in status.history if _has_answered(entry, ask))
    return resource_texts.used_value(f"{article}{shown_request([ask])}", next(answers, None))


def _has_answered(entry: HistoryEntry, ask: Ask) -> bool:
    """Whether the value asked for the run, and did not only stay set beside another value."""
    return ask in asks_of_run(entry) and (not entry.asked_by or ask.member in entry.asked_by)


def _hashes(asks: Iterable[Ask]) -> tuple[str, ...]:
    return tuple(_hash(ask.member, ask.value) for ask in asks)


@lru_cache(maxsize=4096)
def _hash(member: AskedBy, value: str) -> str:
    return hashlib.sha256(f"{member}\0{value}".encode()).hexdigest()[:HASH_DIGITS]
