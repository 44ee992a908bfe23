"""`scriptix-operator check` on a real API server, with and without permissions."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from scriptix_operator.check import Finding, Severity
from scriptix_operator.cli import main
from tests.controlplane.cluster import ControlPlane
from tests.operator.installation import CRD_PATH, REPOSITORY, install_crd
from tests.operator.lab import Lab
from tests.operator.rights.findings import NOBODY, findings
from tests.operator.rights.grants import EFFECT_SECONDS, Grant, withdrawn
from tests.operator.rights.installed import Installed


class Command:
    """The command in this process: starting another process takes seconds."""

    def __init__(self, environ: pytest.MonkeyPatch, output: pytest.CaptureFixture[str]) -> None:
        self._environ = environ
        self._output = output

    async def run(self, environment: Mapping[str, str]) -> tuple[int, list[str]]:
        """Run the command; return the exit status and the lines of output."""
        with self._environ.context() as environ:
            for name, value in environment.items():
                environ.setenv(name, value)
            # In a thread: the command has its own event loop, and the simulator runs in the test's.
            status = await asyncio.to_thread(main, ["check"])
        return status, self._output.readouterr().out.splitlines()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return the command."""
    return Command(monkeypatch, capsys)


async def test_check_finds_no_problem_in_an_installed_operator(
    command: Command, lab: Lab, installed: Installed
) -> None:
    environment = {**installed.environment(), "SCRIPTIX_BASE_URL": lab.simulator.url}
    status, lines = await command.run(environment)
    # In cluster scope only; tests/operator/rights/test_admission.py is about that line.
    lines = [line for line in lines if line[:15].split() != ["ok", "policy"]]
    # Another test may have run an operator; tests/operator/test_quota_published.py reads the line.
    lines = [line for line in lines if line[:15].split()[1] != "quota"]
    assert [line[:15].split() for line in lines] == [
        ["ok", "settings"],
        ["ok", "notify"],
        ["ok", "cluster"],
        ["ok", "crd"],
        ["ok", "rights"],
        ["ok", "namespace"],
        ["note", "others"],
        ["ok", "api"],
    ]
    assert status == 0
    assert f"{installed.user} has all " in lines[4]
    assert lines[5].endswith(" can be listed")
    assert f"{installed.user} may not list Leases" in lines[6]
    assert f"{lab.simulator.url} answers (HTTP " in lines[7]
    # No key was sent, so no quota is consumed.
    assert [(call.method, call.path, call.key) for call in lab.simulator.state.calls] == [
        ("GET", "/", None)
    ]


def reported_about(grant: Grant) -> str:
    """The finding about the permission of a grant."""
    kind = f"{grant.resource}.{grant.group}" if grant.group else grant.resource
    text = f"may not {grant.verb} {kind}" + (f" {grant.name}" if grant.name else "")
    if grant.namespace:
        return f"{text} in namespace {grant.namespace}, which is needed "
    everywhere = "" if grant.resource == "customresourcedefinitions" else " in all namespaces"
    return f"{text}{everywhere}, which is needed "


async def test_check_names_each_missing_permission_and_no_other(installed: Installed) -> None:
    environment = installed.environment()
    for grant in sorted(installed.grants(), key=str):
        with withdrawn(installed.control_plane, installed.user, grant):
            [missing] = await findings(environment, "rights")
        assert missing.severity is Severity.BAD
        assert missing.text.startswith(reported_about(grant))
        names = f", resourceNames: [{grant.name}]" if grant.name else ""
        rule = f"resources: [{grant.resource}]{names}, verbs: [{grant.verb}]}}"
        assert missing.text.endswith(rule)
        role = f"a Role in namespace {grant.namespace}" if grant.namespace else "a ClusterRole"
        assert f"; bind {role} to {installed.user} with the rule" in missing.text


async def test_check_names_every_permission_that_an_identity_lacks(
    command: Command, cluster: ControlPlane, lab: Lab, namespaced: Installed
) -> None:
    cluster.kubectl("-n", namespaced.namespace, "delete", "rolebinding", "--all")
    cluster.kubectl("-n", lab.namespace, "delete", "rolebinding", "--all")
    environment = {**namespaced.environment(), "SCRIPTIX_BASE_URL": lab.simulator.url}
    status, lines = await command.run(environment)
    assert status == 1
    bad = [line for line in lines if line.startswith("bad")]
    assert {line.split()[1] for line in bad} == {"rights", "namespace"}
    # One for each needed rule except the one for the CRD, and one for the namespace.
    assert len(bad) == 13
    # The other topics are checked all the same.
    assert [line[:15].split()[1] for line in lines if not line.startswith("bad")] == [
        "settings",
        "notify",
        "cluster",
        "crd",
        "others",
        "quota",
        "api",
    ]


async def test_check_warns_where_no_admission_policy_applies(
    command: Command, cluster: ControlPlane, lab: Lab, cluster_wide: Installed
) -> None:
    environment = {**cluster_wide.environment(), "SCRIPTIX_BASE_URL": lab.simulator.url}
    binding = f"validatingadmissionpolicybinding/{cluster_wide.policy}"
    cluster.kubectl("patch", binding, "--type=merge", '--patch={"spec":{"policyName":"gone"}}')
    try:
        warning = await until_policy(environment, Severity.WARN)
        assert f"no admission policy keeps {cluster_wide.user} from ConfigMaps" in warning.text
        status, _ = await command.run(environment)
        assert status == 0
    finally:
        cluster.kubectl("apply", "-k", str(REPOSITORY / "deploy"))
    await until_policy(environment, Severity.OK)


async def until_policy(environment: Mapping[str, str], severity: Severity) -> Finding:
    """Wait until the API server has observed a change of the policy's binding."""
    async with asyncio.timeout(EFFECT_SECONDS):
        while True:
            [finding] = await findings(environment, "policy")
            if finding.severity is severity:
                return finding


async def test_check_reports_why_the_admission_policy_is_untested(
    cluster: ControlPlane, cluster_wide: Installed
) -> None:
    [note] = await findings({"KUBECONFIG": str(cluster.kubeconfig)}, "policy")
    assert note.severity is Severity.NOTE
    assert note.text.startswith("admin may do everything, so the admission policy does not apply")
    environment = cluster_wide.environment()
    [create] = [
        grant
        for grant in cluster_wide.grants()
        if (grant.verb, grant.resource) == ("create", "configmaps")
    ]
    with withdrawn(cluster, cluster_wide.user, create):
        [note] = await findings(environment, "policy")
    assert note.severity is Severity.NOTE
    assert note.text.startswith("cannot test whether the admission policy applies to ")
    assert "create a ConfigMap in namespace default" in note.text


async def test_check_reports_a_crd_that_would_drop_an_intent(cluster: ControlPlane) -> None:
    environment = {"KUBECONFIG": str(cluster.kubeconfig)}
    crd = cluster.api.get(CRD_PATH).json()
    [version] = crd["spec"]["versions"]
    run_schema = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["run"]
    del run_schema["properties"]["intent"]
    assert cluster.api.put(CRD_PATH, json=crd).is_success
    try:
        [finding] = await findings(environment, "crd")
    finally:
        install_crd(cluster)
    assert finding.severity is Severity.BAD
    assert "lacks .status.run.intent; apply the output of" in finding.text
    [finding] = await findings(environment, "crd")
    assert finding.severity is Severity.OK


async def test_check_names_what_is_unreachable_and_checks_the_others(
    command: Command, cluster: ControlPlane, lab: Lab, tmp_path: Path
) -> None:
    document = yaml.safe_load(cluster.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": "of-nobody"}
    stranger = tmp_path / "stranger.kubeconfig"
    stranger.write_text(yaml.safe_dump(document))
    document["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    nowhere = tmp_path / "nowhere.kubeconfig"
    nowhere.write_text(yaml.safe_dump(document))
    for kubeconfig, announced in ((stranger, "401 Unauthorized"), (nowhere, "127.0.0.1:9")):
        environment = {"KUBECONFIG": str(kubeconfig), "SCRIPTIX_BASE_URL": lab.simulator.url}
        status, lines = await command.run(environment)
        assert [line[:15].split() for line in lines] == [
            ["ok", "settings"],
            ["ok", "notify"],
            ["bad", "cluster"],
            ["ok", "api"],
        ]
        assert announced in lines[2]
        assert status == 1
    status, lines = await command.run(
        {"KUBECONFIG": str(cluster.kubeconfig), "SCRIPTIX_BASE_URL": NOBODY}
    )
    assert lines[-1].startswith(f"bad   api       {NOBODY} is unreachable: no connection")
    assert status == 1


async def test_check_reports_a_bad_setting_in_one_line(command: Command) -> None:
    status, lines = await command.run({"SCRIPTIX_HTTP_PORT": "none"})
    assert status == 1
    assert [line[:34] for line in lines] == ["bad   settings  SCRIPTIX_HTTP_PORT"]
    [note, ok] = await findings({"SCRIPTIX_WATCH_NAMESPACE": "a"}, "settings")
    assert (note.severity, ok.severity) == (Severity.NOTE, Severity.OK)
    assert "SCRIPTIX_WATCH_NAMESPACES meant" in note.text


async def test_check_refuses_two_installations_for_the_same_namespaces(
    command: Command, cluster: ControlPlane, lab: Lab
) -> None:
    def second(watches: str, own: str = "kube-public") -> dict[str, str]:
        return {
            "KUBECONFIG": str(cluster.kubeconfig),
            "POD_NAMESPACE": own,
            "SCRIPTIX_WATCH_NAMESPACES": watches,
        }

    async def others(watches: str, own: str = "kube-public") -> list[Finding]:
        found = await findings(second(watches, own), "others")
        return [finding for finding in found if lab.namespace in finding.text]

    first = await lab.operator(watch_namespaces=f"speech,{lab.namespace}")
    await first.printed("leading")
    for watches, both in (("", f"speech, {lab.namespace}"), ("speech,texts", "speech")):
        [clash] = await others(watches)
        assert clash.severity is Severity.BAD
        assert clash.text.startswith(f"an operator in namespace {lab.namespace} (operator-0_")
        assert f" {both}, too; " in clash.text
    status, _ = await command.run({**second("speech"), "SCRIPTIX_BASE_URL": lab.simulator.url})
    assert status == 1

    [apart] = await others("texts")
    assert apart.severity is Severity.NOTE
    assert "the two must not share an API key" in apart.text
    status, _ = await command.run({**second("texts"), "SCRIPTIX_BASE_URL": lab.simulator.url})
    assert status == 0

    # The installation's own Lease is no conflict, unless its holder serves other namespaces.
    assert await others(f"{lab.namespace},speech", own=lab.namespace) == []
    [shared] = await others("texts", own=lab.namespace)
    assert shared.severity is Severity.BAD
    assert "this operator would never become leader" in shared.text

    first.terminate()
    assert await first.ended() == 0
    assert await others("") == []


async def test_check_with_own_permissions_sees_who_shares_the_lease(
    lab: Lab, namespaced: Installed
) -> None:
    operator = await lab.operator(namespaced.environment())
    await operator.printed("leading")
    [note] = await findings(namespaced.environment(), "others")
    assert note.severity is Severity.NOTE
    changed = {**namespaced.environment(), "SCRIPTIX_WATCH_NAMESPACES": "texts"}
    [_, shared] = await findings(changed, "others")
    assert shared.severity is Severity.BAD
    assert f"serves namespace {lab.namespace} and holds the Lease" in shared.text
