"""The table is parsed by its columns, and shown without those of `-o wide`."""

from demo.table import EMPTY, Row, parse
from tests.demo.tables import printed, row, table

# What kubectl printed, with an empty cell, a long one and a blank row.
REAL = """\
NAME            MODEL   PHASE     PROGRESS   STAGE               WER   ETA            AGE   RATING   QUEUE   STARTED   MESSAGE
cardiology-en   101     Running   8%         DataPreprocessing                        4s                     3s        The run is in stage DataPreprocessing, at 8%.
legal-de        103     Pending                                                       4s                               The model is not ready to run.
radiology-nl    102                                                    11-23 03:53Z   4s
"""  # noqa: E501  # verbatim


def test_rows_are_read_by_the_position_of_their_headings() -> None:
    assert parse(REAL).rows == {
        "cardiology-en": Row(
            "cardiology-en",
            "Running",
            "DataPreprocessing",
            "The run is in stage DataPreprocessing, at 8%.",
        ),
        "legal-de": Row("legal-de", "Pending", "", "The model is not ready to run."),
        "radiology-nl": Row("radiology-nl"),
    }


def test_the_shown_lines_are_those_of_plain_kubectl_get() -> None:
    lines = parse(REAL).lines
    assert lines[0].endswith("ETA            AGE")
    assert lines[2].split() == ["legal-de", "103", "Pending", "4s"]
    assert len(lines) == 4


def test_messages_with_any_characters_are_kept_whole() -> None:
    message = "Grüße: 5 h  of audio, §4 „done“"
    assert table(row("a", "Pending", "", message)).rows["a"].message == message


def test_no_resources_are_an_empty_table() -> None:
    assert parse("") == EMPTY
    assert parse(printed()).rows == {}


def test_an_outline_changes_with_phase_and_stage_only() -> None:
    first = table(row("a", "Running", "MainTraining", "31%"))
    assert table(row("a", "Running", "MainTraining", "32%")).outline == first.outline
    assert table(row("a", "Running", "FineTuning", "71%")).outline != first.outline
    assert table(row("a", "Failed", "MainTraining", "31%")).outline != first.outline
