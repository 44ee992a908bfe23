"""kube/reachability.py: one line where the API server goes away, and one where it comes back."""

import logging
from collections.abc import Sequence

import pytest

from scriptix_operator.kube.reachability import TEXT_LIMIT, Reachability

FAILED, ANSWERED = "failed", "answered"


@pytest.mark.parametrize(
    ("replies", "said"),
    [
        pytest.param([], [], id="no request"),
        pytest.param([ANSWERED, ANSWERED], [], id="replies"),
        pytest.param([ANSWERED, FAILED, FAILED], ["is unreachable: reset"], id="away"),
        pytest.param(
            [FAILED, FAILED, ANSWERED, ANSWERED],
            ["is unreachable: reset", "is reachable again after 2s"],
            id="away and back",
        ),
    ],
)
def test_api_server_that_goes_away_is_logged_once(
    replies: Sequence[str], said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    seconds = iter(range(100))
    reachability = Reachability(lambda: next(seconds))
    for reply in replies:
        if reply == FAILED:
            reachability.failed(reachability.now(), "reset")
        else:
            reachability.answered()
    texts = [record.getMessage().removeprefix("the API server ") for record in caplog.records]
    assert texts == said
    is_away = bool(replies) and replies[-1] == FAILED
    assert reachability.is_reachable is not is_away


def test_slow_request_beside_answered_ones_is_no_outage() -> None:
    seconds = iter(range(100))
    reachability = Reachability(lambda: next(seconds))
    begun_at = reachability.now()
    reachability.answered()
    reachability.failed(begun_at, "no reply within 15 s")
    assert reachability.is_reachable


def test_cause_of_an_outage_is_one_bounded_line(caplog: pytest.LogCaptureFixture) -> None:
    Reachability().failed(0.0, "line\nbreak " * TEXT_LIMIT)
    [record] = caplog.records
    assert "line break" in record.getMessage()
    assert "\n" not in record.getMessage()
    assert len(record.getMessage()) < TEXT_LIMIT + 50
