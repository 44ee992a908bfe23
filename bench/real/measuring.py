"""Makes the figures of a phase from what was observed."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.real.figures import Figures, percentile
from bench.real.procfs import Usage
from bench.real.simulator import Arrived

__all__ = ["Observed", "figures_of", "first_polls", "first_starts"]

RECOVERY_SECONDS = 60.0
"""Seconds after the return of the API server in which the busiest one is searched."""
TOO_MANY = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was observed of a phase; all times are unix seconds.

    Attributes:
        resources: How many resources the row has.
        asks_for_starts: Whether they ask for runs; otherwise the models run already.
        begun: When the phase began.
        now: When it was observed.
        calls: Calls to the simulator, oldest first.
        ends: When the run ended, by model.
        shown: When status showed the end, by model.
        writes: Writes to the API server by kind.
        cpu: CPU seconds of the subject.
        usage: Memory and descriptors of the subject.
        reconciles: Reconciles of the operator; None: not known.
        scheduled: When it had reconciled as often as there are resources.
        back_at: When the API server was back, if it was away.
        crashes: Processes that have ended by themselves.
    """

    resources: int
    asks_for_starts: bool
    begun: float
    now: float
    calls: Sequence[Arrived]
    ends: Mapping[int, float]
    shown: Mapping[int, float]
    writes: Counter[str]
    cpu: float
    usage: Usage
    reconciles: float | None
    scheduled: float | None
    back_at: float | None
    crashes: int


def figures_of(seen: Observed) -> Figures:
    """Return the figures."""
    calls = seen.calls
    polls = sum(call.kind == "model" for call in calls)
    starts = sum(call.has_started for call in calls)
    ratio = starts / seen.resources if seen.asks_for_starts else None
    delays = [_shown_at(seen, model) - at for model, at in seen.ends.items()]
    return Figures(
        runs_per_request=ratio,
        refusals=sum(call.status == TOO_MANY for call in calls),
        starts=sum(call.kind == "run" for call in calls),
        polls=polls,
        logs=sum(call.kind == "log" for call in calls),
        peak_per_second=_peak(seen),
        status_writes=seen.writes["status"],
        resource_writes=seen.writes["resource"],
        config_map_writes=seen.writes["configmaps"],
        event_writes=seen.writes["events"],
        lease_writes=seen.writes["leases"],
        reconciles_per_poll=seen.reconciles / polls if seen.reconciles and polls else None,
        all_polled=_last(seen, first_polls(calls)),
        all_scheduled=None if seen.scheduled is None else seen.scheduled - seen.begun,
        all_started=_last(seen, first_starts(calls)) if seen.asks_for_starts else None,
        delay_p50=percentile(delays, 0.5),
        delay_p95=percentile(delays, 0.95),
        delay_max=percentile(delays, 1.0),
        last_shown=_last_shown(seen),
        cpu=seen.cpu,
        cpu_per_poll=1000 * seen.cpu / polls if polls else None,
        memory=seen.usage.memory,
        memory_peak=seen.usage.peak,
        descriptors=seen.usage.descriptors,
        crashes=seen.crashes,
        seconds=seen.now - seen.begun,
    )


def first_polls(calls: Sequence[Arrived]) -> dict[int, float]:
    """Return when each model was first polled."""
    return {call.model: call.at for call in reversed(calls) if call.kind == "model"}


def first_starts(calls: Sequence[Arrived]) -> dict[int, float]:
    """Return when the first run of each model was started."""
    return {call.model: call.at for call in reversed(calls) if call.has_started}


def _last(seen: Observed, first: Mapping[int, float]) -> float:
    """Seconds of the phase until the last model; infinity: not all."""
    return max(first.values()) - seen.begun if len(first) >= seen.resources else math.inf


def _shown_at(seen: Observed, model: int) -> float:
    return seen.shown.get(model, math.inf)


def _last_shown(seen: Observed) -> float | None:
    if seen.back_at is None:
        return None
    back = seen.back_at
    meanwhile = [_shown_at(seen, model) for model, at in seen.ends.items() if at <= back]
    return max(meanwhile, default=math.inf) - back


def _peak(seen: Observed) -> float | None:
    if seen.back_at is None:
        return None
    since = (call.at - seen.back_at for call in seen.calls)
    seconds = Counter(int(at) for at in since if 0 <= at < RECOVERY_SECONDS)
    return max(seconds.values(), default=0)
