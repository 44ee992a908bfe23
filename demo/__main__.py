"""Command line of the demo; `make demo` and `make demo KEEP=1` run it."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from demo.background import Background
from demo.epilogue import SHOWN, next_steps
from demo.errors import DemoError
from demo.part import log_tail
from demo.services import remove
from demo.shell import Shell
from demo.story import Story
from tests.controlplane.build import find_or_build
from tests.controlplane.errors import ControlPlaneError
from tests.gotools.toolchain import REPOSITORY

INTERRUPTED = 130
SPEED = 480.0
OFF = {"", "0", "false", "no"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit status."""
    options = parse_arguments(arguments, os.environ)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _interrupt)
    try:
        assets = find_or_build(os.environ, sys.stderr)
        parent = options.directory
        parent.mkdir(exist_ok=True)
        return _run(assets, Path(tempfile.mkdtemp(prefix="run-", dir=parent)).resolve(), options)
    except ControlPlaneError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def parse_arguments(
    arguments: Sequence[str] | None, environment: Mapping[str, str]
) -> argparse.Namespace:
    """Return keep, speed and directory; KEEP in the environment is set by make."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "--keep",
        action="store_true",
        default=environment.get("KEEP", "").lower() not in OFF,
        help="leave everything running and print how to use it (make demo KEEP=1)",
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        default=SPEED,
        help="simulated seconds per real second (default: %(default)g, eight hours in a minute)",
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=REPOSITORY / ".demo",
        help="parent of the directory of each demo (default: .demo)",
    )
    return parser.parse_args(arguments)


def _speed(text: str) -> float:
    speed = float(text)
    if not 1 <= speed <= 3600:  # noqa: PLR2004  # limits of the operator: a day, and polls
        raise argparse.ArgumentTypeError("must lie between 1 and 3600")
    return speed


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End the demo on other signals as on ctrl-C, with everything cleaned up."""
    raise KeyboardInterrupt


def _run(assets: Path, directory: Path, options: argparse.Namespace) -> int:
    """Run the demo in a directory, and remove it unless it is needed."""
    try:
        with Background(assets, directory, options.speed) as background:
            places = background.wait_until_ready(lambda text: print(text, flush=True))
            Story(Shell(assets, directory), background, places, options.speed).run()
            if options.keep:
                background.keep()
                print(next_steps(assets, directory, places, background.pid), flush=True)
                return 0
    except DemoError as error:
        shutil.rmtree(
            directory / "etcd", ignore_errors=True
        )  # large, and of no use for a diagnosis
        log = directory / "operator.log"
        tail = f"\n{log_tail(log)}" if log.exists() and str(log) not in str(error) else ""
        return _fail(f"{error}{tail}\nAll logs are in {directory}")
    except (KeyboardInterrupt, BrokenPipeError):
        remove(directory)
        raise
    remove(directory)
    print(SHOWN, flush=True)
    return 0


def _fail(reason: str) -> int:
    sys.stderr.write(f"\nThe demo failed. {reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
