"""Trainings under a real Argo CD: sync waves, health, sync status, and what triggers a refresh."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from tests.gitops.argocd import ArgoCD
from tests.gitops.repository import (
    Application,
    Repository,
    application,
    config_map,
    health_of,
    is_done,
    is_synced,
    operation_of,
    sync_of,
    training,
)
from tests.operator.lab import Lab, Manifest, phase_of
from tests.operator.process import TIMEOUT

pytestmark = pytest.mark.gitops

SETTINGS: Mapping[str, tuple[Sequence[str], str]] = {
    "default of Argo CD": ((), ""),
    "applied by the server": (("ServerSideApply=true",), ""),
    "compared by the server": ((), "ServerSideDiff=true"),
    "applied by the server, compared without": (("ServerSideApply=true",), "ServerSideDiff=false"),
}
"""Sync options and compare options; server-side apply implies server-side diff unless it is off."""


async def finish(lab: Lab, model_id: int) -> None:
    """End the run of a model with success."""
    await lab.admin("PATCH", f"/models/{model_id}", {"finish": True})


async def write(lab: Lab, name: str, key: str, text: str) -> None:
    """Change the data of a ConfigMap."""
    reply = await lab.client.patch(
        f"/api/v1/namespaces/{lab.namespace}/configmaps/{name}",
        json={"data": {key: text}},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert reply.is_success, reply.text


async def test_sync_wave_waits_until_a_training_succeeds(
    argocd: ArgoCD, lab: Lab, repository: Repository
) -> None:
    lab.model(1, duration=10_000)
    repository.commit(training("first", 1), config_map("second", wave=1, used="yes"))
    async with application(argocd, lab, repository) as app:
        await lab.until_phase("first", "Running")
        # The wave has to wait, whatever triggers a refresh.
        await app.refresh("hard")
        waiting = await app.until(lambda item: health_of(item) == "Progressing")
        assert operation_of(waiting) == "Running"
        assert await lab.config_map("second") is None
        await finish(lab, 1)
        await app.until_healthy("Healthy")
        assert await lab.config_map("second") is not None
        assert phase_of(await lab.get("first")) == "Succeeded"
    assert lab.starts() == len(lab.posts()) == 1


async def test_failed_training_ends_the_sync_and_degrades_the_app(
    argocd: ArgoCD, lab: Lab, repository: Repository
) -> None:
    lab.model(2, outcome="mismatch")
    repository.commit(training("first", 2), config_map("second", wave=1, used="yes"))
    async with application(argocd, lab, repository) as app:
        await app.until(lambda item: operation_of(item) == "Failed")
        await app.until(lambda item: health_of(item) == "Degraded")
        assert phase_of(await lab.get("first")) == "Failed"
        assert await lab.config_map("second") is None
    assert lab.starts() == len(lab.posts()) == 1


async def test_a_sync_wave_waits_as_long_as_a_training_is_suspended(
    argocd: ArgoCD, lab: Lab, repository: Repository
) -> None:
    lab.model(3, duration=10_000)
    repository.commit(training("first", 3), config_map("second", wave=1, used="yes"))
    async with application(argocd, lab, repository) as app:
        await lab.until_phase("first", "Running")
        await app.act("suspend", "first", lab)
        await lab.until_phase("first", "Suspended")
        await app.until(lambda item: health_of(item) == "Suspended")
        assert operation_of(await app.refresh("hard")) == "Running"
        assert await lab.config_map("second") is None
        await app.act("resume", "first", lab)
        await lab.until_phase("first", "Running")
        await finish(lab, 3)
        await app.until_healthy("Healthy")
        assert await lab.config_map("second") is not None
    assert lab.starts() == len(lab.posts()) == 1


async def test_blocked_training_fails_its_wave_until_a_new_commit(
    argocd: ArgoCD, lab: Lab, repository: Repository
) -> None:
    lab.model(4)
    blocked = training("first", 4, apiKeySecretRef={"name": "later"})
    repository.commit(blocked, config_map("second", wave=1, used="yes"))
    async with application(argocd, lab, repository) as app:
        failed = await app.until(lambda item: operation_of(item) == "Failed")
        await app.until(lambda item: health_of(item) == "Degraded")
        assert lab.posts() == []
        # With the cause fixed the training continues, and the sync does not.
        await lab.secret(name="later")
        await lab.until_phase("first", "Succeeded")
        await app.refresh("hard")
        after = await app.until(lambda item: "conditions" in item["status"])
        assert [each["type"] for each in after["status"]["conditions"]] == ["SyncError"]
        assert after["status"]["operationState"] == failed["status"]["operationState"]
        assert await lab.config_map("second") is None
        await app.push(blocked, config_map("second", wave=1, used="again"))
        await app.until_healthy("Healthy")
        assert await lab.config_map("second") is not None
    assert lab.starts() == len(lab.posts()) == 1


# Sync status: neither the CRD's defaults nor what the operator writes is a difference.

EVERYTHING: Manifest = {
    "apiKeySecretRef": {"name": "scriptix-api-key"},
    "runToken": "v1",
    "whenNotReady": "Wait",
    "existingTraining": "Adopt",
    "priority": 0,
    "timeoutSeconds": 86400,
    "backoffLimit": 0,
    "qualityGate": {"maxWordErrorRate": "15"},
    "log": {"collect": "Always"},
    "suspend": False,
}


@asynccontextmanager
async def watched(app: Application) -> AsyncIterator[list[str]]:
    """Collect the differences that an Application shows once it has been synced."""
    found: list[str] = []

    async def watch() -> None:
        synced = False
        async for item in app.versions():
            synced = synced or is_synced(item)
            if synced and not is_synced(item):
                found.append(str(item["status"]))

    task = asyncio.create_task(watch())
    yield found
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("options", "compare"),
    [pytest.param(*each, id=name) for name, each in SETTINGS.items()],
)
async def test_defaults_and_status_are_no_difference(
    argocd: ArgoCD, lab: Lab, repository: Repository, options: Sequence[str], compare: str
) -> None:
    lab.model(11, duration=10_000)
    lab.model(12)
    repository.commit(training("least", 11), training("everything", 12, **EVERYTHING))
    async with (
        application(argocd, lab, repository, options=options, compare=compare) as app,
        watched(app) as differences,
    ):
        await lab.until_phase("everything", "Succeeded")
        await lab.until_phase("least", "Running")
        assert is_synced(await app.refresh("hard"))
        await finish(lab, 11)
        await app.until_healthy("Healthy")
        assert is_synced(await app.refresh("hard"))
        assert differences == []
    assert lab.starts() == len(lab.posts()) == 2


def names_the_field(item: Manifest) -> bool:
    """Whether the Application names the wrong field."""
    return "colour" in str(item["status"].get("conditions"))


def status_of(item: Manifest, kind: str) -> str:
    """The sync status of the only resource of a kind."""
    (found,) = (part for part in item["status"]["resources"] if part["kind"] == kind)
    return str(found["status"])


def applied_of(item: Manifest) -> str | None:
    """The phase of the last sync; "never" if it was of another commit than was compared."""
    state, sync = (item["status"][part] for part in ("operationState", "sync"))
    is_newest = state["operation"]["sync"]["revision"] == sync["revision"]
    return operation_of(item) if is_newest else "never"


async def assert_reported(app: Application, lab: Lab, outcome: str, later: str) -> None:
    """Compare now, and once more from Argo CD's cache, when something beside a training changes."""
    item = await app.refresh("hard")
    assert f"{applied_of(item)} {status_of(item, 'CustomModelTraining')}" == outcome
    assert names_the_field(item) == (outcome != "Succeeded OutOfSync")
    await write(lab, "stranger", "used", "no")
    item = await app.until(lambda item: status_of(item, "ConfigMap") == "OutOfSync")
    assert status_of(item, "CustomModelTraining") == later


@pytest.mark.parametrize(
    ("settings", "outcome", "later"),
    [
        ("default of Argo CD", "Succeeded OutOfSync", "OutOfSync"),
        ("applied by the server", "Failed OutOfSync", "OutOfSync"),
        ("compared by the server", "Succeeded Unknown", "Synced"),
        ("applied by the server, compared without", "Failed OutOfSync", "OutOfSync"),
    ],
)
async def test_new_training_with_an_unknown_field(  # noqa: PLR0913, PLR0917 - a table
    argocd: ArgoCD, lab: Lab, repository: Repository, settings: str, outcome: str, later: str
) -> None:
    odd = training("odd", 13, suspend=True, colour="blue")
    repository.commit(odd, config_map("stranger", used="yes"))
    options, compare = SETTINGS[settings]
    async with application(
        argocd, lab, repository, options=options, compare=compare, heal=False
    ) as app:
        item = await app.until(lambda item: operation_of(item) in {"Succeeded", "Failed"})
        is_made = operation_of(item) == "Succeeded"
        if is_made:  # without the field
            await app.until(lambda item: health_of(item) == "Suspended")
            assert "colour" not in (await lab.get("odd"))["spec"]
        else:
            await lab.until_all(lambda items: not items)
        await assert_reported(app, lab, outcome, later)


@pytest.mark.parametrize(
    ("settings", "outcome", "later"),
    [
        ("default of Argo CD", "Succeeded OutOfSync", "OutOfSync"),
        ("applied by the server", "never Unknown", "Synced"),
        ("compared by the server", "never Unknown", "Synced"),
        ("applied by the server, compared without", "Failed OutOfSync", "OutOfSync"),
    ],
)
async def test_unknown_field_added_to_a_training(  # noqa: PLR0913, PLR0917 - a table
    argocd: ArgoCD, lab: Lab, repository: Repository, settings: str, outcome: str, later: str
) -> None:
    stranger = config_map("stranger", used="yes")
    repository.commit(training("odd", 13, suspend=True), stranger)
    options, compare = SETTINGS[settings]
    async with application(
        argocd, lab, repository, options=options, compare=compare, heal=False
    ) as app:
        await app.until_healthy("Suspended")
        repository.commit(training("odd", 13, suspend=True, colour="blue"), stranger)
        item = await app.refresh()
        if sync_of(item) == "OutOfSync":
            revision = item["status"]["sync"]["revision"]
            await app.until(lambda item: is_done(item, revision))
        await assert_reported(app, lab, outcome, later)
        assert "colour" not in (await lab.get("odd"))["spec"]


async def test_suspend_declared_in_git_is_a_difference_without_heal(
    argocd: ArgoCD, lab: Lab, repository: Repository
) -> None:
    lab.model(14, duration=10_000)
    repository.commit(training("declared", 14, suspend=False))
    async with application(argocd, lab, repository, heal=False) as app:
        await lab.until_phase("declared", "Running")
        await app.act("suspend", "declared", lab)
        await lab.until_phase("declared", "Suspended")
        await app.until(lambda item: sync_of(item) == "OutOfSync")
        assert sync_of(await app.refresh("hard")) == "OutOfSync"
        assert (await lab.get("declared"))["spec"]["suspend"] is True


# Objects whose changes trigger a refresh.


def causes(argocd: ArgoCD, namespace: str) -> Iterator[str]:
    """Names of the ConfigMaps whose changes triggered a refresh of the Application."""
    for line in argocd.log:
        caused = line.get("msg") == "Requesting app refresh caused by object update"
        if caused and line["kind"] == "ConfigMap" and line["namespace"] == namespace:
            yield line["name"]


async def until_caused(argocd: ArgoCD, lab: Lab, name: str, times: int) -> None:
    """Wait until changes of a ConfigMap have triggered this number of refreshes."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            if Counter(causes(argocd, lab.namespace))[name] >= times:
                return
            await asyncio.sleep(0.1)


def entries(item: Manifest) -> int:
    """Number of stored log lines."""
    found: int = item.get("status", {}).get("log", {}).get("entries", 0)
    return found


async def test_log_updates_cause_no_refresh_of_the_application(
    argocd: ArgoCD, lab: Lab, repository: Repository
) -> None:
    lab.model(21, duration=10_000)
    repository.commit(training("logged", 21), config_map("stranger", key="value"))
    async with application(argocd, lab, repository) as app:
        begun = await lab.until("logged", lambda item: entries(item) > 0)
        await finish(lab, 21)
        await lab.until("logged", lambda item: entries(item) > entries(begun))
        await app.until_healthy("Healthy")
        for number in range(3):
            await write(lab, "logged-log", "log", f"line {number}\n")
        before = Counter(causes(argocd, lab.namespace))["stranger"]
        # ConfigMaps are watched in one stream: the foreign one is observed after the log.
        for number in (1, 2):
            await write(lab, "stranger", "key", f"value {number}")
            await until_caused(argocd, lab, "stranger", before + number)
        # One refresh for each creation, and none for an update.
        seen = Counter(causes(argocd, lab.namespace))
        assert (seen["logged-log"], seen["logged-result"]) == (1, 1)
