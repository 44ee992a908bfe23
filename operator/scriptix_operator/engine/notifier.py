"""Sends what the outboxes hold, beside all reconciles, and removes it from status afterwards."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NoReturn

from scriptix_operator.api.status import PendingNotification
from scriptix_operator.core.cluster.served_by import was_served_elsewhere
from scriptix_operator.core.model.backoff import backoff
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.status.cloud_event import CONTENT_TYPE, cloud_event
from scriptix_operator.core.status.notifications import is_expired, notification_id
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.outbox import Outbox
from scriptix_operator.engine.resource_locks import ResourceLocks
from scriptix_operator.engine.status_writer import StatusWriter
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.kube.errors import KubeError
from scriptix_operator.kube.notification_secret import SecretUnusableError
from scriptix_operator.kube.parsing import UnreadableError
from scriptix_operator.log_fields import field_logger
from scriptix_operator.telemetry.metric_types import NotificationResult
from scriptix_operator.telemetry.metrics import Metrics
from scriptix_operator.webhook.client import Delivery, WebhookClient
from scriptix_operator.webhook.destination import Destination

__all__ = ["Notifier"]

PARALLEL = 4
"""Notifications sent at once: a slow sink delays others, but no reconcile."""
INTERVAL = 0.1
"""Seconds between two attempts, at least: after an outage thousands are due."""
MAX_PAUSE = 60.0
"""Seconds between two attempts of any notification while all attempts fail; doubles from 1 s."""
FIRST_RETRY, MAX_RETRY = 5.0, 600.0
"""Seconds before a notification is sent again; doubles."""
RECORD_DELAY = 30.0
"""Seconds for which a write of status for another purpose may remove delivered entries, before they
are removed by a write of their own."""
PATIENCE = 60.0

logger = field_logger(__name__)


@dataclass(slots=True)
class Notifier:
    """Sends notifications to one sink, those of one resource in order.

    Args:
        destination: Reads the Secret: the sink, and the keys.
        locks: Exclude the write of an outbox and a reconcile of the resource.
        installation: This installation, by its namespace.
        jitter: Random, from 0 to 1.
    """

    outbox: Outbox
    store: TrainingStore
    status_writer: StatusWriter
    destination: Callable[[], Awaitable[Destination]]
    client: WebhookClient
    locks: ResourceLocks
    clock: Clock
    jitter: Callable[[], float]
    metrics: Metrics
    installation: str
    _sending: ResourceLocks = field(default_factory=ResourceLocks)
    _failed: dict[TrainingKey, int] = field(default_factory=dict)
    """Attempts in a row that failed, by resource."""
    _failed_in_a_row: int = 0
    """Attempts in a row that failed, of all resources."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one that waits for its turn to make an attempt."""
    _attempted_at: float = -math.inf
    """When the last attempt began, in monotonic seconds."""

    async def run(self) -> NoReturn:
        """Send until cancelled."""
        async with self.client, asyncio.TaskGroup() as tasks:
            for _ in range(PARALLEL):
                tasks.create_task(self._send_forever())
        raise RuntimeError("the notifier has ended")

    async def _send_forever(self) -> NoReturn:
        while True:
            due = await self.outbox.due.next(PATIENCE)
            if due is None:
                continue
            try:
                await self.handle(due[0])
            except Exception:
                # A bug with one resource must not stop the others.
                log = logger.about(due[0])
                log.exception("notification failed, will retry")
                self._retry(due[0])

    async def handle(self, key: TrainingKey) -> None:
        """Send the next notification of a resource, or remove what was sent from its status."""
        # A transition while another one is being sent makes the resource due again.
        async with self._sending.of(key):
            await self._handle(key)

    async def _handle(self, key: TrainingKey) -> None:
        training = self.store.get(key)
        if training is None or was_served_elsewhere(training, self.installation):
            self._forget(key)
            return
        entry = self.outbox.next_entry(training)
        if entry is None:
            await self._record(training)
        elif is_expired(entry, self.clock.now()):
            text = "notification %s given up: it was not delivered within 24 h"
            logger.about(training).warning(text, entry.type)
            self._done(training, entry, NotificationResult.EXPIRED)
        else:
            await self._wait_for_turn()
            await self._send(training, entry)

    async def _wait_for_turn(self) -> None:
        """Space the attempts; those that wait here keep their order."""
        async with self._turn:
            failed = self._failed_in_a_row
            pause = backoff(1.0, failed - 1, MAX_PAUSE) if failed else INTERVAL
            await asyncio.sleep(self._attempted_at + pause - self.clock.monotonic())
            self._attempted_at = self.clock.monotonic()

    async def _send(self, training: Training, entry: PendingNotification) -> None:
        current = self.store.get(training.key)
        if current is None or current.uid != training.uid:  # deleted while the attempt has waited
            self.outbox.due.set(training.key, 0.0)
            return
        delivery = await self._deliver(training, entry)
        if delivery.is_delivered:
            self._report_working()
            logger.about(training).debug("notification %s delivered", entry.type)
            self._done(training, entry, NotificationResult.DELIVERED)
        elif delivery.is_gone:
            self._report_working()
            text = "notification %s given up: the sink does not want it (HTTP 410)"
            logger.about(training).warning(text, entry.type)
            self._done(training, entry, NotificationResult.REJECTED)
        else:
            self._failed_in_a_row += 1
            level = logging.WARNING if self._failed_in_a_row == 1 else logging.DEBUG
            text = "notification %s not delivered, will retry: %s"
            logger.about(training).log(level, text, entry.type, delivery.cause)
            self.metrics.notification(NotificationResult.FAILED)
            self._retry(training.key)

    async def _deliver(self, training: Training, entry: PendingNotification) -> Delivery:
        try:
            to = await self.destination()
        except (SecretUnusableError, KubeError) as error:
            return Delivery(cause=str(error))
        timestamp = int(self.clock.now().timestamp())
        body = cloud_event(training, entry)
        message_id = notification_id(training.uid, entry)
        return await self.client.post(to, message_id, timestamp, body, CONTENT_TYPE)

    def _report_working(self) -> None:
        if self._failed_in_a_row:
            logger.info("notifications are delivered again")
        self._failed_in_a_row = 0

    def _done(
        self, training: Training, entry: PendingNotification, result: NotificationResult
    ) -> None:
        """Go on to the next entry of the resource, and to the removal of all at the end."""
        self.metrics.notification(result)
        self.outbox.handle(training, entry)
        self._failed.pop(training.key, None)
        current = self.store.get(training.key)
        has_more = current is not None and self.outbox.next_entry(current) is not None
        self.outbox.due.set(training.key, 0.0 if has_more else RECORD_DELAY)

    def _retry(self, key: TrainingKey) -> None:
        failed = self._failed[key] = self._failed.get(key, 0) + 1
        seconds = backoff(FIRST_RETRY, failed - 1, MAX_RETRY)
        self.outbox.due.set(key, seconds * (0.75 + 0.5 * self.jitter()))

    async def _record(self, training: Training) -> None:
        """Remove the handled entries from status, unless a reconcile has done so meanwhile."""
        async with self.locks.of(training.key):
            current = self.store.get(training.key)
            if current is None or not current.status.pending_notifications:
                self._forget(training.key)
                return
            try:
                await self.status_writer.write(current, current.status)
                self._failed.pop(training.key, None)
            except (KubeError, UnreadableError) as error:
                logger.about(current).debug("outbox not yet updated: %s", error)
                self._retry(training.key)

    def _forget(self, key: TrainingKey) -> None:
        self._failed.pop(key, None)
        self.outbox.forget(key)
