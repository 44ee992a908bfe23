"""What a model does, as scenario files and the admin API write it; one schema for both.

Durations are simulated: a number means hours, text carries its unit (`30m`, `8h`).
"""

from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

from .faults import Fault
from .timeline import DOCUMENT, Timeline
from .units import TimeForm, parse_hours

__all__ = [
    "DOCUMENT_METRICS",
    "FAILURES",
    "Failure",
    "ModelChange",
    "ModelScript",
    "ProgressStep",
    "Scenario",
    "ScenarioError",
    "load_scenario",
    "problems",
]

Hours = Annotated[float, BeforeValidator(parse_hours), Field(ge=0)]
Percent = Annotated[float, Field(ge=0, le=100)]


class ScenarioError(Exception):
    """A scenario file cannot be used; the message names the file and the fields."""


class Failure(BaseModel):
    """A way to fail: the message, and the percent at which it strikes unless a script says else."""

    model_config = ConfigDict(frozen=True)

    message: str
    at: float


FAILURES: dict[str, Failure] = {
    "insufficient_data": Failure(
        message="Insufficient training data (minimum 5 hours required, found 2.3 hours)", at=5
    ),
    "poor_transcripts": Failure(
        message="Training failed: transcript accuracy below threshold", at=20
    ),
    "mismatch": Failure(message="Audio and transcript mismatch detected", at=8),
    "system_error": Failure(message="Training failed due to system error", at=60),
}
"""The document's four failures; any other outcome but `success` is its own message."""

DOCUMENT_METRICS: dict[str, JsonValue] = {
    "word_error_rate": 12.5,
    "character_error_rate": 8.3,
    "accuracy_improvement": 18.7,
    "training_hours": 7.5,
    "test_word_error_rate": 11.2,
    "training_word_error_rate": 10.8,
}


class ProgressStep(BaseModel):
    """From `at` (hours into the run) on, replies show `value` as progress, whatever it is.

    With `omit` the field is missing; with neither, the timeline's own progress is back.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: Hours
    value: JsonValue = None
    omit: bool = False


class ModelScript(BaseModel):
    """One model: what it is, what it does when it is run, and how its replies look."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = Field(None, description="default: Model <id>")
    model_key: str | None = Field(None, description="default: custom_model_<id>")
    description: str = ""
    language: str = "en"
    base_model: str = "base_en_v3"

    status: int = Field(
        2,
        description="training_status at first: 1 not ready, 2 ready, 3 running at `progress`, "
        "4 trained, 5 failed; any other number is shown as it is and never starts",
    )
    progress: Percent = Field(45, description="percent done at first, with status 3")
    ready_after: Hours | None = Field(None, description="status 1 becomes 2 this much later")
    data_hours: float = Field(20, ge=0, description="below 5, a start is refused with 400")

    outcome: str | tuple[str, ...] = Field(
        "success",
        description="success, insufficient_data, poor_transcripts, mismatch, system_error or a "
        "message of your own; a list gives one to each run in turn, the last to all later ones",
    )
    fail_at: Percent | None = Field(None, description="percent at which a failing run fails")
    duration: Hours = Field(8, gt=0, description="length of a run")
    timeline: tuple[tuple[Hours, Percent], ...] | None = Field(
        None,
        description="how a run gets on, as [[hour, percent], …] from [0, 0] to 100 percent, "
        "stretched to `duration`; null: as the document says",
    )
    error_form: Literal["string", "object", "null"] = "string"
    metrics: dict[str, JsonValue] | None = Field(
        DOCUMENT_METRICS, description="training_metrics after success; null: none at all"
    )
    results_after: Hours = Field(
        0,
        description="the metrics of a success, or the error and status message of a failure, are "
        "shown this much after the end",
    )

    progress_steps: tuple[ProgressStep, ...] = ()
    time_form: TimeForm = Field(
        "seconds", description="how instants are written in all replies; local: 16.01.25 08:00:00"
    )
    reply_start_offset: int = Field(
        0,
        description="real seconds that started_training_at in the reply to a start lies behind "
        "what later replies show; negative: before it",
    )
    extra: dict[str, JsonValue] = Field({}, description="laid over every reply with the model")
    omit: tuple[str, ...] = Field((), description="fields left out of every reply with the model")
    log_extra: dict[str, JsonValue] = Field({}, description="laid over every reply with the log")
    log_line_bytes: int = Field(0, ge=0, le=65536, description="log messages are filled up to this")

    @property
    def shape(self) -> Timeline:
        """How its runs get on."""
        return DOCUMENT if self.timeline is None else Timeline(self.timeline)

    @field_validator("timeline")
    @classmethod
    def _check_timeline(
        cls, points: tuple[tuple[float, float], ...] | None
    ) -> tuple[tuple[float, float], ...] | None:
        if points is not None:
            Timeline(points)
        return points

    @model_validator(mode="after")
    def _check(self) -> Self:
        if isinstance(self.outcome, tuple) and not self.outcome:
            raise ValueError("outcome: a list names at least one outcome")
        if self.ready_after is not None and self.status != 1:
            raise ValueError("ready_after: only a model that starts at status 1 becomes ready")
        return self

    def outcome_of(self, run: int) -> str:
        """Return the outcome of the model's `run`-th run, counted from 0."""
        if isinstance(self.outcome, str):
            return self.outcome
        return self.outcome[min(run, len(self.outcome) - 1)]


class ModelChange(BaseModel):
    """A PATCH of the admin API: what happens to a model now, and what its script says from now on.

    - `status`: the model goes to it, whatever it did before (2: new data was uploaded).
    - `start`: somebody else starts a run, past all checks.
    - `finish`, `fail`: the run under way succeeds, or fails with this outcome or message.
    - `script`: fields of `ModelScript` to change; later runs and all replies follow them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: int | None = None
    start: bool = False
    finish: bool = False
    fail: str | None = Field(None, min_length=1)
    script: dict[str, JsonValue] = {}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum((self.status is not None, self.start, self.finish, self.fail is not None)) > 1:
            raise ValueError("give one of status, start, finish and fail")
        if self.status in {3, 4, 5}:
            raise ValueError("status: 3, 4 and 5 come of a run; use start, finish or fail")
        return self


class Scenario(BaseModel):
    """A scenario file: models by id, faults in order, and what an unknown id is like."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: dict[int, ModelScript] = {}
    faults: tuple[Fault, ...] = ()
    default: ModelScript = Field(ModelScript(), description="what --any-model makes of an id")


def load_scenario(path: Path) -> Scenario:
    """Read a scenario from a YAML or JSON file.

    Raises:
        ScenarioError: The file cannot be read, is neither YAML nor JSON, or is no scenario.
    """
    try:
        return Scenario.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except ValidationError as error:
        raise ScenarioError(f"{path}: {'; '.join(problems(error))}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ScenarioError(f"{path}: {error}") from error


def problems(error: ValidationError) -> list[str]:
    """Return what is wrong, each with the field it is wrong in."""
    return [
        f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['msg']}"
        for problem in error.errors()
    ]
