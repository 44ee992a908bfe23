"""deploy/ on a real API server: applied as a user would, then checked for its permissions."""

import json
import re
import time
import tomllib
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import yaml

from scriptix_operator.settings import load_settings, unknown_settings
from tests.controlplane.cluster import ControlPlane
from tests.operator.installation import POLL_SECONDS, REPOSITORY, wait_until_served

Document = dict[str, Any]
Kubectl = Callable[..., str]

DEPLOY = REPOSITORY / "deploy"
EXAMPLES = DEPLOY / "examples"
SYSTEM = "scriptix-system"
OPERATOR = f"system:serviceaccount:{SYSTEM}:scriptix-operator"
SERVICE_ACCOUNTS = ["system:serviceaccounts", f"system:serviceaccounts:{SYSTEM}"]
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Run kubectl with a discovery cache of its own."""
    cache = tmp_path_factory.mktemp("kubectl")
    return lambda *arguments: control_plane.kubectl(f"--cache-dir={cache}", *arguments)


@pytest.fixture(scope="module")
def applied(control_plane: ControlPlane, kubectl: Kubectl) -> list[str]:
    """Install the operator with the one documented command; return the names of the objects."""
    printed = kubectl("apply", "-k", str(DEPLOY))
    wait_until_served(control_plane, "scriptix.io")
    return [line.split()[0] for line in printed.splitlines()]


@pytest.fixture(scope="module")
def built(kubectl: Kubectl) -> list[Document]:
    """Build deploy/ with kustomize."""
    return list(yaml.safe_load_all(kubectl("kustomize", str(DEPLOY))))


@pytest.fixture(scope="module")
def deployment(built: list[Document]) -> Document:
    return one(built, "Deployment")


def one(documents: list[Document], kind: str) -> Document:
    """Return the only document of its kind."""
    [found] = [document for document in documents if document["kind"] == kind]
    return found


def test_one_command_installs_everything(applied: list[str], kubectl: Kubectl) -> None:
    assert sorted(name.partition("-settings-")[0] for name in applied) == [
        "clusterrole.rbac.authorization.k8s.io/scriptix-operator",
        "clusterrole.rbac.authorization.k8s.io/scriptix-operator-edit",
        "clusterrole.rbac.authorization.k8s.io/scriptix-operator-view",
        "clusterrolebinding.rbac.authorization.k8s.io/scriptix-operator",
        "configmap/scriptix-operator",
        "customresourcedefinition.apiextensions.k8s.io/custommodeltrainings.scriptix.io",
        "deployment.apps/scriptix-operator",
        "namespace/scriptix-system",
        "role.rbac.authorization.k8s.io/scriptix-operator-own",
        "rolebinding.rbac.authorization.k8s.io/scriptix-operator-own",
        "serviceaccount/scriptix-operator",
        "validatingadmissionpolicy.admissionregistration.k8s.io/scriptix-operator-configmaps",
        "validatingadmissionpolicybinding.admissionregistration.k8s.io/scriptix-operator-configmaps",
    ]
    again = kubectl("apply", "--dry-run=server", "-k", str(DEPLOY)).splitlines()
    assert [line for line in again if "unchanged" not in line and "configured" not in line] == []


@pytest.mark.usefixtures("applied")
def test_the_pod_passes_the_restricted_standard(
    control_plane: ControlPlane, deployment: Document
) -> None:
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"]

    def dry_run(spec: Document) -> httpx.Response:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "labels": labels},
            "spec": spec,
        }
        path = f"/api/v1/namespaces/{SYSTEM}/pods"
        params = {"dryRun": "All", "fieldValidation": "Strict"}
        return control_plane.api.post(path, params=params, json=pod)

    reply = dry_run(template["spec"])
    assert reply.is_success, reply.text
    assert "Warning" not in reply.headers, reply.headers["Warning"]

    # The namespace enforces the standard: the pod without its restrictions is refused.
    naked = json.loads(json.dumps(template["spec"]))
    del naked["containers"][0]["securityContext"]
    reply = dry_run(naked)
    assert reply.status_code == httpx.codes.FORBIDDEN
    assert 'violates PodSecurity "restricted' in reply.json()["message"]


def test_container_has_no_privileges(deployment: Document) -> None:
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"].keys() == {"requests", "limits"}


def test_probes_use_the_port_of_the_operator(deployment: Document) -> None:
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 8080}]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_the_settings_are_known_and_at_their_defaults(
    built: list[Document], deployment: Document
) -> None:
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    settings = one(built, "ConfigMap")
    [source] = container["envFrom"]
    assert source == {"configMapRef": {"name": settings["metadata"]["name"]}}

    downward = {
        entry["name"]: entry["valueFrom"]["fieldRef"]["fieldPath"]
        for entry in container["env"]
        if "valueFrom" in entry
    }
    assert downward == {"POD_NAMESPACE": "metadata.namespace", "POD_NAME": "metadata.name"}

    plain = {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}
    pod = {"POD_NAMESPACE": SYSTEM, "POD_NAME": "scriptix-operator-0"}
    environ = settings["data"] | plain | pod
    assert unknown_settings(environ) is None
    assert load_settings(environ) == load_settings(pod)
    assert {name.removeprefix("SCRIPTIX_") for name in settings["data"].keys() | plain.keys()} == {
        "ALLOW_INSECURE_HTTP",
        "AUTH_HEADER",
        "AUTH_SCHEME",
        "BASE_URL",
        "DEFAULT_KEY_NAMESPACES",
        "DEFAULT_SECRET",
        "HTTP_PORT",
        "LEADER_ELECTION",
        "LIMIT_LOGS",
        "LIMIT_STARTS",
        "LIMIT_STATUS",
        "LOG_FORMAT",
        "LOG_LEVEL",
        "NOTIFICATION_SECRET",
        "NOTIFICATION_URL",
        "NO_PROXY",
        "WATCH_NAMESPACES",
    }


def test_the_image_is_named_in_one_place(deployment: Document) -> None:
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "ghcr.io/scriptix/scriptix-operator:0.1.0"


def allowed(api: httpx.Client, user: str, groups: list[str], access: str, namespace: str) -> bool:
    """Ask the API server's own authorizer about `verb group/resource/subresource [name]`."""
    verb, what, *name = access.split()
    group, resource, *subresource = what.split("/")
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "group": "" if group == "core" else group,
        "resource": resource,
        "subresource": "".join(subresource),
        "name": "".join(name),
    }
    spec = {"user": user, "groups": groups, "resourceAttributes": attributes}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": spec,
    }
    reply = api.post(REVIEWS, json=review)
    reply.raise_for_status()
    return bool(reply.json()["status"]["allowed"])


VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
CRDS = "apiextensions.k8s.io/customresourcedefinitions"

OPERATOR_RIGHTS = {
    "scriptix.io/custommodeltrainings": {"get", "list", "watch"},
    "scriptix.io/custommodeltrainings/status": {"patch"},
    "core/configmaps": {"get", "create", "update", "delete"},
    "core/secrets": {"get"},
    "core/events": {"get", "create", "patch"},
    "coordination.k8s.io/leases": set[str](),
    "core/namespaces": set[str](),
    "core/pods": set[str](),
    "core/pods/exec": set[str](),
    "core/serviceaccounts/token": set[str](),
    "apps/deployments": set[str](),
    "rbac.authorization.k8s.io/clusterroles": set[str](),
    CRDS: set[str](),
}


@pytest.mark.usefixtures("applied")
@pytest.mark.parametrize("what", OPERATOR_RIGHTS)
def test_the_operator_has_exactly_these_rights(control_plane: ControlPlane, what: str) -> None:
    rights = {
        verb
        for verb in VERBS
        if allowed(control_plane.api, OPERATOR, SERVICE_ACCOUNTS, f"{verb} {what}", "default")
    }
    assert rights == OPERATOR_RIGHTS[what]


@pytest.mark.usefixtures("applied")
def test_the_operator_elects_a_leader_in_its_own_namespace(control_plane: ControlPlane) -> None:
    def rights(lease: str) -> set[str]:
        what, api = f"coordination.k8s.io/leases {lease}", control_plane.api
        return {
            verb
            for verb in VERBS
            if allowed(api, OPERATOR, SERVICE_ACCOUNTS, f"{verb} {what}", SYSTEM)
        }

    assert rights("scriptix-operator") == {"get", "create", "update"}
    # RBAC cannot restrict create to a name.
    assert rights("another") == {"create"}


@pytest.mark.usefixtures("applied")
def test_the_operator_reads_its_own_crd_only(control_plane: ControlPlane) -> None:
    def may(access: str) -> bool:
        return allowed(control_plane.api, OPERATOR, SERVICE_ACCOUNTS, access, "")

    assert may(f"get {CRDS} custommodeltrainings.scriptix.io")
    assert not may(f"get {CRDS} others.example.com")
    assert not may(f"update {CRDS} custommodeltrainings.scriptix.io")


@pytest.mark.usefixtures("applied")
def test_other_service_accounts_lack_these_permissions(
    control_plane: ControlPlane,
) -> None:
    user = f"system:serviceaccount:{SYSTEM}:default"
    for access in ("get core/secrets", "list scriptix.io/custommodeltrainings"):
        assert not allowed(control_plane.api, user, SERVICE_ACCOUNTS, access, SYSTEM)


READ = {"get", "list", "watch"}
WRITE = {"create", "update", "patch", "delete", "deletecollection"}
AGGREGATED = {"view": READ, "edit": READ | WRITE, "admin": READ | WRITE}
AGGREGATED_SECONDS = 30.0


@pytest.mark.usefixtures("applied")
@pytest.mark.parametrize("role", AGGREGATED)
def test_people_never_get_a_verb_for_status(
    control_plane: ControlPlane, namespace: str, role: str
) -> None:
    api, group = control_plane.api, "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "person"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "apiGroup": group, "name": namespace}],
    }
    reply = api.post(f"{RBAC}/namespaces/{namespace}/rolebindings", json=binding)
    reply.raise_for_status()

    def rights(what: str) -> set[str]:
        return {v for v in VERBS if allowed(api, namespace, [], f"{v} {what}", namespace)}

    # A controller of the cluster adds the rules to the role; the authorizer observes them later.
    deadline = time.monotonic() + AGGREGATED_SECONDS
    while rights("scriptix.io/custommodeltrainings") != AGGREGATED[role]:
        assert time.monotonic() < deadline, rights("scriptix.io/custommodeltrainings")
        time.sleep(POLL_SECONDS)
    assert rights("scriptix.io/custommodeltrainings/status") == set()


@pytest.mark.usefixtures("applied")
@pytest.mark.parametrize("flag", ["-f", "-k"])
def test_the_examples_are_accepted(kubectl: Kubectl, namespace: str, flag: str) -> None:
    printed = kubectl("apply", "--dry-run=server", f"-n{namespace}", flag, str(EXAMPLES))
    assert sorted(line.split()[0] for line in printed.splitlines()) == [
        "custommodeltraining.scriptix.io/cardiology-en",
        "custommodeltraining.scriptix.io/legal-de",
        "custommodeltraining.scriptix.io/radiology-nl",
    ]


def test_crd_directory_can_be_applied_unchanged(kubectl: Kubectl) -> None:
    printed = kubectl("apply", "--dry-run=server", "-f", str(REPOSITORY / "crds"))
    assert printed.split()[0].endswith("/custommodeltrainings.scriptix.io")


@pytest.mark.usefixtures("applied")
def test_example_secret_has_the_default_name_and_key(kubectl: Kubectl, namespace: str) -> None:
    file = EXAMPLES / "secret" / "scriptix-api-key.yaml"
    printed = kubectl("apply", "--dry-run=server", f"-n{namespace}", "-f", str(file), "-o", "yaml")
    assert yaml.safe_load(printed)["metadata"]["name"] == "scriptix-api-key"
    assert yaml.safe_load(file.read_text())["stringData"].keys() == {"api-key"}


CHART = REPOSITORY / "charts" / "scriptix-operator"


def test_version_is_the_same_everywhere() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    tags = set()
    for folder in ("base", "overlays/demo"):
        [image] = yaml.safe_load((DEPLOY / folder / "kustomization.yaml").read_text())["images"]
        tags.add(image["newTag"])
    label = re.search(r"^ARG VERSION=(.*)$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    assert label is not None
    assert {chart["version"], chart["appVersion"], label[1], *tags} == {version}
