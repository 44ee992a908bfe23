"""Where the parts that talk to the API server report what fails."""

from typing import Protocol

__all__ = ["ProblemReports"]


class ProblemReports(Protocol):
    """Takes what fails and what works again, as telemetry.health.Problems."""

    def report(self, source: str, text: str, *, subject: str = "", is_outage: bool = False) -> None:
        """Say that something fails."""

    def clear(self, source: str, subject: str = "") -> None:
        """Say that it works again."""
