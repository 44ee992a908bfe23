"""kube/secrets.py against a real API server: which key a training uses, or that it has none."""

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from scriptix_operator.api.base import replace
from scriptix_operator.api.names import DEFAULT_SECRET
from scriptix_operator.api.reasons import Ownership
from scriptix_operator.api.spec import ApiKeySecretRef, TrainingSpec
from scriptix_operator.api.status import Run, TrainingStatus
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.kube.api import KubeApi
from scriptix_operator.kube.connection import configure, connect
from scriptix_operator.kube.secrets import DefaultKey, Keys, KeyUnavailableError
from tests.controlplane.cluster import ControlPlane

OWN_KEY, DEFAULT_KEY = "key-of-the-team", "key-of-the-operator"


class Space:
    """A tenant's namespace, and the operator's."""

    def __init__(self, control_plane: ControlPlane, namespace: str) -> None:
        self._control_plane = control_plane
        self.tenant = namespace
        self.system = f"{namespace}-op"
        self._post("namespaces", {"metadata": {"name": self.system}})

    def secret(self, namespace: str, value: str) -> None:
        """Put a key into the Secret of the default name."""
        data = {"api-key": base64.b64encode(value.encode()).decode()}
        path = f"namespaces/{namespace}/secrets"
        self._post(path, {"metadata": {"name": DEFAULT_SECRET}, "data": data})

    def token(self) -> str:
        """A token that may read Secrets in the operator's namespace only."""
        kubectl = self._control_plane.kubectl
        kubectl("-n", self.system, "create", "serviceaccount", "operator")
        kubectl("-n", self.system, "create", "role", "keys", "--verb=get", "--resource=secrets")
        account = f"--serviceaccount={self.system}:operator"
        kubectl("-n", self.system, "create", "rolebinding", "keys", "--role=keys", account)
        return kubectl("-n", self.system, "create", "token", "operator").strip()

    def _post(self, path: str, body: dict[str, object]) -> None:
        self._control_plane.api.post(f"/api/v1/{path}", json=body).raise_for_status()

    def training(self, *, begun_in: str = "", secret: str = "") -> Training:
        """A resource in the tenant's namespace.

        Args:
            begun_in: The namespace whose Secret its run began with; empty: no run.
            secret: The Secret that spec names, if any.
        """
        source = f"Secret/{begun_in}/{DEFAULT_SECRET}/api-key"
        run = Run(id="run-1", ownership=Ownership.OWNED, key_source=source)
        ref = ApiKeySecretRef(name=secret) if secret else None
        return Training(
            key=TrainingKey(self.tenant, "cardiology"),
            uid="uid",
            generation=1,
            resource_version="1",
            created_at=datetime(2025, 1, 16, tzinfo=UTC),
            requested_at="",
            spec=TrainingSpec(model_id=7, api_key_secret_ref=ref),
            status=TrainingStatus(run=run) if begun_in else TrainingStatus(),
        )

    def keys(self, client: KubeApi) -> Keys:
        """The object under test; every namespace may use the operator's own key."""
        default = DefaultKey(self.system, DEFAULT_SECRET, lambda _: True)
        return Keys(client, default, ttl=60.0, clock=lambda: 0.0, hide=lambda _: None)


@pytest.fixture
def space(cluster: ControlPlane, namespace: str) -> Space:
    """Return the two namespaces; the operator's has a key."""
    made = Space(cluster, namespace)
    made.secret(made.system, DEFAULT_KEY)
    return made


@pytest.fixture
async def confined(cluster: ControlPlane, space: Space, tmp_path: Path) -> AsyncIterator[KubeApi]:
    """Connect as an operator that may not read the tenant's Secrets."""
    document = yaml.safe_load(cluster.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": space.token()}
    path = tmp_path / "confined.kubeconfig"
    path.write_text(yaml.safe_dump(document))
    async with connect(await configure({"KUBECONFIG": str(path)})) as connected:
        yield connected


async def test_key_of_the_namespace_precedes_the_operators_key(
    space: Space, client: KubeApi
) -> None:
    space.secret(space.tenant, OWN_KEY)
    key = await space.keys(client).resolve(space.training())
    assert (key.value, key.source) == (
        OWN_KEY,
        f"Secret/{space.tenant}/{DEFAULT_SECRET}/api-key",
    )


async def test_a_namespace_without_a_secret_uses_the_operators_key(
    space: Space, client: KubeApi
) -> None:
    assert (await space.keys(client).resolve(space.training())).value == DEFAULT_KEY


async def test_forbidden_secret_is_never_replaced_by_the_operators_key(
    space: Space, confined: KubeApi
) -> None:
    """The Secret may exist; then the wrong account would pay for the run."""
    space.secret(space.tenant, OWN_KEY)
    with pytest.raises(KeyUnavailableError, match="may not read Secret") as caught:
        await space.keys(confined).resolve(space.training())
    assert caught.value.failure.reason == "SecretNotFound"
    assert "verb get" in caught.value.failure.solution
    assert "Create" not in caught.value.failure.solution


async def test_run_begun_with_the_operators_key_continues_with_it(
    space: Space, client: KubeApi
) -> None:
    space.secret(space.tenant, OWN_KEY)  # created during the run
    training = space.training(begun_in=space.system)
    assert (await space.keys(client).resolve(training)).value == DEFAULT_KEY
    ended = training.with_status(replace(training.status, finished_at=training.created_at))
    assert (await space.keys(client).resolve(ended)).value == OWN_KEY


async def test_run_begun_with_its_own_key_never_falls_back(space: Space, client: KubeApi) -> None:
    training = space.training(begun_in=space.tenant)  # the Secret was deleted during the run
    with pytest.raises(KeyUnavailableError, match="is not in namespace") as caught:
        await space.keys(client).resolve(training)
    assert caught.value.failure.reason == "SecretNotFound"


@pytest.mark.parametrize("begun_in", ["tenant", "system"])
async def test_edit_changes_the_key_source_of_a_run(
    space: Space, client: KubeApi, begun_in: str
) -> None:
    space.secret(space.tenant, OWN_KEY)
    training = space.training(begun_in=getattr(space, begun_in), secret=DEFAULT_SECRET)
    assert (await space.keys(client).resolve(training)).value == OWN_KEY
