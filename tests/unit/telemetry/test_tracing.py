"""telemetry/tracing.py and otlp.py: traces arrive at a collector, or are dropped and counted."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from scriptix_operator import __version__
from scriptix_operator.core.follow.run_trace import RunTrace, Span
from scriptix_operator.telemetry.metrics import Metrics
from scriptix_operator.telemetry.tracing import traces_written
from tests.collector import Collector, attributes, collecting
from tests.unit.core.builders import EIGHT, at

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Run a collector."""
    with collecting() as running:
        yield running


def a_trace(number: int = 1, failure: str | None = None) -> RunTrace:
    """A trace with one part."""
    whole = Span("run", EIGHT, at(hours=2), {"scriptix.model.id": 7}, id=number * 16 + 1)
    part = Span("queue", EIGHT, at(seconds=0.5), {}, id=number * 16 + 2)
    return RunTrace(number << 64 | 5, whole, (part,), failure)


def write_all(
    patch: pytest.MonkeyPatch, environ: dict[str, str], *traces: RunTrace
) -> dict[str, float]:
    """Write traces as a process with this environment; returns the spans by outcome."""
    metrics = Metrics()
    for name, text in environ.items():
        patch.setenv(name, text)
    with traces_written(environ, metrics) as write:
        assert write is not None
        for trace in traces:
            write(trace)
    return counted(metrics)


def counted(metrics: Metrics) -> dict[str, float]:
    """The spans by outcome."""
    name, found = "scriptix_trace_spans_total", {}
    for outcome in ("sent", "dropped"):
        found[outcome] = metrics.registry.get_sample_value(name, {"outcome": outcome}) or 0.0
    return found


def test_trace_arrives_with_its_ids_times_and_parent(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {ENDPOINT: collector.url, "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=speech"}
    count = write_all(monkeypatch, environ, a_trace(failure="TimedOut: too long"))
    part, whole = collector.spans()
    assert (part.name, whole.name) == ("queue", "run")
    assert int.from_bytes(whole.trace_id) == int.from_bytes(part.trace_id) == 1 << 64 | 5
    assert (int.from_bytes(whole.span_id), int.from_bytes(part.span_id)) == (17, 18)
    assert (whole.parent_span_id, part.parent_span_id) == (b"", whole.span_id)
    began = int(EIGHT.timestamp()) * 10**9
    assert (whole.start_time_unix_nano, whole.end_time_unix_nano) == (began, began + 7200 * 10**9)
    assert part.end_time_unix_nano == began + 5 * 10**8
    assert attributes(whole) == {"scriptix.model.id": 7}
    assert (whole.status.code, whole.status.message) == (
        Status.STATUS_CODE_ERROR,
        "TimedOut: too long",
    )
    assert part.status.code == Status.STATUS_CODE_UNSET
    assert collector.headers[0]["x-tenant"] == "speech"
    assert collector.resource() == {
        "service.name": "scriptix-operator",
        "service.version": __version__,
    }
    assert count == {"sent": 2, "dropped": 0}


def test_service_name_comes_from_the_environment(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {ENDPOINT: collector.url, "OTEL_SERVICE_NAME": "speech-trainings"}
    write_all(monkeypatch, environ, a_trace())
    assert collector.resource()["service.name"] == "speech-trainings"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {ENDPOINT: " "},
        {ENDPOINT: "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "True"},
        {ENDPOINT: "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
        {ENDPOINT: "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_no_traces_are_written_unless_asked_for(environ: dict[str, str]) -> None:
    with traces_written(environ, Metrics()) as write:
        assert write is None


def test_sdk_is_not_imported_while_tracing_is_off() -> None:
    code = (
        "import sys, scriptix_operator.cli;"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_collector_that_refuses_makes_spans_dropped_and_counted(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector.status = 400  # which the exporter does not retry
    count = write_all(monkeypatch, {ENDPOINT: collector.url}, a_trace())
    assert count == {"sent": 0, "dropped": 2}


def test_collector_that_hangs_delays_no_write_and_holds_few_spans(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    collector.is_taking.clear()
    bounds = {"OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"}
    for name, text in {ENDPOINT: collector.url, **bounds}.items():
        monkeypatch.setenv(name, text)
    metrics = Metrics()
    with traces_written({ENDPOINT: collector.url}, metrics) as write:
        assert write is not None
        # Were a write to wait for the collector, this would not end.
        for number in range(1, 101):
            write(a_trace(number))
        assert "Queue full, dropping Span" in caplog.text
        collector.is_taking.set()
    # What was on its way when the queue was full, and what the queue holds.
    held = len(collector.spans())
    assert 8 <= held <= 8 + 4
    assert counted(metrics) == {"sent": held, "dropped": 0}
    newest = {int.from_bytes(span.trace_id) for span in collector.spans()[-8:]}
    assert newest == {number << 64 | 5 for number in range(97, 101)}
