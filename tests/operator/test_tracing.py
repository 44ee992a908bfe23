"""The trace of a run over restarts: complete, and the same trace if it is written again."""

import asyncio

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.collector import Collector, attributes, collecting
from tests.operator.lab import TIMEOUT, Lab

PARTS = {
    "run",
    "queue",
    "start",
    "stage DataPreprocessing",
    "stage MainTraining",
    "log",
    "publish",
}
"""Each kind of span; a fast run skips some stages between two polls."""


async def until_spans(collector: Collector, count: int) -> list[Span]:
    """Wait until so many whole traces have arrived; return all spans."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            spans = collector.spans()
            if sum(span.name == "run" for span in spans) == count:
                return spans
            await asyncio.sleep(0.05)


async def test_trace_is_complete_and_the_same_after_restarts(lab: Lab) -> None:
    lab.model(861)
    await lab.secret()
    with collecting() as collector:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        first = await lab.operator(environment)
        await lab.train("traced", 861)
        await lab.until("traced", lambda item: item["status"].get("progress", 0) > 0)
        first.kill()
        await first.ended()
        second = await lab.operator(environment)
        trained = await lab.until_phase("traced", "Succeeded")
        once = await until_spans(collector, 1)
        second.terminate()
        await second.ended()
        await lab.operator(environment)
        both = await until_spans(collector, 2)
    [run] = [span for span in once if span.name == "run"]
    assert {span.name for span in once} >= PARTS
    assert {span.trace_id for span in once} == {run.trace_id}
    assert {span.parent_span_id for span in once} == {b"", run.span_id}
    assert attributes(run)["scriptix.run.id"] == trained["status"]["run"]["id"]
    again = both[len(once) :]
    key = Span.SerializeToString
    assert sorted(map(key, again)) == sorted(map(key, once))
