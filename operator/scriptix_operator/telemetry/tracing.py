"""Writes traces if the environment asks for them, by the standard OTEL_* variables.

The SDK is imported only then.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from scriptix_operator.core.follow.run_trace import RunTrace
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["WriteTrace", "traces_written"]

WriteTrace = Callable[[RunTrace], None]

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
HTTP = "http/protobuf"
CLOSING = 2.0
"""Seconds that a shutdown waits for the traces of the last seconds to be sent."""

logger = logging.getLogger(__name__)


@contextmanager
def traces_written(environ: Mapping[str, str], metrics: Metrics) -> Iterator[WriteTrace | None]:
    """Write traces while the context lasts, if the environment asks for traces.

    The exporter reads the details, such as headers, from the environment of the process.

    Args:
        environ: The environment of the process.
        metrics: Counts the spans.

    Yields:
        What takes a trace, without waiting; None: tracing is off, or the SDK is missing.
    """
    if not _is_on(environ):
        yield None
        return
    try:
        # The SDK takes 0.15 s of CPU time and 4 MB, and is an extra of the package.
        from scriptix_operator.telemetry.otlp import TraceExporter  # noqa: PLC0415
    except ModuleNotFoundError as error:
        logger.error("no traces are written: %s; install scriptix-operator[tracing]", error)  # noqa: TRY400 - the module says it all
        yield None
        return
    exporter = TraceExporter(metrics)
    logger.info("the trace of each run is sent by OTLP")
    try:
        yield exporter.write
    finally:
        # In a daemon thread: an unreachable collector does not keep the process from ending.
        closing = threading.Thread(target=exporter.close, name="tracing-close", daemon=True)
        closing.start()
        closing.join(CLOSING)


def _is_on(environ: Mapping[str, str]) -> bool:
    if not any(environ.get(name, "").strip() for name in ENDPOINTS):
        return False
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return False
    protocol = next((text for name in PROTOCOLS if (text := environ.get(name, "").strip())), HTTP)
    if protocol != HTTP:
        logger.error("no traces are written: the protocol %s is not %s", protocol, HTTP)
    return protocol == HTTP
