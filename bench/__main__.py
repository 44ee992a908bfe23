"""Command line of the benchmarks; `make bench` and `make bench ARGS="eta --seed 2"` run it."""

import argparse
import sys
from collections.abc import Sequence

from bench.report import Bar, lines_of, status_of, summary
from bench.scenarios import SCENARIOS, reports


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks and return the exit status: 1 if a bar was missed."""
    options = _parse(arguments)
    bars: list[Bar] = []
    for report in reports(options.scenarios or list(SCENARIOS), options.seed):
        print("\n".join(lines_of(report)), end="\n\n", flush=True)
        bars += report.bars
    print("\n".join(summary(bars)), flush=True)
    return status_of(bars)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "scenarios",
        nargs="*",
        metavar="scenario",
        choices=[*SCENARIOS, []],
        help=f"scenarios to run (default: all): {', '.join(SCENARIOS)}",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        help="random seed; the same seed gives the same figures",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
