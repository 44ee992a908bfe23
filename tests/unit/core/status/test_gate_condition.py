"""core/status/gate_condition.py, published.py: recorded judgements and publications."""

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import GateReason
from scriptix_operator.api.status import Condition, Published
from scriptix_operator.core.status.gate_condition import gate_condition
from scriptix_operator.core.status.published import last_published
from scriptix_operator.core.status.unreadable import left_alone_patch
from scriptix_operator.kube.trainings import dump_status
from tests.unit.core.builders import EIGHT, Life, a_model, a_status, a_training, at, metrics

Gate = dict[str, str]
NARROW = {"max_word_error_rate": "10"}
NO_INCREASE = {"max_word_error_rate_increase": "0"}


def judged(life: Life) -> Condition | None:
    """The condition QualityGatePassed."""
    return gate_condition(life.status.conditions)


def truth(life: Life) -> tuple[str, str, int] | None:
    """Status, reason and generation of the condition."""
    found = judged(life)
    return None if found is None else (found.status, found.reason, found.observed_generation)


def a_success(gate: Gate | None = None) -> Life:
    """A resource whose first run has ended with a word error rate of 12.5 %."""
    return Life(a_training(run_token="v1", quality_gate=gate)).runs().waits(60).succeeds()


def reruns(life: Life, request: str, wer: str) -> Life:
    """The same resource after another run, which begins nine hours later."""
    life.edit(run_token=request).waits(9 * 3600)
    start = life.now
    return life.runs(start).waits(60).succeeds(start, metrics=metrics(wer))


def test_condition_is_absent_until_a_gate_is_judged() -> None:
    life = Life(a_training(quality_gate=NARROW)).runs()
    assert judged(life) is None
    assert judged(life.waits(60).succeeds()) is not None
    assert judged(a_success()) is None  # without a gate


def test_condition_stays_as_judged_after_edits() -> None:
    life = a_success({"max_word_error_rate": "15"})
    before = judged(life)
    life.edit(quality_gate=NARROW).waits(60).wake_ups()
    assert judged(life) == before
    assert truth(life) == ("True", GateReason.BOUNDS_KEPT, 1)


def test_run_judged_again_has_the_new_judgement() -> None:
    life = a_success(NARROW)
    assert truth(life) == ("False", GateReason.MAX_WORD_ERROR_RATE_EXCEEDED, 1)
    since = life.now
    life.edit(quality_gate={"max_word_error_rate": "11"}).waits(60).wake_ups()
    assert truth(life) == ("False", GateReason.MAX_WORD_ERROR_RATE_EXCEEDED, 2)
    again = judged(life)
    assert again is not None
    assert again.last_transition_time == since  # the status has not changed
    life.edit(quality_gate=None).waits(60).wake_ups()
    assert (judged(life), life.status.phase) == (None, "Succeeded")


def test_dry_run_publishes_a_run_that_misses_its_gate() -> None:
    life = a_success({**NARROW, "mode": "DryRun"})
    missed = (
        "The run misses its quality gate, which DryRun does not enforce: word error rate is 12.5% "
        "(at most 10% wanted)."
    )
    assert (life.status.phase, life.published) == ("Succeeded", 1)
    assert truth(life) == ("False", GateReason.MAX_WORD_ERROR_RATE_EXCEEDED, 1)
    assert (life.status.message or "").endswith(missed)
    # An edit of another field changes no message.
    before = life.status.message
    assert life.edit(priority=1).waits(60).wake_ups().status.message == before


def test_missed_gate_passes_when_its_mode_becomes_dry_run() -> None:
    life = a_success(NARROW)
    assert (life.status.phase, life.published) == ("Failed", 0)
    life.edit(quality_gate={**NARROW, "mode": "DryRun"}).waits(60).wake_ups()
    assert (life.status.phase, life.published) == ("Succeeded", 1)


def test_published_result_is_recorded_with_its_publication() -> None:
    life = a_success()
    assert life.status.published == Published(
        run_id=life.run.id,
        model_key="custom_model_7",
        word_error_rate="12.5",
        character_error_rate="8.3",
        published_at=at(minutes=1),
    )
    before = life.status.published
    life.edit(priority=1).waits(60).wake_ups()  # nothing is published again
    assert life.status.published == before


@pytest.mark.parametrize("refused", [True, False], ids=["refused", "failed"])
def test_refused_result_is_not_recorded_as_published(refused: bool) -> None:  # noqa: FBT001 - a case
    life = Life(a_training(quality_gate={"max_word_error_rate": "15"}), refusal=("no", refused))
    life.runs().waits(60).succeeds()
    assert life.status.published is None
    life.refusal = None
    life.waits(60).polls(a_model(4, started_at=EIGHT))
    assert (life.status.phase, life.status.published is not None) == ("Succeeded", True)


def test_judgement_is_shown_while_the_result_is_refused() -> None:
    life = Life(a_training(quality_gate={"max_word_error_rate": "15"}), refusal=("no", True))
    life.runs().waits(60).succeeds()
    assert (life.reason, truth(life)) == (
        "ResultNotPublished",
        ("True", GateReason.BOUNDS_KEPT, 1),
    )


def test_rerun_keeps_the_published_result_and_drops_the_judgement() -> None:
    life = a_success(NO_INCREASE)
    first = life.status.published
    life.edit(run_token="v2").waits(9 * 3600).polls(a_model(1, started_at=EIGHT))
    assert (life.status.published, judged(life)) == (first, None)
    life.edit(suspend=True).waits(60).wake_ups()
    assert life.status.published == first
    life.edit(suspend=False, run_token="v1").waits(60).wake_ups()  # the request is cancelled
    assert (life.status.phase, life.status.published) == ("Succeeded", first)


def test_worse_rerun_keeps_the_result_and_warns() -> None:
    life = a_success(NO_INCREASE)
    first = life.status.published
    assert first is not None
    reruns(life, "v2", "12.6")
    assert truth(life) == ("False", GateReason.MAX_WORD_ERROR_RATE_INCREASE_EXCEEDED, 2)
    assert (life.status.phase, life.published, life.status.published) == ("Failed", 1, first)
    assert (
        f"The result ConfigMap still holds the result of run {first.run_id}, but the API may "
        "already serve the model of this run under the same model key, custom_model_7."
    ) in (life.status.message or "")
    assert life.event_reasons[-1] == "QualityGateFailed"
    # The next run is compared with the published result, not with the run before.
    reruns(life, "v3", "12.5")
    assert (life.status.phase, life.published) == ("Succeeded", 2)
    assert life.status.published is not None
    assert life.status.published.run_id == life.run.id


def test_result_of_an_older_version_counts_by_its_history() -> None:
    life = a_success(NO_INCREASE)
    older = replace(life.status, published=None)
    life.training = life.training.with_status(older)
    reruns(life, "v2", "12.6")
    assert truth(life) == ("False", GateReason.MAX_WORD_ERROR_RATE_INCREASE_EXCEEDED, 2)


def test_newest_success_in_history_counts_as_published() -> None:
    past = [
        {"id": "run-3", "outcome": "Failed", "word_error_rate": "30"},
        {"id": "run-2", "outcome": "Succeeded", "word_error_rate": "14"},
        {"id": "run-1", "outcome": "Succeeded", "word_error_rate": "13"},
    ]
    found = last_published(a_status(history=past))
    assert found == Published(run_id="run-2", word_error_rate="14")
    assert last_published(a_status(history=past[:1])) is None


def test_judgement_stays_on_a_resource_that_is_left_alone() -> None:
    life = a_success(NARROW)
    patch = left_alone_patch(dump_status(life.status), 2, "unreadable", life.now, "scriptix")
    assert "QualityGatePassed" in [condition["type"] for condition in patch["conditions"]]
