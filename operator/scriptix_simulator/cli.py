"""The command `scriptix-simulator`."""

import argparse
import asyncio
import math
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from .config import DEFAULT_KEY, Access, SimulatorConfig
from .scripts import MAX_HOURS, Scenario, ScenarioError, load_scenario
from .server import serve
from .units import HOUR, Limit, parse_seconds

__all__ = ["main"]

_MAX_PORT = 65_535
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A token in a header, by RFC 9110."""

_LIMIT_HELP = (
    "count/duration in simulated time; several, comma separated, hold at once; or none "
    "(default: %(default)s)"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the simulator until SIGTERM or SIGINT and return 0.

    Args:
        argv: The arguments; the process's own by default.

    Raises:
        SystemExit: The arguments or the scenario file are invalid; one line names the error.
    """
    arguments = _parser().parse_args(argv)
    try:
        asyncio.run(_run(_config(arguments), arguments.host, arguments.port))
    except OSError as error:
        sys.stderr.write(f"scriptix-simulator: {error}\n")
        return 1
    return 0


async def _run(config: SimulatorConfig, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serve(config, host=host, port=port) as simulator:
        sys.stdout.write(f"listening on {simulator.url}\n")
        sys.stdout.flush()
        await stop.wait()


def _config(arguments: argparse.Namespace) -> SimulatorConfig:
    keys: dict[str, Access] = dict.fromkeys(arguments.api_key or [DEFAULT_KEY], "write")
    keys |= dict.fromkeys(arguments.read_only_key, "read")
    return SimulatorConfig(
        speed=arguments.speed,
        keys=keys,
        auth_header=arguments.auth_header,
        auth_scheme=arguments.auth_scheme,
        wrapped=arguments.reply == "wrapped",
        run_body=arguments.run_reply == "body",
        lenient=arguments.server == "lenient",
        window=arguments.window,
        limit_starts=arguments.limit_starts,
        limit_status=arguments.limit_status,
        limit_logs=arguments.limit_logs,
        rate_headers=arguments.rate_headers,
        retry_hint=arguments.retry_hint,
        any_model=arguments.any_model,
        scenario=arguments.models,
        clock_offset=arguments.clock_offset,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scriptix-simulator",
        description="A stand-in for the Scriptix custom-model training API: same endpoints, "
        "errors and limits, in less time and at no cost. The page /admin/ documents how to script "
        "models and faults.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=_port, default=8099, help="0: a free one (default: %(default)s)")
    add(
        "--speed",
        type=_speed,
        default=480.0,
        help="simulated seconds in a real one (default: %(default)s, eight hours in a minute)",
    )
    add(
        "--clock-offset",
        type=_offset,
        default=0.0,
        metavar="DURATION",
        help="how far its clock is ahead, such as 10m; behind: --clock-offset=-10m",
    )
    add(
        "--api-key",
        type=_key,
        action="append",
        metavar="KEY",
        help=f"a key that may do everything; repeatable (default: {DEFAULT_KEY})",
    )
    add(
        "--read-only-key",
        type=_key,
        action="append",
        default=[],
        metavar="KEY",
        help="a key without custom_models:write; repeatable",
    )
    add("--auth-header", type=_header, default="Authorization", help="default: %(default)s")
    add("--auth-scheme", type=_scheme, default="Bearer", help="may be empty (default: %(default)s)")
    add("--reply", choices=("flat", "wrapped"), default="flat", help='wrapped: {"result": ...}')
    add("--run-reply", choices=("body", "empty"), default="body", help="empty: 204")
    add(
        "--server",
        choices=("strict", "lenient"),
        default="strict",
        help="strict starts models at status 2 only, lenient at 3, 4 and 5 too",
    )
    add("--window", choices=("sliding", "fixed"), default="sliding", help="how limits count")
    add("--limit-starts", type=_limits, default="5/1h", help=_LIMIT_HELP)
    add("--limit-status", type=_limits, default="100/1m", help=_LIMIT_HELP)
    add("--limit-logs", type=_limits, default="20/1h", help=_LIMIT_HELP)
    add(
        "--rate-headers",
        choices=("always", "refused", "never"),
        default="always",
        help="which replies carry X-RateLimit headers (default: %(default)s)",
    )
    add(
        "--retry-hint",
        choices=("all", "seconds", "date", "body", "none"),
        default="all",
        help="where a refusal for a limit names the time to retry: Retry-After in seconds and "
        "retry_after in the body (all), Retry-After alone in seconds or as a date, the body "
        "alone, or nowhere (default: %(default)s)",
    )
    add(
        "--models",
        type=_scenario,
        default=Scenario(),
        metavar="FILE",
        help="scenario file with models and faults, YAML or JSON",
    )
    add("--any-model", action="store_true", help="an unknown id is a model that is ready to run")
    return parser


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is no number above 0")
    return speed


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"'{text}' is no port from 0 to {_MAX_PORT}")
    return int(text)


def _key(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise argparse.ArgumentTypeError("a key has one character at least, and no line breaks")
    return text


def _header(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not the name of a header")
    return text


def _scheme(text: str) -> str:
    if text and not _TOKEN.fullmatch(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not one word, such as Bearer, or empty")
    return text


def _offset(text: str) -> float:
    behind = text.startswith("-")
    try:
        seconds = parse_seconds(text.removeprefix("-"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if seconds > MAX_HOURS * HOUR:
        raise argparse.ArgumentTypeError(f"'{text}' is more than ten years")
    return -seconds if behind else seconds


def _limits(text: str) -> tuple[Limit, ...]:
    try:
        return () if text == "none" else tuple(Limit.parse(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _scenario(text: str) -> Scenario:
    try:
        return load_scenario(Path(text))
    except ScenarioError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
