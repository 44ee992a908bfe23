"""An API server that is unreachable when the operator starts: the operator waits."""

import asyncio
import socket
from pathlib import Path

import httpx
import yaml

from tests.controlplane.cluster import ControlPlane
from tests.operator.lab import Lab


async def test_operator_waits_for_an_unreachable_api_server(
    lab: Lab, cluster: ControlPlane, tmp_path: Path
) -> None:
    lab.model(801)
    await lab.secret()
    await lab.train("patient", 801)
    server = cluster.api.base_url
    # Bound, so that no other process takes the port; connections are refused until it listens.
    away = socket.socket()
    away.bind(("127.0.0.1", 0))
    port = away.getsockname()[1]
    document = yaml.safe_load(cluster.kubeconfig.read_text())
    document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    kubeconfig = tmp_path / "away.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(document))
    operator = await lab.operator({"KUBECONFIG": str(kubeconfig)})
    await operator.printed("the API server is unreachable: ")
    async with httpx.AsyncClient(base_url=await operator.url()) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(server.host, server.port)
        await asyncio.gather(_pipe(reader, back), _pipe(there, writer))

    async with await asyncio.start_server(forward, sock=away):
        await lab.until_phase("patient", "Succeeded")
        assert operator.log.count("the API server is unreachable: ") == 1
        assert operator.log.count("the API server is reachable again after ") == 1
        operator.terminate()
        assert await operator.ended() == 0


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
