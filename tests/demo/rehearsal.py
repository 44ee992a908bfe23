"""Runs the demo as a user does, but faster, and inspects its processes."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.gotools.toolchain import REPOSITORY

SPEED = 2400  # eight hours in twelve seconds


class Rehearsal:
    """A demo that runs, with its output so far.

    Args:
        process: the demo.
        directory: the parent of its directory.
    """

    def __init__(self, process: "subprocess.Popen[str]", directory: Path) -> None:
        self.process = process
        self.directory = directory
        self.output = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait(self) -> int:
        """Return the exit status once the demo has ended and its output is complete."""
        status = self.process.wait()
        self._reader.join()
        return status

    def wait_for_output(self, pattern: str) -> None:
        """Return once the output matches; an earlier end is an error."""
        while not re.search(pattern, self.output):
            assert self.process.poll() is None, self.output
            time.sleep(0.05)

    def services(self) -> int:
        """Return the process id of the services."""
        found = [pid for pid, command in commands() if f"{self.directory}/run-" in command]
        return next(pid for pid in found if "demo.services" in dict(commands())[pid])

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.output += line


@contextmanager
def rehearse(
    assets: Path,
    directory: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Rehearsal]:
    """Run the demo for the duration of the block, and end it in any case."""
    with subprocess.Popen(
        [sys.executable, "-m", "demo", f"--speed={SPEED}", "--directory", directory, *arguments],
        cwd=REPOSITORY,
        env=os.environ | {"KUBEBUILDER_ASSETS": str(assets), "KEEP": "", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        rehearsal = Rehearsal(process, directory)
        try:
            yield rehearsal
        finally:
            process.terminate()
            rehearsal.wait()


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; pytest's time-out limits the wait."""
    while not condition():
        time.sleep(0.05)


def commands() -> Iterator[tuple[int, str]]:
    """Yield the processes of this machine with their command lines."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            yield int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended


def session(leader: int) -> set[int]:
    """Return the processes of a session; all services share one."""
    found = set()
    for pid, command in commands():
        try:
            if command and os.getsid(pid) == leader:
                found.add(pid)
        except ProcessLookupError:
            continue  # it has just ended
    return found
