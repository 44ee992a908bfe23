"""The CRD on a real API server: which resources it accepts and refuses, and the messages."""

import copy
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from scriptix_operator.api import names
from scriptix_operator.api.base import replace
from scriptix_operator.api.crd import custom_resource_definition, missing_fields
from scriptix_operator.api.status import Condition, Display, Metrics, TrainingStatus
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.errors import ControlPlaneError
from tests.operator.installation import CRD_PATH, install_crd, wait_until_served
from tests.operator.tables import cells

Document = dict[str, Any]

MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
ROOT: Document = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
STATUS: Document = ROOT["properties"]["status"]

EXPLAINED: dict[str, list[str]] = yaml.safe_load(
    Path(__file__).with_name("data").joinpath("explain.yaml").read_text()
)

BOUNDS = (
    "maxWordErrorRate",
    "maxWordErrorRateIncrease",
    "maxCharacterErrorRate",
    "minAccuracyImprovement",
)
ASTRAL = "\N{MUSICAL SYMBOL G CLEF}"
"""One character, two UTF-16 units, four bytes: shows the unit of a length."""

NARROW = ["NAME", "MODEL", "PHASE", "REASON", "PROGRESS", "STAGE", "WER", "ETA", "AGE"]
RUNNING = TrainingStatus(
    observed_generation=1,
    phase="Running",
    message="Training runs in stage MainTraining.",
    progress=45,
    stage="MainTraining",
    started_at=datetime(2025, 1, 16, 8, 5, tzinfo=UTC),
    metrics=Metrics(word_error_rate="12.5", rating="VeryGood"),
    display=Display(progress="45%", word_error_rate="12.5%", eta="01-16 16:40Z", queue="3/12"),
    conditions=(
        Condition(
            type="Succeeded",
            status="Unknown",
            reason="Training",
            message="Training runs in stage MainTraining.",
            observed_generation=1,
            last_transition_time=datetime(2025, 1, 16, 8, 5, tzinfo=UTC),
        ),
    ),
)


class Reply:
    """The API server's reply to a write."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._document: Document = response.json()

    def taken(self) -> Document:
        """Assert that the write was accepted, and return the stored object."""
        assert self._response.is_success, self._document["message"]
        return self._document

    def causes(self) -> list[tuple[str, str]]:
        """The refusals as (field, message), without the API server's "not all was checked"."""
        assert self._response.status_code == httpx.codes.UNPROCESSABLE_ENTITY, self._document
        causes = self._document["details"]["causes"]
        return [
            (cause["field"], cause["message"])
            for cause in causes
            if "some validation rules were not checked" not in cause["message"]
        ]

    def refused_at(self, field: str, message: str) -> None:
        """Assert that `field` was refused with a text that contains `message`."""
        found = self.causes()
        assert any(at == field and message in said for at, said in found), found


class Trainings:
    """The custommodeltrainings of one namespace."""

    def __init__(self, api: httpx.Client, namespace: str, group: str = names.GROUP) -> None:
        self._api = api
        self._api_version = f"{group}/{names.VERSION}"
        self._path = f"/apis/{self._api_version}/namespaces/{namespace}/{names.PLURAL}"

    def create(self, spec: object, *, name: str = "t", dry: bool = False, **more: object) -> Reply:
        """Create a resource; `more` holds other fields, such as status."""
        document = {
            "apiVersion": self._api_version,
            "kind": names.KIND,
            "metadata": {"name": name},
            "spec": spec,
            **more,
        }
        params = {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry else {})
        return Reply(self._api.post(self._path, params=params, json=document))

    def get(self, name: str = "t") -> Document:
        """Read a resource."""
        return Reply(self._api.get(f"{self._path}/{name}")).taken()

    def patch(self, patch: object, *, name: str = "t") -> Reply:
        """Merge a patch into a resource, as a user does."""
        reply = self._api.patch(f"{self._path}/{name}", headers=MERGE_PATCH, json=patch)
        return Reply(reply)

    def patch_status(
        self, status: object, *, name: str = "t", dry: bool = False, validation: str = "Strict"
    ) -> Reply:
        """Merge a patch into the status, as the operator does."""
        params = {"fieldValidation": validation} | ({"dryRun": "All"} if dry else {})
        path = f"{self._path}/{name}/status"
        reply = self._api.patch(path, params=params, headers=MERGE_PATCH, json={"status": status})
        return Reply(reply)

    def select(self, selector: str) -> list[str]:
        """List the names that a field selector matches."""
        reply = self._api.get(self._path, params={"fieldSelector": selector})
        return [item["metadata"]["name"] for item in Reply(reply).taken()["items"]]


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    install_crd(control_plane)
    return control_plane


@pytest.fixture
def trainings(cluster: ControlPlane, namespace: str) -> Trainings:
    return Trainings(cluster.api, namespace)


@pytest.fixture
def kubectl(cluster: ControlPlane, namespace: str, tmp_path: Path) -> Callable[..., str]:
    """Run kubectl in the test's namespace, with a discovery cache of its own."""

    def run(*arguments: str) -> str:
        return cluster.kubectl(f"--cache-dir={tmp_path}", f"--namespace={namespace}", *arguments)

    return run


def spec_with(path: str, value: object) -> Document:
    """Make a valid spec that has `value` at a path such as `log.maxBytes`."""
    spec: Document = {"modelId": 101}
    if path.startswith("apiKeySecretRef."):
        spec["apiKeySecretRef"] = {"name": "key"}
    *parents, last = path.split(".")
    place = spec
    for name in parents:
        place = place.setdefault(name, {})
    place[last] = value
    return spec


def at(document: Document, path: str) -> object:
    value: Any = document
    for name in path.split("."):
        value = value[name]
    return value


def test_api_server_accepts_the_crd(control_plane: ControlPlane) -> None:
    # Strict validation, the structural schema's rules and the cost estimate of the CEL rules.
    reply = install_crd(control_plane)
    assert "Warning" not in reply.headers, reply.headers["Warning"]
    conditions = control_plane.api.get(CRD_PATH).json()["status"]["conditions"]
    assert {c["type"]: c["status"] for c in conditions} == {
        "NamesAccepted": "True",
        "Established": "True",
    }


def test_api_server_returns_the_whole_crd(cluster: ControlPlane) -> None:
    assert missing_fields(cluster.api.get(CRD_PATH).json()) == []


NUMBERS = [
    ("modelId", 1, 9007199254740991),
    ("priority", -1000, 1000),
    ("pollIntervalSeconds", 1, 3600),
    ("timeoutSeconds", 60, 604800),
    ("backoffLimit", 0, 10),
    ("log.maxBytes", 65536, 16777216),
]


@pytest.mark.parametrize(
    ("path", "value"),
    [(path, value) for path, low, high in NUMBERS for value in (low, high)],
)
def test_a_number_may_be_at_its_bound(trainings: Trainings, path: str, value: int) -> None:
    spec = trainings.create(spec_with(path, value), dry=True).taken()["spec"]
    assert at(spec, path) == value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [(path, low - 1, f"greater than or equal to {low}") for path, low, _ in NUMBERS]
    + [(path, high + 1, f"less than or equal to {high}") for path, _, high in NUMBERS],
)
def test_a_number_beyond_its_bound_is_refused(
    trainings: Trainings, path: str, value: int, message: str
) -> None:
    reply = trainings.create(spec_with(path, value), dry=True)
    reply.refused_at(f"spec.{path}", message)


def test_every_bounded_number_of_the_spec_is_tried() -> None:
    bounded = {path for path, schema in _leaves(ROOT["properties"]["spec"]) if "minimum" in schema}
    assert bounded == {path for path, _, _ in NUMBERS}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        # The length counts characters, not bytes.
        pytest.param("runToken", ASTRAL * 64, id="runToken-64"),
        pytest.param("runToken", "", id="runToken-empty"),
        pytest.param("apiKeySecretRef.name", "a", id="secret-1"),
        pytest.param("apiKeySecretRef.name", "a" * 253, id="secret-253"),
        pytest.param("apiKeySecretRef.name", "0-a.b--c.9", id="secret-dots"),
        pytest.param("apiKeySecretRef.key", "k", id="key-1"),
        pytest.param("apiKeySecretRef.key", "K" * 253, id="key-253"),
        pytest.param("apiKeySecretRef.key", "api_key-2.TXT", id="key-all"),
        pytest.param("whenNotReady", "Fail", id="whenNotReady"),
        pytest.param("existingTraining", "Wait", id="existingTraining-Wait"),
        pytest.param("existingTraining", "Fail", id="existingTraining-Fail"),
        pytest.param("log.collect", "OnFailure", id="collect-OnFailure"),
        pytest.param("log.collect", "Never", id="collect-Never"),
        *(
            pytest.param(f"qualityGate.{bound}", value, id=f"{bound}-{value}")
            for bound in BOUNDS
            for value in ("0", "12.5", "999.9999")
        ),
    ],
)
def test_valid_string_is_accepted(trainings: Trainings, path: str, value: str) -> None:
    spec = trainings.create(spec_with(path, value), dry=True).taken()["spec"]
    assert at(spec, path) == value


SECRET_MESSAGE = "give the name of a Secret in the same namespace"
KEY_MESSAGE = "give the name of a key in the Secret's data"
PERCENT_MESSAGE = "write the percentage as a quoted decimal such as '12.5'"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        pytest.param("runToken", "a" * 65, "may not be more than 64", id="runToken-65"),
        pytest.param("apiKeySecretRef.name", "", "at least 1 chars", id="secret-empty"),
        pytest.param("apiKeySecretRef.name", "a" * 254, "more than 253", id="secret-254"),
        pytest.param("apiKeySecretRef.name", "sk_live_4eC39H", SECRET_MESSAGE, id="secret-a-key"),
        pytest.param("apiKeySecretRef.name", "../pods", SECRET_MESSAGE, id="secret-a-path"),
        pytest.param("apiKeySecretRef.name", "a.-b", SECRET_MESSAGE, id="secret-dash"),
        pytest.param("apiKeySecretRef.name", "a\n", SECRET_MESSAGE, id="secret-newline"),
        pytest.param("apiKeySecretRef.key", "", "at least 1 chars", id="key-empty"),
        pytest.param("apiKeySecretRef.key", "k" * 254, "more than 253", id="key-254"),
        pytest.param("apiKeySecretRef.key", "api key", KEY_MESSAGE, id="key-space"),
        pytest.param(
            "whenNotReady", "Adopt", 'supported values: "Wait", "Fail"', id="whenNotReady"
        ),
        pytest.param("existingTraining", "", '"Adopt", "Wait", "Fail"', id="existingTraining"),
        pytest.param("log.collect", "always", '"Always", "OnFailure", "Never"', id="collect"),
        *(
            pytest.param(f"qualityGate.{bound}", value, PERCENT_MESSAGE, id=f"{bound}-{value}")
            for bound in BOUNDS
            for value in ("1000", "1.", ".5", "1.23456", "-1", "+1", "15%", "1e2", "", "1,5", "1\n")
        ),
    ],
)
def test_invalid_string_is_refused(
    trainings: Trainings, path: str, value: str, message: str
) -> None:
    trainings.create(spec_with(path, value), dry=True).refused_at(f"spec.{path}", message)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({}, "spec.modelId"),
        ({"modelId": 1, "apiKeySecretRef": {}}, "spec.apiKeySecretRef.name"),
        (None, "spec"),
    ],
)
def test_missing_required_field_is_refused(trainings: Trainings, spec: object, field: str) -> None:
    trainings.create(spec, dry=True).refused_at(field, "")


@pytest.mark.parametrize("value", ["101", 1.5, 2**63, True, None])
def test_a_model_id_is_an_integer(trainings: Trainings, value: object) -> None:
    trainings.create({"modelId": value}, dry=True).refused_at("spec.modelId", "")


def test_a_name_may_have_52_characters(trainings: Trainings) -> None:
    trainings.create({"modelId": 1}, name="n" * 52, dry=True).taken()


def test_a_longer_name_is_refused_with_the_reason(trainings: Trainings) -> None:
    reply = trainings.create({"modelId": 1}, name="n" * 53, dry=True)
    assert reply.causes() == [
        (
            "metadata.name",
            (
                "Invalid value: at most 52 characters fit, because the names of its ConfigMaps "
                "append to it and a label holds it: choose a shorter name"
            ),
        )
    ]


def test_a_gate_without_a_bound_is_refused(trainings: Trainings) -> None:
    reply = trainings.create({"modelId": 1, "qualityGate": {"mode": "DryRun"}}, dry=True)
    assert reply.causes() == [
        (
            "spec.qualityGate",
            (
                "Invalid value: a quality gate without a bound lets every run through: set "
                "maxWordErrorRate, maxWordErrorRateIncrease, maxCharacterErrorRate or "
                "minAccuracyImprovement (check the spelling), or leave qualityGate out"
            ),
        )
    ]


def test_defaults_are_filled_in(trainings: Trainings) -> None:
    assert trainings.create({"modelId": 101}).taken()["spec"] == {
        "modelId": 101,
        "runToken": "",
        "suspend": False,
        "whenNotReady": "Wait",
        "existingTraining": "Adopt",
        "priority": 0,
        "pollIntervalSeconds": 60,
        "timeoutSeconds": 86400,
        "backoffLimit": 0,
        "log": {"collect": "Always", "maxBytes": 1048576},
    }


def test_the_key_of_a_named_secret_has_a_default(trainings: Trainings) -> None:
    spec = trainings.create({"modelId": 1, "apiKeySecretRef": {"name": "mine"}}).taken()["spec"]
    assert spec["apiKeySecretRef"] == {"name": "mine", "key": "api-key"}


def test_the_model_cannot_be_changed(trainings: Trainings) -> None:
    trainings.create({"modelId": 101}).taken()
    assert trainings.patch({"spec": {"modelId": 102}}).causes() == [
        (
            "spec.modelId",
            (
                "Invalid value: 102: modelId cannot be changed, because status and logs belong to "
                "one model: set it back, and create another CustomModelTraining for the other model"
            ),
        )
    ]


@pytest.mark.parametrize(
    ("patch", "field"),
    [({"spec": {"modelId": None}}, "spec.modelId"), ({"spec": None}, "spec")],
    ids=["model", "spec"],
)
def test_model_cannot_be_removed_from_the_spec(
    trainings: Trainings, patch: object, field: str
) -> None:
    trainings.create({"modelId": 101}).taken()
    trainings.patch(patch).refused_at(field, "Required value")


def test_all_fields_but_the_model_can_be_changed(trainings: Trainings) -> None:
    trainings.create({"modelId": 101, "apiKeySecretRef": {"name": "mine"}}).taken()
    changed = trainings.patch(
        {
            "spec": {
                "apiKeySecretRef": None,
                "runToken": "2",
                "suspend": True,
                "qualityGate": {"maxWordErrorRate": "15"},
                "log": {"collect": "Never"},
            }
        }
    ).taken()
    assert changed["metadata"]["generation"] == 2
    assert changed["spec"]["runToken"] == "2"
    assert "apiKeySecretRef" not in changed["spec"]
    assert changed["spec"]["log"] == {"collect": "Never", "maxBytes": 1048576}


def test_status_at_creation_is_ignored(trainings: Trainings) -> None:
    status = {"observedGeneration": 1, "phase": "Succeeded"}
    created = trainings.create({"modelId": 1}, status=status).taken()
    assert created["status"] == {"observedGeneration": -1}
    assert trainings.get()["status"] == {"observedGeneration": -1}


def test_status_in_a_write_to_the_resource_is_ignored(trainings: Trainings) -> None:
    trainings.create({"modelId": 1}).taken()
    trainings.patch({"status": {"phase": "Succeeded"}}).taken()
    assert trainings.get()["status"] == {"observedGeneration": -1}


def test_observed_generation_has_a_default(trainings: Trainings) -> None:
    trainings.create({"modelId": 1}).taken()
    trainings.patch_status({"observedGeneration": None, "phase": "Succeeded"}).taken()
    assert trainings.get()["status"] == {"observedGeneration": -1, "phase": "Succeeded"}


LISTS_OF_TIMES = {"recentCalls"}


def sample(schema: Document, name: str = "") -> Any:  # noqa: ANN401 - JSON of any type
    """Make a status with every field; time fields hold a time."""
    match schema["type"]:
        case "object":
            return {name: sample(child, name) for name, child in schema["properties"].items()}
        case "array":
            return [sample(schema["items"], "at" if name in LISTS_OF_TIMES else "")]
        case "string":
            is_time = name.endswith(("At", "Time")) or name == "at"
            return "2025-01-16T08:05:00Z" if is_time and name != "requestedAt" else "a"
        case "integer":
            return 7
        case _:
            return True


def written(status: TrainingStatus) -> Document:
    """Dump a status as the operator writes it."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def test_every_written_status_field_is_kept(trainings: Trainings) -> None:
    trainings.create({"modelId": 1}).taken()
    status = written(TrainingStatus.model_validate(sample(STATUS)))
    trainings.patch_status(status).taken()
    assert trainings.get()["status"] == status == sample(STATUS)


def _leaves(schema: Document, path: str = "") -> Iterator[tuple[str, Document]]:
    """Every string, number and boolean with its path; a list's items are `name[]`."""
    if "properties" in schema:
        for name, child in schema["properties"].items():
            yield from _leaves(child, f"{path}.{name}" if path else name)
    elif "items" in schema:
        if "properties" in schema["items"]:
            yield from _leaves(schema["items"], f"{path}[]")
        else:
            yield path, schema
    else:
        yield path, schema


def maximal(schema: Document, number: int = 0) -> Any:  # noqa: ANN401 - a JSON document of any type
    """Make the largest value that a schema of status allows; `number` keeps list items apart."""
    match schema["type"]:
        case "object":
            return {name: maximal(s, number) for name, s in schema["properties"].items()}
        case "array":
            return [maximal(schema["items"], i) for i in range(schema["maxItems"])]
        case "string":
            prefix = f"{number:02}"
            return prefix + ASTRAL * (schema["maxLength"] - len(prefix))
        case "integer":
            return 2**63 - 1
        case _:
            return True


def test_status_of_greatest_lengths_is_accepted_and_kept(trainings: Trainings) -> None:
    trainings.create({"modelId": 1}).taken()
    greatest = maximal(STATUS)
    trainings.patch_status(greatest).taken()
    assert trainings.get()["status"] == greatest
    # etcd takes 1.5 MiB; managedFields, spec and annotations need their share.
    assert len(json.dumps(greatest, ensure_ascii=False).encode()) < 2**20


def grown(schema: Document, path: str = "status") -> Iterator[tuple[str, Any]]:
    """Make statuses that have one string or list too long each, with the path that is at fault."""
    match schema["type"]:
        case "object":
            for name, child in schema["properties"].items():
                for fault, value in grown(child, f"{path}.{name}"):
                    yield fault, {name: value}
        case "array":
            yield path, [maximal(schema["items"], i) for i in range(schema["maxItems"] + 1)]
            # An item of a map list needs its key.
            keys = dict.fromkeys(schema.get("x-kubernetes-list-map-keys", ()), "A")
            for fault, value in grown(schema["items"], f"{path}[0]"):
                yield fault, [keys | value if keys else value]
        case "string":
            yield path, "x" * (schema["maxLength"] + 1)


def test_one_character_or_item_more_is_refused_everywhere(trainings: Trainings) -> None:
    trainings.create({"modelId": 1}).taken()
    tried = 0
    for path, status in grown(STATUS):
        trainings.patch_status(status, dry=True).refused_at(path, "")
        tried += 1
    strings = sum(schema["type"] == "string" for _, schema in _leaves(STATUS))
    assert tried > strings


def test_an_unknown_status_field_is_refused_when_asked_strictly(trainings: Trainings) -> None:
    trainings.create({"modelId": 1}).taken()
    reply = trainings.patch_status({"run": {"id": "r1", "mood": "good"}})
    reply.refused_at("patch", 'strict decoding error: unknown field "status.run.mood"')
    assert trainings.get()["status"] == {"observedGeneration": -1}


def test_an_older_crd_prunes_the_intent_unless_asked_strictly(
    cluster: ControlPlane, namespace: str
) -> None:
    group = "older.scriptix.io"
    older = copy.deepcopy(custom_resource_definition())
    older["metadata"]["name"] = f"{names.PLURAL}.{group}"
    older["spec"]["group"] = group
    older["spec"]["names"] |= {"shortNames": [], "categories": []}
    schema = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["status"]["properties"]["run"]["properties"]["intent"]
    collection = CRD_PATH.rpartition("/")[0]
    Reply(cluster.api.post(collection, json=older)).taken()
    try:
        wait_until_served(cluster, group)
        trainings = Trainings(cluster.api, namespace, group)
        trainings.create({"modelId": 1}).taken()
        status = {"run": {"id": "r1", "intent": {"attempt": 1}}}

        trainings.patch_status(status, validation="Warn").taken()
        assert trainings.get()["status"]["run"] == {"id": "r1"}

        reply = trainings.patch_status(status)
        reply.refused_at("patch", 'strict decoding error: unknown field "status.run.intent"')

        installed = cluster.api.get(f"{collection}/{names.PLURAL}.{group}").json()
        assert missing_fields(installed) == [".status.run.intent"]
    finally:
        cluster.api.delete(f"{collection}/{names.PLURAL}.{group}").raise_for_status()


def test_a_condition_type_stands_once(trainings: Trainings) -> None:
    trainings.create({"modelId": 1}).taken()
    reply = trainings.patch_status({"conditions": [{"type": "Ready"}, {"type": "Ready"}]})
    reply.refused_at("status.conditions[1]", "Duplicate value")


def test_fields_can_be_selected(trainings: Trainings) -> None:
    for name, model, phase in (("a", 101, "Running"), ("b", 102, "Failed"), ("c", 103, "Running")):
        trainings.create({"modelId": model}, name=name).taken()
        trainings.patch_status({"phase": phase}, name=name).taken()
    assert trainings.select("spec.modelId=102") == ["b"]
    assert trainings.select("status.phase=Running") == ["a", "c"]
    assert trainings.select("status.phase=Running,spec.modelId!=101") == ["c"]


def test_kubectl_refuses_an_unknown_field(kubectl: Callable[..., str], tmp_path: Path) -> None:
    manifest = tmp_path / "training.yaml"
    document = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": "t"},
        "spec": {"modelId": 1, "qualityGate": {"maxWER": "15"}},
    }
    manifest.write_text(yaml.safe_dump(document))
    with pytest.raises(ControlPlaneError, match=r'unknown field "spec\.qualityGate\.maxWER"'):
        kubectl("create", "--validate=strict", "-f", str(manifest))
    # Without strict validation the misspelt bound is pruned; the gate's rule refuses the rest.
    with pytest.raises(ControlPlaneError, match="a quality gate without a bound"):
        kubectl("create", "--validate=ignore", "-f", str(manifest))


@pytest.mark.parametrize("field", EXPLAINED)
def test_kubectl_explain_reads_well(kubectl: Callable[..., str], field: str) -> None:
    text = " ".join(kubectl("explain", field).split())
    for sentence in EXPLAINED[field]:
        assert sentence in text


def test_kubectl_get_shows_the_main_columns(
    trainings: Trainings, kubectl: Callable[..., str]
) -> None:
    trainings.create({"modelId": 101}, name="cardiology-en").taken()
    trainings.create({"modelId": 102}, name="fresh").taken()
    trainings.patch_status(written(RUNNING), name="cardiology-en").taken()

    header, running, fresh = kubectl("get", "cmt").splitlines()

    assert header.split() == NARROW
    shown = cells(running, header)
    assert shown.pop("AGE").endswith("s")
    assert shown == {
        "NAME": "cardiology-en",
        "MODEL": "101",
        "PHASE": "Running",
        "REASON": "Training",
        "PROGRESS": "45%",
        "STAGE": "MainTraining",
        "WER": "12.5%",
        "ETA": "01-16 16:40Z",
    }
    shown = cells(fresh, header)
    assert shown.pop("AGE").endswith("s")
    assert {name: cell for name, cell in shown.items() if cell} == {"NAME": "fresh", "MODEL": "102"}


def test_kubectl_get_wide_shows_the_other_columns(
    trainings: Trainings, kubectl: Callable[..., str]
) -> None:
    trainings.create({"modelId": 101}, name="cardiology-en").taken()
    # The API server prints a date column by the machine's clock.
    three_hours_ago = datetime.now(UTC) - timedelta(hours=3, seconds=1)  # noqa: TID251
    trainings.patch_status(
        written(replace(RUNNING, started_at=three_hours_ago)), name="cardiology-en"
    ).taken()

    header, row = kubectl("get", "custommodeltrainings", "-o", "wide").splitlines()

    assert header.split() == [*NARROW, "RATING", "QUEUE", "STARTED", "MESSAGE"]
    shown = cells(row, header)
    assert {name: shown[name] for name in ("RATING", "QUEUE", "STARTED", "MESSAGE")} == {
        "RATING": "VeryGood",
        "QUEUE": "3/12",
        "STARTED": "3h",
        "MESSAGE": "Training runs in stage MainTraining.",
    }


@pytest.mark.parametrize("word", ["cmt", "scriptix", "custommodeltraining"])
def test_kubectl_finds_short_name_category_and_singular(
    trainings: Trainings, kubectl: Callable[..., str], word: str
) -> None:
    trainings.create({"modelId": 101}, name="cardiology-en").taken()
    assert kubectl("get", word, "-o", "name").split() == [
        "custommodeltraining.scriptix.io/cardiology-en"
    ]
