"""Three logs at the bound at once, in a real process with the memory that the chart gives it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024
BAR = 250 * MIB
"""Bound of the peak memory; about 60 are measured. A reader that held the replies took 1,640."""
LOGS = 3
SIZE = 57 * MIB
"""Size of a log; the client accepts 64 MiB."""
ENTRIES = 10_000
LINES = b",".join(
    b'{"timestamp":"2025-01-16T%02d:%02d:%02dZ","level":"info","message":"step %d loss 0.%03d"}'
    % (n // 3600, n // 60 % 60, n % 60, n, n % 1000)
    for n in range(ENTRIES)
)
REPEATED = SIZE // (len(LINES) + 1)


def memory_limit() -> int:
    """The container's memory limit in the chart's values, in bytes."""
    values = yaml.safe_load((ROOT / "charts/scriptix-operator/values.yaml").read_text())
    return int(values["resources"]["limits"]["memory"].removesuffix("Mi")) * MIB


@asynccontextmanager
async def serving_large_logs() -> AsyncIterator[str]:
    """Serve a log of SIZE to each request, with little memory."""
    begin, end = b'{"log_entries":[', b'],"model_id":%d}'

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            model_id = int(request.split(b"/log ")[0].rpartition(b"/")[2])
            last = end % model_id
            length = len(begin) + len(LINES) * REPEATED + REPEATED - 1 + len(last)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + begin)
            for number in range(REPEATED):
                writer.write(b"," * (number > 0) + LINES)
                await writer.drain()
            writer.write(last)
            await writer.drain()
        except ConnectionError:
            pass  # the process has failed; its output has the reason
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.timeout(600)  # CPU-bound, and tests share the processors
async def test_three_large_logs_fit_into_half_the_memory_limit() -> None:
    async with serving_large_logs() as url:
        command = ("-m", "tests.scriptix.logmemory", url, str(LOGS), str(memory_limit()))
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )
        output, _ = await process.communicate()
    assert process.returncode == 0
    measured = json.loads(output)
    assert measured["entries"] == [REPEATED * ENTRIES] * LOGS
    assert measured["peak"] < BAR
