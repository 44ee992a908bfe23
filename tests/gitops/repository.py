"""A git repository on disk, and an Application of Argo CD that syncs it into a cluster."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import yaml

from tests.gitops.argocd import NAMESPACE, ArgoCD
from tests.operator.lab import Lab, Manifest
from tests.operator.process import TIMEOUT

__all__ = [
    "Application",
    "Repository",
    "application",
    "config_map",
    "health_of",
    "is_done",
    "is_synced",
    "operation_of",
    "sync_of",
    "training",
]

APPLICATIONS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/applications"
REFRESH = "argocd.argoproj.io/refresh"
POLL_SECONDS = 0.1
UNKNOWN = "not found as part of application"
"""Argo CD's health status of a resource that it has created and not yet observed."""

Condition = Callable[[Manifest], bool]


def training(name: str, model_id: int, *, wave: int = 0, **spec: object) -> Manifest:
    """Return the manifest of a training that is polled each second."""
    annotations = {"argocd.argoproj.io/sync-wave": str(wave)} if wave else {}
    return {
        "apiVersion": "scriptix.io/v1alpha1",
        "kind": "CustomModelTraining",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"modelId": model_id, "pollIntervalSeconds": 1, **spec},
    }


def config_map(name: str, *, wave: int = 0, **data: str) -> Manifest:
    """Return the manifest of a ConfigMap."""
    annotations = {"argocd.argoproj.io/sync-wave": str(wave)}
    metadata = {"name": name, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


class Repository:
    """A repository of manifests; each commit replaces all content.

    Args:
        directory: A folder that does not exist yet.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.url = f"file://{directory}"
        directory.mkdir()
        self._git("init", "--quiet", "--initial-branch=main")

    def commit(self, *manifests: Manifest) -> None:
        """Replace the content with these manifests."""
        text = yaml.safe_dump_all(manifests, sort_keys=False)
        (self.directory / "manifests.yaml").write_text(text)
        self._commit()

    def commit_folder(self, folder: Path) -> None:
        """Replace the content with the files of a folder."""
        shutil.copytree(folder, self.directory, dirs_exist_ok=True)
        self._commit()

    def _commit(self) -> None:
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message=change")

    def _git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=tests", "-c", "user.email=tests@example.com"]
        subprocess.run(
            ["git", "-C", self.directory, *identity, *arguments],  # noqa: S607 - from PATH
            check=True,
            capture_output=True,
        )


class Application:
    """An Application that syncs a repository into a lab's namespace and prunes automatically.

    Args:
        name: Its name.
        argocd: Runs the Application.
        client: A connection to the API server that holds it.
        repository: The synced repository.
    """

    def __init__(
        self, name: str, argocd: ArgoCD, client: httpx.AsyncClient, repository: Repository
    ) -> None:
        self.name = name
        self.repository = repository
        self._argocd = argocd
        self._client = client

    async def create(  # noqa: PLR0913 - each has a name
        self,
        namespace: str,
        *,
        cluster: str,
        options: Sequence[str],
        compare: str,
        heal: bool,
        values: Mapping[str, Any],
    ) -> None:
        """Create it; Argo CD syncs at once."""
        policy = {
            "automated": {"selfHeal": heal, "prune": True},
            "syncOptions": list(options),
            "retry": {"limit": 0},
        }
        source = {"repoURL": self.repository.url, "path": ".", "targetRevision": "main"}
        body = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {
                "name": self.name,
                "annotations": {"argocd.argoproj.io/compare-options": compare} if compare else {},
            },
            "spec": {
                "project": "default",
                "source": source | ({"helm": {"valuesObject": values}} if values else {}),
                "destination": {"name": cluster, "namespace": namespace},
                "syncPolicy": policy,
            },
        }
        reply = await self._client.post(APPLICATIONS, json=body)
        assert reply.is_success, reply.text

    async def get(self) -> Manifest:
        """The current Application."""
        reply = await self._client.get(f"{APPLICATIONS}/{self.name}")
        assert reply.is_success, reply.text
        manifest: Manifest = reply.json()
        return manifest

    async def until(self, holds: Condition) -> Manifest:
        """Wait until the Application meets the condition."""
        item: Manifest = {}
        try:
            async with asyncio.timeout(TIMEOUT):
                while True:
                    item = await self.get()
                    if holds(item):
                        return item
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            text = yaml.safe_dump(item.get("status"))[:6000]
            raise AssertionError(f"Application not so after {TIMEOUT:.0f} s:\n{text}") from None

    async def until_healthy(self, health: str) -> Manifest:
        """Wait until the Application and all resources are Synced, with this health."""
        return await self.until(lambda item: is_synced(item) and health_of(item) == health)

    async def refresh(self, kind: str = "normal") -> Manifest:
        """Trigger a comparison with the newest commit, as a webhook does; "hard": without caches.

        Returns the Application after that comparison; the next one may follow soon.
        """
        asked = await self._patch({"metadata": {"annotations": {REFRESH: kind}}})
        async with asyncio.timeout(TIMEOUT), aclosing(self._since(version_of(asked))) as versions:
            async for item in versions:
                if REFRESH not in item["metadata"].get("annotations", {}):
                    return item
        raise AssertionError("the watch of the Application has ended")

    async def push(self, *manifests: Manifest) -> None:
        """Commit these manifests, and wait until that commit has been synced."""
        await asyncio.to_thread(self.repository.commit, *manifests)
        revision = (await self.refresh())["status"]["sync"]["revision"]
        await self.until(lambda item: is_done(item, revision))

    async def act(self, action: str, name: str, lab: Lab) -> None:
        """Run an action on a training, as a click in the user interface does."""
        body = {
            "name": self.name,
            "namespace": lab.namespace,
            "resourceName": name,
            "version": "v1alpha1",
            "group": "scriptix.io",
            "kind": "CustomModelTraining",
            "action": action,
        }
        url = f"{self._argocd.url}/api/v1/applications/{self.name}/resource/actions/v2"
        async with (
            asyncio.timeout(TIMEOUT),
            httpx.AsyncClient(trust_env=False, timeout=30) as client,
        ):
            reply = await client.post(url, json=body)
            while UNKNOWN in reply.text:
                await asyncio.sleep(POLL_SECONDS)
                reply = await client.post(url, json=body)
        assert reply.is_success, reply.text

    async def heal(self, *, on: bool) -> None:
        """Turn self-heal on or off, and have Argo CD compare with that."""
        await self._patch({"spec": {"syncPolicy": {"automated": {"selfHeal": on}}}})
        await self.refresh()

    async def versions(self) -> AsyncIterator[Manifest]:
        """The Application now, and after each change."""
        now = await self.get()
        yield now
        async for item in self._since(version_of(now)):
            yield item

    async def _since(self, version: str) -> AsyncGenerator[Manifest]:
        parameters = {
            "fieldSelector": f"metadata.name={self.name}",
            "watch": "true",
            "resourceVersion": version,
        }
        async with self._client.stream("GET", APPLICATIONS, params=parameters) as stream:
            async for line in stream.aiter_lines():
                event = json.loads(line)
                assert event["type"] == "MODIFIED", event
                yield event["object"]

    async def delete(self) -> None:
        """Delete the Application, and keep the synced resources."""
        await self._client.delete(f"{APPLICATIONS}/{self.name}")

    async def _patch(self, patch: Mapping[str, Any]) -> Manifest:
        reply = await self._client.patch(
            f"{APPLICATIONS}/{self.name}",
            json=patch,
            headers={"Content-Type": "application/merge-patch+json"},
        )
        assert reply.is_success, reply.text
        manifest: Manifest = reply.json()
        return manifest


def version_of(item: Manifest) -> str:
    """The resource version of an object."""
    version: str = item["metadata"]["resourceVersion"]
    return version


def health_of(item: Manifest) -> str | None:
    """The health of an Application, or None."""
    health: str | None = item.get("status", {}).get("health", {}).get("status")
    return health


def is_synced(item: Manifest) -> bool:
    """Whether an Application and each of its resources is as in Git."""
    status = item.get("status", {})
    parts = [part.get("status") for part in status.get("resources", [])]
    return sync_of(item) == "Synced" and set(parts) == {"Synced"}


def sync_of(item: Manifest) -> str | None:
    """Whether an Application is Synced or OutOfSync, or None."""
    status: str | None = item.get("status", {}).get("sync", {}).get("status")
    return status


def operation_of(item: Manifest) -> str | None:
    """The phase of the last sync, or None."""
    phase: str | None = item.get("status", {}).get("operationState", {}).get("phase")
    return phase


def is_done(item: Manifest, revision: str) -> bool:
    """Whether a commit has been synced, well or not."""
    state = item.get("status", {}).get("operationState", {})
    synced = state.get("syncResult", {}).get("revision") == revision
    return synced and state.get("phase") in {"Succeeded", "Failed", "Error"}


@asynccontextmanager
async def application(  # noqa: PLR0913 - each has a default
    argocd: ArgoCD,
    lab: Lab,
    repository: Repository,
    *,
    home: httpx.AsyncClient | None = None,
    cluster: str = "first",
    suffix: str = "",
    options: Sequence[str] = (),
    compare: str = "",
    heal: bool = True,
    values: Mapping[str, Any] = MappingProxyType({}),
) -> AsyncIterator[Application]:
    """Make an Application for a lab, and delete it in the end.

    Args:
        argocd: Runs the Application.
        lab: The lab whose namespace is the destination.
        repository: The synced repository.
        home: A connection to Argo CD's own cluster, if the lab's is another.
        cluster: Argo CD's name of the lab's cluster.
        suffix: Suffix of the name, which distinguishes several Applications in one test.
        options: Sync options of all its resources.
        compare: Options of its comparisons.
        heal: Whether self-heal reverts what differs from Git.
        values: Of the chart, if the repository is one.
    """
    made = Application(f"{lab.namespace}{suffix}", argocd, home or lab.client, repository)
    await made.create(
        lab.namespace,
        cluster=cluster,
        options=options,
        compare=compare,
        heal=heal,
        values=values,
    )
    try:
        yield made
    finally:
        await made.delete()
