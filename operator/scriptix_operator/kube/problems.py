"""The interface by which the parts of this package report problems."""

from typing import Protocol

__all__ = ["ProblemReports"]


class ProblemReports(Protocol):
    """Takes reports of problems, as telemetry.health.Problems."""

    def report(self, source: str, text: str, *, subject: str = "", is_outage: bool = False) -> None:
        """Report a problem."""

    def clear(self, source: str, subject: str = "") -> None:
        """Clear a problem."""
