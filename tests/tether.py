"""Runs a command that ends with its parent, however the parent ends.

A killed test run must leave no API server behind. The kernel can end the child, but only the child
itself can request that, so this file runs as a script between fork and exec. (`preexec_fn` could do
the same, but may deadlock in a process with threads.) The signal comes when the *thread* that
started the child ends, so start from one that lives as long as the child shall.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def tethered(command: Sequence[str | Path]) -> list[str]:
    """Return the command line that runs the command tied to the life of this process."""
    # -I and -S: neither the user's environment nor site-packages matter here, and it starts faster.
    tether = [sys.executable, "-I", "-S", __file__, str(os.getpid())]
    return [*tether, *map(str, command)]


def _main(parent: int, command: list[str]) -> None:
    if sys.platform == "linux":  # other systems: the child is not tied
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
        if os.getppid() != parent:  # the parent ended before the request
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606  # no shell is the point


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2:])
