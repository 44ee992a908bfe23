"""`why`: each reason has an answer, and the answers are those of the golden file."""

import pytest

from kubectl_scriptix.why import ACTORS, EXCEPTIONS, explain
from scriptix_operator.api.reasons import FailureReason, Phase, Reason
from scriptix_operator.core.status.conditions import phase_of, reason_of
from scriptix_operator.core.status.failure_catalog import FAILURE_CATALOG
from tests.plugin.states import NOW, all_states

REASONS = {*Reason, *FailureReason}
ACTIONS = ("Upload new data", "Correct the field", "the operator's log names the cause")


def test_each_reason_names_who_must_act() -> None:
    ending = {reason for reason, remedy in FAILURE_CATALOG.items() if not remedy.blocks}
    assert {*ACTORS, *ending} == REASONS


def test_states_of_the_golden_file_have_all_reasons_and_phases() -> None:
    states = [training for _, training in all_states()]
    assert {reason_of(one.status) for one in states} == {None, *REASONS}
    assert {phase_of(one.spec, one.status) for one in states} == set(Phase)


@pytest.mark.parametrize(("reason", "words"), [(one[0], one[1]) for one in EXCEPTIONS])
def test_exceptions_occur_in_texts_of_the_operator(reason: str, words: str) -> None:
    trainings = (one for _, one in all_states() if reason_of(one.status) == reason)
    messages = [one.status.message or "" for one in trainings]
    assert any(words in message for message in messages)


def test_answers_say_nothing_twice() -> None:
    for title, training in all_states():
        sentences = explain(training, NOW).split(". ")
        assert len(sentences) == len(set(sentences)), title


def test_nobody_has_to_act_only_where_the_message_names_nobody() -> None:
    answers = (explain(training, NOW) for _, training in all_states())
    for answer in (one for one in answers if "Nobody has to act:" in one):
        assert not any(words in answer for words in ACTIONS), answer
