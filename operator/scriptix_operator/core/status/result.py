"""The result of a successful run as ConfigMap data, made for `envFrom`."""

import json
import re
from datetime import datetime

from scriptix_operator.api.status import Metrics, ModelStatus
from scriptix_operator.api.times import format_time
from scriptix_operator.core.model.text import one_line

__all__ = ["result_data", "result_name"]

MAX_VALUE = 253
"""Characters of a value: those of a model's key and name in status."""

JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def result_name(name: str) -> str:
    """Name of the object that holds the result."""
    return f"{name}-result"


def result_data(  # noqa: PLR0913 - one argument for each source, all by keyword
    *,
    model_id: int,
    model: ModelStatus | None,
    metrics: Metrics | None,
    run_id: str,
    started_at: datetime | None,
    finished_at: datetime | None,
) -> dict[str, str]:
    """The data that applications need to use the model and to judge its quality.

    Keys are `[a-z_]+`, values are one line of at most 253 characters (`metrics_json` is longer).
    A missing value has no key. All metrics but the rating are in `metrics_json` too, as numbers.
    """
    values = {
        "model_id": str(model_id),
        "model_key": model.key if model else None,
        "model_name": model.name if model else None,
        "run_id": run_id,
        "started_at": format_time(started_at) if started_at else None,
        "finished_at": format_time(finished_at) if finished_at else None,
    }
    given: dict[str, str] = {}
    if metrics is not None:
        given = {name: value for name, value in metrics if value is not None}
        values |= given
        given.pop("rating", None)
    data = {key: one_line(value, MAX_VALUE) for key, value in values.items() if value is not None}
    if given:
        data["metrics_json"] = _object(given)
    return {key: value for key, value in data.items() if value}


def _object(members: dict[str, str]) -> str:
    """Write decimal strings as JSON numbers, digit by digit: a float would change some."""
    return "{" + ",".join(f"{json.dumps(k)}:{_number(v)}" for k, v in members.items()) + "}"


def _number(value: str) -> str:
    return value if JSON_NUMBER.fullmatch(value) else json.dumps(value)
