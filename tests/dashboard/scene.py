"""A run with 20 trainings, scraped by Prometheus, and what the panels show of it.

An hour of the API takes 2.4 seconds. Six starts fit into seven seconds, so some trainings wait. One
training fails, two are trained again, one lacks its Secret, and one has a status that cannot be
read: then no panel is without data.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from scriptix_simulator import Limit, SimulatorConfig
from tests.controlplane.cluster import ControlPlane
from tests.dashboard.panels import Panel, panels
from tests.dashboard.prometheus import Prometheus, Series, scraping
from tests.operator.lab import API_KEY, ROOMY, Lab, laboratory

__all__ = ["Shown", "shown_panels"]

SPEED = 1500.0
STARTS, WINDOW = 6, 7.0
CONFIG = SimulatorConfig(
    speed=SPEED,
    keys={API_KEY: "write"},
    limit_starts=(Limit(STARTS, WINDOW * SPEED),),
    limit_status=ROOMY,
    limit_logs=ROOMY,
)
SETTINGS = {
    "SCRIPTIX_LIMIT_STARTS": f"{STARTS}/{WINDOW:.0f}s",
    "SCRIPTIX_LIMIT_STATUS": "1000/1m",
    "SCRIPTIX_LIMIT_LOGS": "1000/1h",
}
LANGUAGES = ("nl", "de", "en", "fr", "es")
DOMAINS = ("cardiology", "radiology", "legal", "support")
NAMES = [f"{domain}-{language}" for domain in DOMAINS for language in LANGUAGES]
FAILING, AGAIN = 1, (0, 5)
MODEL = 870
POLL_SECONDS = 2

BEGUN = "scriptix_leader == 1"
IN_MID_RUN = (
    "count(scriptix_training_queue_position) > 0"
    " and on() count(scriptix_training_estimated_completion_timestamp_seconds) > 0"
    " and on() count(scriptix_training_published_timestamp_seconds) > 1"
    ' and on() sum(scriptix_problem_seconds{source="Resources"}) > 0'
)
OVER = f"sum(scriptix_runs_finished_total) == {len(NAMES) + len(AGAIN)}"


@dataclass(frozen=True)
class Shown:
    """What a panel shows.

    Attributes:
        results: The series of each query; none where Prometheus has returned no data.
    """

    panel: Panel
    results: tuple[tuple[Series, ...], ...]


async def shown_panels(
    control_plane: ControlPlane, namespace: str, directory: Path, prometheus: Path
) -> list[Shown]:
    """Run all trainings, and query each panel: an instant in mid-run, or the whole run."""
    async with _scene(control_plane, namespace, directory, prometheus) as (lab, server):
        begin = await server.until(BEGUN)
        await _train_all(lab)
        middle = await server.until(IN_MID_RUN)
        for number in AGAIN:
            await _train_again(lab, number)
        end = await server.until(OVER)
        return [
            Shown(
                panel,
                tuple(
                    [
                        tuple(
                            await server.at(query.expression, middle)
                            if panel.is_instant
                            else await server.over(query.expression, begin, end)
                        )
                        for query in panel.queries
                    ]
                ),
            )
            for panel in panels()
        ]


@asynccontextmanager
async def _scene(
    control_plane: ControlPlane, namespace: str, directory: Path, prometheus: Path
) -> AsyncIterator[tuple[Lab, Prometheus]]:
    async with laboratory(control_plane, namespace, directory, CONFIG) as lab:
        operator = await lab.operator(SETTINGS)
        target = (await operator.url()).removeprefix("http://")
        async with scraping(prometheus, target, directory / "prometheus") as server:
            yield lab, server


async def _train_all(lab: Lab) -> None:
    await lab.secret()
    for number, name in enumerate(NAMES):
        lab.model(
            MODEL + number,
            duration=5 + 1.5 * (number % 5),
            metrics={"word_error_rate": 9.0 + number % 7},
            outcome="system_error" if number == FAILING else "success",
        )
        await lab.train(name, MODEL + number, pollIntervalSeconds=POLL_SECONDS)
    await lab.train("without-secret", MODEL + 98, apiKeySecretRef={"name": "absent"})
    lab.model(MODEL + 99, status=1)
    await lab.train("not-readable", MODEL + 99)
    await lab.patch("not-readable", {"status": {"startedAt": "soon"}}, "/status")


async def _train_again(lab: Lab, number: int) -> None:
    """Train a model again with new data, which make it better."""
    await lab.until_phase(NAMES[number], "Succeeded")
    script = {"metrics": {"word_error_rate": 7.5}, "duration": 5}
    await lab.admin("PATCH", f"/models/{MODEL + number}", {"status": 2, "script": script})
    await lab.edit(NAMES[number], runToken="2")
