"""Replies with a model, and parts of a log, read into the types of core/model/remote.py.

Both response variants are read: the object itself, or `{"result": …}` around it. Unknown fields are
ignored. `id` and `training_status` must be readable: they alone decide whether the reply is usable.
Any other unreadable field counts as missing and is named in `RemoteModel.unreadable` and `flaw`; an
unreadable `started_training_at`, which identifies the run, is neither known nor missing. An empty
text counts as null.

A log entry of unknown form keeps its text, without a time and at level `info`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TypeVar

from scriptix_operator.core.model.remote import (
    LogEntry,
    RemoteMetrics,
    RemoteModel,
    TrainingState,
)
from scriptix_operator.core.model.text import one_line
from scriptix_operator.scriptix.jsontext import BadReplyError, found, scrubbed
from scriptix_operator.scriptix.spellings import (
    hours,
    improvement,
    instant,
    percent,
    rate,
    text,
    whole,
)

__all__ = ["read_entry", "read_log_frame", "read_model"]

_T = TypeVar("_T")

DEFAULT_LEVEL = "info"
START_TIME = "started_training_at"
MAX_MESSAGE = 64 * 1024
"""Characters of a log entry's message: far more than is stored, far less than a reply can hold."""
_FLAWS_NAMED = 3
_FLAW_LENGTH = 200

_METRICS: dict[str, Callable[[object], Decimal]] = {
    "word_error_rate": rate,
    "character_error_rate": rate,
    "accuracy_improvement": improvement,
    "training_hours": hours,
    "test_word_error_rate": rate,
    "training_word_error_rate": rate,
}


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of an object in a reply, each read on its own."""

    values: Mapping[str, object]
    flaws: dict[str, str] = field(default_factory=dict)
    """By path of the field: why it cannot be read."""
    path: str = ""

    def read(self, name: str, reader: Callable[[object], _T | None]) -> _T | None:
        """Read a field; None if it is missing, empty or unreadable."""
        value = self.values.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        try:
            return reader(value)
        except ValueError as error:
            self.flaws[self.path + name] = str(error)
            return None

    def need(self, name: str, reader: Callable[[object], _T]) -> _T | None:
        """Read a required field; None if it is missing or unreadable."""
        if name not in self.values:
            self.flaws[name] = "missing"
            return None
        try:
            return reader(self.values[name])
        except ValueError as error:
            self.flaws[name] = str(error)
            return None


def read_model(body: dict[str, object], model_id: int) -> RemoteModel:
    """Read a reply that must be about model `model_id`.

    Raises:
        BadReplyError: The reply is about another model, or lacks a readable id or training_status.
    """
    fields = _Fields(_unwrapped(body, "training_status"))
    named, status = fields.need("id", whole), fields.need("training_status", whole)
    if named is None or status is None:
        flaws = _flaw_text(fields.flaws)
        raise BadReplyError(one_line(f"reply has no usable model: {flaws}", _FLAW_LENGTH))
    if named != model_id:
        raise BadReplyError(f"reply is about model {named}, not {model_id}")
    error_text, error_code = _error(fields.values.get("error"))
    started_at = fields.read(START_TIME, instant)
    ends = (fields.read("finished_training_at", instant), fields.read("failed_at", instant))
    model = RemoteModel(
        id=named,
        training_status=status,
        key=fields.read("model_key", text),
        name=fields.read("name", text),
        status_message=fields.read("status_message", text),
        progress=fields.read("training_progress", percent),
        started_at=started_at,
        finished_at=ends[status == TrainingState.FAILED],
        metrics=_metrics(fields),
        error=error_text,
        error_code=error_code,
    )
    if not fields.flaws:
        return model
    return replace(
        model,
        is_start_time_unreadable=START_TIME in fields.flaws,
        unreadable=tuple(fields.flaws),
        flaw=one_line(_flaw_text(fields.flaws), _FLAW_LENGTH),
    )


def _metrics(fields: _Fields) -> RemoteMetrics | None:
    values = fields.read("training_metrics", _object)
    if values is None:
        return None
    inner = _Fields(values, fields.flaws, "training_metrics.")
    return RemoteMetrics(**{name: inner.read(name, reader) for name, reader in _METRICS.items()})


def _object(value: object) -> dict[str, object] | None:
    if isinstance(value, dict):
        return value
    if value == []:
        return None  # an empty object in PHP
    raise ValueError(f"expected an object, found {found(value)}")


def read_log_frame(body: dict[str, object], model_id: int) -> int | None:
    """Check a reply that must be the log of model `model_id`, without its entries.

    Returns:
        `total_entries`; None if missing or unreadable.

    Raises:
        BadReplyError: The log is of another model, or its log_entries are missing or not a list.
    """
    fields = _unwrapped(body, "log_entries")
    entries = fields.get("log_entries", fields)
    if entries is fields:
        raise BadReplyError("reply has no usable log: log_entries: missing")
    if not isinstance(entries, list | None):
        raise BadReplyError(
            f"reply has no usable log: log_entries: expected a list, found {found(entries)}"
        )
    named = fields.get("model_id")
    if named is not None and _or_none(whole, named) != model_id:
        raise BadReplyError(f"reply is the log of model {found(named)}, not {model_id}")
    total = _or_none(whole, fields.get("total_entries"))
    return None if total is None or total < 0 else total


def read_entry(value: object, redact: Callable[[str], str]) -> LogEntry | None:
    """Read one entry of a log; None if the entry is empty.

    Args:
        value: The entry in the reply.
        redact: Removes the key from a text.
    """
    if not value:
        return None
    if not isinstance(value, dict):
        line = redact(value) if isinstance(value, str) else _dumped(scrubbed(value, redact))
        return LogEntry(None, DEFAULT_LEVEL, line[:MAX_MESSAGE])
    message, level = value.get("message"), value.get("level")
    if not isinstance(message, str):
        message = _dumped(scrubbed(value if message is None else message, redact))
    if not isinstance(level, str) or not level.strip():
        level = DEFAULT_LEVEL
    return LogEntry(
        at=_or_none(instant, value.get("timestamp")),
        level=redact(level)[:MAX_MESSAGE],
        message=redact(message)[:MAX_MESSAGE],
    )


def _unwrapped(body: dict[str, object], identifying: str) -> dict[str, object]:
    """The object inside `result`, unless the reply itself has the field `identifying`."""
    result = body.get("result")
    return result if isinstance(result, dict) and identifying not in body else body


def _flaw_text(flaws: Mapping[str, str]) -> str:
    """The first flaws, in one line."""
    return "; ".join(f"{path}: {flaw}" for path, flaw in list(flaws.items())[:_FLAWS_NAMED])


def _error(value: object) -> tuple[str | None, str | None]:
    """`error` of a model as text, and its code; the API sends a text, an object, or null."""
    if not value:
        return None, None  # null, "", {}: no error
    if isinstance(value, str):
        return value, None
    if not isinstance(value, dict):
        return _dumped(value), None
    said = next((t for n in ("message", "error") if isinstance(t := value.get(n), str) and t), None)
    code = next((c for n in ("error_code", "code") if (c := value.get(n)) is not None), None)
    return said or _dumped(value), None if isinstance(code, bool | list | dict | None) else str(
        code
    )


def _dumped(value: object) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)


def _or_none(read: Callable[[object], _T], value: object) -> _T | None:
    try:
        return read(value)
    except ValueError:
        return None
