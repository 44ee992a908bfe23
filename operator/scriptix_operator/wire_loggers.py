"""Keeps what the HTTP libraries log of requests and replies out of the log."""

import logging

__all__ = ["quiet_wire_loggers"]

_WIRE_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.proxy",
    "httpcore.socks",
)


def quiet_wire_loggers() -> None:
    """Prevent httpx and httpcore from logging calls below WARNING, whatever their level.

    They log no request header, but the URL and the reason phrase (httpx, INFO) and the headers
    (httpcore, DEBUG) of every reply. A reply may quote the key, and the URL of the sink of
    notifications is a credential.
    """
    for name in _WIRE_LOGGERS:
        logging.getLogger(name).addFilter(_is_warning)  # adding a filter twice has no effect


def _is_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
