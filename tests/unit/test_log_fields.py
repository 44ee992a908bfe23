"""log_fields.py: which fields a line has, and that no line gets them in another way."""

import ast
from pathlib import Path

import pytest

from scriptix_operator.core.scheduling.calls import Call
from scriptix_operator.log_fields import FieldLogger, field_logger
from tests.unit.core.builders import a_run, a_status, a_training
from tests.unit.log_lines import fields_of

SOURCE = Path(__file__).parents[2] / "operator" / "scriptix_operator"
TRAINING = a_training(status=a_status(run=a_run(key_fingerprint="of-the-run")))
OF_TRAINING = {"namespace": "team-a", "training": "cardiology", "modelId": 7, "run": "run-1"}


@pytest.mark.parametrize(
    ("logger", "fields"),
    [
        pytest.param(field_logger("test"), {}, id="none"),
        pytest.param(field_logger("test").about(TRAINING), OF_TRAINING, id="training"),
        pytest.param(
            field_logger("test").about(TRAINING.key, run="run-1"),
            {name: value for name, value in OF_TRAINING.items() if name != "modelId"},
            id="key of a training",
        ),
        pytest.param(
            field_logger("test").about(TRAINING, operation=Call.STATUS, fingerprint="of-the-call"),
            {**OF_TRAINING, "operation": "status", "keyFingerprint": "of-the-call"},
            id="call",
        ),
        pytest.param(
            field_logger("test").about(TRAINING, operation=Call.START),
            {**OF_TRAINING, "operation": "start", "keyFingerprint": "of-the-run"},
            id="call with the key of the run",
        ),
        pytest.param(
            field_logger("test").about(namespace="team-b").about(fingerprint="x"),
            {"namespace": "team-b", "keyFingerprint": "x"},
            id="one after the other",
        ),
        pytest.param(
            field_logger("test").about_process("pod_1"), {"identity": "pod_1"}, id="process"
        ),
        pytest.param(field_logger("test").about(namespace=""), {}, id="all namespaces"),
    ],
)
def test_log_line_has_the_fields_it_is_about(
    logger: FieldLogger, fields: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    logger.warning("held up by %s", "x", extra={"other": 1})
    [record] = caplog.records
    assert fields_of(record) == fields
    assert vars(record)["other"] == 1
    assert (record.getMessage(), record.filename) == ("held up by x", Path(__file__).name)


def test_only_the_adapter_sets_log_fields() -> None:
    calls = [
        (path.relative_to(SOURCE), keyword)
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
    ]
    assert any(keyword.arg == "operation" for _, keyword in calls)  # else nothing is searched
    for path, keyword in calls:
        # pydantic's setting `extra` is a constant.
        assert keyword.arg != "extra" or isinstance(keyword.value, ast.Constant), path
