"""One server of the demo: its output in a log file, its life tied to the process that starts it."""

import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from demo.errors import DemoError
from tests.tether import tethered

POLL_SECONDS = 0.05
STOP_TIMEOUT_SECONDS = 10.0
LOG_TAIL_LINES = 15


class Part:
    """A server that runs from its construction until `stop`.

    Args:
        name: its name in messages.
        command: the command line.
        log: the file for its output.
        environment: its complete environment.
    """

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self._log = log
        with log.open("wb") as output:
            self._popen = subprocess.Popen(  # noqa: S603  # `services` spells the commands out
                tethered(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                process_group=0,
            )

    def wait_for_line(self, pattern: str, timeout_seconds: float) -> str:
        """Return the group of the pattern once a whole line of the output has it.

        Raises:
            DemoError: the server ended or took too long; with the end of the log.
        """
        deadline = time.monotonic() + timeout_seconds
        line = re.compile(rf"^.*{pattern}.*\n", re.MULTILINE)
        while True:
            found = line.search(self._log.read_text(errors="replace"))
            if found:
                return found[1]
            self.check()
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready within {timeout_seconds:.0f} seconds")
            time.sleep(POLL_SECONDS)

    def check(self) -> None:
        """Raise a DemoError if the server has ended."""
        code = self._popen.poll()
        if code is not None:
            raise self.failure(f"ended with exit status {code}")

    def failure(self, what: str) -> DemoError:
        """Return the error that says what happened and shows the end of the log."""
        return DemoError(f"The {self.name} {what}; {log_tail(self._log)}")

    def stop(self) -> None:
        """Terminate the server, and kill it if it takes too long."""
        self._popen.terminate()
        try:
            self._popen.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


def log_tail(log: Path) -> str:
    """Return the last lines of a log, under a line that says where it is."""
    lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    return "\n".join([f"the end of {log}:", *(f"  {line}" for line in lines)])
