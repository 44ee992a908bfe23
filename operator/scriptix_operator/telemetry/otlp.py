"""Sends traces by OTLP over HTTP. This is the only module that imports the OpenTelemetry SDK.

Ended spans wait in the SDK's bounded queue (OTEL_BSP_MAX_QUEUE_SIZE, 2048 spans), from which a
thread of the SDK sends them. If the collector does not take them within
OTEL_EXPORTER_OTLP_TIMEOUT, the spans are dropped and counted; if the queue is full, the SDK drops
the oldest and logs that.
"""

from collections.abc import Sequence
from datetime import datetime

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Span as SdkSpan
from opentelemetry.trace import StatusCode, set_span_in_context

from scriptix_operator import __version__
from scriptix_operator.core.follow.run_trace import RunTrace, Span
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["TraceExporter"]

NAME = "scriptix-operator"


class _GivenIds(IdGenerator):
    """Gives a new span the ids that were set for it."""

    def __init__(self) -> None:
        self.trace_id = self.span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class _Counted(SpanExporter):
    """Counts what another exporter does with the spans."""

    def __init__(self, exporter: SpanExporter, metrics: Metrics) -> None:
        self._exporter = exporter
        self._metrics = metrics

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        self._metrics.spans_sent(len(spans), is_taken=result is SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class TraceExporter:
    """Sends traces to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names.

    Args:
        metrics: Counts the spans.
    """

    def __init__(self, metrics: Metrics) -> None:
        own = Resource({"service.name": NAME, "service.version": __version__})
        self._ids = _GivenIds()
        self._provider = TracerProvider(
            id_generator=self._ids,
            resource=own.merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter()
        self._provider.add_span_processor(BatchSpanProcessor(_Counted(exporter, metrics)))
        self._tracer = self._provider.get_tracer(NAME, __version__)

    def write(self, trace: RunTrace) -> None:
        """Queue the spans of a trace; called in one thread only."""
        self._ids.trace_id = trace.id
        whole = self._begin(trace.run, Context())
        inside = set_span_in_context(whole, Context())
        for part in trace.parts:
            self._begin(part, inside).end(_nanoseconds(part.ends_at))
        if trace.failure is not None:
            whole.set_status(StatusCode.ERROR, trace.failure)
        whole.end(_nanoseconds(trace.run.ends_at))

    def close(self) -> None:
        """Send what is queued, which may take as long as the time-out of the exporter."""
        self._provider.shutdown()

    def _begin(self, span: Span, context: Context) -> SdkSpan:
        self._ids.span_id = span.id
        return self._tracer.start_span(
            span.name,
            context,
            attributes=span.attributes,
            start_time=_nanoseconds(span.begins_at),
        )


def _nanoseconds(time: datetime) -> int:
    return round(time.timestamp() * 1e6) * 1000
