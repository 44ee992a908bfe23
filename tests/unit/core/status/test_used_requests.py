"""Used requests, how long they are kept, and how the resource shows them."""

import hashlib

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import AskedBy, Reason
from scriptix_operator.api.status import HistoryEntry
from scriptix_operator.core.decide import decide
from scriptix_operator.core.model.remote import FailureKind
from scriptix_operator.core.reconcile.vocabulary import AcquireStart, Triggered
from scriptix_operator.core.requests.requests import is_unsent
from scriptix_operator.core.status.conditions import ConditionReason, derive_status, has_ended
from scriptix_operator.core.status.used_requests import (
    Ask,
    is_used,
    repeated_request,
    used_requests,
)
from tests.unit.core.builders import (
    EIGHT,
    Life,
    a_model,
    a_run,
    a_status,
    a_training,
    at,
    followed,
)

V1, V2, V3 = (Ask.of(AskedBy.RUN_TOKEN, value) for value in ("v1", "v2", "v3"))
T1 = Ask.of(AskedBy.REQUESTED_AT, "t1")


def ran(life: Life, hours: int) -> Life:
    """A run that starts so many hours after the test begins, and succeeds."""
    before = life.status.started_at
    life.waits(3600).intends(a_model(2, started_at=before))
    life.is_accepted(a_model(3, progress=0, started_at=at(hours=hours)))
    return life.waits(60).succeeds(at(hours=hours))


def a_long_life() -> Life:
    """Runs for v1, v2, and then the annotation t1 beside v2."""
    life = ran(Life(a_training(run_token="v1")), 0)
    life = ran(life.edit(run_token="v2"), 1)
    return ran(life.annotate("t1"), 2)


RUNNING = a_model(3, progress=20, started_at=at(hours=3))


def in_a_fourth_run() -> Life:
    """The run for v3 is running."""
    life = a_long_life().edit(run_token="v3").waits(60).intends(a_model(2, started_at=at(hours=2)))
    life.is_accepted(RUNNING)
    return life


def test_a_used_token_beside_an_annotation_starts_nothing() -> None:
    life = a_long_life()
    third, first = life.run.id, life.status.history[-1].id
    life.edit(run_token="v1").polls(a_model(2, started_at=at(hours=2)))
    assert (life.run.id, life.status.phase) == (third, "Succeeded")
    said = (
        f'spec.runToken "v1" was used before and starts no run: run {first} has answered it. To '
        "train again, set a value that was never used."
    )
    assert life.status.repeated_request == said
    assert life.status.message == (
        "The model is trained with a word error rate of 12.5% (VeryGood). Use it as "
        f"custom_model_7. {said}"
    )
    assert [item.message for item in life.events if item.reason == "RequestAlreadyUsed"] == [said]


def test_a_token_that_stayed_set_for_another_run_names_its_own() -> None:
    life = ran(Life(a_training(run_token="v1")), 0)
    first = life.run.id
    ran(life.annotate("t1"), 1)
    for token in ("v2", "v1"):  # a cancelled request restores the earlier state
        life.edit(run_token=token).wake_ups()
    ran(life.edit(run_token="v2"), 2)
    life.edit(run_token="v1").wake_ups()
    assert f"run {first} has answered it" in (life.status.repeated_request or "")


def test_a_repeated_request_is_one_event_for_each_edit() -> None:
    life = a_long_life().edit(run_token="v1")
    for priority in range(3):
        life.restarts().waits(3600).edit(priority=priority).wake_ups()
    assert life.event_reasons.count("RequestAlreadyUsed") == 1
    life.edit(run_token="v2").wake_ups()  # the value of the run in status requests that run
    assert life.status.repeated_request is None
    assert life.status.message is not None
    assert life.status.message.endswith("Use it as custom_model_7.")
    life.edit(run_token="v1").wake_ups()
    assert life.event_reasons.count("RequestAlreadyUsed") == 2


def test_repeated_annotation_is_reported_without_an_edit() -> None:
    life = ran(a_long_life().annotate("t2"), 3)
    answered = life.status.history[0].id
    life.annotate("t1").wake_ups()
    assert life.status.message is not None
    assert (
        f'The annotation scriptix.io/requested-at "t1" was used before and starts no run: run '
        f"{answered} has answered it."
    ) in life.status.message
    life.annotate("").wake_ups()
    assert "requested-at" not in life.status.message


def test_a_long_message_leaves_room_for_the_repeated_request() -> None:
    life = in_a_fourth_run()
    life.waits(60).polls(a_model(5, started_at=at(hours=3), error="x " * 4000))
    life.edit(run_token="v1").wake_ups()
    assert life.status.message is not None
    assert life.status.failure is not None
    assert len(life.status.message) > 4000
    end = f"… {life.status.failure.solution} {life.status.repeated_request}"
    assert life.status.message.endswith(end)
    other = followed(run=life.run, history=life.status.history)
    settled = derive_status(
        life.training, other, EIGHT, ConditionReason(Reason.OBSERVED, "x" * 5000)
    )
    assert settled.message is not None
    assert len(settled.message) == 4096
    assert settled.message.endswith(f"x… {settled.repeated_request}")


def test_repeated_request_is_reported_for_a_running_run() -> None:
    life = in_a_fourth_run()
    life.edit(run_token="v2").waits(60).polls(RUNNING)
    assert life.status.phase == "Running"
    for _ in range(3):  # the message is derived from itself
        life.waits(60).polls(replace(RUNNING, progress=21))
    assert (life.status.message or "").count('"v2" was used before') == 1
    life.edit(run_token="v3").waits(60).polls(RUNNING)
    assert life.status.message == "Training: InitialEpochs, 20%."


def test_cancelled_request_is_reported_beside_a_repeated_one() -> None:
    life = a_long_life()
    life.edit(run_token="v3").waits(60).polls(a_model(1, started_at=at(hours=2)))
    assert life.run.token == "v3"
    life.edit(run_token="v1").wake_ups()
    assert (life.run.token, life.event_reasons[-1]) == ("v2", "RequestAlreadyUsed")


@pytest.mark.parametrize(
    ("kind", "is_asked"),
    [
        pytest.param(None, True, id="only requested"),
        pytest.param(FailureKind.RATE_LIMITED, False, id="refused for its rate"),
        pytest.param(FailureKind.NOT_SENT, False, id="never sent"),
    ],
)
def test_a_value_is_used_from_its_intent_on(kind: FailureKind | None, is_asked: bool) -> None:  # noqa: FBT001 - the expected value
    """A request that is cancelled after a refused start is used nevertheless."""
    life = a_long_life().edit(run_token="v3").waits(60)
    done = a_model(2, started_at=at(hours=2))
    if kind is None:
        life.wake_ups()
    else:
        life.intends(done).is_refused(kind)
    life.edit(run_token="v2").wake_ups()
    assert life.run.token == "v2"
    life.edit(run_token="v3").waits(3600).polls(done)
    assert (life.run.token == "v3") == isinstance(life.action, AcquireStart) == is_asked
    said = life.status.repeated_request or ""
    assert ("an earlier start has used it" in said) == (not is_asked)


def test_a_collapsed_request_is_not_used() -> None:
    life = a_long_life()
    for token in ("v3", "v4"):
        life.edit(run_token=token).wake_ups()
    life.waits(60).intends(a_model(2, started_at=at(hours=2)))
    assert (life.run.token, is_used(life.status, V3)) == ("v4", False)


def test_a_member_removed_before_the_start_is_not_used() -> None:
    life = ran(Life(a_training(run_token="v1")), 0).edit(run_token="v2").annotate("t1")
    life.wake_ups()
    assert life.run.asked_by == ("RunToken", "RequestedAt")
    life.annotate("").waits(60).intends(a_model(2, started_at=EIGHT))
    assert (life.run.requested_at, is_used(life.status, T1)) == ("", False)
    assert is_used(life.status, V2)


@pytest.mark.parametrize("state", [3, 4, 5])
def test_adopted_run_uses_its_request_values(state: int) -> None:
    life = Life(a_training(run_token="v1", requested_at="t1"))
    life.polls(a_model(state, started_at=EIGHT))
    assert life.run.ownership == "Adopted"
    assert len(life.status.used_requests) == 2
    assert is_used(life.status, V1)
    assert is_used(life.status, T1)


def test_end_without_a_start_uses_its_request_values() -> None:
    life = Life(a_training(run_token="v1", when_not_ready="Fail"))
    life.polls(a_model(1))
    assert (life.status.phase, len(life.status.used_requests)) == ("Failed", 1)


def test_a_first_run_that_was_refused_keeps_its_value_used() -> None:
    life = Life(a_training(run_token="v1")).intends().is_refused(FailureKind.RATE_LIMITED)
    assert life.status.run is None
    ran(life.edit(run_token="v2"), 0)
    life.edit(run_token="v1").wake_ups()
    assert life.run.token == "v2"
    assert "an earlier start has used it" in (life.status.repeated_request or "")


def test_a_retry_keeps_the_values_of_its_request_used() -> None:
    life = Life(a_training(run_token="v1", backoff_limit=1, log={"collect": "Never"})).runs()
    life.waits(60).polls(a_model(5, started_at=EIGHT, error="System error"))
    used = life.status.used_requests
    assert len(used) == 1
    life.waits(60).polls(a_model(1, started_at=EIGHT))
    assert (life.run.retries, life.status.used_requests) == (1, used)


def test_a_value_added_to_a_retry_and_removed_cancels() -> None:
    """The value of the retry is used; only the new value requested another run."""
    life = ran(Life(a_training(run_token="v1")), 0)
    life.edit(run_token="v2", backoff_limit=1, log={"collect": "Never"})
    life.waits(60).intends(a_model(2, started_at=EIGHT))
    life.is_accepted(a_model(3, progress=0, started_at=at(hours=1)))
    life.waits(60).polls(a_model(5, started_at=at(hours=1), error="System error"))
    failed = life.run.id
    life.waits(60).polls(a_model(1, started_at=at(hours=1)))
    assert life.run.retries == 1
    life.annotate("t1").wake_ups()
    assert (life.run.retries, life.run.asked_by) == (0, ("RequestedAt",))
    life.annotate("").wake_ups()
    assert (life.run.id, life.status.phase) == (failed, "Failed")


def test_used_values_of_older_statuses_come_from_history() -> None:
    past = tuple(HistoryEntry(id=t, token=t, outcome="Succeeded") for t in ("v2", "v1"))
    status = a_status(run=a_run(token="v3", ownership="Owned"), history=past)
    assert [is_used(status, ask) for ask in (V1, V2, V3, T1)] == [True, True, True, False]
    assert len(used_requests(status)) == 3
    unsent = a_status(run=a_run(token="v3"), history=past)
    assert not is_used(unsent, V3)
    assert used_requests(unsent) == used_requests(status)[:2]


def test_the_values_used_last_are_kept_up_to_256() -> None:
    status = a_status(run=a_run(token="v0", requested_at="t1"), finished_at=EIGHT)
    for i in range(1, 300):
        used = used_requests(status)
        run = a_run(token=f"v{i}", requested_at="t1")
        status = a_status(run=run, finished_at=EIGHT, used_requests=used)
        assert is_used(a_status(used_requests=used), T1)  # the value has stayed set
    used = used_requests(status)
    assert len(used) == len(set(used)) == 256
    assert all(len(item) == 16 for item in used)
    kept = replace(status, used_requests=used, run=a_run())
    known = [is_used(kept, Ask.of(AskedBy.RUN_TOKEN, f"v{i}")) for i in range(300)]
    # The annotation takes one of the 256.
    assert known == [False] * 45 + [True] * 255
    assert is_used(kept, T1)
    assert used_requests(kept) == used


@pytest.mark.parametrize(
    ("asked_by", "answered"),
    [
        pytest.param((("RequestedAt",), ("RunToken",)), "run-0", id="it only stayed set"),
        pytest.param((("RunToken",), ("RunToken",)), "run-1", id="retried"),
        pytest.param((None, None), "run-1", id="of an older version"),
        pytest.param((("RequestedAt",), ()), "run-0", id="set for the first run"),
    ],
)
def test_the_run_named_is_the_one_made_for_the_value(
    asked_by: tuple[tuple[str, ...] | None, ...], answered: str
) -> None:
    history = tuple(
        HistoryEntry(id=name, token="v1", requested_at="t1", asked_by=by, outcome="Succeeded")
        for name, by in zip(("run-1", "run-0"), asked_by, strict=True)
    )
    status = a_status(run=a_run(id="run-2", token="v2"), finished_at=EIGHT, history=history)
    said = repeated_request(a_training(run_token="v1", status=status), status)
    assert said is not None
    assert f"run {answered} has answered it" in said


DATE, TIME = "2026-11-29", "2026-11-29T00:00:00Z"


@pytest.mark.parametrize(("before", "after"), [(DATE, TIME), (TIME, DATE)])
def test_a_respelt_date_neither_starts_nor_is_repeated(before: str, after: str) -> None:
    life = ran(Life(a_training(run_token=before)), 0).annotate(before)
    ran(life.annotate(before), 1)
    run = life.run
    life.edit(run_token=after).annotate(after).wake_ups()
    assert (life.run, life.status.repeated_request) == (run, None)
    # The value of an earlier run is a used value.
    ran(life.edit(run_token="v2").annotate(""), 2)
    life.edit(run_token=after).wake_ups()
    said = f'spec.runToken "{after}" was used before and starts no run: run '
    assert (life.status.repeated_request or "").startswith(said)
    assert "has answered it" in (life.status.repeated_request or "")
    assert life.run.token == "v2"
    assert len(life.status.used_requests) == 3


def test_a_respelt_date_still_asks_for_the_waiting_run() -> None:
    life = ran(Life(a_training(run_token="v1")), 0)
    life.edit(run_token=DATE).waits(60).polls(a_model(1, started_at=EIGHT))
    waiting = life.run
    life.edit(run_token=TIME).wake_ups()
    assert life.run == replace(waiting, token=TIME)
    life.edit(run_token="v1").wake_ups()
    assert life.run.token == "v1"


@pytest.mark.parametrize(
    ("hashed", "text"),
    [(DATE, DATE), (DATE, TIME), (TIME, DATE), (f"{DATE} 08:00:00", f"{DATE} 08:00:00")],
)
def test_hashes_of_the_text_as_given_still_count(hashed: str, text: str) -> None:
    """Versions before decision 0040 hashed this text."""
    digest = hashlib.sha256(f"RunToken\0{hashed}".encode()).hexdigest()[:16]
    status = followed(run=a_run(token="v2"), used_requests=(digest,))
    assert is_used(status, Ask.of(AskedBy.RUN_TOKEN, text))
    assert not is_used(status, Ask.of(AskedBy.RUN_TOKEN, "2026-11-30"))
    assert not is_used(status, Ask.of(AskedBy.REQUESTED_AT, text))


VALUES = st.sampled_from(["", "a", "b", "c"])
EDITS = st.tuples(st.sampled_from(["token", "annotation", "both", "token"]), VALUES)
STEPS = st.sampled_from(["wait", "restart", "suspend", "refuse", "lose", "start", "end", "fail"])


class Story:
    """A resource, and the values used by its sent starts and ended runs."""

    def __init__(self) -> None:
        training = a_training(run_token="a", backoff_limit=1, log={"collect": "Never"})
        self.life = ran(Life(training), 0)
        self.used = self.present()
        self.sent: dict[str, set[tuple[str, str]]] = {}
        self.hour = 0

    def present(self) -> set[tuple[str, str]]:
        """The request values that are set."""
        training = self.life.training
        members = {("token", training.spec.run_token), ("at", training.requested_at)}
        return {member for member in members if member[1]}

    def answered(self) -> set[tuple[str, str]]:
        """The request values of the run in status."""
        members = {("token", self.life.run.token), ("at", self.life.run.requested_at)}
        return {member for member in members if member[1]}

    def edits(self, kind: str, value: str) -> None:
        """Edit, and check the next run against the used values."""
        life, before = self.life, self.life.run
        was_over = has_ended(life.status) and before.retry_at is None
        if kind in {"token", "both"}:
            life.edit(run_token=value)
        if kind in {"annotation", "both"}:
            life.annotate(value)
        life.wake_ups()
        if was_over:
            # A used value never requests a run; an unused one does so at once.
            assert (life.run.id != before.id) == bool(self.present() - self.used)
            event("asked" if life.run.id != before.id else "not asked")
        repeated = self.present() & self.used - self.answered()
        assert (life.status.repeated_request is not None) == bool(repeated)

    def steps(self, kind: str) -> None:
        """Continue the run in status as far as possible."""
        life = self.life
        life.edit(suspend=kind == "suspend").waits(8000)
        if kind == "restart":
            life.restarts()
        if kind in {"refuse", "lose", "start", "end", "fail"}:
            self.starts(kind)
        started = life.status.started_at
        is_running = life.run.ownership is not None and not has_ended(life.status)
        if is_running and kind in {"end", "fail"}:
            state = 4 if kind == "end" else 5
            life.polls(a_model(state, started_at=started, error="System error"))
            event(f"{kind}, retry {life.run.retries}")
        else:
            life.wake_ups()

    def starts(self, kind: str) -> None:
        """Send the waiting start if possible; each intent is for an unused value or a repeat."""
        life = self.life
        if has_ended(life.status) and life.run.retry_at is None:
            return
        if life.run.intent is not None or life.run.ownership is not None:
            return
        past = max((e.started_at for e in life.status.history if e.started_at), default=EIGHT)
        if not isinstance(life.polls(a_model(2, started_at=past)).action, AcquireStart):
            return
        life.intends(a_model(2, started_at=past))
        sent = self.sent.setdefault(life.run.id, set())
        assert life.run.retries or self.answered() - self.used or self.answered() & sent
        sent |= self.answered() - self.used
        self.used |= self.answered()
        self.hour += 1
        event(f"intent, retry {life.run.retries}, then {kind}")
        if kind in {"refuse", "lose"}:
            is_lost = kind == "lose"
            life.is_refused(FailureKind.AMBIGUOUS if is_lost else FailureKind.RATE_LIMITED)
        else:
            life.is_accepted(a_model(3, progress=0, started_at=at(hours=self.hour)))


@settings(deadline=None)
@given(st.lists(st.tuples(EDITS, STEPS), min_size=2, max_size=20))
def test_deciding_twice_changes_nothing(rounds: list[tuple[tuple[str, str], str]]) -> None:
    """For any edits and events, a used value never requests a run again."""
    story = Story()
    life = story.life
    for edit, ctx in rounds:
        story.edits(*edit)
        assert decide(life.training, Triggered(), life.now, life.state).status == life.status
        story.steps(ctx)
        life.wake_ups()  # after the end, a request made during the run follows
        assert decide(life.training, Triggered(), life.now, life.state).status == life.status


@given(st.tuples(VALUES, VALUES), st.tuples(VALUES, VALUES))
def test_a_revert_before_the_start_cancels(first: tuple[str, str], second: tuple[str, str]) -> None:
    life = ran(Life(a_training(run_token=first[0], requested_at=first[1])), 0)
    run, used = life.run, life.status.used_requests
    life.edit(run_token=second[0]).annotate(second[1]).wake_ups()
    assert is_unsent(life.status) == (life.run.id != run.id)
    life.edit(run_token=first[0]).annotate(first[1]).wake_ups()
    assert (life.run.id, life.status.used_requests) == (run.id, used)
    assert has_ended(life.status)
