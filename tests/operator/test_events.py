"""kube/events.py against a real API server, as kubectl lists them."""

from dataclasses import replace
from datetime import UTC, datetime

from scriptix_operator.api.reasons import EventReason
from scriptix_operator.core.status.events import EventRecord
from scriptix_operator.kube.api import KubeApi
from scriptix_operator.kube.events import Events
from tests.controlplane.cluster import ControlPlane
from tests.unit.core.builders import a_training

NOON = datetime(2025, 1, 16, 12, 0, tzinfo=UTC)
REASONS = (
    EventReason.WAITING_FOR_MODEL,
    EventReason.TRAINING_QUEUED,
    EventReason.TRAINING_STARTED,
    EventReason.STAGE_CHANGED,
    EventReason.TRAINING_SUCCEEDED,
)


async def test_events_of_one_second_are_listed_in_their_order(
    cluster: ControlPlane, namespace: str, client: KubeApi
) -> None:
    training = a_training()
    training = replace(training, key=replace(training.key, namespace=namespace))
    records = tuple(EventRecord(reason, f"{reason}.") for reason in REASONS)
    await Events(client, "operator-0").publish(training, records, NOON)
    table = cluster.kubectl("-n", namespace, "events")
    assert [line.split()[2] for line in table.splitlines()[1:]] == list(REASONS)
