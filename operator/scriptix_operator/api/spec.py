"""spec of a CustomModelTraining: what a user requests.

The docstrings are what `kubectl explain` shows; bounds and CEL rules become the CRD's.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from scriptix_operator.api.base import ApiModel, cel
from scriptix_operator.api.names import DEFAULT_SECRET_KEY

__all__ = [
    "UNREADABLE_GATE",
    "ApiKeySecretRef",
    "CollectLog",
    "ExistingTraining",
    "GateMode",
    "LogSpec",
    "QualityGate",
    "TrainingSpec",
    "WhenNotReady",
]

MAX_MODEL_ID = 2**53 - 1
"""The largest integer that every JSON reader represents exactly."""

DECIMAL_PATTERN = r"^[0-9]{1,3}(\.[0-9]{1,4})?$"

OBJECT_NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
DATA_KEY_PATTERN = r"^[-._a-zA-Z0-9]+$"

DecimalString = Annotated[
    str,
    StringConstraints(pattern=DECIMAL_PATTERN, max_length=8),
    Field(
        json_schema_extra=cel(
            f"self.matches(r'{DECIMAL_PATTERN}')",
            "write the percentage as a quoted decimal such as '12.5', without sign or percent "
            "sign, with at most 3 digits before the point and 4 after it",
        )
    ),
]
"""A percentage as a decimal string: floats in a spec do not survive every tool."""


class WhenNotReady(StrEnum):
    """What to do while the model is not ready to run (training_status 2)."""

    WAIT = "Wait"
    """Wait until its data has arrived."""
    FAIL = "Fail"
    """Fail at once."""


class ExistingTraining(StrEnum):
    """What to do with a training that exists at the first poll of the model."""

    ADOPT = "Adopt"
    """Poll it to its end, or take over its result, without a start."""
    WAIT = "Wait"
    """Start nothing until the model is ready again."""
    FAIL = "Fail"
    """Fail at once."""


class CollectLog(StrEnum):
    """When the training log is stored."""

    ALWAYS = "Always"
    """While the run continues, and when it ends."""
    ON_FAILURE = "OnFailure"
    """Only when the run has failed."""
    NEVER = "Never"
    """Not at all."""


class ApiKeySecretRef(ApiModel):
    """Where the API key is read from."""

    name: Annotated[
        str,
        StringConstraints(min_length=1, max_length=253),
        Field(
            json_schema_extra=cel(
                f"self.matches(r'{OBJECT_NAME_PATTERN}')",
                "give the name of a Secret in the same namespace: lower-case letters, digits, '-' "
                "and '.', with a letter or digit at both ends; never the API key itself",
            )
        ),
    ]
    """Name of a Secret in the same namespace."""
    key: Annotated[
        str,
        StringConstraints(min_length=1, max_length=253),
        Field(
            json_schema_extra=cel(
                f"self.matches(r'{DATA_KEY_PATTERN}')",
                "give the name of a key in the Secret's data: letters, digits, '-', '_' and '.'; "
                "never the API key itself",
            )
        ),
    ] = DEFAULT_SECRET_KEY
    """Name of the key in the Secret's data that holds the API key."""


class GateMode(StrEnum):
    """What becomes of a run that misses its quality gate."""

    ENFORCE = "Enforce"
    """The run is Failed and not published."""
    DRY_RUN = "DryRun"
    """The miss is reported, and the run succeeds."""


class QualityGate(ApiModel):
    """Bounds that a finished run must keep to succeed; all in percent."""

    # A misspelt bound is pruned unless the writer validates strictly; the rest would be a gate that
    # every run passes. A bound of a newer version must not be ignored silently, either.
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra=cel(
            "has(self.maxWordErrorRate) || has(self.maxWordErrorRateIncrease)"
            " || has(self.maxCharacterErrorRate) || has(self.minAccuracyImprovement)",
            "a quality gate without a bound lets every run through: set maxWordErrorRate, "
            "maxWordErrorRateIncrease, maxCharacterErrorRate or minAccuracyImprovement (check the "
            "spelling), or leave qualityGate out",
        ),
    )

    max_word_error_rate: DecimalString | None = None
    """Highest acceptable word error rate (WER) in percent, for example "15" or "12.5". Judged by
    status.metrics.wordErrorRate (word_error_rate of the API), not by testWordErrorRate."""
    max_word_error_rate_increase: DecimalString | None = None
    """Percentage points by which the word error rate may be above that of the published result
    (status.published.wordErrorRate), for example "0.5"; "0" accepts no increase. A run passes this
    bound if no result is published, or if the published result has no word error rate."""
    max_character_error_rate: DecimalString | None = None
    """Highest acceptable character error rate (CER) in percent, for example "8". Judged by
    status.metrics.characterErrorRate."""
    min_accuracy_improvement: DecimalString | None = None
    """Lowest acceptable improvement over the base model in percent, for example "5". Judged by
    status.metrics.accuracyImprovement."""
    # Without a default in the CRD: an older operator would refuse a field that no user has set.
    mode: GateMode | None = None
    """Enforce, also if omitted: a run that misses a bound is Failed and not published. DryRun: the
    operator judges the run and reports the judgement in the condition QualityGatePassed, and the
    run succeeds and is published."""

    @property
    def has_bound(self) -> bool:
        """Whether there is a bound that this version knows."""
        return bool(self.model_dump(exclude={"mode"}, exclude_none=True))

    @property
    def is_dry_run(self) -> bool:
        """Whether a missed bound has no effect on the run."""
        return self.mode is GateMode.DRY_RUN


UNREADABLE_GATE = QualityGate()
"""Replaces a gate that this version cannot read; no run is judged by it. The CRD refuses a gate
without a bound, so no other gate equals this one."""


class LogSpec(ApiModel):
    """How the training log is stored in ConfigMaps."""

    collect: CollectLog = CollectLog.ALWAYS
    """When the log is stored: Always (during the run and at its end), OnFailure (only if the run
    has failed) or Never."""
    max_bytes: Annotated[int, Field(ge=65536, le=16777216)] = 1048576
    """Bytes of log kept at most; the oldest segments are dropped first."""


class TrainingSpec(ApiModel):
    """What to train, with which API key, and when the run counts as succeeded."""

    model_id: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_MODEL_ID,
            json_schema_extra=cel(
                "self == oldSelf",
                "modelId cannot be changed, because status and logs belong to one model: set it "
                "back, and create another CustomModelTraining for the other model",
            ),
        ),
    ]
    """Id of the custom model at the Scriptix API. Immutable: create another resource for another
    model."""
    api_key_secret_ref: ApiKeySecretRef | None = None
    """Secret that holds the API key. Omitted: the Secret "scriptix-api-key" of the namespace; if
    that does not exist, the operator's default key, provided that the namespace may use it."""
    run_token: Annotated[str, StringConstraints(max_length=64)] = ""
    """Requests another run when changed to a value not used before; the last 256 used values are
    remembered. Any text, in quotes: a data version, a commit, a date. Without quotes YAML reads
    1.10 as a number, which is refused, and Kustomize rewrites dates. Spellings of one instant, such
    as "2026-11-29" and "2026-11-29T00:00:00Z", are one value; all other texts are compared as they
    are. Upload new data first: without new data, the API refuses the start, which still uses the
    start quota, and the request waits for the data."""
    suspend: bool = False
    """True: make no API calls. A remote run continues; the API cannot cancel it."""
    when_not_ready: WhenNotReady = WhenNotReady.WAIT
    """What to do while the model has no training data: Wait for the data, or Fail at once."""
    existing_training: ExistingTraining = ExistingTraining.ADOPT
    """What to do with a training that exists at the first poll of the model: Adopt polls it to its
    end or takes over its result, Wait starts a run when the model is ready again, Fail fails."""
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    """Priority in the start queue of the API key, within the namespace: higher goes first."""
    poll_interval_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """Requested seconds between status calls; the quota of the API key may lengthen the
    interval."""
    timeout_seconds: Annotated[int, Field(ge=60, le=604800)] = 86400
    """Seconds from start or adoption until the run counts as failed, also while suspended. The
    remote run is not cancelled."""
    backoff_limit: Annotated[int, Field(ge=0, le=10)] = 0
    """Further runs after retryable failures, with growing delays."""
    quality_gate: QualityGate | None = None
    """Bounds that the finished run must keep; otherwise it is Failed and not published, unless mode
    is DryRun. Percentages in quotes: a number without quotes is refused."""
    log: LogSpec = LogSpec()
    """Whether and how much of the training log is stored."""
