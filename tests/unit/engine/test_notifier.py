"""engine/notifier.py: notifications arrive, whatever the sink does, and delay nothing else."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.status import PendingNotification
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.cloud_event import cloud_event
from scriptix_operator.core.status.notifications import LIFETIME
from scriptix_operator.engine import notifier
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.notifier import INTERVAL, RECORD_DELAY
from scriptix_operator.webhook.client import Delivery, WebhookClient
from scriptix_operator.webhook.destination import Destination
from tests.unit.core.builders import a_run, a_training, at, followed
from tests.unit.engine.notification_bench import Cluster, Process, Receiver, Reply
from tests.virtual.loop import boottime, run_virtually, wall

TRAINING = a_training()
STARTED = followed()
ENDED = followed(finished_at=at(hours=8))
DAY = LIFETIME.total_seconds()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Return a running receiver."""
    async with Receiver.serving() as receiver:
        yield receiver


async def started(receiver: Receiver, cluster: Cluster | None = None) -> Process:
    """A process that has just recorded the start of a run."""
    process = Process(cluster or Cluster(), receiver.url)
    await process.write(TRAINING, STARTED)
    return process


async def test_notification_is_delivered_once_and_then_removed(receiver: Receiver) -> None:
    process = await started(receiver)
    await process.advance()
    await process.advance(RECORD_DELAY)
    await process.advance(DAY)
    assert receiver.types == ["started"]
    assert receiver.paths == ["/hooks/hush?token=hush"]
    assert process.cluster.status(TRAINING).pending_notifications == ()
    assert process.cluster.writes == 2
    assert process.counted("delivered") == 1


async def test_next_write_of_status_removes_delivered_entries(receiver: Receiver) -> None:
    process = await started(receiver)
    await process.advance()
    known = process.cluster.trainings[TRAINING.key]
    await process.write(TRAINING, replace(known.status, progress=9))
    assert process.cluster.status(TRAINING).pending_notifications == ()
    await process.advance(RECORD_DELAY)
    assert process.cluster.writes == 2


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500),
        Reply(429),
        Reply(404),
        Reply(307, ("Location: /elsewhere",)),
        Reply(is_slow=True),
    ],
    ids=lambda reply: "slow" if reply.is_slow else str(reply.status),
)
async def test_failed_notification_is_retried_with_its_id(
    receiver: Receiver, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    process = await started(receiver)
    receiver.replies.extend([reply, reply])
    with caplog.at_level(logging.INFO):
        await process.advance()
        assert await process.advance(4.9) == 0
        await process.advance(0.2)
        assert await process.advance(9.9) == 0
        await process.advance(0.2)
    assert receiver.types == ["started"] * 3
    assert set(receiver.paths) == {"/hooks/hush?token=hush"}
    assert len(set(receiver.ids)) == 1
    assert (process.counted("failed"), process.counted("delivered")) == (2, 1)
    assert len(caplog.messages) == 2  # the first failure, and the end of the failures
    assert "hush" not in caplog.text
    assert "127.0.0.1" not in caplog.text


async def test_notification_survives_a_sink_that_is_down(receiver: Receiver) -> None:
    process = await started(receiver)
    url, process.url = process.url, "http://127.0.0.1:1/hush"
    await process.advance()
    for _ in range(20):
        await process.advance(600)
    process.url = url
    await process.advance(600)
    assert receiver.types == ["started"]


async def test_410_ends_the_attempts_of_one_notification(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    process = await started(receiver)
    receiver.replies.append(Reply(410))
    await process.advance()
    await process.write(TRAINING, replace(ENDED, pending_notifications=()))
    await process.advance(RECORD_DELAY)
    assert receiver.types == ["started", "succeeded"]
    assert process.counted("rejected") == 1
    assert "notification Started given up: the sink does not want it (HTTP 410)" in caplog.text


async def test_megabytes_of_a_reply_are_not_read(receiver: Receiver) -> None:
    process = await started(receiver)
    receiver.replies.append(Reply(200, body=b"x" * 64 * 1024 * 1024))
    await process.advance()
    assert process.counted("delivered") == 1
    assert receiver.bytes_sent < 32 * 1024 * 1024


async def test_notification_is_given_up_after_24_hours(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    process = await started(receiver)
    receiver.default = Reply(500)
    for _ in range(160):
        await process.advance(600)
    assert process.counted("expired") == 1
    assert "given up: it was not delivered within 24 h" in caplog.text
    assert process.cluster.status(TRAINING).pending_notifications == ()
    # 5 s to 320 s, then every 10 minutes.
    assert 140 <= len(receiver.ids) <= 155


async def test_next_leader_sends_the_same_notification(receiver: Receiver) -> None:
    cluster = Cluster()
    process = await started(receiver, cluster)
    receiver.replies.append(Reply(500))
    await process.advance()
    successor = Process(cluster, receiver.url)
    await successor.advance()
    await successor.advance(RECORD_DELAY)
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1
    await Process(cluster, receiver.url).advance(DAY)
    assert len(receiver.ids) == 2


async def test_deletion_drops_the_notification(receiver: Receiver) -> None:
    process = await started(receiver)
    receiver.replies.append(Reply(500))
    await process.advance()
    await process.delete(TRAINING)
    await process.advance(DAY)
    assert len(receiver.ids) == 1
    # A resource of the same name has other notifications.
    await process.write(a_training(uid="another"), STARTED)
    await process.advance(600)
    assert len(set(receiver.ids)) == 2


async def test_notifications_of_a_resource_arrive_in_order(receiver: Receiver) -> None:
    process = await started(receiver)
    receiver.replies.append(Reply(500))
    await process.advance()
    await process.write(TRAINING, replace(ENDED, pending_notifications=()))
    await process.advance(600)
    assert receiver.types == ["started", "started", "succeeded"]


async def test_old_transitions_are_not_announced(receiver: Receiver) -> None:
    """A resource that ended before notifications were on, or while they were off."""
    cluster = Cluster()
    off = Process(cluster, receiver.url)
    off.outbox.is_on = False
    await off.write(TRAINING, STARTED)
    await off.write(TRAINING, ENDED)
    on = Process(cluster, receiver.url)
    await on.advance(DAY)
    assert receiver.ids == []
    rerun = followed(run=a_run(id="run-2", ownership="Owned"))
    await on.write(TRAINING, rerun)
    await on.advance()
    assert receiver.types == ["started"]


async def test_resource_of_another_installation_is_not_announced(receiver: Receiver) -> None:
    cluster = Cluster()
    await started(receiver, cluster)
    other = Process(cluster, receiver.url)
    other.notifier.installation = "elsewhere"
    await other.advance(600)
    assert receiver.ids == []


async def test_outbox_is_written_only_between_reconciles(receiver: Receiver) -> None:
    process = await started(receiver)
    await process.advance()
    async with process.locks.of(TRAINING.key):
        recording = asyncio.create_task(process.advance(RECORD_DELAY))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert process.cluster.writes == 1
    await recording
    assert process.cluster.writes == 2


class VirtualSink(WebhookClient):
    """A sink in virtual time that is down for a while, and then takes some seconds to reply."""

    def __init__(self, *, down_for: float = 0.0, seconds: float = 0.0) -> None:
        self.down_for, self.seconds = down_for, seconds
        self.times: list[float] = []
        self.types: list[str] = []

    async def __aexit__(self, *args: object) -> None:
        """Do nothing."""

    async def post(
        self, to: Destination, message_id: str, timestamp: int, body: bytes, content_type: str
    ) -> Delivery:
        """Record the time of the attempt."""
        del to, message_id, timestamp, content_type
        now = asyncio.get_running_loop().time()
        self.times.append(now)
        self.types.append(json.loads(body)["type"].split(".")[-2])
        await asyncio.sleep(self.seconds)
        return Delivery(is_delivered=now >= self.down_for, cause="HTTP 500")


def test_thousands_of_notifications_are_paced_after_an_outage() -> None:
    sink = VirtualSink(down_for=3600.0)

    async def main() -> None:
        cluster = Cluster()
        process = Process(cluster, "https://x", Clock(wall, boottime), sink)
        for number in range(2000):
            await process.write(a_training(name=f"t{number}"), STARTED)
        running = asyncio.create_task(process.notifier.run())
        await asyncio.sleep(3 * 3600)
        running.cancel()
        await asyncio.wait({running})
        assert process.counted("delivered") == 2000

    run_virtually(main)
    pauses = [after - before for before, after in zip(sink.times, sink.times[1:], strict=False)]
    assert min(pauses) >= INTERVAL - 0.001
    assert len([at for at in sink.times if at < sink.down_for]) < 100


def test_transition_during_a_delivery_waits_for_its_end() -> None:
    sink = VirtualSink(seconds=5.0)

    async def main() -> None:
        process = Process(Cluster(), "https://x", Clock(wall, boottime), sink)
        await process.write(TRAINING, STARTED)
        running = asyncio.create_task(process.notifier.run())
        await asyncio.sleep(1.0)
        await process.write(TRAINING, replace(ENDED, pending_notifications=()))
        await asyncio.sleep(60.0)
        running.cancel()
        await asyncio.wait({running})

    run_virtually(main)
    assert sink.types == ["started", "succeeded"]
    assert sink.times[1] >= 5.0


async def test_bug_with_one_resource_does_not_stop_the_others(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(training: Training, entry: PendingNotification) -> bytes:
        if training.key.name == "broken":
            raise RuntimeError("a bug")
        return cloud_event(training, entry)

    monkeypatch.setattr(notifier, "cloud_event", broken)
    process = Process(Cluster(), receiver.url, Clock())
    await process.write(a_training(name="broken", model_id=8), STARTED)
    await process.write(TRAINING, STARTED)
    running = asyncio.create_task(process.notifier.run())
    async with asyncio.timeout(5):
        while not receiver.ids:  # noqa: ASYNC110 - the receiver is no condition
            await asyncio.sleep(0.01)
    assert not running.done()
    running.cancel()
    await asyncio.wait({running})
    assert receiver.events[0]["subject"] == "team-a/cardiology"
