"""Kubernetes events about a training: best effort; status has each fact, too."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from scriptix_operator.api.names import API_VERSION, KIND, MANAGED_BY
from scriptix_operator.api.reasons import EventReason
from scriptix_operator.api.times import format_time
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.status.events import EventRecord
from scriptix_operator.kube.api import EVENTS, KubeApi
from scriptix_operator.kube.errors import ApiError, KubeError, translated
from scriptix_operator.log_fields import field_logger

__all__ = ["Events", "Subject"]

TIMEOUT = 10.0
IN_ORDER = tuple(EventReason)
"""`EventReason` defines the reasons in the order in which they occur in a run."""
logger = field_logger(__name__)


@dataclass(frozen=True, slots=True)
class Subject:
    """The version of a resource that an event is about."""

    key: TrainingKey
    uid: str
    resource_version: str
    run_id: str = ""


class Events:
    """Publishes events.

    Args:
        api: The cluster.
        instance: Name of this operator process, for `reportingInstance`.
    """

    def __init__(self, api: KubeApi, instance: str) -> None:
        self._api = api
        self._instance = instance

    async def publish(
        self, training: Training, events: tuple[EventRecord, ...], now: datetime
    ) -> None:
        """Publish events; one that cannot be published is logged and dropped."""
        run = training.status.run.id if training.status.run else ""
        subject = Subject(training.key, training.uid, training.resource_version, run)
        for item in events:
            await self.publish_about(subject, item, now)

    async def publish_about(self, subject: Subject, item: EventRecord, now: datetime) -> None:
        """Publish one event about a resource; only its reference is needed."""
        try:
            with translated(f"publish event {item.reason} for {subject.key}"):
                await self._publish(subject, item, now)
        except KubeError as error:
            logger.about(subject.key, run=subject.run_id).warning("%s", error)

    async def _publish(self, subject: Subject, item: EventRecord, now: datetime) -> None:
        key = subject.key
        name = f"{key.name}.{_suffix(subject, item)}"
        event = {
            "metadata": {"name": name, "namespace": key.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "namespace": key.namespace,
                "name": key.name,
                "uid": subject.uid,
                "resourceVersion": subject.resource_version,
            },
            "type": "Warning" if item.is_warning else "Normal",
            "reason": item.reason.value,
            "message": item.message,
            "count": 1,
            "firstTimestamp": format_time(now),
            "lastTimestamp": format_time(now),
            "source": {"component": MANAGED_BY, "host": self._instance},
            "reportingComponent": MANAGED_BY,
            "reportingInstance": self._instance,
        }
        try:
            await self._api.create(EVENTS.path(key.namespace), event, seconds=TIMEOUT)
        except ApiError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            await self._count_again(name, key.namespace, now)

    async def _count_again(self, name: str, namespace: str, now: datetime) -> None:
        """Count a repeated event up, as kubectl expects."""
        path = EVENTS.path(namespace, name)
        known = await self._api.get(path, seconds=TIMEOUT)
        again = {"count": (known.get("count") or 1) + 1, "lastTimestamp": format_time(now)}
        await self._api.merge(path, again, seconds=TIMEOUT)


def _suffix(subject: Subject, item: EventRecord) -> str:
    """The suffix of an event's name: a repeated event of a run counts up; each run has its own.

    Events have whole seconds, and kubectl lists those of the same second by name.
    """
    text = f"{subject.uid}\0{subject.run_id}\0{item.reason}\0{item.message}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{IN_ORDER.index(item.reason):02x}{digest[:14]}"
