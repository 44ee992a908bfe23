"""A process that fetches several logs at once, within the memory that the chart gives the operator.

Run as `python -m tests.scriptix.logmemory BASE_URL LOGS BYTES`; prints as JSON: the number of
entries of each log, the peak memory in bytes, CPU seconds, and the longest time in seconds that the
event loop was blocked.

The bound is RLIMIT_DATA: it counts all private writable memory, touched or not, and so more than
the container's limit does. RLIMIT_AS would also count addresses without memory pages: the
libraries' code, and the 64 MiB of addresses that glibc reserves for each thread.
"""

import asyncio
import json
import resource
import sys
from collections import deque
from pathlib import Path
from time import monotonic, process_time

from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.model.remote import LogEntry
from scriptix_operator.scriptix import ScriptixClient

__all__ = ["peak_memory"]

KEPT = 10_000
"""Number of entries that the caller keeps of each log."""

TICK = 0.001
"""Seconds between two measurements of how long the event loop was blocked."""


def peak_memory() -> int:
    """The most memory that this process has had, in bytes.

    ru_maxrss is not used: a forked process inherits its parent's value.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


async def _fetch(client: ScriptixClient, model_id: int) -> int:
    """Fetch one log as the operator does."""
    newest: deque[LogEntry] = deque(maxlen=KEPT)
    key = ApiKey("sk-of-the-memory-test", source="test")
    return (await client.log(model_id, key, newest.append)).entries


async def _longest_pause() -> float:
    """Measure the longest blockage of the event loop, until cancelled."""
    longest, last = 0.0, monotonic()
    try:
        while True:
            await asyncio.sleep(TICK)
            now = monotonic()
            longest, last = max(longest, now - last - TICK), now
    except asyncio.CancelledError:
        return longest


async def _fetch_all(base_url: str, logs: int) -> tuple[list[int], float]:
    async with ScriptixClient(base_url=base_url) as client:
        watch = asyncio.create_task(_longest_pause())
        await asyncio.sleep(0)
        entries = await asyncio.gather(*(_fetch(client, model_id) for model_id in range(logs)))
        watch.cancel()
        return entries, await watch


def main(base_url: str, logs: int, limit: int) -> None:
    """Fetch the logs of models 0, 1, …, at once, in at most `limit` bytes."""
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    begin = process_time()
    entries, pause = asyncio.run(_fetch_all(base_url, logs))
    output = {
        "entries": entries,
        "peak": peak_memory(),
        "cpu": process_time() - begin,
        "pause": pause,
    }
    print(json.dumps(output))  # noqa: T201 - to the test


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
