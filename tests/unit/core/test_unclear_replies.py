"""A start that is answered with an error in a 2xx, or refused by a gateway."""

from typing import Any

import pytest

from scriptix_operator.core.model.remote import CODE_KINDS, CallFailure, FailureKind
from scriptix_operator.core.reconcile.in_process_state import InProcessState
from scriptix_operator.core.reconcile.vocabulary import AcquireStart, Poll, Post, RequeueAfter
from tests.unit.core.builders import EIGHT, Life, a_model, a_training

WORDS = "HTTP 200 X: not today"


def answered(life: Life, code: str | None, **facts: Any) -> Life:  # noqa: ANN401 - CallFailure's
    """Start, and get a 2xx with an error; then restart the process."""
    events: dict[str, Any] = {"is_error_in_success": True, "code": code, "message": WORDS, **facts}
    life.intends().is_refused(FailureKind.AMBIGUOUS, **events)
    life.state = InProcessState()
    return life


def not_started(life: Life) -> Life:
    """Poll until the start counts as not happened."""
    for _ in range(3):
        if life.status.run is None or life.run.intent is None:
            break
        life.waits(60).polls(a_model(2))
    return life


def outcome(life: Life) -> tuple[str | None, str | None]:
    return life.status.phase, life.reason


def test_the_reply_is_kept_until_the_outcome_is_known() -> None:
    life = answered(Life(), "INSUFFICIENT_DATA", details={"current_hours": 2.5})
    assert life.run.intent is not None
    assert life.run.intent.reply is not None
    kept = life.run.intent.reply
    assert (kept.code, kept.message) == ("INSUFFICIENT_DATA", f"{WORDS} (current_hours: 2.5)")
    life.waits(10).polls(a_model(2))
    assert WORDS in (life.status.message or "")
    assert life.run.intent.reply == kept
    assert not_started(life).run.intent is None


@pytest.mark.parametrize("code", sorted(CODE_KINDS))
def test_a_code_ends_or_holds_the_run_as_its_4xx_does(code: str) -> None:
    same = Life()
    same.intends().is_refused(CODE_KINDS[code], code=code, message=WORDS)
    life = not_started(answered(Life(), code))
    if isinstance(same.action, Poll):  # the reason of the wait follows
        assert outcome(life)[0] == outcome(same)[0]
    else:
        assert outcome(life) == outcome(same)
    assert (life.status.failure, life.action) == (same.status.failure, same.action)
    if isinstance(life.action, RequeueAfter):
        assert life.waits(1).wake_ups().action != Post()


@pytest.mark.parametrize("code", ["INSUFFICIENT_DATA", "INVALID_REQUEST"])
def test_a_rejected_start_has_no_further_attempt(code: str) -> None:
    life = not_started(answered(Life(), code))
    assert (life.status.phase, life.run.attempt, life.action) == ("Failed", 1, RequeueAfter(None))


@pytest.mark.parametrize(
    ("code", "facts"),
    [
        pytest.param("SOMETHING_ELSE", {}, id="another code"),
        pytest.param(None, {}, id="no code"),
        pytest.param(
            "INSUFFICIENT_DATA",
            {"is_error_in_success": False, "is_from_gateway": True},
            id="a gateway",
        ),
    ],
)
def test_any_other_reply_counts_as_an_attempt(code: str | None, facts: dict[str, bool]) -> None:
    life = not_started(answered(Life(), code, **facts))
    assert (life.run.attempt, life.run.intent) == (2, None)
    assert f"answered with an error ({WORDS})" in (life.status.message or "")
    assert isinstance(life.waits(1).polls(a_model(2)).action, AcquireStart)


@pytest.mark.parametrize("code", ["INSUFFICIENT_DATA", "INVALID_API_KEY", None])
@pytest.mark.parametrize("state", [3, 4])
def test_run_that_acted_is_followed_after_any_reply(code: str | None, state: int) -> None:
    life = answered(Life(), code)
    life.waits(10).polls(a_model(state, started_at=EIGHT))
    assert life.run.ownership == "Unconfirmed"
    assert life.run.intent is None
    assert life.status.failure is None


@pytest.mark.parametrize("code", ["INVALID_API_KEY", "MODEL_NOT_READY"])
def test_a_run_that_acted_late_is_not_started_again(code: str) -> None:
    life = not_started(answered(Life(), code))
    life.waits(3600).polls(a_model(3, started_at=EIGHT))
    assert (life.status.phase, life.run.ownership) == ("Running", "Adopted")


@pytest.mark.parametrize("code", ["KEY_REVOKED", "MODEL_NOT_READY"])
def test_rerun_held_by_its_code_is_cancelled(code: str) -> None:
    life = Life(a_training(run_token="v1")).runs().waits(60).succeeds()
    life.edit(run_token="v2").waits(5)
    model = a_model(4, started_at=EIGHT)
    life.intends(model).is_refused(
        FailureKind.AMBIGUOUS, is_error_in_success=True, code=code, message=WORDS
    )
    for _ in range(3):
        life.waits(60).polls(model)
    assert life.run.intent is None
    life.edit(run_token="v1").waits(4000).wake_ups()
    life.stores_log()
    assert (life.run.token, life.status.phase, life.action) == (
        "v1",
        "Succeeded",
        RequeueAfter(None),
    )


def test_start_resolved_by_others_is_held_by_its_reply() -> None:
    life = answered(Life(a_training()), "INSUFFICIENT_DATA")
    life.ledger = type(life.ledger)()
    life.waits(60).polls(a_model(2))
    assert outcome(life) == ("Failed", "InsufficientData")


def test_only_replies_that_say_something_are_kept() -> None:
    life = Life()
    life.intends().is_refused(FailureKind.AMBIGUOUS)
    assert life.run.intent is not None
    assert life.run.intent.reply is None
    assert not CallFailure(FailureKind.AMBIGUOUS, "x").is_error_in_success
