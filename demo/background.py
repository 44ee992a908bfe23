"""The demo's end of the services: starts them, hears from them, keeps or stops them."""

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
    """Where the services are once they run.

    Attributes:
        simulator: URL of the simulated Scriptix API.
        metrics: URL of the operator's metrics.
    """

    simulator: str
    metrics: str


class Background:
    """The services, from `start` until the `with` block ends, or on if they were kept.

    Args:
        assets: where the control plane's binaries are.
        directory: for data, kubeconfig and logs; it has to be there.
        speed: simulated seconds in a real one.
    """

    def __init__(self, assets: Path, directory: Path, speed: float) -> None:
        self._kept = False
        self._log = directory / "services.log"
        command = [sys.executable, "-m", "demo.services", f"--speed={speed:g}"]
        with self._log.open("wb") as log:
            # A session of their own: ctrl-C is for us alone, and who keeps them may log out.
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
        """The process whose end is the end of all services."""
        return self._process.pid

    def wait_until_ready(self, tell: Callable[[str], None]) -> Places:
        """Tell how the services come up and return where they are.

        Raises:
            DemoError: one of them did not come up.
        """
        for line in self._process.stdout or ():
            report = json.loads(line)
            if "ready" in report:
                return Places(**report["ready"])
            if "failed" in report:
                raise DemoError(report["failed"])
            tell(report["line"])
        raise DemoError(f"The services ended unexpectedly; {log_tail(self._log)}")

    def check(self) -> None:
        """Raise a DemoError if one of the services has ended."""
        # After "ready" there is nothing to hear but the reason of a failure, or the end.
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
            self._process.kill()  # what it has started ends with it
            self._process.wait()
