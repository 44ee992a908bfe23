"""Records decisions: the result first, then status, then events."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from scriptix_operator.api.reasons import EventReason
from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.cluster.served_by import (
    seconds_left,
    was_served_elsewhere,
    with_server,
)
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.events import EventRecord, transition_events
from scriptix_operator.core.status.result import result_data, result_name
from scriptix_operator.core.status.run_measures import run_measures
from scriptix_operator.core.status.unreadable import is_reported, left_alone_patch, server_of
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.kube.configmaps import ConfigMaps
from scriptix_operator.kube.errors import ConflictError, GoneError, KubeError
from scriptix_operator.kube.events import Events, Subject
from scriptix_operator.kube.trainings import Raw, Trainings, key_of
from scriptix_operator.log_fields import field_logger
from scriptix_operator.telemetry.metric_types import WriteOutcome
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["StatusWriter"]

logger = field_logger(__name__)


@dataclass(frozen=True, slots=True)
class StatusWriter:
    """Writes decisions to the cluster.

    Args:
        installation: The namespace of this installation, which each written status names.
        on_change: Takes the resource before and after each write that has changed it.
    """

    trainings: Trainings
    config_maps: ConfigMaps
    events: Events
    store: TrainingStore
    clock: Clock
    metrics: Metrics
    installation: str
    on_change: Callable[[Training, Training], None] | None = None

    async def write(self, training: Training, status: TrainingStatus) -> Training:
        """Replace the status of `training` by `status`, and name this installation in it.

        Nothing is written if the two are equal and no other installation could take over.

        Returns:
            The resource as written.

        Raises:
            ConflictError, GoneError, KubeError: As Trainings.write_status.
        """
        status = with_server(training, status, self.installation, self.clock.now())
        with self._counting_failure():
            written = await self.trainings.write_status(training, status)
        if written is training:
            return training
        self.metrics.status_written(WriteOutcome.WRITTEN)
        if was_served_elsewhere(training, self.installation):
            logger.about(written).info("taken over from another installation")
        self._count(training, written)
        self.store.renew(written)
        if self.on_change is not None:
            self.on_change(training, written)
        events = transition_events(training.status, written.status, training.spec.backoff_limit)
        for item in events:
            level = logging.WARNING if item.is_warning else logging.INFO
            logger.about(written).log(level, "%s: %s", item.reason, item.message)
        await self.events.publish(written, events, self.clock.now())
        return written

    async def report_left_alone(self, raw: Raw, text: str) -> bool:
        """Report in the conditions and by an event, once, why a resource is skipped.

        Args:
            raw: The resource as the API server returns it.
            text: The cause.

        Returns:
            Whether the report must wait, because another installation, perhaps of a newer version,
            serves the resource.

        Raises:
            ConflictError, GoneError, KubeError: As Trainings.write_status.
        """
        key, metadata, status = key_of(raw), raw["metadata"], raw.get("status") or {}
        if metadata.get("deletionTimestamp") is not None or not isinstance(status, Mapping):
            return False
        now, version = self.clock.now(), metadata["resourceVersion"]
        if seconds_left(server_of(status), self.installation, now) is not None:
            return True
        generation = metadata.get("generation") or 0
        patch = left_alone_patch(status, generation, text, now, self.installation)
        if not patch:
            return False
        was_reported = is_reported(status, text)
        with self._counting_failure():
            await self.trainings.patch_status(key, metadata["uid"], version, patch)
        self.metrics.status_written(WriteOutcome.WRITTEN)
        if not was_reported:
            item = EventRecord(EventReason.UNREADABLE, text)
            await self.events.publish_about(Subject(key, metadata["uid"], version), item, now)
        return False

    @contextlib.contextmanager
    def _counting_failure(self) -> Iterator[None]:
        try:
            yield
        except KubeError as error:
            self.metrics.status_written(_outcome(error))
            raise

    async def reload(self, training: Training) -> Training:
        """The resource as it is now.

        Raises:
            GoneError: The resource was deleted, or deleted and re-created.
            KubeError: The API server did not return the resource.
        """
        fresh = await self.trainings.get(training.key)
        if fresh.uid != training.uid:
            raise GoneError(f"{training.key} was deleted and re-created")
        self.store.renew(fresh)
        return fresh

    async def publish(self, training: Training, status: TrainingStatus) -> None:
        """Write the result ConfigMap of a run that has succeeded.

        Raises:
            NameTaken: Another object has its name.
            KubeError: The ConfigMap could not be written.
        """
        if status.run is None:
            raise ValueError(f"{training.key} has no run to publish")
        name = result_name(training.key.name)
        data = result_data(
            model_id=training.spec.model_id,
            model=status.model,
            metrics=status.metrics,
            run_id=status.run.id,
            started_at=status.started_at,
            finished_at=status.finished_at,
        )
        await self.config_maps.put(training.owner, name, data, run_id=status.run.id)

    def _count(self, training: Training, written: Training) -> None:
        """Count what the change of status shows of the run."""
        seen, measures = run_measures(
            self.store.seen_run(training), training.status, written.status, self.clock.now()
        )
        self.store.store_seen_run(written, seen)
        self.metrics.run_measured(measures)


def _outcome(error: KubeError) -> WriteOutcome:
    match error:
        case ConflictError():
            return WriteOutcome.CONFLICT
        case GoneError():
            return WriteOutcome.GONE
        case _:
            return WriteOutcome.FAILED
