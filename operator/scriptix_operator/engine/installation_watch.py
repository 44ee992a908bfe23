"""Renews the resources that this installation serves, and reports those that others serve."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NoReturn

from scriptix_operator.core.cluster.served_by import (
    left_alone,
    left_alone_event,
    left_text,
    needs_renewal,
)
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.status_writer import StatusWriter
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.kube.errors import ConflictError, GoneError, KubeError, UnavailableError
from scriptix_operator.kube.events import Events
from scriptix_operator.kube.trainings import UnreadableError
from scriptix_operator.log_fields import field_logger
from scriptix_operator.telemetry.health import Problems
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["InstallationWatch"]

SOURCE = "Installations"
INTERVAL = 5.0
"""Seconds between passes over all resources in memory."""
REFUSED_RETRY = timedelta(seconds=60)
"""Time after which a renewal that the API server has refused is tried again."""
EVENTS_EACH = 20
"""Resources of a namespace that get an event about one other installation: the metric and /readyz
count all of them, and a thousand events would add nothing."""

logger = field_logger(__name__)


@dataclass(slots=True)
class InstallationWatch:
    """Keeps the resources that this installation serves, and reports those of others.

    Args:
        installation: This installation, by its namespace.
    """

    installation: str
    store: TrainingStore
    status_writer: StatusWriter
    events: Events
    clock: Clock
    metrics: Metrics
    problems: Problems
    _others: set[str] = field(default_factory=set)
    """The other installations that are reported."""
    _announced: dict[TrainingKey, str] = field(default_factory=dict)
    """By resource: the installation that its event named."""
    _refused: dict[TrainingKey, tuple[str, datetime]] = field(default_factory=dict)
    """By resource whose renewal was refused: the version, and when the renewal is retried."""

    async def run(self) -> NoReturn:
        """Work until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(INTERVAL)

    async def refresh(self) -> None:
        """Report the resources that others serve now, and renew those that are due."""
        left = left_alone(self.store, self.installation, self.clock.now())
        self._report(left)
        await self._publish_events(left)
        await self._renew()

    def _report(self, left: dict[str, list[Training]]) -> None:
        self.metrics.served_elsewhere(sum(map(len, left.values())))
        for other in self._others - left.keys():
            self.problems.clear(SOURCE, other)
            logger.info(
                "the installation in namespace %s no longer serves a resource that is watched here",
                other,
            )
        for other, trainings in left.items():
            text = left_text(other, trainings)
            self.problems.report(SOURCE, text, subject=other)
            if other not in self._others:
                logger.warning("%s", text)
        self._others = set(left)

    async def _publish_events(self, left: dict[str, list[Training]]) -> None:
        """Publish an event about each resource that another installation serves now, in turn."""
        now_left = {one.key: other for other, trainings in left.items() for one in trainings}
        self._announced = {
            key: other for key, other in self._announced.items() if now_left.get(key) == other
        }
        counts = Counter((key.namespace, other) for key, other in self._announced.items())
        for other, trainings in left.items():
            news = left_alone_event(other, self.installation)
            for training in sorted(trainings, key=lambda one: one.key):
                group = (training.key.namespace, other)
                if training.key in self._announced or counts[group] >= EVENTS_EACH:
                    continue
                counts[group] += 1
                self._announced[training.key] = other
                await self.events.publish(training, (news,), self.clock.now())

    async def _renew(self) -> None:
        """Write the status of served resources that was not written for long."""
        now = self.clock.now()
        due = [one for one in self.store if needs_renewal(one, self.installation, now)]
        keys = {training.key for training in due}
        self._refused = {key: entry for key, entry in self._refused.items() if key in keys}
        for training in due:
            version, retry_at = self._refused.get(training.key, ("", self.clock.now()))
            if version == training.resource_version and self.clock.now() < retry_at:
                continue
            try:
                await self.status_writer.write(training, training.status)
            except (ConflictError, GoneError, UnreadableError) as error:
                logger.about(training).debug("not renewed, the resource has changed: %s", error)
            except UnavailableError as error:
                logger.about(training).warning("not renewed: %s", error)
                return  # the API server is unreachable: the other writes would fail, too
            except KubeError as error:
                is_logged = version == training.resource_version
                level = logging.DEBUG if is_logged else logging.WARNING
                logger.about(training).log(level, "not renewed: %s", error)
                retry_at = self.clock.now() + REFUSED_RETRY
                self._refused[training.key] = training.resource_version, retry_at
