"""The examples reach the phases that the demo promises, or an error names their phases."""

import pytest
import yaml

from demo import cast
from demo.errors import DemoError
from demo.table import EMPTY
from scriptix_simulator.scripts import load_scenario
from tests.demo.tables import row, table
from tests.gotools.toolchain import REPOSITORY

GOOD = row(cast.GOOD, "Succeeded", "FinalEvaluation")
BAD = row(cast.BAD, "Failed", "DataPreprocessing", "Audio and transcript mismatch detected.")
LATE = row(cast.LATE, "Succeeded", "FinalEvaluation")


def test_cast_matches_the_examples_and_the_scenario() -> None:
    examples = {}
    for path in (REPOSITORY / "deploy" / "examples").glob("*.yaml"):
        document = yaml.safe_load(path.read_text())
        examples[document["metadata"]["name"]] = document["spec"]["modelId"]
    assert examples.keys() == cast.ENDS.keys()
    assert examples[cast.LATE] == cast.LATE_MODEL
    models = load_scenario(REPOSITORY / "demo" / "scenario.yaml").models
    assert models.keys() == set(examples.values())
    assert models[cast.LATE_MODEL].status == 1


def test_demo_ends_when_all_have_their_expected_phases() -> None:
    assert cast.has_ended(table(GOOD, BAD, LATE))
    assert not cast.has_ended(table(GOOD, BAD, row(cast.LATE, "Running")))
    assert not cast.has_ended(EMPTY)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([row(cast.GOOD, "Failed", "", "No disk."), BAD], "cardiology-en should be .*: No disk."),
        ([GOOD, row(cast.BAD, "Succeeded")], "radiology-nl should be Failed and is Succeeded"),
        ([GOOD, row(cast.BAD, "Failed", "", "No disk.")], "should fail on a mismatch .*: No disk."),
    ],
    ids=["the good one fails", "the bad one succeeds", "the bad one fails on something else"],
)
def test_unexpected_end_is_an_error_at_once(rows: list[dict[str, str]], reason: str) -> None:
    with pytest.raises(DemoError, match=reason):
        cast.has_ended(table(*rows, row(cast.LATE, "Pending")))


def test_missed_names_the_actual_phase() -> None:
    assert list(cast.missed(table(GOOD, row(cast.BAD)))) == [
        "radiology-nl is not seen by the operator and not Failed",
        "legal-de is not there",
    ]


@pytest.mark.parametrize(
    ("good", "late", "due"),
    [
        (
            row(cast.GOOD, "Running", "InitialEpochs"),
            row(cast.LATE, "Pending", "", "No data"),
            False,
        ),
        (row(cast.GOOD, "Running", "MainTraining"), row(cast.LATE), False),
        (row(cast.GOOD, "Running", "MainTraining"), row(cast.LATE, "Pending", "", "No data"), True),
        (GOOD, row(cast.LATE, "Pending", "", "No data"), True),
    ],
    ids=["too early", "not seen waiting", "on cue", "cue missed by a slow machine"],
)
def test_data_is_due_once_the_late_example_was_seen_waiting(
    good: dict[str, str], late: dict[str, str], *, due: bool
) -> None:
    assert cast.data_is_due(table(good, late)) is due
