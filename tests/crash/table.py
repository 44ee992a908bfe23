"""The table of the matrix: runs started and seconds to recovery, by await and fault."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

__all__ = ["Outcome", "render"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a case.

    Args:
        situation: The conditions besides the crash.
        where: The row: the await, or the subject of the case.
        how: The column: the mode.
        runs: Runs started for the one request; None: unknown.
        seconds: From the start of the successor until the run was recorded as running or finished.
        problem: Any other problem.
    """

    situation: str
    where: str
    how: str
    runs: int | None
    seconds: float = 0.0
    problem: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the case started one run and has no problem."""
        return self.runs == 1 and not self.problem

    def __str__(self) -> str:
        return f"{self.situation}; {self.where}; {self.how}: {self.runs} runs; {self.problem}"

    @property
    def cell(self) -> str:
        """The runs and the seconds."""
        runs = "?" if self.runs is None else str(self.runs)
        return f"{runs} {self.seconds:5.1f}" + ("!" if self.problem else " ")


def render(outcomes: Iterable[Outcome]) -> list[str]:
    """The lines of the table; a block for each situation, in the order of the cases."""
    blocks: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        blocks.setdefault(outcome.situation, []).append(outcome)
    lines = ["runs started, and seconds from the successor's start to the run being recorded"]
    for situation, block in blocks.items():
        lines += ["", *_block(situation, block)]
    every = [outcome for block in blocks.values() for outcome in block]
    good = sum(outcome.is_good for outcome in every)
    return [*lines, "", f"{good} of {len(every)} cases: one run, recovered without a human"]


def _block(situation: str, outcomes: Sequence[Outcome]) -> list[str]:
    columns = list(dict.fromkeys(outcome.how for outcome in outcomes))
    rows: dict[str, dict[str, str]] = {}
    for outcome in outcomes:
        rows.setdefault(outcome.where, {})[outcome.how] = outcome.cell
    names = _shortened(list(rows))
    width = max(len(situation), *map(len, names))
    cells = max(9, *map(len, columns))
    lines = [f"{situation:{width}} " + "".join(f" {column:>{cells}}" for column in columns)]
    for name, row in zip(names, rows.values(), strict=True):
        lines.append(f"{name:{width}} " + "".join(f" {row.get(c, ''):>{cells}}" for c in columns))
    return lines


def _shortened(names: list[str]) -> list[str]:
    """Paths to awaits, without the functions that all of them begin with."""
    ways = [name.split(" > ") for name in names]
    calls = [way[:-1] for way in ways if len(way) > 1]
    common = 0
    if len(calls) > 1:
        levels = zip(*calls, strict=False)
        common = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    return [_elided(way[common:] or way) for way in ways]


def _elided(way: list[str]) -> str:
    return " > ".join(way if len(way) < 5 else [*way[:2], "…", way[-1]])
