"""kubectl_scriptix/plan.py: what manifests start, when, and what they delay."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from kubectl_scriptix.live import Live
from kubectl_scriptix.plan import duration_of, make_plan
from kubectl_scriptix.plan_text import plan_lines
from scriptix_operator.api.spec import TrainingSpec
from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.eta.timeline import PastRun
from scriptix_operator.core.model.training import Training, TrainingKey
from tests.plugin.states import NOW, training_with
from tests.plugin.story import KEY, of_team_a, of_team_b, quota


def live(*, is_whole: bool = True) -> Live:
    trainings = [*of_team_a(), *(of_team_b() if is_whole else ())]
    return Live(trainings, quota(), NOW, is_whole, frozenset({"speech"}))


def new(name: str, model_id: int, **spec: object) -> Training:
    manifest = TrainingSpec.model_validate({"modelId": model_id, **spec})
    training = training_with(TrainingStatus(), manifest)
    return replace(training, key=TrainingKey("speech", name), uid=name, created_at=NOW)


def changed(name: str, **spec: object) -> Training:
    """A training of team a, with a changed spec."""
    (there,) = (one for one in of_team_a() if one.key.name == name)
    fields = {**there.spec.model_dump(by_alias=True), **spec}
    return replace(there, spec=TrainingSpec.model_validate(fields))


@pytest.mark.parametrize(
    ("training", "why"),
    [
        (changed("cardiology-en"), "unchanged: Running"),
        (changed("cardiology-en", priority=3), "changed, without a new spec.runToken: Running"),
        (changed("cardiology-en", modelId=99), "refused by the API server: spec.modelId"),
        (changed("dermatology-en", runToken="data-v2"), 'spec.runToken "data-v2" was used before'),
        (changed("pathology-en"), "unchanged: it waits (SecretNotFound)"),
        (changed("urology-en"), "suspended"),
        (new("copy", 7), "waits: the model 7 belongs to speech/cardiology-en"),
    ],
)
def test_manifest_that_asks_for_no_run_starts_nothing(training: Training, why: str) -> None:
    plan = make_plan([training], live())
    assert not plan.runs
    (found,) = plan.unstarted
    assert found.why.startswith(why)


def test_run_starts_behind_the_live_queue() -> None:
    plan = make_plan([new("new", 30)], live())
    (run,) = plan.runs
    assert run.fingerprint == KEY
    # The oldest starts leave the window after 12, 20 and 30 minutes; two resources are queued.
    assert NOW + timedelta(minutes=20) < run.start.likely <= NOW + timedelta(minutes=31)
    assert run.start.likely <= run.start.late <= NOW + timedelta(minutes=62)
    assert run.end.likely - run.start.likely == timedelta(hours=8)
    assert not plan.delays


def test_rerun_starts_when_the_present_run_has_ended() -> None:
    (run,) = make_plan([changed("cardiology-en", runToken="data-v9")], live()).runs
    assert run.start.likely == NOW + timedelta(hours=4)
    assert run.start.late >= NOW + timedelta(hours=5)


def test_urgent_plan_delays_queued_trainings() -> None:
    urgent = [new(f"new-{n}", 40 + n, priority=9) for n in range(3)]
    plan = make_plan(urgent, live())
    assert [delay.key for delay in plan.delays] == [TrainingKey("speech", "radiology-en")]
    assert plan.delays[0].by >= timedelta(minutes=10)


@pytest.mark.parametrize("is_whole", [True, False])
def test_delayed_training_of_another_team_is_named_if_visible(is_whole: bool) -> None:  # noqa: FBT001 - both
    crowd = [
        replace(of_team_b()[0], key=TrainingKey("team-b", f"b-{n}"), uid=f"b-{n}")
        for n in (1, 2, 3)
    ]
    trainings = [*of_team_a(), *(crowd if is_whole else ())]
    document = quota([of_team_a()[4], *crowd])
    seen = Live(trainings, document, NOW, is_whole, frozenset({"speech"}))
    plan = make_plan([new("new", 40)], seen)
    assert [delay.key for delay in plan.delays] == [
        TrainingKey("team-b", "b-3") if is_whole else None
    ]
    assert ("team-b" in " ".join(plan_lines(plan))) is is_whole


def test_no_start_is_planned_while_the_api_refuses_starts() -> None:
    document = quota([])
    operation = document.keys[KEY].operations["start"]
    refused = operation.model_copy(update={"limits": (), "next_free_at": NOW + timedelta(hours=2)})
    limits = tuple(one.model_copy(update={"used": 0, "left": 5}) for one in operation.limits)
    document.keys[KEY].operations["start"] = refused.model_copy(update={"limits": limits})
    seen = Live(of_team_a(), document, NOW, is_whole=True)
    (run,) = make_plan([new("new", 30)], seen).runs
    assert run.start.likely >= NOW + timedelta(hours=2)


def test_new_namespace_uses_the_only_key() -> None:
    stranger = replace(new("new", 30), key=TrainingKey("elsewhere", "new"))
    plan = make_plan([stranger], live())
    assert plan.runs[0].fingerprint == KEY
    assert any("No training shows the API key of elsewhere/new yet" in note for note in plan.notes)


@pytest.mark.parametrize("count", [9, 10, 20])
def test_nine_of_ten_runs_last_no_longer_than_p90(count: int) -> None:
    rng = random.Random(count)  # noqa: S311 - repeatable on purpose
    kept = 0
    for _ in range(1000):
        past = [PastRun.of(1, rng.uniform(3600, 7200), ()) for _ in range(count)]
        kept += rng.uniform(3600, 7200) <= duration_of(2, past).late
    assert kept >= 880  # 905 or more are expected, with a standard deviation below 10
