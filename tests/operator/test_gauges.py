"""A scrape of the operator after a run, and the gauges of a training over a restart."""

import asyncio
from datetime import datetime

from prometheus_client.parser import text_string_to_metric_families

from scriptix_operator.telemetry.metric_table import METRICS
from tests.operator.lab import TIMEOUT, Lab, Operator


async def series_of(lab: Lab, operator: Operator, name: str) -> dict[str, float]:
    """The series of a resource, by metric name."""
    text = (await lab.client.get(f"{await operator.url()}/metrics")).text
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels == {"namespace": lab.namespace, "name": name}
    }


async def until_shown(lab: Lab, operator: Operator, name: str, expected: dict[str, float]) -> None:
    """Wait until a resource has exactly these series."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            if await series_of(lab, operator, name) == expected:
                return
            await asyncio.sleep(0.05)


async def test_gauges_of_a_finished_training_survive_a_restart(lab: Lab) -> None:
    lab.model(811, duration=1)
    await lab.secret()
    first = await lab.operator()
    await lab.train("finished", 811)
    finished = await lab.until_phase("finished", "Succeeded")
    expected = {
        "scriptix_training_progress_ratio": 1.0,
        "scriptix_training_word_error_rate_percent": 12.5,
        "scriptix_training_published_timestamp_seconds": datetime.fromisoformat(
            finished["status"]["finishedAt"]
        ).timestamp(),
    }
    await until_shown(lab, first, "finished", expected)
    first.terminate()
    await first.ended()
    second = await lab.operator()
    await until_shown(lab, second, "finished", expected)
    # Only the next resync notices a deletion before the watch has begun.
    edited = await lab.edit("finished", priority=1)
    generation = edited["metadata"]["generation"]
    await lab.until("finished", lambda item: item["status"]["observedGeneration"] == generation)
    await lab.delete("finished")
    await until_shown(lab, second, "finished", {})


async def test_scrape_has_samples_of_each_metric(lab: Lab) -> None:
    lab.model(812, duration=1)
    lab.model(813, duration=1000)
    await lab.secret()
    operator = await lab.operator()
    await lab.train("finished", 812)
    await lab.train("running", 813)
    await lab.until_phase("finished", "Succeeded")
    expected = {
        (metric.name.removesuffix("_total"), frozenset(label.name for label in metric.labels))
        for metric in METRICS
        if metric.name != "scriptix_problem_seconds"  # appears with the first problem
    }
    async with asyncio.timeout(TIMEOUT):
        # The states of the keys are shown every five seconds.
        while True:
            text = (await lab.client.get(f"{await operator.url()}/metrics")).text
            if _families(text) == expected:
                break
            await asyncio.sleep(0.05)
    counts = {
        "scriptix_runs_started_total 2.0",
        'scriptix_training_run_duration_seconds_count{outcome="Succeeded"} 1.0',
        "scriptix_training_queue_wait_seconds_count 2.0",
    }
    assert counts <= {*text.splitlines()}


def _families(text: str) -> set[tuple[str, frozenset[str]]]:
    """The metrics of the operator with a sample, each with its labels."""
    return {
        (family.name, frozenset(sample.labels.keys() - {"le"}))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.name.startswith("scriptix_") and not family.name.endswith("_created")
    }
