"""The operator installed from its manifests in both scopes, with its ServiceAccount's token."""

import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from tests.chart.helm import CHART, Helm, documents
from tests.controlplane.cluster import ControlPlane
from tests.operator.installation import REPOSITORY
from tests.operator.rights.grants import EFFECT_SECONDS, Grant, grants_of

SYSTEM = "scriptix-system"
ACCOUNT = "scriptix-operator"
DEFAULT_SECRET = "operators-own"
NOTIFICATION_SECRET = "operators-notifications"
POLICY_MESSAGE = "may write only ConfigMaps that a CustomModelTraining controls"


def denied(reply: httpx.Response, policy: str = "") -> bool:
    """Whether an admission policy of the operator, or the one with this name, refused a request."""
    if reply.status_code != httpx.codes.FORBIDDEN:
        return False
    message = reply.json()["message"]
    return POLICY_MESSAGE in message and f"ValidatingAdmissionPolicy '{policy}" in message


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed operator, accessed with its ServiceAccount.

    Args:
        control_plane: The cluster.
        namespace: The operator's namespace.
        watches: The namespaces that it serves, comma separated; empty: all.
        directory: Where the kubeconfig goes.
        account: The name of its ServiceAccount.
        policy: The name of its admission policy, and of that policy's binding.
    """

    control_plane: ControlPlane
    namespace: str
    watches: str
    directory: Path
    account: str = ACCOUNT
    policy: str = f"{ACCOUNT}-configmaps"

    @property
    def user(self) -> str:
        """The ServiceAccount's user name at the API server."""
        return f"system:serviceaccount:{self.namespace}:{self.account}"

    def grants(self) -> set[Grant]:
        """The permissions of the ServiceAccount."""
        return grants_of(self.control_plane, self.namespace, self.account)

    def token(self) -> str:
        """A new token of its ServiceAccount."""
        kubectl = self.control_plane.kubectl
        return kubectl("-n", self.namespace, "create", "token", self.account).strip()

    def client(self) -> httpx.Client:
        """Connect with such a token, to be used as a context manager."""
        certificate = self.control_plane.directory / "certs" / "apiserver.crt"
        return httpx.Client(
            base_url=self.control_plane.api.base_url,
            headers={"Authorization": f"Bearer {self.token()}"},
            verify=ssl.create_default_context(cafile=certificate),
            trust_env=False,
            timeout=60,
        )

    @contextmanager
    def confined(self) -> Iterator[None]:
        """Enforce its admission policy within the block.

        The policy is removed afterwards. It applies to each operator for all namespaces, so the
        policy of one installation would hide that the policy of another has no effect.
        """
        self._wait_for_policy()
        yield
        policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"
        for kind in ("ybindings", "ies"):
            assert self.control_plane.api.delete(f"{policies}{kind}/{self.policy}").is_success

    def _wait_for_policy(self) -> None:
        path = "/api/v1/namespaces/default/configmaps"
        unowned = {"metadata": {"name": "unowned"}}
        deadline = time.monotonic() + EFFECT_SECONDS
        with self.client() as client:
            while not denied(
                client.post(path, params={"dryRun": "All"}, json=unowned), self.policy
            ):
                assert time.monotonic() < deadline, "the admission policy does not take effect"
                time.sleep(0.1)

    def environment(self) -> dict[str, str]:
        """Return the environment of the pod: the token, the namespaces and the settings."""
        document = yaml.safe_load(self.control_plane.kubeconfig.read_text())
        document["users"][0]["user"] = {"token": self.token()}
        path = self.directory / "operator.kubeconfig"
        path.write_text(yaml.safe_dump(document))
        return {
            "KUBECONFIG": str(path),
            "POD_NAMESPACE": self.namespace,
            "SCRIPTIX_WATCH_NAMESPACES": self.watches,
            "SCRIPTIX_DEFAULT_SECRET": DEFAULT_SECRET,
            "SCRIPTIX_DEFAULT_KEY_NAMESPACES": "*",
            "SCRIPTIX_NOTIFICATION_SECRET": NOTIFICATION_SECRET,
            "SCRIPTIX_ALLOW_INSECURE_HTTP": "true",  # of the sink, on loopback
        }


def install_cluster_wide(control_plane: ControlPlane, directory: Path) -> Installed:
    """Apply deploy/ as a user does."""
    control_plane.kubectl("apply", "-k", str(REPOSITORY / "deploy"))
    return Installed(control_plane, SYSTEM, "", directory)


OVERLAY = """
resources: [{deploy}]
namePrefix: team-
nameSuffix: -blue
namespace: {own}
"""


def install_overlay(control_plane: ControlPlane, directory: Path, own: str) -> Installed:
    """Apply an overlay of deploy/ that changes all names and the namespace."""
    deploy = os.path.relpath(REPOSITORY / "deploy", directory)
    (directory / "kustomization.yaml").write_text(OVERLAY.format(deploy=deploy, own=own))
    control_plane.kubectl("apply", "-k", str(directory))
    policy = f"team-{ACCOUNT}-configmaps-blue"
    return Installed(control_plane, own, "", directory, f"team-{ACCOUNT}-blue", policy)


def install_chart(  # noqa: PLR0913 - where, with what, and as what
    control_plane: ControlPlane,
    directory: Path,
    helm: Path,
    *,
    own: str,
    watched: str = "",
    release: str = ACCOUNT,
) -> Installed:
    """Install the chart for one namespace or for all, in a new namespace."""
    control_plane.kubectl("create", "namespace", own)
    sets = [
        f"--set=settings.defaultSecret={DEFAULT_SECRET}",
        f"--set=settings.notificationSecret={NOTIFICATION_SECRET}",
    ]
    if watched:
        sets.append(f"--set=watchNamespaces={{{watched}}}")
    rendered = Helm(helm, directory)("template", release, CHART, f"--namespace={own}", *sets)
    file = directory / "chart.yaml"
    file.write_text(rendered)
    control_plane.kubectl("apply", f"--filename={file}")
    [account] = [d for d in documents(rendered) if d["kind"] == "ServiceAccount"]
    name = account["metadata"]["name"]
    return Installed(
        control_plane, own, watched, directory, name, policy=f"{own}-{name}-configmaps"
    )
