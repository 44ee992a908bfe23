"""The tables that are printed: calls and writes, times, processes."""

from collections.abc import Callable, Sequence

from bench.real.figures import Figures
from bench.real.results import Results
from bench.report import Report, Table, shown

__all__ = ["reports"]

Column = tuple[str, Callable[[Figures], float | None], str]

CALLS: Sequence[Column] = (
    ("runs ÷ requests", lambda f: f.runs_per_request, ".3f"),
    ("429", lambda f: f.refusals, ".0f"),
    ("starts", lambda f: f.starts, ".0f"),
    ("polls", lambda f: f.polls, ".0f"),
    ("logs", lambda f: f.logs, ".0f"),
    ("peak/s", lambda f: f.peak_per_second, ".0f"),
    ("status", lambda f: f.status_writes, ".0f"),
    ("resource", lambda f: f.resource_writes, ".0f"),
    ("configmaps", lambda f: f.config_map_writes, ".0f"),
    ("events", lambda f: f.event_writes, ".0f"),
    ("leases", lambda f: f.lease_writes, ".0f"),
)
TIMES: Sequence[Column] = (
    ("seconds", lambda f: f.seconds, ".0f"),
    ("all polled", lambda f: f.all_polled, ".1f"),
    ("scheduled", lambda f: f.all_scheduled, ".1f"),
    ("started", lambda f: f.all_started, ".1f"),
    ("delay p50", lambda f: f.delay_p50, ".2f"),
    ("p95", lambda f: f.delay_p95, ".2f"),
    ("max", lambda f: f.delay_max, ".2f"),
    ("last shown", lambda f: f.last_shown, ".1f"),
)
PROCESS: Sequence[Column] = (
    ("CPU s", lambda f: f.cpu, ".2f"),
    ("ms/poll", lambda f: f.cpu_per_poll, ".2f"),
    ("reconciles/poll", lambda f: f.reconciles_per_poll, ".2f"),
    ("MB", lambda f: f.memory, ".0f"),
    ("peak MB", lambda f: f.memory_peak, ".0f"),
    ("files", lambda f: f.descriptors, ".0f"),
    ("crashes", lambda f: f.crashes, ".0f"),
)


def reports(results: Results) -> list[Report]:
    """Return the tables; each figure is the median of the row's runs."""
    return [
        _report(
            "Calls and writes", "Calls by operation, writes to the API server.", CALLS, results
        ),
        _report("Times", "In seconds; delay: end of a run until status shows it.", TIMES, results),
        _report("Process", "The process under test.", PROCESS, results),
    ]


def _report(title: str, about: str, columns: Sequence[Column], results: Results) -> Report:
    rows = [
        (f"{name}, {side}", *(shown(read(figures), form) for _, read, form in columns))
        for name, side, figures in results.medians()
    ]
    return Report(title, about, Table(("", *(head for head, _, _ in columns)), rows))
