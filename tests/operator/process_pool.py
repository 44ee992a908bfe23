"""Starts operators by forking a process that has imported the operator already.

Importing is four fifths of the CPU time that an operator takes to start, and the tests start
hundreds. A child is an ordinary process with its own environment, signals and log.

One end of a pool runs in the test. The other one is forked from `python -m
tests.operator.process_pool`, of which a test process has one; neither has threads, because a fork
would lose them. The two ends exchange JSON lines through a socket.
"""

import asyncio
import atexit
import contextlib
import ctypes
import functools
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
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

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
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
        self._writer.write(json.dumps(order).encode() + b"\n")

    async def listen(self) -> None:
        """Read messages of the other end until it ends."""
        async for line in self._reader:
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
    """Make a process pool for the duration of the block; its children do not outlive it."""
    reader, writer = await asyncio.open_unix_connection(_address())
    made = ProcessPool(reader, writer)
    listening = asyncio.create_task(made.listen())
    try:
        yield made
    finally:
        writer.write_eof()
        await listening
        writer.close()
        await writer.wait_closed()


@functools.cache
def _address() -> str:
    """The socket of the process that forks pools; started once, ends with this process.

    Called by the main thread: the process would end with another one.
    """
    directory = tempfile.TemporaryDirectory(prefix="operators-")  # only this user may enter it
    address = str(Path(directory.name, "socket"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        process = subprocess.Popen(
            tethered([sys.executable, "-m", "tests.operator.process_pool", str(listener.fileno())]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=REPOSITORY,
            pass_fds=[listener.fileno()],
        )

    def end() -> None:
        process.kill()
        process.wait()
        directory.cleanup()

    atexit.register(end)
    return address


def _serve(listener: socket.socket) -> None:
    """Fork a process for each pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is for the tests, which end this process
    for name in WARM:
        __import__(name)
    server = os.getpid()
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _end_with(server)
            _Parent(connection).run()
            os._exit(0)
        connection.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass


class _Parent:
    """The end of the pool that forks the children."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""
        self._selector = selectors.PollSelector()
        self._children: dict[int, int] = {}
        """By pid, the descriptor that becomes readable when the child ends."""

    def run(self) -> None:
        """Obey orders until the other end closes the connection."""
        self._selector.register(self._connection, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.data is not None:
                    self._reap(key.data)
                    continue
                data = self._connection.recv(1 << 20)
                if not data:
                    return
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines:
                    self._obey(json.loads(line))

    def _obey(self, order: dict[str, Any]) -> None:
        if "signal" not in order:
            self._fork(order)
        elif order["pid"] in self._children:
            os.kill(order["pid"], order["signal"])

    def _fork(self, order: dict[str, Any]) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._connection.close()
            _end_with(parent)
            os._exit(_run_operator(order))
        self._children[pid] = os.pidfd_open(pid)
        self._selector.register(self._children[pid], selectors.EVENT_READ, pid)
        self._say({"pid": pid})

    def _reap(self, pid: int) -> None:
        descriptor = self._children.pop(pid)
        self._selector.unregister(descriptor)
        os.close(descriptor)
        self._say({"pid": pid, "status": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})

    def _say(self, message: Mapping[str, object]) -> None:
        with contextlib.suppress(BrokenPipeError):  # the test has been cancelled
            self._connection.sendall(json.dumps(message).encode() + b"\n")


def _end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent ended before the request
        os._exit(1)


def _run_operator(order: dict[str, Any]) -> int:
    """Run the operator in this process; returns its exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
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
    _serve(socket.socket(fileno=int(sys.argv[1])))
