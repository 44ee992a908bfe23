"""kube/parsing.py, status_patch: the fields that are read of a resource, and written back."""

import json
from typing import Any

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.spec import UNREADABLE_GATE
from scriptix_operator.core.model.training import Training
from scriptix_operator.kube.parsing import UnreadableError, parse_training
from scriptix_operator.kube.trainings import dump_status, status_patch
from tests.unit.core.builders import EIGHT, at, followed

RUN = {"run": {"id": "run-1", "ownership": "Owned"}}
CONDITION = {"type": "Succeeded", "status": "Unknown"}
FOREIGN = {"type": "example.com/Billed", "lastTransitionTime": "16.01.2025", "invoice": {"no": 17}}


def a_raw(spec: object = None, status: object = None, **metadata: object) -> dict[str, Any]:
    """A resource as the API server gives it."""
    given = {
        "namespace": "team-a",
        "name": "t",
        "uid": "u",
        "generation": 1,
        "resourceVersion": "1",
        "creationTimestamp": "2025-01-16T08:00:00Z",
    }
    spec = {"modelId": 7, **spec} if isinstance(spec, dict) else spec or {"modelId": 7}
    return {"metadata": {**given, **metadata}, "spec": spec, "status": status}


def parsed(spec: object = None, status: object = None, **metadata: object) -> Training:
    return parse_training(a_raw(spec, status, **metadata))


def paths(training: Training) -> list[str]:
    return [found.path for found in training.unreadable]


@pytest.mark.parametrize(
    ("spec", "status", "path"),
    [
        ({"existingTraining": "Ask"}, None, "spec.existingTraining"),
        ({"log": {"collect": "Sometimes"}}, None, "spec.log.collect"),
        ({"timeoutSeconds": 10**7}, None, "spec.timeoutSeconds"),
        (
            {"qualityGate": {"maxWordErrorRate": "5", "maxNew": "1"}},
            None,
            "spec.qualityGate.maxNew",
        ),
        ({"qualityGate": {}}, None, "spec.qualityGate"),
        ({"qualityGate": {"mode": "DryRun"}}, None, "spec.qualityGate"),
        ({"qualityGate": {"mode": "Warn"}}, None, "spec.qualityGate.mode"),
        (None, {"progress": "45%"}, "status.progress"),
        (None, {"model": {"trainingStatus": {}}}, "status.model.trainingStatus"),
        (None, {"history": [{}, {"finishedAt": "soon"}]}, "status.history[1].finishedAt"),
        (None, {"usedRequests": "all"}, "status.usedRequests"),
    ],
)
def test_other_fields_are_read_beside_an_unreadable_one(
    spec: object, status: dict[str, Any] | None, path: str
) -> None:
    training = parsed(spec, {**RUN, **(status or {})})
    assert paths(training) == [path]
    assert training.spec.model_id == 7
    assert training.status.run is not None
    assert training.cannot_read(training.unreadable[0].top)
    assert (training.spec.quality_gate == UNREADABLE_GATE) == ("qualityGate" in path)


@pytest.mark.parametrize(
    ("spec", "status", "path"),
    [
        ("text", None, "spec"),
        ({"modelId": "seven"}, None, "spec.modelId"),
        ({"apiKeySecretRef": {"vault": "x"}}, None, "spec.apiKeySecretRef.name"),
        ({"suspend": "Soon"}, None, "spec.suspend"),
        (None, ["run"], "status"),
        (None, {"run": {}}, "status.run.id"),
        (None, {"run": {"id": "r", "intent": {"attempt": "x"}}}, "status.run.intent.attempt"),
        (None, {"finishedAt": "soon"}, "status.finishedAt"),
        (None, {"failure": "bad"}, "status.failure"),
        (None, {"metrics": {"wordErrorRate": 12.5}}, "status.metrics.wordErrorRate"),
    ],
)
def test_resource_without_an_essential_field_is_not_read(
    spec: object, status: object, path: str
) -> None:
    with pytest.raises(UnreadableError, match="team-a/t: ") as caught:
        parsed(spec, status)
    assert path in {found.path for found in caught.value.fields}
    assert f" cannot read {path} (" in caught.value.text


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({"conditions": [{"type": "Stalled"}]}, id="what Kubernetes calls optional"),
        pytest.param({"conditions": [{**CONDITION, "lastTransitionTime": 1}]}, id="a derived part"),
        pytest.param({"message": {}, "phase": 7, "display": {"eta": 5}}, id="derived fields"),
        pytest.param({"history": None, "queue": {"position": None}}, id="null, which is absent"),
        pytest.param({"failure": {"reason": "Unknown"}}, id="texts that were empty"),
        pytest.param({"stage": "x" * 5000}, id="a longer text than this version writes"),
        pytest.param({"history": [{"id": "r"}] * 20}, id="more items than this version writes"),
        pytest.param({"history": [{"id": "r", "invoice": 17}], "cost": 1}, id="unknown fields"),
    ],
)
def test_status_of_another_version_is_read(status: dict[str, Any]) -> None:
    assert paths(parsed(None, {**RUN, **status})) == []


def test_optional_metadata_may_be_absent() -> None:
    raw = a_raw(annotations=None, managedFields=None, ownerReferences=[{"uid": "x"}])
    del raw["metadata"]["generation"]
    assert parse_training(raw).generation == 0


def test_unreadable_field_is_never_written() -> None:
    status = dump_status(followed(progress=45, stage="MainTraining"))
    training = parsed(None, {**status, "progress": "45%", "queue": "first"})
    assert paths(training) == ["status.progress", "status.queue"]
    ended = replace(training.status, progress=100, stage="FinalEvaluation", finished_at=at(hours=8))
    expected = {"stage": "FinalEvaluation", "finishedAt": "2025-01-16T16:00:00Z"}
    assert status_patch(training, ended) == expected


def test_list_items_of_other_writers_are_kept() -> None:
    own = {**CONDITION, "lastTransitionTime": "2025-01-16T08:00:00Z", "cost": 5}
    past = {"id": "run-0", "cost": {"eur": 1}, "metrics": {"wordErrorRate": "5", "new": "1"}}
    training = parsed(None, {"conditions": [FOREIGN, own], "history": [past], **RUN})
    assert training.foreign_conditions == (FOREIGN,)
    [condition], [entry] = training.status.conditions, training.status.history
    new = replace(
        training.status,
        conditions=(replace(condition, status="True"),),
        history=(replace(entry, id="run-1"), entry),
    )
    patch = status_patch(training, new)
    assert patch["conditions"][1:] == [FOREIGN]
    assert own | {"status": "True"} == {key: patch["conditions"][0][key] for key in own}
    assert [one["cost"] for one in patch["history"]] == [{"eur": 1}] * 2
    assert patch["history"][1]["metrics"] == past["metrics"]
    assert status_patch(training, replace(training.status, started_at=EIGHT)) == {
        "startedAt": "2025-01-16T08:00:00Z"
    }


def test_conditions_of_others_never_exceed_the_bound_of_the_list() -> None:
    foreign = [{**FOREIGN, "type": f"example.com/{n}"} for n in range(16)]
    training = parsed(None, {"conditions": foreign})
    own = parsed(None, {"conditions": [CONDITION]}).status.conditions
    patch = status_patch(training, replace(training.status, conditions=own))
    assert [one["type"] for one in patch["conditions"]] == [
        "Succeeded",
        *(one["type"] for one in foreign[:-1]),
    ]


def test_equal_parts_of_resources_are_shared() -> None:
    text = json.dumps({"message": "M", "conditions": [{**CONDITION, "message": "M"}]})
    first, second = (parsed(status=json.loads(text)).status for _ in range(2))
    assert first.message is second.conditions[0].message
    names = first.__pydantic_fields_set__
    assert names is second.__pydantic_fields_set__
    assert replace(first, progress=5).__pydantic_fields_set__ == {*names, "progress"}
    assert names == {"message", "conditions"}
