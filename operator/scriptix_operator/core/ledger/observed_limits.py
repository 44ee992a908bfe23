"""Observed limits as the start ledger keeps them, so that they survive restarts."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from scriptix_operator.api.base import ApiModel
from scriptix_operator.api.times import Time
from scriptix_operator.core.ratelimit.additive_increase import ObservedLimit

__all__ = ["StoredLimit", "StoredLimits", "kept", "restored_limits", "stored_limits"]

KEPT = timedelta(days=31)
"""Older observed limits are dropped: no API has quotas over more than a month."""
MAX_KEYS = 500
"""Most API keys whose limits are kept; 0.1 of the 1 MiB that a ConfigMap holds."""


class StoredLimit(ApiModel):
    """An observed limit in wall time."""

    seconds: float
    """Length of the window."""
    count: int
    """Calls in a window."""
    at: Time
    """When the limit was observed."""
    clean_windows: float
    """After so many windows without a refusal, one call more is tried."""


StoredLimits = dict[str, dict[str, tuple[StoredLimit, ...]]]
"""Observed limits by key fingerprint and kind of call."""


def stored_limits(
    observed: Iterable[ObservedLimit], wall: datetime, now: float
) -> tuple[StoredLimit, ...]:
    """Observed limits in wall time.

    Args:
        observed: The limits, in monotonic seconds.
        wall: The time, UTC.
        now: The same in monotonic seconds.
    """
    return tuple(
        StoredLimit(
            seconds=observed_limit.seconds,
            count=observed_limit.count,
            at=(wall - timedelta(seconds=now - observed_limit.at)).replace(microsecond=0),
            clean_windows=observed_limit.clean_windows,
        )
        for observed_limit in observed
    )


def restored_limits(
    observed: Iterable[StoredLimit], wall: datetime, now: float
) -> tuple[ObservedLimit, ...]:
    """Observed limits in monotonic seconds; arguments as for stored_limits."""
    return tuple(
        ObservedLimit(
            one.seconds, one.count, now - (wall - one.at).total_seconds(), one.clean_windows
        )
        for one in observed
        if one.seconds > 0 and one.count > 0 and one.clean_windows > 0
    )


def kept(
    limits: Mapping[str, Mapping[str, tuple[StoredLimit, ...]]], now: datetime
) -> StoredLimits:
    """The limits to keep: not too old, of the MAX_KEYS keys with the newest ones."""
    young = {
        key: {
            call: tuple(one for one in observed if one.at > now - KEPT)
            for call, observed in calls.items()
        }
        for key, calls in limits.items()
    }
    newest = {
        key: max(one.at for observed in calls.values() for one in observed)
        for key, calls in young.items()
        if any(calls.values())
    }
    chosen = sorted(newest, key=lambda key: newest[key])[-MAX_KEYS:]
    return {key: {c: observed for c, observed in young[key].items() if observed} for key in chosen}
