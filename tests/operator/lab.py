"""A laboratory: a namespace, a simulator, and operator processes that work on both.

The API server and the processes are real. Waiting is done on the API server's own watch, so no
test sleeps; TIMEOUT only bounds a wait that would never end.
"""

import asyncio
import base64
import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from scriptix_operator.api.names import API_VERSION, DEFAULT_SECRET, GROUP, KIND, PLURAL, VERSION
from scriptix_simulator import Limit, ModelScript, Simulator, SimulatorConfig, serve
from scriptix_simulator.calls import Record
from tests.controlplane.cluster import ControlPlane
from tests.operator.process import TIMEOUT, Launch, Operator
from tests.operator.process_pool import pool

__all__ = ["API_KEY", "QUIET", "TIMEOUT", "Lab", "Manifest", "Operator", "laboratory"]

API_KEY = "simulated-key-4f9d1c"

ROOMY = (Limit(10_000, 1.0),)

QUIET = SimulatorConfig(
    speed=7200.0,
    keys={API_KEY: "write"},
    limit_starts=ROOMY,
    limit_status=ROOMY,
    limit_logs=ROOMY,
)
"""Configuration in which a run takes four seconds and no call is limited."""

Manifest = dict[str, Any]
Condition = Callable[[Manifest], bool]

PACE = {
    "SCRIPTIX_LOG_FORMAT": "text",
    "SCRIPTIX_LOG_LEVEL": "DEBUG",
    "SCRIPTIX_HTTP_HOST": "127.0.0.1",
    "SCRIPTIX_HTTP_PORT": "0",
    "SCRIPTIX_SECRET_TTL": "1s",
    "SCRIPTIX_SEND_WINDOW": "5s",
    "SCRIPTIX_POST_TIMEOUT": "2s",
    "SCRIPTIX_START_GRACE_PERIOD": "500ms",
    "SCRIPTIX_LOG_WAIT": "1s",
    "SCRIPTIX_LIMIT_STARTS": "1000/1h",
    "SCRIPTIX_LIMIT_STATUS": "10000/1m",
    "SCRIPTIX_LIMIT_LOGS": "10000/1m",
}
"""Settings of the tests: the protocol's durations are short, and quotas are large."""


class Lab:
    """A namespace, a simulator and the operators of one test; `laboratory` makes a lab."""

    def __init__(  # noqa: PLR0913 - only `laboratory` calls it
        self,
        control_plane: ControlPlane,
        namespace: str,
        simulator: Simulator,
        client: httpx.AsyncClient,
        directory: Path,
        *,
        launch: Launch,
    ) -> None:
        self.control_plane = control_plane
        self.namespace = namespace
        self.simulator = simulator
        self._client = client
        self._directory = directory
        self._launch = launch
        self._operators: list[Operator] = []

    # The cluster.

    @property
    def client(self) -> httpx.AsyncClient:
        """The administrator's connection."""
        return self._client

    async def secret(
        self, value: str = API_KEY, name: str = DEFAULT_SECRET, namespace: str = ""
    ) -> None:
        """Put an API key into a Secret, new or not; in `namespace` if it is given."""
        await self.put_secret({"api-key": value}, name, namespace)

    async def put_secret(
        self, data: Mapping[str, str], name: str = DEFAULT_SECRET, namespace: str = ""
    ) -> None:
        """Put a Secret with this data; replace an existing one."""
        encoded = {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}
        path = f"/api/v1/namespaces/{namespace or self.namespace}/secrets"
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "data": encoded,
        }
        reply = await self._client.post(path, json=body)
        if reply.status_code == httpx.codes.CONFLICT:
            reply = await self._client.put(f"{path}/{name}", json=body)
        assert reply.is_success, reply.text

    async def delete_secret(self, name: str) -> None:
        """Delete a Secret."""
        path = f"/api/v1/namespaces/{self.namespace}/secrets/{name}"
        reply = await self._client.delete(path)
        assert reply.is_success, reply.text

    def _path(self, name: str = "") -> str:
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{self.namespace}/{PLURAL}"
        return f"{path}/{name}" if name else path

    async def train(self, name: str, model_id: int, **spec: object) -> Manifest:
        """Create a resource that is polled each second."""
        reply = await self._create(name, model_id, spec)
        assert reply.is_success, reply.text
        return _manifest(reply)

    async def train_younger(self, name: str, than: str, model_id: int, **spec: object) -> Manifest:
        """Create a resource in a later second than another one: then their age is not equal."""
        created = (await self.get(than))["metadata"]["creationTimestamp"]
        async with asyncio.timeout(TIMEOUT):
            while True:
                tried = _manifest(await self._create(name, model_id, spec, dryRun="All"))
                if tried["metadata"]["creationTimestamp"] > created:
                    return await self.train(name, model_id, **spec)
                await asyncio.sleep(0.05)

    async def _create(
        self, name: str, model_id: int, spec: Mapping[str, object], **parameters: str
    ) -> httpx.Response:
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name},
            "spec": {"modelId": model_id, "pollIntervalSeconds": 1, **spec},
        }
        return await self._client.post(self._path(), params=parameters, json=body)

    async def edit(self, name: str, **spec: object) -> Manifest:
        """Change fields of spec."""
        return await self.patch(name, {"spec": spec})

    async def patch(self, name: str, patch: Manifest, subresource: str = "") -> Manifest:
        """Apply a merge patch."""
        reply = await self._client.patch(
            self._path(name) + subresource,
            json=patch,
            headers={"Content-Type": "application/merge-patch+json"},
        )
        assert reply.is_success, reply.text
        return _manifest(reply)

    async def delete(self, name: str) -> None:
        """Delete a resource."""
        reply = await self._client.delete(self._path(name))
        assert reply.is_success, reply.text

    async def get(self, name: str) -> Manifest:
        """Return the current resource."""
        reply = await self._client.get(self._path(name))
        assert reply.is_success, reply.text
        return _manifest(reply)

    async def until(self, name: str, holds: Condition) -> Manifest:
        """Wait until a resource meets the condition; return the resource at that time."""
        return (await self.until_all(lambda items: name in items and holds(items[name])))[name]

    async def until_all(
        self, hold: Callable[[dict[str, Manifest]], bool], seconds: float = TIMEOUT
    ) -> dict[str, Manifest]:
        """Wait until the namespace's resources, by name, meet the condition."""
        items: dict[str, Manifest] = {}
        try:
            async with asyncio.timeout(seconds):
                async for items in self._versions():
                    if hold(items):
                        return dict(items)
        except TimeoutError:
            state = {name: item.get("status") for name, item in items.items()}
            logs = "\n".join(operator.log[-4000:] for operator in self._operators)
            raise AssertionError(
                f"not so after {seconds:.0f} s; status was {json.dumps(state, indent=1)[:6000]}"
                f"\nlog: {logs}"
            ) from None
        raise AssertionError("the watch ended")

    async def _versions(self) -> AsyncIterator[dict[str, Manifest]]:
        """The resources by name, now and after each change."""
        while True:
            reply = await self._client.get(self._path())
            listed = _manifest(reply)
            items = {item["metadata"]["name"]: item for item in listed["items"]}
            yield items
            version = listed["metadata"]["resourceVersion"]
            parameters = {"watch": "true", "resourceVersion": version}
            async with self._client.stream("GET", self._path(), params=parameters) as stream:
                async for line in stream.aiter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        break
                    item = event["object"]
                    if event["type"] == "DELETED":
                        items.pop(item["metadata"]["name"], None)
                    else:
                        items[item["metadata"]["name"]] = item
                    yield items

    async def until_phase(self, name: str, phase: str) -> Manifest:
        """Wait until a resource is in this phase."""
        return await self.until(name, lambda item: phase_of(item) == phase)

    async def until_reason(self, name: str, reason: str) -> Manifest:
        """Wait until the conditions of a resource give this reason."""
        return await self.until(name, lambda item: reason_of(item) == reason)

    async def config_map(self, name: str) -> Manifest | None:
        """A ConfigMap, or None."""
        reply = await self._client.get(f"/api/v1/namespaces/{self.namespace}/configmaps/{name}")
        if reply.status_code == httpx.codes.NOT_FOUND:
            return None
        assert reply.is_success, reply.text
        return _manifest(reply)

    def forbid_config_maps(self) -> str:
        """Put an exhausted ResourceQuota on the namespace; return its path."""
        path = f"/api/v1/namespaces/{self.namespace}/resourcequotas"
        hard = {"count/configmaps": "0"}
        body = {"metadata": {"name": "few"}, "spec": {"hard": hard}}
        api = self.control_plane.api
        made = api.post(path, json={"apiVersion": "v1", "kind": "ResourceQuota", **body})
        assert made.is_success, made.text
        # The quota controller, which the test control plane lacks, would write this status.
        counted = {**made.json(), "status": {"hard": hard, "used": hard}}
        reply = api.put(f"{path}/few/status", json=counted)
        assert reply.is_success, reply.text
        return f"{path}/few"

    async def events(self, name: str) -> list[Manifest]:
        """The events about a resource, oldest first."""
        reply = await self._client.get(
            f"/api/v1/namespaces/{self.namespace}/events",
            params={"fieldSelector": f"involvedObject.name={name}"},
        )
        items: list[Manifest] = reply.json()["items"]
        return sorted(items, key=lambda item: int(item["metadata"]["resourceVersion"]))

    async def until_event(self, name: str, reason: str) -> Manifest:
        """Wait until the event exists; an event follows the status that it reports."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                for event in await self.events(name):
                    if event["reason"] == reason:
                        return event
                await asyncio.sleep(0.05)

    async def dump(self) -> str:
        """Everything in the namespace but Secrets, as text."""
        kinds = ("configmaps", "events", "leases.coordination.k8s.io", PLURAL)
        return await asyncio.to_thread(
            self.control_plane.kubectl, "-n", self.namespace, "get", ",".join(kinds), "-o", "yaml"
        )

    # The API.

    def model(self, model_id: int, **script: object) -> None:
        """Make a model at the simulator: ready to run, unless the script has another status."""
        self.simulator.put(model_id, ModelScript.model_validate(script))

    async def admin(self, method: str, path: str, body: object = None) -> None:
        """Make a request to the simulator's admin API."""
        reply = await self._client.request(method, f"{self.simulator.url}/admin{path}", json=body)
        assert reply.is_success, reply.text

    async def fault(self, fault: str, **rule: object) -> None:
        """Ask the simulator for a fault."""
        await self.admin("POST", "/faults", {"fault": fault, **rule})

    def posts(self, model_id: int | None = None) -> list[Record]:
        """The POSTs that have arrived, for one model or all."""
        calls = [call for call in self.simulator.state.calls if call.kind == "run"]
        return [call for call in calls if model_id in {None, call.model}]

    def log_calls(self, model_id: int) -> int:
        """Number of GETs of a model's log that have arrived."""
        calls = self.simulator.state.calls
        return sum(call.kind == "log" and call.model == model_id for call in calls)

    def starts(self, model_id: int | None = None) -> int:
        """Number of POSTs that have started a run."""
        return sum(call.started is not None for call in self.posts(model_id))

    # The operator.

    async def operator(
        self,
        environment: Mapping[str, str] | None = None,
        module: str = "scriptix_operator",
        **settings: str,
    ) -> Operator:
        """Start an operator for this namespace.

        Args:
            environment: More variables, by their whole names.
            module: Module to run in place of the operator's; takes the same arguments.
            settings: More settings, by name without their prefix.
        """
        number = len(self._operators)
        variables = {
            **{k: v for k, v in os.environ.items() if not k.startswith("SCRIPTIX_")},
            **PACE,
            "KUBECONFIG": str(self.control_plane.kubeconfig),
            "POD_NAMESPACE": self.namespace,
            "POD_NAME": f"operator-{number}",
            "SCRIPTIX_BASE_URL": self.simulator.url,
            "SCRIPTIX_WATCH_NAMESPACES": self.namespace,
            **{f"SCRIPTIX_{name.upper()}": value for name, value in settings.items()},
            **(environment or {}),
        }
        log_file = self._directory / f"operator-{number}.log"
        process = await self._launch(module, variables, log_file)
        operator = Operator(process, log_file)
        self._operators.append(operator)
        return operator

    async def close(self) -> None:
        """End all operators."""
        for operator in self._operators:
            with contextlib.suppress(ProcessLookupError):
                operator.kill()
            await operator.ended()


def phase_of(item: Manifest) -> str | None:
    """status.phase, or None."""
    phase: str | None = item.get("status", {}).get("phase")
    return phase


def condition_of(item: Manifest, kind: str) -> Manifest | None:
    """A condition by its type, or None."""
    conditions: list[Manifest] = item.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), None)


def reason_of(item: Manifest) -> str | None:
    """The reason that the conditions give, or None."""
    condition = condition_of(item, "Succeeded")
    return None if condition is None else str(condition["reason"])


def _manifest(reply: httpx.Response) -> Manifest:
    manifest: Manifest = reply.json()
    return manifest


@asynccontextmanager
async def laboratory(
    control_plane: ControlPlane,
    namespace: str,
    directory: Path,
    config: SimulatorConfig = QUIET,
    launch: Launch | None = None,
) -> AsyncIterator[Lab]:
    """Make a lab with a simulator set up by `config`; operators are started by the test.

    Args:
        control_plane: The cluster.
        namespace: The namespace of the resources, and of the operators.
        directory: Where the logs go.
        config: What the simulator does.
        launch: Starts an operator; by default, a process is forked.
    """
    async with AsyncExitStack() as stack:
        if launch is None:
            launch = (await stack.enter_async_context(pool())).launch
        simulator = await stack.enter_async_context(serve(config))
        client = await stack.enter_async_context(_administrator(control_plane))
        lab = Lab(control_plane, namespace, simulator, client, directory, launch=launch)
        try:
            yield lab
        finally:
            await lab.close()


def _administrator(control_plane: ControlPlane) -> httpx.AsyncClient:
    """Connect as the administrator."""
    return httpx.AsyncClient(
        base_url=str(control_plane.api.base_url),
        headers=dict(control_plane.api.headers),
        verify=ssl.create_default_context(
            cafile=str(control_plane.directory / "certs" / "apiserver.crt")
        ),
        timeout=httpx.Timeout(20, read=None),
        trust_env=False,
    )
