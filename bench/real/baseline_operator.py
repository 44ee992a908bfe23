"""The baseline: a minimal operator for the same resources, as Kopf's documentation has one.

It starts a run when a resource is created and polls at a fixed interval. It has no quotas, no
leader election, no protection against a lost reply, and does not store logs. The settings are
Kopf's defaults, and logging is that of `kopf run`.
"""

import asyncio
import base64
import os
from datetime import UTC, datetime
from functools import cache
from typing import Any

import httpx
import kopf
from kubernetes import client, config

GROUP, VERSION, PLURAL = "scriptix.io", "v1alpha1", "custommodeltrainings"
INTERVAL = float(os.environ["BASELINE_INTERVAL"])
READY, SUCCEEDED, FAILED = 2, 4, 5
PHASES = {SUCCEEDED: "Succeeded", FAILED: "Failed"}


@cache
def read_key(namespace: str) -> str:
    """Return the API key of a namespace; read once."""
    config.load_kube_config()
    secret = client.CoreV1Api().read_namespaced_secret("scriptix-api-key", namespace)
    return base64.b64decode((secret.data or {})["api-key"]).decode()


async def call(memo: kopf.Memo, namespace: str | None, method: str, path: str) -> dict[str, Any]:
    """Make a call to the Scriptix API; a refusal raises, and Kopf repeats the handler."""
    key = await asyncio.to_thread(read_key, namespace or "")
    reply = await memo.api.request(
        method,
        f"/api/v3/custom_models/{path}",
        headers={"Authorization": f"Bearer {key}"},
        json={} if method == "POST" else None,
    )
    reply.raise_for_status()
    model: dict[str, Any] = reply.json()
    return model


@kopf.on.startup()
async def connect(memo: kopf.Memo, **_: Any) -> None:  # noqa: ANN401 - Kopf's
    """Open the connections to the Scriptix API."""
    memo.api = httpx.AsyncClient(base_url=os.environ["SCRIPTIX_BASE_URL"], timeout=30)


@kopf.on.cleanup()
async def disconnect(memo: kopf.Memo, **_: Any) -> None:  # noqa: ANN401 - Kopf's
    """Close the connections."""
    await memo.api.aclose()


@kopf.on.create(GROUP, VERSION, PLURAL, backoff=INTERVAL)
async def start(
    spec: kopf.Spec,
    namespace: str | None,
    patch: kopf.Patch,
    memo: kopf.Memo,
    **_: Any,  # noqa: ANN401 - Kopf's
) -> None:
    """Start a run of a model that is ready, or follow the one under way."""
    model = await call(memo, namespace, "GET", str(spec["modelId"]))
    if model["training_status"] == READY:
        await call(memo, namespace, "POST", f"{spec['modelId']}/run")
    patch.status["phase"] = "Running"


@kopf.timer(GROUP, VERSION, PLURAL, interval=INTERVAL, backoff=INTERVAL)
async def poll(
    spec: kopf.Spec,
    status: kopf.Status,
    namespace: str | None,
    patch: kopf.Patch,
    memo: kopf.Memo,
    **_: Any,  # noqa: ANN401 - Kopf's
) -> None:
    """Show the progress of a run, and its end."""
    if status.get("phase") != "Running":
        return
    model = await call(memo, namespace, "GET", str(spec["modelId"]))
    patch.status["progress"] = int(model.get("training_progress") or 0)
    if model["training_status"] in PHASES:
        patch.status["phase"] = PHASES[model["training_status"]]
        patch.status["finishedAt"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251 - its rim


def main() -> None:
    """Run until SIGTERM."""
    kopf.configure()
    namespaces = [name for name in os.environ["BASELINE_NAMESPACES"].split(",") if name]
    kopf.run(standalone=True, namespaces=namespaces, clusterwide=not namespaces)


if __name__ == "__main__":
    main()
