"""The results of all runs, by row and side."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.real.figures import Figures
from bench.real.subject import BASELINE, OPERATOR, Side

__all__ = ["Results"]


@dataclass(slots=True)
class Results:
    """The figures of each run; a row with several phases has a name for each."""

    runs: dict[tuple[str, Side], list[Figures]] = field(default_factory=dict)

    def add(self, row: str, side: Side, phases: Mapping[str, Figures]) -> None:
        """Add a run of a row."""
        for phase, figures in phases.items():
            self.runs.setdefault((f"{row} {phase}".strip(), side), []).append(figures)

    def median(self, name: str, side: Side = OPERATOR) -> Figures | None:
        """Return the median figures; None: the row did not run."""
        runs = self.runs.get((name, side))
        return Figures.median_of(runs) if runs else None

    def pairs(self, name: str) -> list[tuple[Figures, Figures]]:
        """Return operator and baseline of each run."""
        sides = (self.runs.get((name, side), []) for side in (OPERATOR, BASELINE))
        return list(zip(*sides, strict=False))

    def medians(self) -> Iterator[tuple[str, Side, Figures]]:
        """Yield the median figures of each row and side."""
        for (name, side), runs in self.runs.items():
            yield name, side, Figures.median_of(runs)

    def write(self, file: Path) -> None:
        """Write everything as JSON."""
        rows = [
            {"row": name, "side": side, "runs": [figures.as_json() for figures in runs]}
            for (name, side), runs in self.runs.items()
        ]
        machine = {"cores": os.cpu_count(), "load": os.getloadavg()}
        file.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
