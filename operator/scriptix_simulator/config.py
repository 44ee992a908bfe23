"""The configuration of a simulator; constant while it runs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .replies import RetryHint
from .scripts import Scenario
from .units import HOUR, Limit
from .windows import Style

__all__ = ["DEFAULT_KEY", "Access", "RateHeaders", "SimulatorConfig", "fingerprint"]

Access = Literal["write", "read", "revoked"]
"""The permissions of a key: everything, everything but starts, or nothing any more."""

RateHeaders = Literal["always", "refused", "never"]
"""The replies with rate-limit headers."""

DEFAULT_KEY = "demo-key"

STARTS = (Limit(5, HOUR),)
STATUS_CALLS = (Limit(100, 60),)
LOG_CALLS = (Limit(20, HOUR),)
"""The documented limits."""


def fingerprint(key: str) -> str:
    """Return the text that calls and admin replies show in place of a key."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """Everything that the command line can set.

    Attributes:
        speed: Simulated seconds in a real one; 480 fits eight hours into a minute.
        keys: The permissions of each API key.
        auth_header: The header that carries the key.
        auth_scheme: The scheme before the key; empty: none.
        wrapped: Replies with a model or a log are `{"result": …}`.
        run_body: A start is answered with the model; otherwise with 204 and no body.
        lenient: Models start at 3, 4 and 5 too, not only at 2.
        window: Whether limits count in sliding or in fixed windows.
        limit_starts: Starts for each key; all limits hold at once, and without any there is none.
        limit_status: GETs of a model for each key.
        limit_logs: GETs of a log for each key.
        rate_headers: Which replies have X-RateLimit headers (refusals have them in their details,
            too): all, only refusals, or none.
        retry_hint: Where a refusal names the time to retry, whatever `rate_headers` is: the header
            Retry-After in seconds and `retry_after` in the body (all), the header alone (seconds),
            the header as an HTTP date (date), the body alone (body), or nowhere (none).
        any_model: An unknown id is a model, created from the scenario's default.
        scenario: The models and faults at the start.
        clock_offset: Seconds that its clock is ahead of the machine's; negative: behind.
            All instants in its replies, including headers, are by this clock.
        keep_calls: The number of calls that the admin API keeps; the summary counts all.

    Raises:
        ValueError: The speed is not above 0.
    """

    speed: float = 480.0
    keys: Mapping[str, Access] = field(default_factory=lambda: {DEFAULT_KEY: "write"})
    auth_header: str = "Authorization"
    auth_scheme: str = "Bearer"
    wrapped: bool = False
    run_body: bool = True
    lenient: bool = False
    window: Style = "sliding"
    limit_starts: tuple[Limit, ...] = STARTS
    limit_status: tuple[Limit, ...] = STATUS_CALLS
    limit_logs: tuple[Limit, ...] = LOG_CALLS
    rate_headers: RateHeaders = "always"
    retry_hint: RetryHint = "all"
    any_model: bool = False
    scenario: Scenario = field(default_factory=Scenario)
    clock_offset: float = 0.0
    keep_calls: int = 100_000

    def __post_init__(self) -> None:
        if self.speed <= 0:
            raise ValueError("the speed must be above 0")
