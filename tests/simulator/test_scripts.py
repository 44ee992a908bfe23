"""Model scripts and scenario files."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from scriptix_simulator.scripts import ModelChange, ModelScript, Scenario, ScenarioError
from scriptix_simulator.scripts import load_scenario as load

EXAMPLE = Path(__file__).parent / "scenario.yaml"


def test_example_scenario_has_every_field() -> None:
    scenario = load(EXAMPLE)
    assert scenario.models[1] == ModelScript()
    assert scenario.models[2].ready_after == 0.5
    assert scenario.models[3].outcome == ("system_error", "success")
    assert [step.omit for step in scenario.models[4].progress_steps] == [False, True, False]
    assert scenario.models[9].timeline == ((0, 0), (0.5, 2), (6, 10), (7, 90), (10, 100))
    assert scenario.faults[0].times == "forever"
    assert scenario.default.duration == 6


def test_json_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "scenario.json"
    file.write_text('{"models": {"7": {"status": 4}}}', encoding="utf-8")
    assert load(file) == Scenario(models={7: ModelScript(status=4)})


def test_an_empty_file_is_an_empty_scenario(tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.touch()
    assert load(file) == Scenario()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models: {1: {colour: red}}", "models.1.colour: Extra inputs are not permitted"),
        ("models: {one: {}}", "models.one"),
        ("models: {1: {duration: 8 hours}}", "'8 hours' is no duration"),
        ("models: {1: {duration: 0}}", "models.1.duration: Input should be greater than 0"),
        ("models: {1: {outcome: []}}", "models.1.outcome: Tuple should have at least 1 item"),
        ("models: {1: {outcome: boom}}", "models.1.outcome.0: Input should be 'success'"),
        ("models: {1: {outcome: [mismatch, boom]}}", "models.1.outcome.1: Input should be"),
        ("models: {1: {error: ''}}", "models.1.error: String should have at least 1"),
        ("models: {1: {status: 9}}", "models.1.status: Input should be 1, 2, 3, 4 or 5"),
        ("models: {1: {status: 0}}", "models.1.status"),
        ("models: {1: {progress: 101}}", "models.1.progress: Input should be less than or"),
        ("models: {1: {duration: -1}}", "models.1.duration: Input should be greater than 0"),
        ("models: {1: {duration: 87601}}", "models.1.duration: Input should be less than or"),
        ("models: {1: {duration: .inf}}", "models.1.duration: Input should be a finite number"),
        ("models: {1: {data_hours: .nan}}", "models.1.data_hours: Input should be a finite"),
        ("models: {1: {results_after: -1h}}", "'-1h' is no duration"),
        ("models: {1: {reply_start_offset: 86401}}", "models.1.reply_start_offset: Input should"),
        ("models: {1: {progress_steps: [{at: 1, value: 3, omit: true}]}}", "one of value and omit"),
        ("models: {-1: {}}", "Input should be greater than or equal to 0"),
        ("models: {1: {ready_after: 1}}", "only a model that starts at status 1 becomes ready"),
        (
            "models: {1: {timeline: [[0, 0], [8, 99]]}}",
            "models.1.timeline: Value error, a timeline",
        ),
        ("models: {1: {timeline: [[0, 0], [8, 101]]}}", "models.1.timeline.1.1"),
        ("models: {1: {timeline: [[0, 0], [2 h, 100]]}}", "'2 h' is no duration"),
        ("faults: [{fault: delay, act: true}]", "act: only for"),
        ("models: [", "expected"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_the_reason(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        load(file)
    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"none\.yaml"):
        load(tmp_path / "none.yaml")


def test_the_last_outcome_of_a_list_is_for_all_later_runs() -> None:
    script = ModelScript(outcome=("mismatch", "success"))
    assert [script.outcome_of(run) for run in range(3)] == ["mismatch", "success", "success"]


def test_a_change_does_one_thing() -> None:
    with pytest.raises(ValidationError, match="give one of status, start, finish and fail"):
        ModelChange(finish=True, start=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": 4}, "Input should be 1 or 2"),
        ({"status": 9}, "Input should be 1 or 2"),
        ({"fail": "boom"}, "Input should be 'insufficient_data'"),
        ({"fail": "success"}, "Input should be 'insufficient_data'"),
        ({}, "changes nothing"),
        ({"finish": False, "script": {}}, "changes nothing"),
        ({"colour": "red"}, "Extra inputs are not permitted"),
    ],
)
def test_nonsense_in_a_change_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ModelChange.model_validate(change)
