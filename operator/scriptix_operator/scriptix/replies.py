"""Replies with a model or a log, read into the types of core/remote.py.

Both dialects: the object itself, or `{"result": …}` around it. Unknown fields are ignored. `id`
and `training_status` must be there; a field that is there must be of its type, and the error says
which one is not and what was found. Tolerated on the way, because it loses nothing:

- whole numbers written `3.0` or `"3"`; progress with a fraction (rounded down);
- "" and years before 1970 (the zero instant of some backends) for "no instant";
- metrics that cannot be read: each is missing by itself, a run is no less finished for it;
- log entries of odd shape: their text is kept, without an instant and at level `info`.
"""

import json
import re
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError

from scriptix_operator.api.times import parse_time
from scriptix_operator.core.remote import LogEntry, RemoteMetrics, RemoteModel, TrainingState
from scriptix_operator.core.text import one_line
from scriptix_operator.scriptix.jsontext import BadReplyError, found

__all__ = ["read_log", "read_model"]

_T = TypeVar("_T")

DEFAULT_LEVEL = "info"
MAX_WHOLE = 2**53 - 1
MAX_METRIC_DIGITS = 32
MAX_METRIC_EXPONENT = 9
"""Powers of ten, both ways: what is larger or finer is no percentage and no hours."""

_EPOCH_YEAR = 1970
_PROBLEMS_TOLD = 3
_PROBLEM_LENGTH = 200

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"(\.[0-9]+)?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)


def _number(value: object) -> Decimal | None:
    match value:
        case bool():
            return None
        case int():
            return Decimal(value)
        case Decimal() if value.is_finite() and abs(value.adjusted()) <= MAX_METRIC_DIGITS:
            return value
        case str() if _NUMBER.fullmatch(value.strip()):
            return Decimal(value.strip())
        case _:
            return None


def _rounded(value: object, *, exact: bool) -> int:
    number = _number(value)
    whole = None if number is None else number.to_integral_value(ROUND_FLOOR)
    if whole is None or (exact and whole != number) or abs(whole) > MAX_WHOLE:
        raise ValueError(f"expected a whole number, found {found(value)}")
    return int(whole)


def _whole(value: object) -> int:
    return _rounded(value, exact=True)


def _percent(value: object) -> int | None:
    return None if value is None else _rounded(value, exact=False)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise ValueError(f"expected a text, found {found(value)}")


def _instant(value: object) -> datetime | None:
    if value is None or value == "":
        return None
    if isinstance(value, str) and _INSTANT.fullmatch(value.strip().upper()):
        try:
            moment = parse_time(value.strip().upper())
        except ValueError:
            pass
        else:
            return moment if moment.year >= _EPOCH_YEAR else None
    raise ValueError(f"expected an instant such as 2025-01-16T08:00:00Z, found {found(value)}")


def _metric(value: object) -> Decimal | None:
    number = _number(value)
    if number is None or abs(number.adjusted()) > MAX_METRIC_EXPONENT:
        return None
    return number if len(number.as_tuple().digits) <= MAX_METRIC_DIGITS else None


def _rate(value: object) -> Decimal | None:
    number = _metric(value)
    return None if number is None or number < 0 else number


def _metrics(value: object) -> RemoteMetrics | None:
    if not isinstance(value, dict):
        return None
    return RemoteMetrics(
        word_error_rate=_rate(value.get("word_error_rate")),
        character_error_rate=_rate(value.get("character_error_rate")),
        accuracy_improvement=_metric(value.get("accuracy_improvement")),
        training_hours=_rate(value.get("training_hours")),
        test_word_error_rate=_rate(value.get("test_word_error_rate")),
        training_word_error_rate=_rate(value.get("training_word_error_rate")),
    )


# PlainValidator: pydantic's own `str` refuses the lone surrogates that JSON can spell.
_Whole = Annotated[int, PlainValidator(_whole)]
_Text = Annotated[str | None, PlainValidator(_text)]
_Instant = Annotated[datetime | None, PlainValidator(_instant)]


class _Reply(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Model(_Reply):
    id: _Whole
    training_status: _Whole
    model_key: _Text = None
    name: _Text = None
    status_message: _Text = None
    training_progress: Annotated[int | None, PlainValidator(_percent)] = None
    started_training_at: _Instant = None
    finished_training_at: _Instant = None
    failed_at: _Instant = None


def read_model(body: dict[str, object], model_id: int) -> RemoteModel:
    """Read a reply that must be about model `model_id`.

    Raises:
        BadReplyError: It is not, or a field is missing or mistyped; the message names it.
    """
    fields = _unwrapped(body, "training_status")
    try:
        model = _Model.model_validate(fields)
    except ValidationError as error:
        raise BadReplyError(_problems(error)) from None
    if model.id != model_id:
        raise BadReplyError(f"reply is about model {model.id}, not {model_id}")
    failed = model.training_status == TrainingState.FAILED
    error_text, error_code = _error(fields.get("error"))
    return RemoteModel(
        id=model.id,
        training_status=model.training_status,
        key=model.model_key,
        name=model.name,
        status_message=model.status_message,
        progress=model.training_progress,
        started_at=model.started_training_at,
        finished_at=model.failed_at if failed else model.finished_training_at,
        metrics=_metrics(fields.get("training_metrics")),
        error=error_text,
        error_code=error_code,
    )


def read_log(body: dict[str, object], model_id: int) -> tuple[LogEntry, ...]:
    """Read a reply that must be the log of model `model_id`; the order is the reply's.

    `log_entries: null` is an empty log; `total_entries` is not looked at.

    Raises:
        BadReplyError: It is another model's, or its log_entries are missing or no list.
    """
    fields = _unwrapped(body, "log_entries")
    entries = fields.get("log_entries", fields)
    if entries is None:
        return ()
    if entries is fields:
        raise BadReplyError("reply has no usable log: log_entries: missing")
    if not isinstance(entries, list):
        raise BadReplyError(
            f"reply has no usable log: log_entries: expected a list, found {found(entries)}"
        )
    named = fields.get("model_id")
    if named is not None and _or_none(_whole, named) != model_id:
        raise BadReplyError(f"reply is the log of model {found(named)}, not {model_id}")
    return tuple(line for entry in entries if (line := _entry(entry)) is not None)


def _unwrapped(body: dict[str, object], mark: str) -> dict[str, object]:
    """The object inside `result`, unless the reply itself has the field that marks its kind."""
    result = body.get("result")
    return result if isinstance(result, dict) and mark not in body else body


def _problems(error: ValidationError) -> str:
    told = [
        f"{problem['loc'][0]}: {problem['ctx']['error'] if 'ctx' in problem else 'missing'}"
        for problem in error.errors(include_url=False, include_input=False)[:_PROBLEMS_TOLD]
    ]
    return one_line(f"reply has no usable model: {'; '.join(told)}", _PROBLEM_LENGTH)


def _error(value: object) -> tuple[str | None, str | None]:
    """`error` of a model as text, and its code: it comes as text, as an object, or as null."""
    if not value:
        return None, None  # null, "", {}: nothing is said
    if isinstance(value, str):
        return value, None
    if not isinstance(value, dict):
        return _dumped(value), None
    text = next((t for n in ("message", "error") if isinstance(t := value.get(n), str) and t), None)
    code = next((c for n in ("error_code", "code") if (c := value.get(n)) is not None), None)
    return text or _dumped(value), None if isinstance(code, bool | list | dict | None) else str(
        code
    )


def _entry(value: object) -> LogEntry | None:
    """One entry of a log; None for one that holds nothing."""
    if not isinstance(value, dict):
        text = value if isinstance(value, str) else _dumped(value)
        return LogEntry(None, DEFAULT_LEVEL, text) if value else None
    if not value:
        return None
    message, level = value.get("message"), value.get("level")
    return LogEntry(
        at=_or_none(_instant, value.get("timestamp")),
        level=level if isinstance(level, str) and level.strip() else DEFAULT_LEVEL,
        message=message
        if isinstance(message, str)
        else _dumped(value if message is None else message),
    )


def _dumped(value: object) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)


def _or_none(read: Callable[[object], _T], value: object) -> _T | None:
    try:
        return read(value)
    except ValueError:
        return None
