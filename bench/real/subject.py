"""What a row measures: the operator or the baseline, as a process that is restarted if it ends."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import aiohttp

from bench.real.clock import until
from bench.real.procfs import Usage, usage_of
from tests.operator.process import Operator, Process, spawn
from tests.tether import tethered

__all__ = ["BASELINE", "MODULES", "OPERATOR", "Side", "Subject", "run_subject"]

Side = Literal["operator", "baseline"]
OPERATOR: Side = "operator"
BASELINE: Side = "baseline"
MODULES: Mapping[Side, str] = {
    "operator": "scriptix_operator",
    "baseline": "bench.real.baseline_operator",
}
READY = {"operator": r"served on port (\d+)", "baseline": "Initial authentication has finished"}
SAMPLE_SECONDS = 1.0
BACKOFF_SECONDS = 10.0
"""As kubelet: a process that ends is restarted at once, then after 10 s, 20 s and so on."""
NOTHING = Usage(0.0, 0.0, 0.0, 0)


@dataclass(slots=True)
class _Life:
    """One process of a subject."""

    process: Process
    pid: int
    operator: Operator
    usage: Usage = NOTHING
    descriptors: int = 0


class Subject:
    """The process under test, and its successors.

    Args:
        side: Operator or baseline.
        variables: The environment.
        directory: For the logs.
    """

    def __init__(self, side: Side, variables: Mapping[str, str], directory: Path) -> None:
        self.side = side
        self._variables = variables
        self._directory = directory
        self._lives: list[_Life] = []
        self._is_stopped = False
        self._began = asyncio.Event()
        self._http = aiohttp.ClientSession()
        self.crashes = 0
        """Processes that have ended by themselves."""

    @property
    def pid(self) -> int:
        """The current process."""
        return self._lives[-1].pid

    async def run(self) -> None:
        """Run processes, one after the other, until cancelled."""
        delay = 0.0
        while True:
            await self._launch()
            await self._lives[-1].process.wait()
            self._began.clear()
            if self._is_stopped:
                self._is_stopped, delay = False, 0.0
                continue
            self.crashes += 1
            await asyncio.sleep(delay)
            delay = max(BACKOFF_SECONDS, 2 * delay)

    async def _launch(self) -> None:
        log = self._directory / f"{self.side}-{len(self._lives)}.log"
        process = await spawn(MODULES[self.side], self._variables, log)
        if not isinstance(process, asyncio.subprocess.Process):
            raise TypeError("only a process of asyncio's has a pid")
        self._lives.append(_Life(process, process.pid, Operator(process, log)))
        self._began.set()

    async def sample(self) -> None:
        """Note the use of resources each second, until cancelled."""
        while True:
            if self._lives:
                self._note()
            await asyncio.sleep(SAMPLE_SECONDS)

    def _note(self) -> None:
        life = self._lives[-1]
        usage = usage_of(life.pid)
        if usage is not None:
            life.usage = usage
            life.descriptors = max(life.descriptors, usage.descriptors)

    def usage(self) -> Usage:
        """Return the CPU time of all processes, and the memory and descriptors of the last."""
        self._note()
        cpu = sum(life.usage.cpu for life in self._lives)
        return replace(self._lives[-1].usage, cpu=cpu, descriptors=self._lives[-1].descriptors)

    async def wait_until_ready(self) -> None:
        """Return once the process has read its settings and reached the API server; it leads."""
        await self._began.wait()
        await self._lives[-1].operator.printed(READY[self.side])
        if self.side == OPERATOR:
            await until(self._leads)

    async def _leads(self) -> bool:
        return await self.metric("scriptix_leader") == 1

    async def metric(self, name: str) -> float | None:
        """Return the sum of a metric of the operator over its labels.

        None: the baseline has no metrics, or the process has ended.
        """
        life = self._lives[-1]
        if self.side != OPERATOR or life.process.returncode is not None:
            return None
        url = await life.operator.url()
        try:
            async with self._http.get(f"{url}/metrics") as reply:
                text = await reply.text()
        except aiohttp.ClientError:
            return None  # the process has ended
        samples = (line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{")))
        return sum(float(line.rpartition(" ")[2]) for line in samples)

    def kill(self) -> None:
        """End the process at once; another one follows."""
        self._end(signal.SIGKILL)

    async def restart(self) -> None:
        """Replace the process as a rollout does, and return once the next one has begun."""
        self._end(signal.SIGTERM)
        await self._lives[-1].process.wait()
        await self._began.wait()

    def _end(self, number: signal.Signals) -> None:
        self._note()
        self._is_stopped = True
        self._began.clear()
        self._lives[-1].process.send_signal(number)

    async def close(self) -> None:
        """End the process for good."""
        for life in self._lives:
            with suppress(ProcessLookupError):
                life.process.send_signal(signal.SIGKILL)
            await life.process.wait()
        await self._http.close()


@asynccontextmanager
async def run_subject(
    side: Side, settings: Mapping[str, str], directory: Path, *, is_profiled: bool = False
) -> AsyncIterator[Subject]:
    """Run a subject for the duration of the block; it is ready when the block begins."""
    kept = {name: v for name, v in os.environ.items() if not name.startswith("SCRIPTIX_")}
    subject = Subject(side, {**kept, **settings}, directory)
    tasks = [asyncio.create_task(subject.run()), asyncio.create_task(subject.sample())]
    try:
        await subject.wait_until_ready()
        async with _profiled(subject, directory, is_profiled=is_profiled):
            yield subject
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await subject.close()


@asynccontextmanager
async def _profiled(subject: Subject, directory: Path, *, is_profiled: bool) -> AsyncIterator[None]:
    """Record the stacks of the first process with py-spy, for the duration of the block."""
    if not is_profiled:
        yield
        return
    folder = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    program = shutil.which("py-spy", path=folder)
    if program is None:
        raise RuntimeError("--profile needs py-spy; `make install` installs it")
    # Only the thread that holds the GIL: py-spy takes waiting workers for running ones.
    options = ["record", "--gil", "--format=raw", "--rate=100", f"--pid={subject.pid}"]
    profiler = await asyncio.create_subprocess_exec(
        *tethered([program, *options, f"--output={directory / f'{subject.side}.stacks'}"]),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        if profiler.returncode is None:
            profiler.send_signal(signal.SIGINT)
        await profiler.wait()
