"""The record of calls: what was received, and its results, for the admin API."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from .faults import Call
from .units import isoformat

__all__ = ["CallBook", "Record"]


@dataclass(slots=True)
class Record:
    """One call; the fields with defaults are set while it proceeds.

    Attributes:
        seq: Number of the call, from 1, never reused.
        at: When the call was received, in unix seconds.
        kind: The kind of call.
        model: The id of the model.
        method: HTTP method.
        path: HTTP path.
        key: Fingerprint of the key, if one was sent.
        body_ok: For a start: whether the body was `{}` sent as JSON.
        fault: The fault that was applied.
        acted_at: When the server acted on the call, in unix seconds; None: not (yet).
        status: The status sent; None: not (yet), or the connection was closed instead.
        code: The error_code of the refusal.
        started: Run start time (unix seconds) of the started run, even without a reply.
    """

    seq: int
    at: float
    kind: Call
    model: int | None
    method: str
    path: str
    key: str | None
    body_ok: bool | None = None
    fault: str | None = None
    acted_at: float | None = None
    status: int | None = None
    code: str | None = None
    started: int | None = None

    def as_json(self) -> dict[str, JsonValue]:
        """Return the record as the admin API shows it."""
        return {
            "seq": self.seq,
            "at": isoformat(self.at),
            "unix": self.at,
            "kind": self.kind,
            "model": self.model,
            "method": self.method,
            "path": self.path,
            "key": self.key,
            "body_ok": self.body_ok,
            "fault": self.fault,
            "acted_unix": self.acted_at,
            "status": self.status,
            "code": self.code,
            "started_run": None if self.started is None else isoformat(self.started),
        }


class CallBook:
    """The newest calls.

    Args:
        keep: The number of calls to keep.
    """

    def __init__(self, keep: int) -> None:
        self._records: deque[Record] = deque(maxlen=keep)
        self._seq = 0
        self._answers: Counter[tuple[str, str]] = Counter()
        self._refusals: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def select(
        self, kind: str | None = None, model: int | None = None, after: int = 0
    ) -> list[Record]:
        """Return the calls of a kind and for a model, numbered above `after`, oldest first."""
        return [
            record
            for record in self._records
            if kind in {None, record.kind} and model in {None, record.model} and record.seq > after
        ]

    def open(
        self, at: float, kind: Call, model: int | None, request: tuple[str, str], key: str | None
    ) -> Record:
        """Record a received call; `request` is its method and path."""
        self._seq += 1
        record = Record(self._seq, at, kind, model, *request, key)
        self._records.append(record)
        return record

    def close(self, record: Record) -> None:
        """Count a call that has ended: answered, or its connection closed."""
        self._answers[record.kind, str(record.status or "closed")] += 1
        if record.code is not None:
            self._refusals[record.code] += 1
        if record.fault is not None:
            self._faults[record.fault] += 1

    def clear(self) -> None:
        """Delete all calls and counts; numbers continue."""
        self._records.clear()
        for counter in (self._answers, self._refusals, self._faults):
            counter.clear()

    def counts(self) -> dict[str, JsonValue]:
        """Return the numbers of calls by kind and status, refusals by code, and faults."""
        answers: dict[str, dict[str, int]] = {}
        for (kind, status), count in sorted(self._answers.items()):
            answers.setdefault(kind, {})[status] = count
        return {
            "calls": {kind: dict(by_status) for kind, by_status in answers.items()},
            "refusals": dict(sorted(self._refusals.items())),
            "faults": dict(sorted(self._faults.items())),
        }
