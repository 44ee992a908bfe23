"""All scenarios, run in parallel: each has its own world."""

import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor

from bench.binding import binding
from bench.eta import eta
from bench.fairness import fairness
from bench.forecast import forecast
from bench.outage import outage
from bench.polling import polling
from bench.report import Report
from bench.sharing import sharing
from bench.starting import starting

__all__ = ["SCENARIOS", "reports"]

SCENARIOS: Mapping[str, Callable[[int], Report]] = {
    "polling": polling,
    "binding": binding,
    "starting": starting,
    "sharing": sharing,
    "fairness": fairness,
    "eta": eta,
    "outage": outage,
    "forecast": forecast,
}
LONGEST_FIRST = (
    "starting",
    "binding",
    "polling",
    "sharing",
    "fairness",
    "eta",
    "outage",
    "forecast",
)


def reports(names: Sequence[str], seed: int) -> Iterator[Report]:
    """Run scenarios, as many at once as there are processors; yields in the order of `names`."""
    workers = min(len(names), len(os.sched_getaffinity(0)))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_prepare) as pool:
        running = {name: pool.submit(_run, name, seed) for name in LONGEST_FIRST if name in names}
        for name in names:
            yield running[name].result()


def _prepare() -> None:
    # Scenarios cause refusals and outages on purpose; errors are still logged.
    logging.getLogger("scriptix_operator").setLevel(logging.ERROR)


def _run(name: str, seed: int) -> Report:
    begun = time.monotonic()
    report = SCENARIOS[name](seed)
    # Not in the report, which is the same each time.
    sys.stderr.write(f"{name}: {time.monotonic() - begun:.0f} s\n")
    return report
