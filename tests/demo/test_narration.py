"""The narration tells changes of phase, in the operator's words."""

from demo.narration import narrate
from demo.table import EMPTY
from tests.demo.tables import row, table


def test_a_new_phase_is_told_with_the_message() -> None:
    before = table(row("a", "Running", "MainTraining", "31%"))
    after = table(row("a", "Failed", "MainTraining", "Audio and transcript mismatch detected."))
    assert list(narrate(before, after)) == ["a has failed: Audio and transcript mismatch detected."]


def test_a_phase_without_a_message_is_told_too() -> None:
    assert list(narrate(EMPTY, table(row("a", "Suspended")))) == ["a is suspended."]


def test_progress_within_a_phase_is_not_told() -> None:
    before = table(row("a", "Running", "MainTraining", "31%"))
    assert not list(narrate(before, table(row("a", "Running", "FineTuning", "71%"))))


def test_passing_phases_and_unseen_resources_are_not_told() -> None:
    assert not list(narrate(EMPTY, table(row("a"), row("b", "Starting"))))
