"""Kubernetes events about a training: best effort; status has each fact, too."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from kubernetes.aio.client import (
    ApiClient,
    ApiException,
    CoreV1Api,
    CoreV1Event,
    V1EventSource,
    V1ObjectMeta,
    V1ObjectReference,
)

from scriptix_operator.api.names import API_VERSION, KIND, MANAGED_BY
from scriptix_operator.api.reasons import EventReason
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.status.events import EventRecord
from scriptix_operator.kube.errors import KubeError, translated
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

    def __init__(self, api: ApiClient, instance: str) -> None:
        self._core = CoreV1Api(api)
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
        event = CoreV1Event(
            metadata=V1ObjectMeta(name=name, namespace=key.namespace),
            involved_object=V1ObjectReference(
                api_version=API_VERSION,
                kind=KIND,
                namespace=key.namespace,
                name=key.name,
                uid=subject.uid,
                resource_version=subject.resource_version,
            ),
            type="Warning" if item.warning else "Normal",
            reason=item.reason.value,
            message=item.message,
            count=1,
            first_timestamp=now,
            last_timestamp=now,
            source=V1EventSource(component=MANAGED_BY, host=self._instance),
            reporting_component=MANAGED_BY,
            reporting_instance=self._instance,
        )
        try:
            await self._core.create_namespaced_event(key.namespace, event, _request_timeout=TIMEOUT)
        except ApiException as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            await self._count_again(name, key.namespace, now)

    async def _count_again(self, name: str, namespace: str, now: datetime) -> None:
        """Count a repeated event up, as kubectl expects."""
        known = await self._core.read_namespaced_event(name, namespace, _request_timeout=TIMEOUT)
        await self._core.patch_namespaced_event(
            name,
            namespace,
            {"count": (known.count or 1) + 1, "lastTimestamp": now.isoformat()},
            _content_type="application/merge-patch+json",
            _request_timeout=TIMEOUT,
        )


def _suffix(subject: Subject, item: EventRecord) -> str:
    """The suffix of an event's name: a repeated event of a run counts up; each run has its own.

    Events have whole seconds, and kubectl lists those of the same second by name.
    """
    text = f"{subject.uid}\0{subject.run_id}\0{item.reason}\0{item.message}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{IN_ORDER.index(item.reason):02x}{digest[:14]}"
