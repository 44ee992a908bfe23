"""A scrape of the operator after a run, and gauges over a restart and a takeover."""

import asyncio
import math
import re
from collections.abc import Callable, Iterator
from datetime import datetime

from prometheus_client.parser import text_string_to_metric_families

from scriptix_operator.telemetry.metric_table import METRICS
from scriptix_operator.telemetry.metric_types import Metric, MetricType
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
    lab.model(814)
    await lab.secret()
    operator = await lab.operator(limit_starts="2/1h")
    await lab.train("finished", 812)
    await lab.train("running", 813)
    await lab.until_phase("finished", "Succeeded")
    await lab.until_phase("running", "Running")
    await lab.train("queued", 814)
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
    assert list(unexpected_labels(text, {lab.namespace}, {"finished", "running", "queued"})) == []
    counts = {
        "scriptix_runs_started_total 2.0",
        'scriptix_training_run_duration_seconds_count{outcome="Succeeded"} 1.0',
        "scriptix_training_queue_wait_seconds_count 2.0",
    }
    assert counts <= {*text.splitlines()}


FORMS = {
    "version": r"[0-9][\w.+-]*",
    "key": r"[0-9a-f]{12}",
    "window": r"[0-9]+(ms|s|m|h|d)",
    "code": r"2xx|5xx|[1-5][0-9]{2}|unusable|none",
    "source": r"[A-Z][A-Za-z]+",
}
"""The form of each label whose values the table does not list, but for those of resources."""


def unexpected_labels(text: str, namespaces: set[str], names: set[str]) -> Iterator[str]:
    """Name samples with a label value that the table does not allow, and metrics with too many."""
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for metric in METRICS:
        family = families[metric.name.removesuffix("_total")]
        if family.type != metric.type.value:
            yield f"{metric.name} is a {family.type}"
        for sample in family.samples:
            for label in metric.labels:
                value = sample.labels[label.name]
                allowed = {"namespace": namespaces, "name": names}.get(label.name)
                allowed = allowed or set(label.values)
                form = FORMS.get(label.name, "")
                if value not in allowed and not re.fullmatch(form, value):
                    yield f"{sample.name}: {label.name} is {value!r}"
        is_fixed = all(label.values for label in metric.labels)
        if is_fixed and len(family.samples) > _most_samples(metric):
            yield f"{metric.name} has {len(family.samples)} samples"


def _most_samples(metric: Metric) -> int:
    """The samples of a metric whose labels have fixed values."""
    series = math.prod(len(label.values) for label in metric.labels)
    if metric.type is MetricType.HISTOGRAM:
        return series * (len(metric.buckets) + 1 + len(("_count", "_sum")))
    return series


def _families(text: str) -> set[tuple[str, frozenset[str]]]:
    """The metrics of the operator with a sample, each with its labels."""
    return {
        (family.name, frozenset(sample.labels.keys() - {"le"}))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.name.startswith("scriptix_") and not family.name.endswith("_created")
    }


PASSING = {
    "scriptix_leader",
    "scriptix_problem_seconds",
    "scriptix_training_progress_ratio",
    "scriptix_training_estimated_completion_timestamp_seconds",
    "scriptix_training_estimated_start_timestamp_seconds",
    "scriptix_api_quota_used",
}
"""Gauges whose values change meanwhile; their series are compared all the same."""
OF_A_LEADER = {metric.name for metric in METRICS if metric.type is MetricType.GAUGE}


async def test_standby_shows_the_gauges_of_the_leader_after_takeover(lab: Lab) -> None:
    await lab.secret()
    first = await lab.operator(limit_starts="2/1h")
    await first.printed("leading")
    standby = await lab.operator(limit_starts="2/1h")
    for number, name in enumerate(("finished", "running", "queued"), start=841):
        lab.model(number, duration=8000 if name == "running" else 1)
        await lab.train(name, number)
        await lab.until_phase(name, {"finished": "Succeeded"}.get(name, name.capitalize()))
    await lab.train("blocked", 844, apiKeySecretRef={"name": "absent"})
    await lab.until_reason("blocked", "SecretNotFound")
    blocked = 'scriptix_trainings_blocked{reason="SecretNotFound"}'
    before = await until_gauges(lab, first, lambda gauges: gauges.get(blocked) == 1.0)
    first.terminate()
    await first.ended()
    await until_gauges(lab, standby, lambda gauges: gauges == before)


async def until_gauges(
    lab: Lab, operator: Operator, hold: Callable[[dict[str, float]], bool]
) -> dict[str, float]:
    """Wait until the gauges meet the condition; returns them."""
    gauges: dict[str, float] = {}
    try:
        async with asyncio.timeout(TIMEOUT):
            while True:
                text = (await lab.client.get(f"{await operator.url()}/metrics")).text
                gauges = dict(_gauges(text))
                if hold(gauges):
                    return gauges
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"the gauges are {gauges}") from None


def _gauges(text: str) -> Iterator[tuple[str, float]]:
    """The gauges with their labels; those that change with time are 0."""
    for family in text_string_to_metric_families(text):
        if family.name not in OF_A_LEADER:
            continue
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            yield f"{sample.name}{{{labels}}}", 0.0 if sample.name in PASSING else sample.value
