"""The API key is in no output of a whole run."""

import base64
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.controlplane.cluster import ControlPlane
from tests.operator.lab import QUIET, laboratory

KEY = "sk-secret-0b5c92e7f1"
REJECTED = "sk-secret-rejected-77"


def _spellings(key: str) -> set[str]:
    return {key, base64.b64encode(key.encode()).decode(), key.encode().hex(), f"Bearer {key}"}


@pytest.mark.parametrize("scheme", ["Bearer", ""], ids=["bearer", "bare header"])
async def test_key_is_in_no_output_of_a_whole_run(
    cluster: ControlPlane, namespace: str, tmp_path: Path, scheme: str
) -> None:
    header = "Authorization" if scheme else "x-api-key"
    config = replace(QUIET, keys={KEY: "write"}, auth_header=header, auth_scheme=scheme)
    async with laboratory(cluster, namespace, tmp_path, config) as lab:
        lab.model(301)
        lab.model(
            302, outcome="system_error", error=f"the key {KEY} was no good"
        )  # the message echoes the key
        await lab.secret(REJECTED)
        operator = await lab.operator(
            auth_header=header, auth_scheme=scheme, log_level="DEBUG", log_format="json"
        )
        for name, model in (("refused", 301), ("echoed", 302)):
            await lab.train(name, model)
        await lab.until_reason("refused", "Unauthorized")
        await lab.secret(KEY)
        await lab.fault("drop_after", call="run", model=301)
        await lab.fault("status", call="model", model=302, body={"error": f"bad key {KEY}"})
        for name in ("refused", "echoed"):
            await lab.until(
                name, lambda item: item["status"].get("log", {}).get("state") == "Complete"
            )
        async with httpx.AsyncClient() as client:
            metrics = (await client.get(f"{await operator.url()}/metrics")).text
        operator.terminate()
        assert await operator.ended() == 0

        left_behind = {
            "logs": operator.log,
            "metrics": metrics,
            "status, events, ConfigMaps, Lease": await lab.dump(),
        }
        assert "Unauthorized" in left_behind["status, events, ConfigMaps, Lease"]
        assert "scriptix_api_requests_total" in metrics
        for what, text in left_behind.items():
            for key in (KEY, REJECTED):
                found = [one for one in _spellings(key) if one in text]
                assert not found, f"{what} shows {found}"
