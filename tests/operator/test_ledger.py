"""The start ledger at a real API server, alone and in whole operators."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from scriptix_operator.api.status import Baseline, Intent
from scriptix_operator.core.ledger.ledger import Ledger, StartCharge, StartOutcome
from scriptix_operator.core.model.training import Training
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.ledger_document import LedgerChangedError
from scriptix_operator.engine.start_ledger import StartLedger
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.kube.api import KubeApi
from scriptix_operator.kube.errors import ConflictError, RefusedError
from scriptix_operator.kube.ledger_config_map import LedgerConfigMap, LedgerUnreadableError
from scriptix_operator.telemetry.metrics import Metrics
from tests.controlplane.cluster import ControlPlane
from tests.operator.lab import API_KEY, QUIET, Lab, Operator, laboratory, phase_of
from tests.operator.logsupport import Json, Namespace, Recorder
from tests.unit.core.builders import EIGHT, KEY, a_run, a_status, a_training

NAME = "scriptix-operator-ledger"


@pytest.fixture
def store(client: KubeApi, space: Namespace) -> LedgerConfigMap:
    """Return the ledger's ConfigMap."""
    return LedgerConfigMap(client, space.name, NAME)


def intending(model_id: int = 7) -> Training:
    """A resource with an intent to start its model."""
    intent = Intent(attempt=1, at=EIGHT, key_fingerprint=KEY.fingerprint)
    run = a_run(intent=intent, baseline=Baseline(training_status=2), claimed_at=EIGHT)
    return a_training(name=f"of-{model_id}", model_id=model_id, status=a_status(run=run))


def a_process(store: LedgerConfigMap, *trainings: Training) -> StartLedger:
    """The ledger of a process that knows these resources."""
    trainings_store = TrainingStore()
    for training in trainings:
        trainings_store.put(training)
    return StartLedger(store, trainings_store, lambda: None, timedelta(hours=1), Clock(), Metrics())


def written(space: Namespace) -> Json:
    """Return the content of the ledger."""
    text: Json = json.loads(space.read(NAME)["data"]["ledger"])
    return text


# Two processes.


async def test_ledger_is_created_and_taken_over(
    space: Namespace, store: LedgerConfigMap, status_writer: Recorder
) -> None:
    first = a_process(store)
    revision = await first.document.ready()
    in_flight = await first.begin(intending(), revision)
    assert status_writer.writes == [f"POST {NAME}", f"PUT {NAME}"]
    made = space.read(NAME)
    assert made["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "scriptix-operator"}
    assert written(space)["inFlightStarts"]["7"]["serial"] == in_flight.serial
    second = a_process(store)
    await second.document.ready()
    assert second.in_flight(7) == in_flight
    assert written(space)["serial"] == in_flight.serial + 1
    assert status_writer.writes == [f"POST {NAME}", f"PUT {NAME}", f"PUT {NAME}"]


async def test_former_leader_begins_no_start_after_a_takeover(
    space: Namespace, store: LedgerConfigMap
) -> None:
    old, new = a_process(store), a_process(store)
    before = await old.document.ready()
    revision = await new.document.ready()
    with pytest.raises(LedgerChangedError):
        await old.begin(intending(), before)
    assert written(space)["inFlightStarts"] == {}
    # The old process has taken the ledger over again for this, so the new one has to do so too.
    with pytest.raises(LedgerChangedError):
        await new.begin(intending(), revision)
    in_flight = await new.begin(intending(), await new.document.ready())
    assert written(space)["inFlightStarts"]["7"]["serial"] == in_flight.serial


async def test_in_flight_start_is_resolved_after_a_concurrent_write(
    space: Namespace, store: LedgerConfigMap, status_writer: Recorder
) -> None:
    process = a_process(store)
    in_flight = await process.begin(intending(), await process.document.ready())
    touch: Json = {"metadata": {"annotations": {"touched": "yes"}}}
    status_writer.meanwhile(f"PUT {NAME}", lambda: space.patch(NAME, touch))
    await process.resolve(StartOutcome(in_flight, acted=False))
    assert written(space)["inFlightStarts"] == {}


async def test_deleted_ledger_is_rebuilt_before_the_next_start(
    space: Namespace, store: LedgerConfigMap
) -> None:
    process = a_process(store, intending(8))
    revision = await process.document.ready()
    space.delete(NAME)
    with pytest.raises(LedgerChangedError):
        await process.begin(intending(), revision)
    assert written(space)["inFlightStarts"].keys() == {"8"}
    await process.begin(intending(), await process.document.ready())
    assert written(space)["inFlightStarts"].keys() == {"7", "8"}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({}, id="no data"),
        pytest.param({"ledger": ""}, id="empty"),
        pytest.param({"ledger": "garbage"}, id="no JSON"),
        pytest.param({"ledger": '{"serial": "many"}'}, id="no number"),
        pytest.param({"ledger": '{"inFlightStarts": {"seven": {}}}'}, id="no model"),
        pytest.param({"other": "{}"}, id="another key"),
        pytest.param({"ledger": '{"serial": 5, "entries": {"garbage": {}}}'}, id="another version"),
    ],
)
async def test_unreadable_ledger_is_logged_and_overwritten(
    space: Namespace,
    store: LedgerConfigMap,
    data: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    space.make(NAME, data)
    with pytest.raises(LedgerUnreadableError):
        await store.read()
    process = a_process(store, intending(8))
    await process.document.ready()
    assert written(space)["inFlightStarts"].keys() == {"8"}
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert caplog.records[0].getMessage().startswith("the start ledger cannot be read (")
    assert "garbage" not in caplog.text


async def test_compare_and_set(space: Namespace, store: LedgerConfigMap) -> None:
    assert await store.read() is None
    first = await store.write(Ledger(serial=1), None)
    with pytest.raises(ConflictError):
        await store.write(Ledger(serial=2), None)
    second = await store.write(Ledger(serial=2), first)
    with pytest.raises(ConflictError):
        await store.write(Ledger(serial=3), first)
    assert await store.read() == (Ledger(serial=2), second)
    space.delete(NAME)
    with pytest.raises(ConflictError, match="was deleted meanwhile"):
        await store.write(Ledger(serial=3), second)
    assert await store.read() is None


@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_oversize_ledger_is_refused_and_not_retried(
    store: LedgerConfigMap,
) -> None:
    charge = StartCharge(
        serial=1, id="x" * 2**20, model_id=7, namespace="n", key_source="s", at=EIGHT
    )
    with pytest.raises(RefusedError):
        await store.write(Ledger(charges={"k": (charge,)}), None)


# Whole operators.


async def an_operator(lab: Lab) -> Operator:
    """Start an operator that leads at once and may start one training an hour."""
    return await lab.operator(limit_starts="1/1h", leader_election="false")


async def test_start_quota_survives_a_restart(lab: Lab) -> None:
    lab.model(501)
    lab.model(502)
    await lab.secret()
    first = await an_operator(lab)
    await lab.train("one", 501)
    await lab.until_phase("one", "Succeeded")
    first.kill()
    await first.ended()
    await an_operator(lab)
    await lab.train("two", 502)
    queued = await lab.until_phase("two", "Queued")
    assert queued["status"]["display"]["queue"] == "1/1"
    assert len(lab.posts()) == 1


async def test_deleted_resource_returns_no_start_quota(lab: Lab) -> None:
    """The charge is in the ledger and in no status."""
    lab.model(503)
    lab.model(504)
    await lab.secret()
    first = await an_operator(lab)
    await lab.train("gone", 503)
    await lab.until_phase("gone", "Succeeded")
    await lab.delete("gone")
    first.kill()
    await first.ended()
    await an_operator(lab)
    await lab.train("next", 504)
    await lab.until_phase("next", "Queued")
    assert len(lab.posts()) == 1


@pytest.mark.parametrize("restarted", [False, True], ids=["same process", "new process"])
async def test_replaced_key_keeps_its_start_quota_charges(
    cluster: ControlPlane,
    namespace: str,
    tmp_path: Path,
    restarted: bool,  # noqa: FBT001 - both sides
) -> None:
    new = "simulated-key-rotated"
    config = replace(QUIET, keys={API_KEY: "write", new: "write"})
    async with laboratory(cluster, namespace, tmp_path, config) as lab:
        lab.model(505)
        lab.model(506)
        await lab.secret()
        first = await an_operator(lab)
        await lab.train("one", 505)
        await lab.until_phase("one", "Succeeded")
        await lab.secret(new)
        if restarted:
            first.kill()
            await first.ended()
            await an_operator(lab)
        await lab.train("two", 506)
        await lab.until_phase("two", "Queued")
        assert len(lab.posts()) == 1


Disturb = Callable[[Lab], Awaitable[None]]


async def _delete(lab: Lab) -> None:
    path = f"/api/v1/namespaces/{lab.namespace}/configmaps/{NAME}"
    lab.control_plane.api.delete(path).raise_for_status()


async def _overwrite(lab: Lab) -> None:
    await _write(lab, "garbage")


async def _write(lab: Lab, text: str) -> None:
    lab.control_plane.api.patch(
        f"/api/v1/namespaces/{lab.namespace}/configmaps/{NAME}",
        json={"data": {"ledger": text}},
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()


@pytest.mark.parametrize("disturb", [_delete, _overwrite], ids=["deleted", "garbage"])
async def test_lost_ledger_is_rebuilt_while_the_operator_runs(lab: Lab, disturb: Disturb) -> None:
    lab.model(507)
    lab.model(508)
    await lab.secret()
    operator = await lab.operator()
    await lab.train("one", 507)
    await lab.until_phase("one", "Succeeded")
    await disturb(lab)
    await lab.train("two", 508)
    await lab.until_phase("two", "Succeeded")
    await operator.printed("the start ledger is rebuilt from the status of all resources")
    assert (lab.starts(507), lab.starts(508)) == (1, 1)
    held = await lab.config_map(NAME)
    assert held is not None
    ledger = Ledger.model_validate_json(held["data"]["ledger"])
    # The charge of the first start is rebuilt from status.
    assert {charge.model_id for group in ledger.charges.values() for charge in group} == {507, 508}
    assert phase_of(await lab.get("one")) == "Succeeded"


async def test_ledger_emptied_by_hand_during_a_start_repeats_no_start(lab: Lab) -> None:
    """A ledger that can be read, and has neither the charge nor the in-flight start."""
    lab.model(509)
    await lab.secret()
    await lab.fault("drop_after", call="run")
    operator = await lab.operator(start_grace_period="3s")
    await lab.train("unknown", 509)
    await lab.until_reason("unknown", "StartOutcomeUnknown")
    await _write(lab, '{"serial": 0}')
    done = await lab.until_phase("unknown", "Succeeded")
    assert done["status"]["run"]["ownership"] == "Unconfirmed"
    lab.model(510)
    await lab.train("next", 510)
    await lab.until_phase("next", "Succeeded")
    await operator.printed("the start ledger is read again: ")
    assert [len(lab.posts(model)) for model in (509, 510)] == [1, 1]


async def test_quota_for_config_maps_delays_the_ledger_and_all_starts(lab: Lab) -> None:
    lab.model(511)
    await lab.secret()
    quota = lab.forbid_config_maps()
    operator = await lab.operator()
    await lab.train("delayed", 511)
    await lab.until_reason("delayed", "StartLedgerNotWritable")
    assert lab.posts() == []
    assert operator.log.count("starts are disabled: ") == 1
    assert lab.control_plane.api.delete(quota).is_success
    await lab.until_phase("delayed", "Succeeded")
    assert len(lab.posts()) == 1
