"""telemetry/logs.py: one line of JSON or text, UTC, no key in it, no chatter."""

import io
import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any, Literal

import kopf
import pytest

from scriptix_operator.telemetry import logs
from scriptix_operator.telemetry.logs import LEAST_LEVELS, REPEATED, configure_logging, hide, redact

KEY = "test-logs-k3y"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture(autouse=True)
def _logging_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    root = logging.getLogger()
    handlers = root.handlers[:]
    levels = {
        name: logging.getLogger(name).level
        for name in ["", "kopf.objects", *LEAST_LEVELS, *REPEATED]
    }
    yield
    root.handlers[:] = handlers
    logging.captureWarnings(capture=False)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


class Output(io.StringIO):
    """What was logged."""

    @property
    def lines(self) -> list[str]:
        """Line by line."""
        return self.getvalue().splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Each line as JSON."""
        return [json.loads(line) for line in self.lines]


def fail_with(text: str) -> None:
    raise RuntimeError(text)


def log_failure(text: str) -> None:
    try:
        fail_with(text)
    except RuntimeError:
        logging.getLogger("test").exception("it failed")


def test_a_json_line_has_time_level_logger_message_and_fields() -> None:
    out = Output()
    configure_logging("json", "INFO", out)
    logging.getLogger("test").info("started %s", "run", extra={"run": 7, "tags": ["a"]})
    [line] = out.objects
    assert re.fullmatch(TIME, line.pop("time"))
    assert line == {
        "level": "INFO",
        "logger": "test",
        "message": "started run",
        "run": 7,
        "tags": ["a"],
    }


def test_line_has_its_time_in_utc_to_the_millisecond() -> None:
    out = Output()
    configure_logging("json", "INFO", out)
    record = logging.makeLogRecord({"levelno": logging.INFO, "msg": "x"})
    record.created = 1737014400.0625
    logging.getLogger("test").handle(record)
    assert out.objects[0]["time"] == "2025-01-16T08:00:00.062Z"


def test_a_text_line_has_the_same_for_people() -> None:
    out = Output()
    configure_logging("text", "INFO", out)
    logging.getLogger("test").warning("slow", extra={"run": 7})
    [line] = out.lines
    assert re.fullmatch(rf"{TIME} WARNING test: slow run=7", line)


def test_text_line_begins_with_its_training() -> None:
    out = Output()
    configure_logging("text", "INFO", out)
    fields = {"namespace": "team-a", "training": "x", "modelId": 7}
    logging.getLogger("test").warning("slow", extra=fields)
    logging.getLogger("test").warning("not listed", extra={"namespace": "team-a"})
    texts = [line.partition(" WARNING ")[2] for line in out.lines]
    assert texts == ["test: team-a/x: slow modelId=7", "test: not listed namespace=team-a"]


def test_text_message_cannot_forge_lines_or_control_terminals() -> None:
    out = Output()
    configure_logging("text", "INFO", out)
    logging.getLogger("test").info("a\nb\x1b[2Jc")
    assert len(out.lines) == 1
    assert out.lines[0].endswith(r"a\nb\x1b[2Jc")


def test_an_exception_is_one_field_in_json() -> None:
    out = Output()
    configure_logging("json", "INFO", out)
    log_failure("broken")
    [line] = out.objects
    assert line["message"] == "it failed"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("RuntimeError: broken")


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_hidden_values_are_never_logged(log_format: Literal["json", "text"]) -> None:
    out = Output()
    configure_logging(log_format, "INFO", out)
    hide(KEY)
    log = logging.getLogger("test")

    class Holder:
        def __repr__(self) -> str:
            return f"Holder({KEY})"

    log.info("plain " + KEY)  # noqa: G003 - the case
    log.info("argument %s %r", KEY, {"Authorization": f"Bearer {KEY}"})
    log.info("field", extra={"header": KEY, "deep": {"a": [KEY]}, "object": Holder(), KEY: 1})
    log.info({"message": KEY, "b": Holder()})
    log.info("stack", stack_info=True, extra={"bytes": KEY.encode()})
    log_failure(f"refused key {KEY}")
    assert len(out.lines) >= 6
    assert KEY not in out.getvalue()
    assert out.getvalue().count("***") >= 8
    assert redact(f"<{KEY}>") == "<***>"


def test_unwritable_line_is_reported_without_its_arguments(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("json", "INFO", Output())
    # Handed over directly: pytest's own handlers would make a failure of such a line.
    [handler] = [one for one in logging.getLogger().handlers if isinstance(one, logs._Handler)]
    handler.handle(
        logging.LogRecord("test", logging.INFO, "/src/x.py", 7, "%d", (KEY,), exc_info=None)
    )
    written = capsys.readouterr().err
    assert written == "log line of /src/x.py:7 lost to TypeError\n"


def kopf_says(level: int, message: str) -> None:
    extra = {
        "k8s_ref": {"namespace": "team-a", "name": "x"},
        "k8s_skip": True,
        "settings": kopf.OperatorSettings(),
    }
    logging.getLogger("kopf.objects").log(level, message, extra=extra)


def test_kopf_logs_failures_and_no_successes() -> None:
    out = Output()
    configure_logging("json", "INFO", out)
    kopf_says(logging.INFO, "Handler 'feed' succeeded.")
    kopf_says(logging.ERROR, "Handler 'feed' failed permanently")
    [line] = out.objects
    assert line.pop("time")
    assert line == {
        "level": "ERROR",
        "logger": "kopf.objects",
        "message": "Handler 'feed' failed permanently",
        "namespace": "team-a",
        "training": "x",
    }


def test_debug_shows_kopf_but_no_request_headers() -> None:
    out = Output()
    configure_logging("json", "DEBUG", out)
    kopf_says(logging.INFO, "Handler 'feed' succeeded.")
    for name in ("httpx", "httpcore.http11", "httpcore.connection", "aiohttp.client"):
        logging.getLogger(name).info("send_request_headers.started headers=[('Authorization', …)]")
        logging.getLogger(name).warning("warned")
    assert [(line["logger"], line["message"]) for line in out.objects] == [
        ("kopf.objects", "Handler 'feed' succeeded."),
        ("httpx", "warned"),
        ("httpcore.http11", "warned"),
        ("httpcore.connection", "warned"),
        ("aiohttp.client", "warned"),
    ]


def test_at_level_error_libraries_may_not_warn_either() -> None:
    out = Output()
    configure_logging("json", "ERROR", out)
    logging.getLogger("httpx").warning("warned")
    kopf_says(logging.WARNING, "warned")
    assert out.lines == []


def test_configuring_again_replaces_and_does_not_double() -> None:
    first, second = Output(), Output()
    configure_logging("json", "INFO", first)
    configure_logging("text", "INFO", second)
    logging.getLogger("test").info("once")
    assert first.lines == []
    assert len(second.lines) == 1


@pytest.mark.parametrize(
    "crash", ["raise RuntimeError(key)", "t = threading.Thread(target=fail); t.start(); t.join()"]
)
def test_uncaught_exceptions_are_logged(crash: str) -> None:
    program = f"""
import threading
from scriptix_operator.telemetry import logs
from scriptix_operator.telemetry.logs import configure_logging, hide
key = "-".join(["test", "last", "words"])
def fail(): raise RuntimeError(key)
configure_logging("json", "INFO")
hide(key)
{crash}
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    [line] = [json.loads(one) for one in ended.stderr.splitlines()]
    assert (line["level"], line["message"]) == ("CRITICAL", "uncaught error")
    assert line["exception"].endswith("RuntimeError: ***")
