"""The gauges of a training, over a restart of the operator and the end of the resource."""

import asyncio

from prometheus_client.parser import text_string_to_metric_families

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
    await lab.until_phase("finished", "Succeeded")
    expected = {
        "scriptix_training_progress_ratio": 1.0,
        "scriptix_training_word_error_rate_percent": 12.5,
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
