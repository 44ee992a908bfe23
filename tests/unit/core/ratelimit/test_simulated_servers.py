"""Simulated clients at servers that limit the rate, with each kind of hint and window.

The bars: no refusal within the server's limits; after the first refusal none where replies name a
limit or a wait, and few where they name neither; beside another client, no limit that is wrong.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scriptix_operator.core.ratelimit.additive_increase import CLEAN_WINDOWS
from scriptix_operator.core.ratelimit.limiter import RateLimiter
from scriptix_operator.core.ratelimit.limits import Limit
from tests.unit.core.rateserver import Play, Server, Tells

MINUTE, HOUR = 60.0, 3600.0
FIVE_AN_HOUR = (Limit(5, HOUR),)


def play(  # noqa: PLR0913 - each has a default
    configured: Sequence[Limit],
    limits: Sequence[Limit],
    *,
    slides: bool,
    tells: Tells,
    seed: int = 0,
    evenly: bool = False,
    parallel: int = 1,
    pause: float = 0.0,
    others: float = 0.0,
) -> Play:
    """A client and a server before the first call."""
    jitter = Random(seed)  # noqa: S311 - repeatable on purpose
    server = Server(limits, slides=slides, tells=tells, jitter=jitter)
    limiter = RateLimiter(configured, evenly=evenly)
    return Play(limiter, server, jitter, parallel=parallel, pause=pause, others=others)


LIMITS = st.sampled_from(
    [
        (Limit(1, MINUTE),),
        (Limit(5, MINUTE),),
        (Limit(12, MINUTE),),
        (Limit(3, MINUTE), Limit(7, 150.0)),
        (Limit(4, 10.0), Limit(10, MINUTE)),
    ]
)


CLIENTS = st.fixed_dictionaries(
    {
        "slides": st.booleans(),
        "tells": st.sampled_from(Tells),
        "seed": st.integers(0, 10**6),
        "evenly": st.booleans(),
        "parallel": st.integers(1, 6),
        "pause": st.sampled_from([0.0, 2.0, 11.0]),
    }
)


# The server rounds the time until the window of 60 s ends up to 61 s.
@example(
    limits=(Limit(3, 60.0), Limit(7, 150.0)),
    client={
        "slides": True,
        "tells": Tells.EVERYTHING,
        "seed": 1,
        "evenly": False,
        "parallel": 3,
        "pause": 0.0,
    },
)
@settings(max_examples=60)
@given(LIMITS, CLIENTS)
def test_client_within_the_limits_is_never_refused(
    limits: tuple[Limit, ...], client: dict[str, Any]
) -> None:
    """The server's windows and the durations of calls and replies are arbitrary."""
    played = play(limits, limits, **client)
    played.latency = 3.0
    played.run(8 * MINUTE)
    assert played.refused == []
    assert played.limiter.observed_limits == ()


SAID = (Tells.EVERYTHING, Tells.REFUSALS, Tells.RETRY_AFTER)
STARTS = (FIVE_AN_HOUR, range(1, 5), False)
LOGS = ((Limit(20, HOUR),), (7, 12, 19), True)


@pytest.mark.parametrize(("configured", "truths", "evenly"), [STARTS, LOGS], ids=["few", "evenly"])
@pytest.mark.parametrize("slides", [True, False], ids=["slides", "fixed"])
@pytest.mark.parametrize("tells", Tells)
def test_stricter_limit_is_inferred_from_one_refusal(
    configured: Sequence[Limit],
    truths: Sequence[int],
    evenly: bool,  # noqa: FBT001 - both ways
    slides: bool,  # noqa: FBT001 - both kinds
    tells: Tells,
) -> None:
    """Two refusals where Retry-After misleads; after them none for a day."""
    corrected = 0
    for seed in range(8):
        for truth in truths:
            limit = Limit(truth, HOUR)
            played = play(configured, [limit], slides=slides, tells=tells, seed=seed, evenly=evenly)
            # Calls before the rush may be in the same window or not.
            for _ in range(played.jitter.randint(0, 4)):
                played.run(HOUR * played.jitter.uniform(0, 0.5), calls=1)
            before = len(played.accepted)
            played.run((CLEAN_WINDOWS - 4) * HOUR)
            use = (len(played.accepted) - before) / truth / (CLEAN_WINDOWS - 4)
            assert use >= (0.95 if tells in SAID else 0.45)
            assert all(1 <= count <= configured[0].count for (count,) in played.most)
            refusals = len(played.refused)
            if tells is Tells.EVERYTHING:
                assert refusals == 0
            else:
                is_guess = tells in {Tells.RETRY_AFTER, Tells.CONSTANT} and not slides
                assert 1 <= refusals <= (2 if is_guess else 1)
                assert played.taught[0] > played.refused[0]
                corrected += refusals > 1
            if tells in {Tells.EVERYTHING, Tells.REFUSALS}:
                assert played.most[-1] == (truth,)
    assert corrected <= (16 if tells is Tells.CONSTANT else 1)


@pytest.mark.parametrize("slides", [True, False], ids=["slides", "fixed"])
@pytest.mark.parametrize("tells", Tells)
@pytest.mark.parametrize("truth", [7, 33, 99])
def test_parallel_calls_infer_the_limit_that_serial_calls_do(
    truth: int,
    slides: bool,  # noqa: FBT001 - both kinds
    tells: Tells,
) -> None:
    """Calls in flight at the first refusal may be refused, too; calls sent after it are not."""
    for seed in range(2):
        played = play(
            [Limit(100, MINUTE)],
            [Limit(truth, MINUTE)],
            slides=slides,
            tells=tells,
            seed=seed,
            evenly=True,
            parallel=5,
        )
        played.run(8 * MINUTE)
        first = played.taught[0]
        late = [at for at in played.refused if at > first]
        assert len(late) <= (0 if slides or tells not in {Tells.RETRY_AFTER, Tells.CONSTANT} else 1)
        assert len(played.accepted) / truth / 8 >= (0.95 if tells in SAID else 0.45)


TEN_AND_NINETY = (Limit(10, MINUTE), Limit(90, HOUR))


@pytest.mark.parametrize("limits", [(10, 60), (4, 90), (4, 60)], ids=["hour", "minute", "both"])
@pytest.mark.parametrize("slides", [True, False], ids=["slides", "fixed"])
@pytest.mark.parametrize("tells", SAID)
def test_stricter_of_several_windows_is_inferred(
    limits: tuple[int, int],
    slides: bool,  # noqa: FBT001 - both kinds
    tells: Tells,
) -> None:
    """While the hour's quota is used up the minute is clean: an extra call is refused."""
    minute, hour = limits
    truth = [Limit(minute, MINUTE), Limit(hour, HOUR)]
    played = play(TEN_AND_NINETY, truth, slides=slides, tells=tells).run(9 * HOUR)
    assert len(played.refused) <= 6
    assert len(played.accepted) >= 0.95 * 9 * hour
    stricter = {limit for limit in truth if limit not in TEN_AND_NINETY}
    assert {
        Limit(observed_limit.count, observed_limit.seconds)
        for observed_limit in played.limiter.observed_limits
    } == stricter


@pytest.mark.parametrize("slides", [True, False], ids=["slides", "fixed"])
@pytest.mark.parametrize(
    ("tells", "refusals"), [(Tells.EVERYTHING, 1), (Tells.REFUSALS, 1), (Tells.RETRY_AFTER, 18)]
)
def test_named_hour_window_is_observed_without_configuration(
    tells: Tells,
    refusals: int,
    slides: bool,  # noqa: FBT001 - both kinds
) -> None:
    """Otherwise one or two calls are refused each hour, each with a wait as its reply says."""
    truth = [Limit(10, MINUTE), Limit(60, HOUR)]
    played = play([Limit(10, MINUTE)], truth, slides=slides, tells=tells).run(9 * HOUR)
    assert refusals // 2 <= len(played.refused) <= refusals
    assert len(played.accepted) >= 0.95 * 9 * 60


def test_a_limit_that_was_raised_is_found_again_a_call_at_a_time() -> None:
    played = play([Limit(5, MINUTE)], [Limit(2, MINUTE)], slides=True, tells=Tells.RETRY_AFTER)
    played.run(5 * MINUTE)
    played.server.limits = (Limit(5, MINUTE),)
    before = played.now
    played.run(3 * CLEAN_WINDOWS * MINUTE + 5 * MINUTE)
    assert played.most[-1] == (5,)
    assert len([at for at in played.refused if at > before]) == 0


@pytest.mark.parametrize("tells", Tells)
def test_limit_that_becomes_stricter_later_is_inferred(tells: Tells) -> None:
    for seed in range(3):
        played = play([Limit(10, MINUTE)], [Limit(10, MINUTE)], slides=True, tells=tells, seed=seed)
        played.run(10 * MINUTE)
        assert played.refused == []
        played.server.limits = (Limit(6, MINUTE),)
        played.run((CLEAN_WINDOWS - 4) * MINUTE)
        is_named = tells in {Tells.EVERYTHING, Tells.REFUSALS}
        assert len(played.refused) <= (1 if is_named else 3)
        assert played.most[-1][0] <= 6


OTHERS = [0.06, 0.16]
"""Calls a second: about a fifth, and a half, of the key's quota."""


@pytest.mark.parametrize("others", OTHERS, ids=["few others", "many others"])
@pytest.mark.parametrize("slides", [True, False], ids=["slides", "fixed"])
@pytest.mark.parametrize("tells", Tells)
@pytest.mark.parametrize("configured", [10, 20], ids=["half", "whole"])
def test_second_client_on_the_key_causes_few_refusals(
    configured: int,
    others: float,
    slides: bool,  # noqa: FBT001 - both kinds
    tells: Tells,
) -> None:
    played = play(
        [Limit(configured, MINUTE)],
        [Limit(20, MINUTE)],
        slides=slides,
        tells=tells,
        others=others,
        evenly=True,
        parallel=2,
    ).run(120 * MINUTE)
    assert len(played.refused) < 0.04 * len(played.sent)
    if tells in {Tells.EVERYTHING, Tells.REFUSALS}:
        assert played.limiter.observed_limits == ()
        fair = min(configured, 20 - others * 60)
        assert len(played.accepted) / 120 >= 0.75 * fair


@pytest.mark.parametrize("slides", [True, False], ids=["slides", "fixed"])
@pytest.mark.parametrize("tells", [Tells.EVERYTHING, Tells.REFUSALS])
def test_named_limit_is_observed_exactly_beside_a_second_client(
    slides: bool,  # noqa: FBT001 - both kinds
    tells: Tells,
) -> None:
    played = play(
        [Limit(20, MINUTE)],
        [Limit(12, MINUTE)],
        slides=slides,
        tells=tells,
        others=0.1,
        evenly=True,
    ).run(60 * MINUTE)
    assert {observed_limit.count for observed_limit in played.limiter.observed_limits} == {12}
