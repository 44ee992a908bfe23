"""core/status/result.py: the published result."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal

from scriptix_operator.api.status import Metrics, ModelStatus
from scriptix_operator.core.status.result import result_data, result_name

STARTED = datetime(2025, 1, 16, 8, 0, tzinfo=UTC)
FINISHED = datetime(2025, 1, 16, 15, 30, tzinfo=UTC)


def test_result_has_all_fields() -> None:
    data = result_data(
        model_id=123,
        model=ModelStatus(key="custom_model_123", name="Medical Cardiology EN"),
        metrics=Metrics(
            word_error_rate="12.5",
            character_error_rate="8.3",
            accuracy_improvement="18.7",
            training_hours="7.50",
            test_word_error_rate="11.2",
            training_word_error_rate="10.8",
            rating="VeryGood",
        ),
        run_id="r1",
        started_at=STARTED,
        finished_at=FINISHED,
    )
    assert data == {
        "model_id": "123",
        "model_key": "custom_model_123",
        "model_name": "Medical Cardiology EN",
        "run_id": "r1",
        "started_at": "2025-01-16T08:00:00Z",
        "finished_at": "2025-01-16T15:30:00Z",
        "word_error_rate": "12.5",
        "character_error_rate": "8.3",
        "accuracy_improvement": "18.7",
        "training_hours": "7.50",
        "test_word_error_rate": "11.2",
        "training_word_error_rate": "10.8",
        "rating": "VeryGood",
        "metrics_json": '{"word_error_rate":12.5,"character_error_rate":8.3,'
        '"accuracy_improvement":18.7,"training_hours":7.50,"test_word_error_rate":11.2,'
        '"training_word_error_rate":10.8}',
    }
    assert all(re.fullmatch("[a-z_]+", key) for key in data)
    assert json.loads(data["metrics_json"], parse_float=Decimal)["training_hours"] == Decimal("7.5")


def test_missing_value_has_no_key() -> None:
    for model, metrics in ((None, None), (ModelStatus(key="", name=" "), Metrics())):
        data = result_data(
            model_id=1,
            model=model,
            metrics=metrics,
            run_id="r1",
            started_at=None,
            finished_at=None,
        )
        assert data == {"model_id": "1", "run_id": "r1"}


def test_values_are_one_bounded_line_and_the_json_stays_json() -> None:
    data = result_data(
        model_id=1,
        model=ModelStatus(name="a\nb\x1b" + "n" * 240),
        metrics=Metrics(word_error_rate='1"\n', rating="Good", training_hours="1E+2"),
        run_id="r1",
        started_at=None,
        finished_at=None,
    )
    assert data["model_name"].startswith("a b n")
    assert all(len(value) <= 253 and value.isprintable() for value in data.values())
    assert json.loads(data["metrics_json"]) == {"word_error_rate": '1"\n', "training_hours": 100}


def test_result_name() -> None:
    assert result_name("cardio") == "cardio-result"
