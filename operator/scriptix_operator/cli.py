"""The command `scriptix-operator`."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from scriptix_operator import __version__
from scriptix_operator.api.crd import crd_yaml
from scriptix_operator.check import Severity, check
from scriptix_operator.kube.connection import ClusterUnreachableError
from scriptix_operator.kube.errors import KubeError
from scriptix_operator.kube.leadership import LeadershipLostError
from scriptix_operator.kube.schema import SchemaError
from scriptix_operator.settings import SettingsError, load_settings, unknown_settings
from scriptix_operator.telemetry.logs import configure_logging
from scriptix_operator.usage import CHECK, RUN, settings_help
from scriptix_operator.wiring import operate

__all__ = ["main"]

REFUSALS = (ClusterUnreachableError, KubeError, OSError, SchemaError)
"""Errors that an administrator or a restart can fix: one line names each, without traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit status: 0 stopped as requested, 1 the operator could not continue, 2 wrong usage or
        settings; `check` returns 1 if any line is bad, also for settings.
    """
    parser = argparse.ArgumentParser(prog="scriptix-operator", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add(commands, "run", "run the operator; settings come from SCRIPTIX_* variables", RUN)
    commands.add_parser("crd", help="print the CustomResourceDefinition")
    _add(commands, "check", "check whether `run` finds everything that it needs", CHECK)
    match parser.parse_args(arguments).command:
        case "crd":
            sys.stdout.write(crd_yaml())
            return 0
        case "check":
            return _check()
        case _:
            return _run()


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    texts: tuple[str, str],
) -> None:
    """Add a command that reads the settings; its help lists them."""
    description, more = texts
    commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"{settings_help()}\n\n{more}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _check() -> int:
    """Print each finding; returns 1 if one is bad."""

    async def tell() -> int:
        status = 0
        async for finding in check(os.environ):
            sys.stdout.write(f"{finding}\n")
            sys.stdout.flush()
            if finding.severity is Severity.BAD:
                status = 1
        return status

    return asyncio.run(tell())


def _run() -> int:
    try:
        settings = load_settings(os.environ)
    except SettingsError as error:
        return _refuse(error, status=2)
    configure_logging(settings.log_format, settings.log_level)
    unknown = unknown_settings(os.environ)
    if unknown:
        sys.stderr.write(f"scriptix-operator: {unknown}\n")
    status = 0
    try:
        asyncio.run(operate(settings))
    except* LeadershipLostError:
        status = 1  # kube/leadership.py has logged why
    except* REFUSALS as errors:
        for leaf in _leaves(errors):
            status = _refuse(leaf, status=1)
    return status


def _refuse(error: BaseException, *, status: int) -> int:
    sys.stderr.write(f"scriptix-operator: {error}\n")
    return status


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves


if __name__ == "__main__":
    sys.exit(main())
