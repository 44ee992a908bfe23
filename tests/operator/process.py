"""An operator process of a test: launch it, signal it, and read its log."""

import asyncio
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

from tests.tether import tethered

__all__ = ["REPOSITORY", "TIMEOUT", "Launch", "Operator", "Process", "spawn"]

REPOSITORY = Path(__file__).parents[2]

TIMEOUT = 120.0
"""Seconds after which a condition that does not come true fails its test."""


class Process(Protocol):
    """The part of asyncio's Process that a lab uses."""

    @property
    def pid(self) -> int:
        """The process id."""

    @property
    def returncode(self) -> int | None:
        """The exit status; None while the process runs."""

    def send_signal(self, signal: int, /) -> None:
        """Send a signal to the process."""

    async def wait(self) -> int:
        """Wait for the end of the process."""


Launch = Callable[[str, Mapping[str, str], Path], Awaitable[Process]]
"""Runs `python -m MODULE run` with these variables, its output in a file."""


async def spawn(module: str, variables: Mapping[str, str], log_file: Path) -> Process:
    """Launch as a separate process, which ends with this one."""
    with log_file.open("wb") as output:
        return await asyncio.create_subprocess_exec(
            *tethered([sys.executable, "-m", module, "run"]),
            env=variables,
            cwd=REPOSITORY,
            stdout=output,
            stderr=output,
        )


class Operator:
    """An operator process; `log_file` has its output."""

    def __init__(self, process: Process, log_file: Path) -> None:
        self._process = process
        self.log_file = log_file

    @property
    def log(self) -> str:
        """The output so far."""
        return self.log_file.read_text(encoding="utf-8")

    async def printed(self, pattern: str) -> re.Match[str]:
        """Wait until a line of the log matches `pattern`."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                match = re.search(pattern, self.log)
                if match:
                    return match
                if self._process.returncode is not None:
                    raise AssertionError(f"the operator ended without {pattern!r}:\n{self.log}")
                await asyncio.sleep(0.05)

    async def url(self) -> str:
        """URL of the health endpoints and metrics."""
        port = (await self.printed(r"served on port (\d+)"))[1]
        return f"http://127.0.0.1:{port}"

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether the process still runs."""
        return self._process.returncode is None

    def resume(self) -> None:
        """SIGCONT, after a SIGSTOP."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, as if the node failed."""
        self._process.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM, as a rollout sends it."""
        self.signal(signal.SIGTERM)

    def signal(self, number: int) -> None:
        """Send any signal to the process."""
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for the end of the process; return the exit status."""
        async with asyncio.timeout(TIMEOUT):
            return await self._process.wait()
