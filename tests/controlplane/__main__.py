"""Command line: `python -m tests.controlplane build`, or `up DIRECTORY` to keep one running."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tests.controlplane.build import find_or_build
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.errors import ControlPlaneError

INTERRUPTED = 130
ENDINGS = (signal.SIGTERM, signal.SIGINT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status."""
    options = _parser().parse_args(arguments)
    for ending in ENDINGS:  # SIGINT, too: nohup and cron start processes that ignore it
        signal.signal(ending, _interrupt)
    try:
        assets = find_or_build(os.environ, sys.stderr)
        if options.command == "build":
            _say(str(assets))
        else:
            _run_until_stopped(
                ControlPlane(assets, options.directory, apiserver_flags=options.flag)
            )
    except ControlPlaneError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.controlplane", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "build", help="find or build the binaries; the last line is their directory"
    )
    up = commands.add_parser("up", help="run a control plane until ctrl-C or SIGTERM")
    up.add_argument("directory", type=Path, help="for kubeconfig, logs and data; kept")
    up.add_argument(
        "--flag", action="append", default=[], help="a flag for kube-apiserver; --flag=--v=4"
    )
    return parser


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End the process on SIGTERM as on ctrl-C, with everything cleaned up."""
    raise KeyboardInterrupt


def _run_until_stopped(control_plane: ControlPlane) -> None:
    with control_plane:
        # A handler runs between two bytecodes: a signal just before a blocking call would be lost.
        # A blocked signal waits for sigwait instead.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
        _say(f"export KUBECONFIG={control_plane.kubeconfig}")
        _say("Running; stop it with ctrl-C or SIGTERM")
        signal.sigwait(ENDINGS)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
