"""The narration reports changes of phase, with the operator's message."""

from demo.narration import narrate
from demo.table import EMPTY
from tests.demo.tables import row, table


def test_new_phase_is_narrated_with_its_message() -> None:
    before = table(row("a", "Running", "MainTraining", "31%"))
    after = table(row("a", "Failed", "MainTraining", "Audio and transcript mismatch detected."))
    assert list(narrate(before, after)) == ["a has failed: Audio and transcript mismatch detected."]


def test_phase_without_a_message_is_narrated() -> None:
    assert list(narrate(EMPTY, table(row("a", "Suspended")))) == ["a is suspended."]


def test_progress_within_a_phase_is_not_narrated() -> None:
    before = table(row("a", "Running", "MainTraining", "31%"))
    assert not list(narrate(before, table(row("a", "Running", "FineTuning", "71%"))))


def test_short_phases_and_new_resources_are_not_narrated() -> None:
    assert not list(narrate(EMPTY, table(row("a"), row("b", "Starting"))))
