"""Starts operators by forking a process that has imported the operator already.

Importing is four fifths of the CPU time that an operator takes to start, and the matrix starts
hundreds. A child is an ordinary process with its own environment and log.

One end runs in the test; the other one is `python -m tests.crash.process_pool`, which has no
threads, because a fork would lose them. The two ends exchange JSON lines.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import runpy
import selectors
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.operator.process import REPOSITORY
from tests.tether import PR_SET_PDEATHSIG, tethered

__all__ = ["Child", "ProcessPool", "pool"]

WARM = ("scriptix_operator.cli", "tests.crash.awaits", "tests.crash.orders")


class Child:
    """A process that the pool has started, with the interface of asyncio's processes."""

    def __init__(self, pid: int, owner: "ProcessPool") -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._owner = owner
        self._over = asyncio.Event()

    def send_signal(self, number: int) -> None:
        """Have the parent send the signal, since it knows whether the process still exists."""
        if self.returncode is not None:
            raise ProcessLookupError(self.pid)
        self._owner.send({"signal": int(number), "pid": self.pid})

    async def wait(self) -> int:
        """Wait for the end of the process; returns the status as asyncio's processes do."""
        await self._over.wait()
        assert self.returncode is not None
        return self.returncode

    def end(self, status: int) -> None:
        """Record the end of the process."""
        self.returncode = status
        self._over.set()


class ProcessPool:
    """The end of the pool in the test."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._children: dict[int, Child] = {}
        self._launching: asyncio.Queue[asyncio.Future[Child]] = asyncio.Queue()

    async def launch(self, module: str, variables: Mapping[str, str], log_file: Path) -> Child:
        """Run `python -m module run` with these variables; the file receives its output."""
        # The log may be read before the child has opened it.
        await asyncio.to_thread(log_file.touch, mode=0o600)
        born: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        self._launching.put_nowait(born)
        self.send({"module": module, "variables": dict(variables), "log": str(log_file)})
        return await born

    def send(self, order: Mapping[str, object]) -> None:
        """Send a line to the other end."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def listen(self) -> None:
        """Read messages of the other end until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said = json.loads(line)
            pid = said["pid"]
            if "status" in said:
                self._children.pop(pid).end(said["status"])
            else:
                child = self._children[pid] = Child(pid, self)
                born = self._launching.get_nowait()
                if not born.cancelled():
                    born.set_result(child)


@asynccontextmanager
async def pool() -> AsyncIterator[ProcessPool]:
    """Run a process pool for the duration of the block; its children do not outlive it."""
    process = await asyncio.create_subprocess_exec(
        *tethered([sys.executable, "-m", "tests.crash.process_pool"]),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=REPOSITORY,
    )
    made = ProcessPool(process)
    listening = asyncio.create_task(made.listen())
    try:
        yield made
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening


class _Parent:
    """The end of the pool that forks the children."""

    def __init__(self) -> None:
        self._selector = selectors.PollSelector()
        self._children: dict[int, int] = {}
        """By pid, the descriptor that becomes readable when the child ends."""

    def run(self) -> None:
        """Obey orders until standard input ends."""
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.data is not None:
                    self._reap(key.data)
                    continue
                line = os.read(sys.stdin.fileno(), 1 << 20)
                if not line:
                    return
                for order in _lines(line):
                    self._obey(order)

    def _obey(self, order: dict[str, Any]) -> None:
        if "signal" not in order:
            self._fork(order)
        elif order["pid"] in self._children:
            os.kill(order["pid"], order["signal"])

    def _fork(self, order: dict[str, Any]) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os._exit(_run_operator(order, parent))
        self._children[pid] = os.pidfd_open(pid)
        self._selector.register(self._children[pid], selectors.EVENT_READ, pid)
        _say({"pid": pid})

    def _reap(self, pid: int) -> None:
        descriptor = self._children.pop(pid)
        self._selector.unregister(descriptor)
        os.close(descriptor)
        _say({"pid": pid, "status": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})


_rest = b""


def _lines(data: bytes) -> list[dict[str, Any]]:
    """The complete lines that have arrived."""
    global _rest
    *whole, _rest = (_rest + data).split(b"\n")
    return [json.loads(line) for line in whole]


def _say(line: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _run_operator(order: dict[str, Any], parent: int) -> int:
    """Run the operator in this process; returns its exit status."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return 1
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(order["variables"])
    sys.argv = [order["module"], "run"]
    status = 1
    with contextlib.suppress(Exception):
        try:
            runpy.run_module(order["module"], run_name="__main__", alter_sys=True)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            sys.excepthook(*sys.exc_info())
            raise
    sys.stdout.flush()
    return status


if __name__ == "__main__":
    for name in WARM:
        __import__(name)
    _Parent().run()
