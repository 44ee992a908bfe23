"""The benchmark on real processes measures what it says; `make bench-real` runs all of it."""

import math
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bench.real.bars import bars
from bench.real.figures import Figures, percentile
from bench.real.measuring import Observed, figures_of
from bench.real.procfs import Usage
from bench.real.results import Results
from bench.real.row import Place
from bench.real.rows import TINY
from bench.real.scene import run_row
from bench.real.simulator import Arrived, drawn_faults
from bench.real.stacks import profile
from bench.real.subject import BASELINE, OPERATOR, Side
from bench.real.tables import reports
from bench.real.writes import writes_in
from bench.report import lines_of
from scriptix_operator.api.names import GROUP, PLURAL, VERSION
from scriptix_simulator import Fault
from tests.controlplane.cluster import ControlPlane
from tests.operator.installation import install_crd

ONLY_AFTER_A_FAULT = {"peak_per_second", "last_shown", "all_scheduled"}
"""Columns of rows in which the API server or the process was away."""


def release(control_plane: ControlPlane, namespace: str) -> None:
    """Remove the finalizers of Kopf's timers: the namespace could not be deleted."""
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"
    headers = {"Content-Type": "application/merge-patch+json"}
    for item in control_plane.api.get(path).json()["items"]:
        control_plane.api.patch(
            f"{path}/{item['metadata']['name']}",
            json={"metadata": {"finalizers": None}},
            headers=headers,
        ).raise_for_status()


@pytest.mark.parametrize("side", [OPERATOR, BASELINE])
async def test_tiny_row_starts_each_run_once_and_fills_columns(
    side: Side, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    install_crd(control_plane)
    try:
        phases = await run_row(
            TINY, side, Place(control_plane, tmp_path, [namespace], is_shared=True)
        )
    finally:
        release(control_plane, namespace)
    figures = phases[""]
    assert (figures.runs_per_request, figures.starts, figures.refusals) == (1.0, 5, 0)
    # A poll before the start, and another one that shows the end.
    assert figures.polls >= 2 * TINY.resources
    assert figures.status_writes >= TINY.resources
    empty = {name for name, figure in asdict(figures).items() if figure is None}
    assert empty == ONLY_AFTER_A_FAULT | ({"reconciles_per_poll"} if side == BASELINE else set())
    assert math.inf not in asdict(figures).values()


FIGURES = Figures(
    runs_per_request=1.0,
    refusals=0,
    starts=100,
    polls=1200,
    logs=0,
    peak_per_second=None,
    status_writes=900,
    resource_writes=0,
    config_map_writes=100,
    event_writes=200,
    lease_writes=10,
    reconciles_per_poll=1.1,
    all_polled=2.0,
    all_scheduled=None,
    all_started=4.0,
    delay_p50=1.0,
    delay_p95=4.0,
    delay_max=5.0,
    last_shown=None,
    cpu=6.0,
    cpu_per_poll=5.0,
    memory=90.0,
    memory_peak=100.0,
    descriptors=30,
    crashes=0,
    seconds=70.0,
)

OBSERVED = Observed(
    resources=2,
    asks_for_starts=True,
    begun=100.0,
    now=170.0,
    calls=[
        Arrived(101, "model", 1, 200, has_started=False),
        Arrived(102, "run", 1, 200, has_started=True),
        Arrived(103, "model", 2, 200, has_started=False),
        Arrived(104, "run", 2, 429, has_started=False),
        Arrived(109, "run", 2, None, has_started=True),
        Arrived(130, "run", 1, 200, has_started=True),
        Arrived(149.5, "log", 1, 200, has_started=False),
        Arrived(150.2, "model", 1, 200, has_started=False),
        Arrived(150.9, "model", 2, 200, has_started=False),
        Arrived(151.2, "model", 1, 200, has_started=False),
    ],
    ends={1: 140, 2: 160},
    shown={1: 152.5, 2: 161},
    writes=Counter(status=4),
    cpu=2.0,
    usage=Usage(cpu=9.0, memory=90.0, peak=100.0, descriptors=30),
    reconciles=10,
    scheduled=None,
    back_at=150.0,
    crashes=0,
)


def test_figures_follow_from_calls_ends_and_what_was_shown() -> None:
    found = figures_of(OBSERVED)
    assert (found.runs_per_request, found.starts, found.refusals) == (1.5, 4, 1)
    assert (found.all_polled, found.all_started) == (3, 9)
    assert (found.delay_p50, found.delay_max) == (1, 12.5)
    # Only the first run ended while the API server was away.
    assert (found.last_shown, found.peak_per_second) == (2.5, 2)
    assert (found.cpu_per_poll, found.reconciles_per_poll) == (400, 2)


def test_what_did_not_happen_in_the_phase_is_never() -> None:
    found = figures_of(replace(OBSERVED, resources=3, shown={2: 161}))
    assert (found.all_polled, found.all_started) == (math.inf, math.inf)
    assert (found.delay_max, found.last_shown) == (math.inf, math.inf)


def test_row_of_running_models_has_no_starts() -> None:
    found = figures_of(replace(OBSERVED, asks_for_starts=False, back_at=None))
    assert (found.runs_per_request, found.all_started, found.last_shown) == (None, None, None)


def with_(**changes: float | None) -> Figures:
    return Figures(**{**asdict(FIGURES), **changes})


def test_median_of_runs_keeps_the_worst_of_promises() -> None:
    runs = [with_(cpu=5), with_(cpu=9, refusals=2), with_(cpu=6, runs_per_request=0.99)]
    found = Figures.median_of(runs)
    assert (found.cpu, found.refusals, found.runs_per_request) == (6, 2, 0.99)
    assert found.last_shown is None


def test_median_of_runs_without_an_end_is_never() -> None:
    runs = [with_(delay_max=math.inf), with_(delay_max=3)]
    assert Figures.median_of(runs).delay_max == math.inf
    assert Figures.median_of(runs).as_json()["delay_max"] == "never"


@pytest.mark.parametrize(("share", "found"), [(0.5, 2), (0.51, 3), (0.95, 4), (1.0, 4)])
def test_percentile_is_a_value_that_was_measured(share: float, found: float) -> None:
    assert percentile([4, 1, 3, 2], share) == found


def test_percentile_of_nothing_is_none() -> None:
    assert percentile([], 0.5) is None


def test_writes_are_counted_by_kind() -> None:
    def sample(verb: str, resource: str, value: int, subresource: str = "") -> str:
        labels = f'code="200",resource="{resource}",subresource="{subresource}",verb="{verb}"'
        return f"apiserver_request_total{{{labels}}} {value}"

    lines = [
        sample("PATCH", "custommodeltrainings", 7, "status"),
        sample("PATCH", "custommodeltrainings", 2),
        sample("POST", "custommodeltrainings", 100),
        sample("GET", "configmaps", 50),
        sample("POST", "configmaps", 3),
        sample("PUT", "configmaps", 4),
        sample("PUT", "leases", 1),
        sample("POST", "secrets", 1),
        "apiserver_request_duration_seconds_count 9",
    ]
    found = {"status": 7, "resource": 2, "configmaps": 7, "leases": 1}
    assert writes_in("\n".join(lines)) == found


def test_drawn_faults_have_their_shares_and_are_valid() -> None:
    rules = drawn_faults({"status": (0.3, {"status": 500}), "truncated": (0.1, {})}, 10_000, seed=1)
    counts = dict.fromkeys(("status", "truncated", "delay"), 0)
    for rule in rules:
        Fault.model_validate(rule)
        counts[rule["fault"]] += rule["times"]
    assert sum(counts.values()) == 10_000
    assert counts["status"] == pytest.approx(3000, rel=0.1)
    assert counts["truncated"] == pytest.approx(1000, rel=0.1)


def results(**rows: Figures) -> Results:
    found = Results()
    for name, figures in rows.items():
        found.add(name, OPERATOR, {"": figures})
        found.add(name, BASELINE, {"": FIGURES})
    return found


def test_bars_judge_the_rows_that_have_run() -> None:
    assert [(bar.what, bar.is_met) for bar in bars(results(plain=with_(cpu=6.1)))] == [
        ("plain: CPU ÷ baseline's", False),
        ("plain: peak memory in MB", True),
        ("all rows: runs per request", True),
        ("all rows: refusals (429) in a row", True),
    ]


def test_worst_row_is_judged_by_what_is_promised() -> None:
    worst = with_(runs_per_request=0.99, refusals=2)
    found = {bar.what: bar for bar in bars(results(plain=worst, killed=FIGURES))}
    assert found["all rows: runs per request"].measured == "0.990"
    assert not found["all rows: runs per request"].is_met
    assert not found["all rows: refusals (429) in a row"].is_met


def test_missing_figure_meets_no_bar() -> None:
    found = {bar.what: bar.is_met for bar in bars(results(flaky=with_(delay_p50=None)))}
    assert not found["flaky: delay p50 in seconds"]
    assert found["flaky: all started, in seconds"]


def test_tables_have_a_row_for_each_side() -> None:
    for report in reports(results(plain=FIGURES)):
        rows = lines_of(report)[6:]
        assert [row.split("  ")[0] for row in rows] == ["plain, operator", "plain, baseline"]


def test_profile_has_the_shares_of_packages_and_functions() -> None:
    lines = [
        "main (scriptix_operator/engine/controller.py:7);loads (json/__init__.py:3) 3",
        "main (scriptix_operator/engine/controller.py:9) 1",
        "",
    ]
    loads, main = "loads (json/__init__.py)", "main (scriptix_operator/engine/controller.py)"
    assert [report.table.rows for report in profile(lines)] == [
        [("json", "75.0%"), ("scriptix_operator/engine", "25.0%")],
        [(loads, "75.0%"), (main, "25.0%")],
        [(main, "100.0%")],
    ]
