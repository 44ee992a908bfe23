"""Hostile manifests: the real API server refuses them or the operator can read them.

Any user who may edit a training writes spec; a user who may write status can write any value there.
Neither may stop the operator, and the operator must not change a resource that it cannot read.
"""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.api.crd import custom_resource_definition
from scriptix_operator.api.names import API_VERSION, GROUP, KIND, PLURAL, VERSION
from scriptix_operator.core.model.training import Training
from scriptix_operator.kube.trainings import UnreadableError, dump_status, parse_training
from tests.controlplane.cluster import ControlPlane
from tests.fuzz.effort import CALLS

Schema = dict[str, Any]

ROOT = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
SPEC, STATUS = ROOT["properties"]["spec"], ROOT["properties"]["status"]

_odd: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.sampled_from(["x" * 5000, "12.5", "1e3", "2025-01-16T08:00:00Z", "9999-99-99T99:99:99Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


def fitting(schema: Schema) -> st.SearchStrategy[Any]:
    """Values that a schema accepts, apart from CEL rules and patterns, and odd values."""
    return st.one_of(_fitting(schema), _fitting(schema), _fitting(schema), _odd)


def _fitting(schema: Schema) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "object":
            fields = {name: fitting(one) for name, one in schema.get("properties", {}).items()}
            return st.fixed_dictionaries({}, optional=fields)
        case "array":
            return st.lists(fitting(schema["items"]), max_size=3)
        case "string" if schema.get("format") == "date-time":
            return st.datetimes().map(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}")
        case "string":
            longest = "x" * schema["maxLength"]
            edges = st.sampled_from([longest, longest + "x", "12.5", "15"])
            return edges | edges | st.text(max_size=schema["maxLength"] + 1)
        case "integer":
            low, high = schema.get("minimum", -(2**31)), schema.get("maximum", 2**31)
            edges = st.sampled_from([low - 1, low, high, high + 1])
            return edges | edges | st.integers(low, high)
        case _:
            return st.booleans()


_one_field = st.one_of(
    [st.fixed_dictionaries({name: fitting(schema)}) for name, schema in SPEC["properties"].items()]
)
_almost = st.builds(
    lambda model, other: {"modelId": model, **other}, st.integers(1, 2**53 - 1), _one_field
)
SPECS = _almost | _almost | _almost | fitting(SPEC)
"""Among many odd fields one is always refused; a single odd field may be accepted."""


def manifest(spec: object) -> dict[str, Any]:
    """A resource as a user may write it."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "hostile"},
        "spec": spec,
    }


METADATA = {
    "namespace": "team",
    "name": "hostile",
    "uid": "0001",
    "generation": 1,
    "resourceVersion": "1",
    "creationTimestamp": "2025-01-16T08:00:00Z",
}


@CALLS
@given(spec=SPECS, status=fitting(STATUS), annotation=st.text(max_size=400))
def test_readable_resource_can_be_written_back(
    spec: object, status: object, annotation: str
) -> None:
    metadata = {**METADATA, "annotations": {"scriptix.io/requested-at": annotation}}
    try:
        training = parse_training({"metadata": metadata, "spec": spec, "status": status})
    except UnreadableError:
        return
    assert isinstance(training, Training)
    json.dumps(dump_status(training.status))


PATH = f"/apis/{GROUP}/{VERSION}/namespaces/default/{PLURAL}"
MERGE = "application/merge-patch+json"


def tried(
    write: Callable[..., httpx.Response],
    path: str,
    body: object,
    kind: str,
    *leave_alone: type[Exception],
) -> bool:
    """Write in a dry run; return whether it was accepted, and then read by the operator."""
    reply = write(
        path,
        params={"dryRun": "All"},
        content=json.dumps(body).encode(),
        headers={"Content-Type": kind},
    )
    if reply.is_success:
        document = reply.json()
        document["metadata"].setdefault("resourceVersion", "1")  # a dry run returns none
        with contextlib.suppress(*leave_alone):
            parse_training(document)
    # A refusal is a client error, never a server error.
    assert reply.is_success or reply.is_client_error, reply.text
    return reply.is_success


def test_operator_reads_every_spec_that_the_api_server_accepts(cluster: ControlPlane) -> None:
    taken = []

    @CALLS
    @given(spec=SPECS)
    def try_it(spec: object) -> None:
        taken.append(tried(cluster.api.post, PATH, manifest(spec), "application/json"))

    try_it()
    assert {True, False} == set(taken)


def test_every_accepted_status_is_read_or_not_changed(cluster: ControlPlane) -> None:
    cluster.api.post(PATH, json=manifest({"modelId": 7})).raise_for_status()
    path = f"{PATH}/hostile/status"
    taken = []

    @CALLS
    @given(status=fitting(STATUS))
    def try_it(status: object) -> None:
        body = {"status": status}
        taken.append(tried(cluster.api.patch, path, body, MERGE, UnreadableError))

    try:
        try_it()
    finally:
        cluster.api.delete(f"{PATH}/hostile").raise_for_status()
    assert {True, False} == set(taken)
