"""The parent of the services process: starts it, reads its reports, keeps or stops it."""

import json
import select
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.errors import DemoError
from demo.part import log_tail
from demo.services import KEEP
from tests.gotools.toolchain import REPOSITORY

STOP_TIMEOUT_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Places:
    """URLs of the running services.

    Attributes:
        simulator: URL of the simulated Scriptix API.
        metrics: URL of the operator's metrics.
    """

    simulator: str
    metrics: str


class Background:
    """The services, until the `with` block ends, or longer if they are kept.

    Args:
        assets: where the control plane's binaries are.
        directory: for data, kubeconfig and logs; it has to exist.
        speed: simulated seconds per real second.
    """

    def __init__(self, assets: Path, directory: Path, speed: float) -> None:
        self._kept = False
        self._log = directory / "services.log"
        command = [sys.executable, "-m", "demo.services", f"--speed={speed:g}"]
        with self._log.open("wb") as log:
            # A separate session: ctrl-C does not reach the services, and they survive a log-out.
            self._process = subprocess.Popen(  # noqa: S603  # nothing in it comes from outside
                [*command, str(assets), str(directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=REPOSITORY,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._kept:
            self.stop()

    @property
    def pid(self) -> int:
        """The process whose end ends all services."""
        return self._process.pid

    def wait_until_ready(self, report_line: Callable[[str], None]) -> Places:
        """Pass on progress lines, and return the URLs once the services are ready.

        Raises:
            DemoError: one of the services did not start.
        """
        for line in self._process.stdout or ():
            report = json.loads(line)
            if "ready" in report:
                return Places(**report["ready"])
            if "failed" in report:
                raise DemoError(report["failed"])
            report_line(report["line"])
        raise DemoError(f"The services ended unexpectedly; {log_tail(self._log)}")

    def check(self) -> None:
        """Raise a DemoError if one of the services has ended."""
        # After "ready" only the reason of a failure, or the end of the stream, can follow.
        reports = self._process.stdout
        if reports is not None and select.select([reports], [], [], 0)[0]:
            self.wait_until_ready(lambda _text: None)

    def keep(self) -> None:
        """Leave the services running when this process ends."""
        if self._process.stdin is not None:
            self._process.stdin.write(KEEP)
            self._process.stdin.flush()
            self._kept = True

    def stop(self) -> None:
        """End the services and wait until they are gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its child processes end with it
            self._process.wait()
