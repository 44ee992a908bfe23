"""The script of a model, with one schema for scenario files and the admin API.

Durations are simulated: a number means hours, text carries its unit (`30m`, `8h`).
"""

from pathlib import Path
from typing import Annotated, Literal, Self, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    WithJsonSchema,
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
    "FailureName",
    "ModelChange",
    "ModelScript",
    "OutcomeName",
    "ProgressStep",
    "Scenario",
    "ScenarioError",
    "load_scenario",
    "problems",
]

MAX_HOURS = 87_600
"""Ten years: later instants may have no year of four digits."""

_DURATION = WithJsonSchema({"type": "duration"})
"""The type as the admin page shows it; pydantic would show number."""

Hours = Annotated[float, BeforeValidator(parse_hours), Field(ge=0, le=MAX_HOURS), _DURATION]
RunHours = Annotated[float, BeforeValidator(parse_hours), Field(gt=0, le=MAX_HOURS), _DURATION]
Percent = Annotated[float, Field(ge=0, le=100)]
ModelId = Annotated[int, Field(ge=0, lt=10**18)]

OutcomeName = Literal[
    "success", "insufficient_data", "poor_transcripts", "mismatch", "system_error"
]
FailureName = Literal["insufficient_data", "poor_transcripts", "mismatch", "system_error"]
Outcomes = Annotated[
    tuple[OutcomeName, ...],
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"enum": [*get_args(OutcomeName)]}, {"type": "array", "items": {}}]}),
]


STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
"""Refuses unknown fields, NaN and Infinity: they are mistakes."""


class ScenarioError(Exception):
    """A scenario file cannot be used; the message names the file and the fields."""


class Failure(BaseModel):
    """A failure of a run: the message, and the percent at which the run fails by default."""

    model_config = ConfigDict(frozen=True)

    message: str
    at: float


FAILURES: dict[FailureName, Failure] = {
    "insufficient_data": Failure(
        message="Insufficient training data (minimum 5 hours required, found 2.3 hours)", at=5
    ),
    "poor_transcripts": Failure(
        message="Training failed: transcript accuracy below threshold", at=20
    ),
    "mismatch": Failure(message="Audio and transcript mismatch detected", at=8),
    "system_error": Failure(message="Training failed due to system error", at=60),
}
"""The document's four failures."""

DOCUMENT_METRICS: dict[str, JsonValue] = {
    "word_error_rate": 12.5,
    "character_error_rate": 8.3,
    "accuracy_improvement": 18.7,
    "training_hours": 7.5,
    "test_word_error_rate": 11.2,
    "training_word_error_rate": 10.8,
}


class ProgressStep(BaseModel):
    """From `at` (hours into the run) on, replies show `value` as progress, unchecked.

    With `omit` the field is missing; with neither, replies show the progress of the timeline.
    """

    model_config = STRICT

    at: Hours = Field(description="since the start of the run")
    value: JsonValue = Field(None, description="shown as training_progress, unchecked")
    omit: bool = Field(default=False, description="the reply has no training_progress")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.omit and "value" in self.model_fields_set:
            raise ValueError("give one of value and omit")
        return self


class ModelScript(BaseModel):
    """One model: its properties, the behaviour of its runs, and the form of its replies."""

    model_config = STRICT

    name: str | None = Field(None, description="null: Model <id>")
    model_key: str | None = Field(None, description="null: custom_model_<id>")
    description: str = Field("", description="as in the replies")
    language: str = Field("en", description="as in the replies")
    base_model: str = Field("base_en_v3", description="as in the replies")

    status: Literal[1, 2, 3, 4, 5] = Field(
        2,
        description="training_status at first: 1 not ready, 2 ready, 3 running at `progress`, "
        '4 trained, 5 failed; `"status": 1, "extra": {"training_status": 7}` shows another number',
    )
    progress: Percent = Field(45, description="percent done at first, with status 3")
    ready_after: Hours | None = Field(None, description="status 1 becomes 2 this much later")
    data_hours: float = Field(20, ge=0, description="below 5, a start is refused with 400")

    outcome: Outcomes = Field(
        ("success",),
        description="how a run ends; a list has one outcome for each run, the last for all later",
    )
    error: str | None = Field(
        None,
        min_length=1,
        description="error of a run that fails; null: the document's for its outcome",
    )
    fail_at: Percent | None = Field(
        None, description="percent at which a failing run fails; null: as its outcome does"
    )
    duration: RunHours = Field(8, description="length of a run")
    timeline: tuple[tuple[Hours, Percent], ...] | None = Field(
        None,
        description="progress of a run, as [[hour, percent], …] from [0, 0] to 100 percent, "
        "stretched to `duration`; null: the documented one",
    )
    error_form: Literal["string", "object", "null"] = Field(
        "string", description="how the error of a failed run is written"
    )
    metrics: dict[str, JsonValue] | None = Field(
        DOCUMENT_METRICS, description="training_metrics after success; null: none at all"
    )
    results_after: Hours = Field(
        0,
        description="the metrics of a success, or the error and status message of a failure, are "
        "shown this much after the end",
    )

    progress_steps: tuple[ProgressStep, ...] = Field(
        (), description="progress that is shown in place of the timeline's, from `at` on"
    )
    time_form: TimeForm = Field(
        "seconds", description="how instants are written in all replies; local: 16.01.25 08:00:00"
    )
    reply_start_offset: int = Field(
        0,
        ge=-86400,
        le=86400,
        description="real seconds that started_training_at in the reply to a start is later than "
        "in later replies; negative: earlier",
    )
    extra: dict[str, JsonValue] = Field({}, description="added to every reply with the model")
    omit: tuple[str, ...] = Field((), description="fields left out of every reply with the model")
    log_extra: dict[str, JsonValue] = Field({}, description="added to every reply with the log")
    log_line_bytes: int = Field(0, ge=0, le=65536, description="log messages are filled up to this")

    @property
    def shape(self) -> Timeline:
        """The timeline of its runs."""
        return DOCUMENT if self.timeline is None else Timeline(self.timeline)

    @field_validator("outcome", mode="before")
    @classmethod
    def _listed(cls, outcome: object) -> object:
        return (outcome,) if isinstance(outcome, str) else outcome

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
        if self.ready_after is not None and self.status != 1:
            raise ValueError("ready_after: only a model that starts at status 1 becomes ready")
        return self

    def outcome_of(self, run: int) -> OutcomeName:
        """Return the outcome of the model's `run`-th run, counted from 0."""
        return self.outcome[min(run, len(self.outcome) - 1)]


class ModelChange(BaseModel):
    """A PATCH of the admin API: an event of a model, or a change of its script."""

    model_config = STRICT

    status: Literal[1, 2] | None = Field(
        None,
        description="new training_status, whatever it was before (2: new data was uploaded); "
        "3, 4 and 5 result from a run: start, finish, fail",
    )
    start: bool = Field(default=False, description="another user starts a run, without any checks")
    finish: bool = Field(default=False, description="the run under way succeeds")
    fail: FailureName | None = Field(None, description="the run under way fails like this")
    script: dict[str, JsonValue] = Field(
        {}, description="fields of a model to change; they apply to later runs and all replies"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        events = sum((self.status is not None, self.start, self.finish, self.fail is not None))
        if events > 1:
            raise ValueError("give one of status, start, finish and fail")
        if not events and not self.script:
            raise ValueError("changes nothing; give status, start, finish, fail or script")
        return self


class Scenario(BaseModel):
    """A scenario file: models by id, faults in order, and the model of an unknown id."""

    model_config = STRICT

    models: dict[ModelId, ModelScript] = {}
    faults: tuple[Fault, ...] = ()
    default: ModelScript = Field(ModelScript(), description="the model for --any-model")


def load_scenario(path: Path) -> Scenario:
    """Read a scenario from a YAML or JSON file.

    Raises:
        ScenarioError: The file cannot be read, is neither YAML nor JSON, or is not a scenario.
    """
    try:
        return Scenario.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except ValidationError as error:
        raise ScenarioError(f"{path}: {'; '.join(problems(error))}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ScenarioError(f"{path}: {error}") from error


def problems(error: ValidationError) -> list[str]:
    """Return the errors, each with its field."""
    return [
        f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['msg']}"
        for problem in error.errors()
    ]
