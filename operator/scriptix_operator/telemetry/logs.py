"""Logging to stderr: JSON for collectors or text for people, UTC, and never an API key.

Everything goes through one handler on the root logger, whose formatters mask the values that were
passed to `hide`. Lines about a training, a model, a run, a call or an API key have fields, which
come from log_fields.py.
"""

import logging
import re
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Literal, TextIO

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonEncoder, JsonFormatter

from scriptix_operator.log_fields import NAMESPACE, TRAINING
from scriptix_operator.telemetry.redaction import Redactor

__all__ = ["configure_logging", "hide", "redact"]

LEAST_LEVELS: Final[Mapping[str, int]] = {
    "httpx": logging.WARNING,  # a line for each call; the engine logs what matters
    "httpcore": logging.WARNING,  # DEBUG shows request headers, and so the API key
    "aiohttp": logging.WARNING,
    "asyncio": logging.WARNING,  # DEBUG names the selector, INFO nothing
}
"""The lowest level of these loggers, whatever LOG_LEVEL says."""

CHATTY: Final = "kopf"
"""Kopf logs each watch event (`Handler … succeeded.`) and its own start and end at INFO; these
lines show at DEBUG only."""

REPEATED: Final = (
    "kopf._cogs.clients.watching",
    "kopf._core.reactor.observation",
    "kopf._core.reactor.orchestration",
    "kopf._core.reactor.running",
)
"""Loggers to which Kopf writes, with tracebacks, why it ends. Kopf is restarted every few seconds,
and kube/watch.py logs each reason once; so these lines show at DEBUG only."""

RESERVED: Final = frozenset(
    {*RESERVED_ATTRS, "asctime", "message", "taskName", "k8s_ref", "k8s_skip", "settings"}
)
"""Attributes of a record that are not our `extra`: Python's own and Kopf's."""

CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
"""Characters that start a new line or control a terminal."""

_redactor = Redactor()


def hide(value: str) -> None:
    """Mask `value`, an API key, in all log output of this process from now on."""
    _redactor.hide(value)


def redact(text: str) -> str:
    """Return `text` with all hidden values masked; for output that is not a log line."""
    return _redactor.redact(text)


def configure_logging(
    log_format: Literal["json", "text"], level: str, stream: TextIO | None = None
) -> None:
    """Send all logging of the process to `stream` (stderr), and uncaught errors with it.

    Replaces an earlier configuration, so it can be called again.

    Args:
        log_format: `json`, one object a line, or `text`.
        level: `DEBUG`, `INFO`, `WARNING` or `ERROR`.
        stream: Where lines go; None is stderr.
    """
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    handler.addFilter(_name_training)
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name, least in LEAST_LEVELS.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    chatty_least = logging.DEBUG if root.level <= logging.DEBUG else logging.WARNING
    logging.getLogger(CHATTY).setLevel(max(chatty_least, root.level))
    for name in REPEATED:
        logging.getLogger(name).setLevel(
            logging.ERROR if root.level <= logging.DEBUG else logging.CRITICAL
        )
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class _Handler(logging.StreamHandler[TextIO]):
    """Our handler; the class distinguishes it from handlers of others, such as pytest."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Report a line that could not be written, without its arguments: they may hold a key."""
        error = sys.exc_info()[0]
        cause = error.__name__ if error else "an error"
        sys.stderr.write(f"log line of {record.pathname}:{record.lineno} lost to {cause}\n")


class _JsonFormatter(JsonFormatter):
    """One JSON object a line: time, level, logger, message, fields, and `exception` as text."""

    def __init__(self) -> None:
        super().__init__(
            ["asctime", "levelname", "name", "message"],
            rename_fields={
                "asctime": "time",
                "levelname": "level",
                "name": "logger",
                "exc_info": "exception",
                "stack_info": "stack",
            },
            json_encoder=_Encoder,
            reserved_attrs=sorted(RESERVED),
        )

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        del datefmt
        return _rfc3339(record.created)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return {
            _redactor.redact(str(key)): _redactor.redact_tree(value)
            for key, value in log_data.items()
        }


class _Encoder(JsonEncoder):
    """Masks values in converted objects, too."""

    def default(self, o: object) -> object:
        return _redactor.redact_tree(super().default(o))


_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class _TextFormatter(logging.Formatter):
    """`2025-01-16T08:00:00.000Z INFO    logger: namespace/training: message key=value`.

    Tracebacks follow below.
    """

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        del datefmt
        return _rfc3339(record.created)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        fields = {key: value for key, value in vars(record).items() if key not in RESERVED}
        subject = ""
        if TRAINING in fields:
            subject = f"{fields.pop(NAMESPACE, None)}/{fields.pop(TRAINING)}: "
        shown = "".join(f" {key}={value}" for key, value in fields.items())
        text = f"{record.name}: {subject}{record.message}{shown}"
        return f"{_rfc3339(record.created)} {record.levelname:<7} {_printable(text)}"

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - logging's name
        return "\n".join(_printable(line) for line in super().formatException(ei).split("\n"))

    def format(self, record: logging.LogRecord) -> str:
        return _redactor.redact(super().format(record))


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Log an uncaught error, which masks it."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    logging.getLogger(__name__).critical("uncaught error", exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(end: threading.ExceptHookArgs) -> None:
    if end.exc_value is not None and not issubclass(end.exc_type, SystemExit):
        _log_uncaught(end.exc_type, end.exc_value, end.exc_traceback)


def _name_training(record: logging.LogRecord) -> bool:
    """Turn Kopf's reference to an object into our fields."""
    reference = getattr(record, "k8s_ref", None)
    if isinstance(reference, dict):
        setattr(record, NAMESPACE, reference.get("namespace"))
        setattr(record, TRAINING, reference.get("name"))
    return True


def _rfc3339(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _printable(text: str) -> str:
    return CONTROL.sub(lambda found: repr(found[0])[1:-1], text)
