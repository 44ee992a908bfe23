"""The quota left per API key, as the ConfigMap `scriptix-operator-quota` shows it.

People and tools read the document; the operator only writes it (docs/quotas.md, "The quota
ConfigMap"). The size is bounded: a ConfigMap holds 1 MiB, and a queue may have 10,000 resources.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice

from pydantic import Field, ValidationError

from scriptix_operator.api.base import ApiModel
from scriptix_operator.api.times import Time
from scriptix_operator.core.ratelimit.limits import format_duration
from scriptix_operator.core.scheduling.key_scheduler import KeyScheduler

__all__ = ["DATA_KEY", "VERSION", "QuotaDocument", "dump", "parse", "quota_document"]

DATA_KEY = "quota.json"
"""The key of the document in the ConfigMap's data."""
VERSION = 1
"""Grows when a reader of the former version would misread the document."""
MAX_KEYS = 200
MAX_STARTS = 1000
"""Queued resources in the document. The keys share them: each lists the head of its queue."""
LINE = 160
"""Characters up to which an object stands on one line, such as any queued resource."""


class LimitLeft(ApiModel):
    """One limit of an operation."""

    limit: int
    """Calls that the key may make in the window."""
    window: str
    """Length of the window, such as 1h."""
    used: int
    """Calls that count against the limit, including calls in flight."""
    left: int
    """Calls that still fit into the window."""


class OperationQuota(ApiModel):
    """The quota of one operation."""

    limits: tuple[LimitLeft, ...]
    """The limits that apply, shortest window first; all hold at once."""
    next_free_at: Time | None = None
    """When the next call fits; absent: now."""


class QueuedStart(ApiModel):
    """A resource in the start queue."""

    name: str
    position: int
    """1 is next."""
    estimated_start_at: Time


class QueueLeft(ApiModel):
    """The start queue of a key."""

    length: int
    """Resources in the queue."""
    listed: int
    """Resources at the head of the queue that `namespaces` lists."""
    namespaces: dict[str, tuple[QueuedStart, ...]]
    """The listed resources by namespace, in the order of the queue."""


class KeyQuota(ApiModel):
    """The quotas of one API key."""

    operations: dict[str, OperationQuota]
    start_queue: QueueLeft


class QuotaDocument(ApiModel):
    """The whole document."""

    version: int = VERSION
    written_at: Time
    keys: dict[str, KeyQuota] = Field(default_factory=dict)
    """By fingerprint of the API key."""
    omitted_keys: int = 0
    """Keys that `keys` lacks, those with the shortest start queues."""

    def has_same_quotas_as(self, other: "QuotaDocument") -> bool:
        """Whether only the time of writing differs."""
        return (self.keys, self.omitted_keys) == (other.keys, other.omitted_keys)


def quota_document(
    schedulers: Mapping[str, KeyScheduler], monotonic: float, now: datetime
) -> QuotaDocument:
    """The document for these keys.

    Args:
        schedulers: The key schedulers by fingerprint.
        monotonic: The time, as the key schedulers count.
        now: The same time.
    """
    shown = sorted(schedulers, key=lambda key: (-schedulers[key].start_queue_length, key))
    shown = sorted(shown[:MAX_KEYS])
    each = MAX_STARTS // max(len(shown), 1)
    return QuotaDocument(
        written_at=now,
        keys={key: _key_quota(schedulers[key], each, monotonic, now) for key in shown},
        omitted_keys=len(schedulers) - len(shown),
    )


def dump(document: QuotaDocument) -> str:
    """The document as JSON that is easy to read in `kubectl get configmap -o yaml`."""
    value = document.model_dump(mode="json", by_alias=True, exclude_none=True)
    return "\n".join(_lines(value, "")) + "\n"


def parse(text: str) -> QuotaDocument:
    """Read a document.

    Raises:
        ValueError: The text is no document, or one of another version.
    """
    try:
        document = QuotaDocument.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if document.version != VERSION:
        raise ValueError(f"version {document.version} is not {VERSION}")
    return document


def _key_quota(scheduler: KeyScheduler, most: int, monotonic: float, now: datetime) -> KeyQuota:
    def at(seconds: float) -> datetime:
        return now + timedelta(seconds=seconds)

    operations: dict[str, OperationQuota] = {}
    for call, limiter in scheduler.limiters.items():
        wait = limiter.wait(monotonic)
        operations[call.value] = OperationQuota(
            limits=tuple(
                LimitLeft(
                    limit=limit.count,
                    window=format_duration(limit.seconds),
                    used=used,
                    left=max(limit.count - used, 0),
                )
                for limit, used in limiter.use(monotonic)
            ),
            next_free_at=at(wait) if wait > 0 else None,
        )
    namespaces: dict[str, list[QueuedStart]] = {}
    listed = 0
    for key, start_in in islice(scheduler.queued_starts(monotonic), most):
        listed += 1
        start = QueuedStart(name=key.name, position=listed, estimated_start_at=at(start_in))
        namespaces.setdefault(key.namespace, []).append(start)
    queue = QueueLeft(
        length=scheduler.start_queue_length,
        listed=listed,
        namespaces={name: tuple(starts) for name, starts in sorted(namespaces.items())},
    )
    return KeyQuota(operations=operations, start_queue=queue)


def _lines(value: object, indent: str) -> Iterator[str]:
    """A JSON value in lines: what fits stands on one."""
    flat = json.dumps(value)
    if len(indent) + len(flat) <= LINE or not isinstance(value, dict | list) or not value:
        yield flat
        return
    inner = indent + "  "
    if isinstance(value, dict):
        begin, end = "{", "}"
        members = [(f"{json.dumps(key)}: ", one) for key, one in value.items()]
    else:
        begin, end = "[", "]"
        members = [("", one) for one in value]
    yield begin
    for number, (prefix, one) in enumerate(members, start=1):
        first, *rest = _lines(one, inner)
        lines = [inner + prefix + first, *rest]
        if number < len(members):
            lines[-1] += ","
        yield from lines
    yield indent + end
