"""Command line; `make bench-real` and `make bench-real ARGS="plain --runs 1"` run it."""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.real.bars import bars
from bench.real.cluster import MortalControlPlane
from bench.real.figures import Figures
from bench.real.results import Results
from bench.real.row import Place, Row
from bench.real.rows import ROWS
from bench.real.scene import Scene, run_row
from bench.real.subject import BASELINE, OPERATOR, Side
from bench.real.tables import reports
from bench.report import lines_of, status_of, summary
from tests.controlplane.build import find_or_build
from tests.operator.installation import install_crd
from tests.operator.process import REPOSITORY

OUTPUT = REPOSITORY / "build" / "bench-real"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return the exit status: 1 if a bar was missed."""
    options = _parse(arguments)
    assets = find_or_build(os.environ, sys.stderr)
    results = Results()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the first run", flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.rows or [name for name, row in ROWS.items() if not row.is_optional]:
        row = ROWS[name]
        for number in range(options.runs or row.runs):
            for side in options.side or (OPERATOR, BASELINE):
                directory = options.output / f"{name}-{side}-{number}"
                phases = _measure(row, side, assets, directory, is_profiled=options.profile)
                results.add(name, side, phases)
                results.write(options.output / "results.json")
                print(f"{name}, {side}, run {number + 1}: {_brief(phases)}", flush=True)
    found = bars(results)
    for report in reports(results):
        print("\n".join(["", *lines_of(report)]))
    print("\n".join(["", *summary(found)]), flush=True)
    return status_of(found)


def _measure(
    row: Row[Scene], side: Side, assets: Path, directory: Path, *, is_profiled: bool
) -> Mapping[str, Figures]:
    """Run a row for one side, on a control plane of its own."""
    directory.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as data,
        MortalControlPlane(assets, Path(data)) as control_plane,
    ):
        install_crd(control_plane)
        namespaces = [f"bench-{number}" for number in range(row.keys)]
        for name in namespaces:
            body = {"metadata": {"name": name}}
            control_plane.api.post("/api/v1/namespaces", json=body).raise_for_status()
        place = Place(control_plane, directory, namespaces, is_profiled=is_profiled)
        return asyncio.run(run_row(row, side, place))


def _brief(phases: Mapping[str, Figures]) -> str:
    return "; ".join(
        f"{phase} {of.seconds:.0f} s, {of.polls:.0f} polls, {of.cpu:.2f} CPU s".strip()
        for phase, of in phases.items()
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.real", description=__doc__)
    parser.add_argument(
        "rows",
        nargs="*",
        metavar="row",
        choices=[*ROWS, []],
        help=f"rows to run: {', '.join(ROWS)} (default: all but "
        f"{', '.join(name for name, row in ROWS.items() if row.is_optional)})",
    )
    parser.add_argument("--runs", type=int, help="runs of each row (default: 3, long rows 1)")
    parser.add_argument(
        "--side", action="append", choices=[OPERATOR, BASELINE], help="only this side"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, help="for JSON, logs and profiles")
    parser.add_argument("--profile", action="store_true", help="record stacks with py-spy")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
