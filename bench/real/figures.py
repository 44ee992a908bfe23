"""The figures of one row and side, and the median of several."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import median, median_high
from typing import Any, Self

__all__ = ["Figures", "percentile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The columns of a row; None: not applicable, infinity: not within the row's time.

    Attributes:
        runs_per_request: Runs that the simulator has started, by the resources that ask for one.
        refusals: Calls refused with 429.
        starts: POSTs of a start.
        polls: GETs of a model.
        logs: GETs of a log.
        peak_per_second: Calls in the busiest second after the API server is back.
        status_writes: Writes of status.
        resource_writes: Writes of metadata of the resources: finalizers, annotations.
        config_map_writes: Writes of ConfigMaps.
        event_writes: Writes of events.
        lease_writes: Writes of Leases; the API server renews one of its own, too.
        reconciles_per_poll: Reconciles of the operator by polls.
        all_polled: Seconds until the last resource had its first poll.
        all_scheduled: Seconds until the operator had reconciled as often as there are resources.
        all_started: Seconds until the last run was started.
        delay_p50: Median seconds from the end of a run until status shows it.
        delay_p95: The same, 95th percentile.
        delay_max: The same, maximum.
        last_shown: Seconds from the return of the API server until status shows all ends that
            happened before.
        cpu: CPU seconds of the process.
        cpu_per_poll: Milliseconds of CPU time for each poll.
        memory: Resident MB at the end.
        memory_peak: Resident MB at most.
        descriptors: Open file descriptors at most.
        crashes: Processes that have ended by themselves and were restarted.
        seconds: Length of the measured phase.
    """

    runs_per_request: float | None
    refusals: float
    starts: float
    polls: float
    logs: float
    peak_per_second: float | None
    status_writes: float
    resource_writes: float
    config_map_writes: float
    event_writes: float
    lease_writes: float
    reconciles_per_poll: float | None
    all_polled: float | None
    all_scheduled: float | None
    all_started: float | None
    delay_p50: float | None
    delay_p95: float | None
    delay_max: float | None
    last_shown: float | None
    cpu: float
    cpu_per_poll: float | None
    memory: float
    memory_peak: float
    descriptors: float
    crashes: float
    seconds: float

    @classmethod
    def median_of(cls, runs: Sequence[Self]) -> Self:
        """Return the median of each figure; the worst one of those that are promises."""
        found = {
            field.name: _median(getattr(run, field.name) for run in runs) for field in fields(cls)
        }
        worst = max(
            (run.runs_per_request for run in runs if run.runs_per_request is not None),
            key=lambda ratio: abs(ratio - 1),
            default=None,
        )
        refusals = max(run.refusals for run in runs)
        return cls(**{**found, "runs_per_request": worst, "refusals": refusals})

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON has them: infinity is the text `never`."""
        return {
            name: "never" if value is not None and math.isinf(value) else value
            for name, value in asdict(self).items()
        }


def _median(values: Iterable[float | None]) -> Any:  # noqa: ANN401 - None only where runs have None
    known = [value for value in values if value is not None]
    if not known:
        return None
    # Between a number and "never" there is no mean.
    return median_high(known) if math.inf in known else median(known)


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least this share of the values does not exceed."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]
