"""What benchmarks print."""

import math

import pytest

from bench.report import (
    Bar,
    Report,
    Table,
    at_least,
    at_most,
    exactly,
    lines_of,
    shown,
    status_of,
    summary,
)


def test_figures_stand_to_the_right_and_names_to_the_left() -> None:
    table = Table(("side", "calls"), [("operator", "7"), ("plain", "12345")])
    assert table.lines() == [
        "side      calls",
        "--------  -----",
        "operator      7",
        "plain     12345",
    ]


def test_report_has_a_title_a_description_and_a_table() -> None:
    report = Report("Polling", "Sixty runs.", Table(("side",), [("operator",)]))
    assert lines_of(report) == [
        *("## Polling", "", "Sixty runs.", ""),
        *("side", "--------", "operator"),
    ]


@pytest.mark.parametrize(
    ("bar", "is_met"),
    [
        (at_most("delay", 0.5, 0.5), True),
        (at_most("delay", 0.501, 0.5), False),
        (at_most("delay", math.nan, 0.5), False),
        (at_most("delay", math.inf, 0.5), False),
        (at_least("use", 0.95, 0.95), True),
        (at_least("use", 0.949, 0.95), False),
        (at_least("use", math.nan, 0.95), False),
        (exactly("refused", 0, 0), True),
        (exactly("refused", 1, 0), False),
    ],
)
def test_a_bar_is_met_or_missed_and_so_is_the_exit_status(bar: Bar, is_met: bool) -> None:  # noqa: FBT001 - a case
    met = exactly("another", 1, 1)
    assert bar.is_met is is_met
    assert status_of([met, bar, met]) == (0 if is_met else 1)


def test_summary_shows_bar_measurement_and_miss() -> None:
    assert summary([at_most("delay", 0.32, 0.5), at_least("use", 0.7, 0.95)]) == [
        *("## Bars", ""),
        "what      bar      measured",
        "-----  ------  ------------",
        "delay  ≤ 0.50          0.32",
        "use    ≥ 0.95  0.70  MISSED",
    ]


@pytest.mark.parametrize(
    ("figure", "text"), [(None, "-"), (math.nan, "-"), (math.inf, "never"), (1.26, "1.3")]
)
def test_unmeasurable_value_is_shown_as_such(figure: float | None, text: str) -> None:
    assert shown(figure) == text
