"""The failure catalog: one row for each reason, with its remedy.

Source of examples and solutions: the remote API's document ("Troubleshooting Training Failures"
and "Error Responses"). core/status/reference_page.py prints this table.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from scriptix_operator.api.reasons import FailureReason

__all__ = ["FAILURE_CATALOG", "Cause", "FailureVariant", "Remedy"]


class Cause(StrEnum):
    """Causes within a reason that have a remedy of their own."""

    MODEL_NOT_READY = "MODEL_NOT_READY"
    """The start was refused, or not tried, because the model is not ready to run."""
    TRAINING_IN_PROGRESS = "TRAINING_IN_PROGRESS"
    """The start was refused, or not tried, because the model is being trained."""
    TRAINED_BEFORE = "TrainedBefore"
    """The spec refuses a model that was trained before."""
    PAYMENT = "Payment"
    """The API answered 402."""
    SCOPE = "Scope"
    """The API answered 403."""
    SECRET_FORBIDDEN = "SecretForbidden"  # noqa: S105 - a cause
    """The operator may not read the Secret."""


@dataclass(frozen=True, slots=True)
class FailureVariant:
    """The remedy for one cause within a reason.

    Attributes:
        when: How it is recognised, for people.
        solution: What a person should do.
        codes: error_codes of this cause.
        statuses: HTTP statuses of this cause.
        waiting: The message where the operator waits instead of failing.
    """

    when: str
    solution: str
    codes: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()
    waiting: str = ""


@dataclass(frozen=True, slots=True)
class Remedy:
    """One reason: how it is recognised, and what a person should do.

    Attributes:
        happened: What has happened, for people.
        solution: What to do about it.
        pattern: Recognises the reason in the API's words.
        codes: error_codes of the reason.
        examples: Words of the API that the pattern recognises.
        recognised: How else the reason is recognised, for people.
        retryable: Whether another run may help without a human.
        blocks: The run does not end: the resource waits for a human, and continues automatically.
        cases: Causes with a remedy of their own.
    """

    happened: str
    solution: str
    pattern: re.Pattern[str] | None = None
    codes: frozenset[str] = frozenset()
    examples: tuple[str, ...] = ()
    recognised: str = ""
    retryable: bool = False
    blocks: bool = False
    cases: tuple[tuple[Cause, FailureVariant], ...] = ()

    def case(self, cause: Cause) -> FailureVariant:
        """The case of a cause.

        Raises:
            KeyError: This reason has no such case.
        """
        return dict(self.cases)[cause]


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


RERUN = "then change spec.runToken to train again"

FAILURE_CATALOG: dict[FailureReason, Remedy] = {
    FailureReason.INSUFFICIENT_DATA: Remedy(
        "The model has too little training audio.",
        f"Upload more training audio (at least 5 hours, better 10 or more), {RERUN}.",
        _words(r"insufficient\b.*\bdata\b"),
        frozenset({"INSUFFICIENT_DATA"}),
        (
            "Insufficient training data (minimum 5 hours required, found 2.3 hours)",
            "Insufficient training data",
        ),
    ),
    FailureReason.AUDIO_TRANSCRIPT_MISMATCH: Remedy(
        "Audio files and transcripts do not belong together.",
        "Check that each audio file is paired with its own transcript and that the timing is "
        f"aligned, upload the corrected pairs, {RERUN}.",
        _words(r"\b(audio|transcript).*mismatch|mismatch.*\b(audio|transcript)"),
        examples=("Audio and transcript mismatch detected",),
    ),
    FailureReason.POOR_TRANSCRIPTS: Remedy(
        "The transcripts are not accurate enough.",
        "Review the transcripts: 95 % accuracy or better, matching the audio word for word; "
        f"upload the corrected ones, {RERUN}.",
        _words(r"transcript\w*\b.*\b(accuracy|quality|threshold)"),
        examples=("Training failed: transcript accuracy below threshold",),
    ),
    FailureReason.SYSTEM_ERROR: Remedy(
        "The training failed because of an error at the API.",
        "Change spec.runToken to train again (spec.backoffLimit repeats later runs automatically); "
        "if it keeps failing, contact Scriptix support with the model id and the log of the run. "
        "The API keeps the log; status.log says whether a copy is stored.",
        _words(r"\b(system|internal)\b.*\berror"),
        examples=("Training failed due to system error",),
        retryable=True,
    ),
    FailureReason.TIMED_OUT: Remedy(
        "The run did not end within spec.timeoutSeconds.",
        "The operator did not cancel the remote run, which may still end: check the model before "
        f"training again. Raise spec.timeoutSeconds if runs need longer, {RERUN}.",
        recognised="the operator's own clock, from the start or the adoption on",
    ),
    FailureReason.QUALITY_GATE_FAILED: Remedy(
        "The run finished, but missed a bound of spec.qualityGate, or the API did not give the "
        "metric that a bound is for. Its result is not published.",
        f"Add or correct training data, {RERUN}; or relax spec.qualityGate: the operator "
        "judges the run again without training.",
        recognised="decimal comparison of the metrics with spec.qualityGate; equal passes",
    ),
    FailureReason.START_REJECTED: Remedy(
        "The API refused the start for good, or the spec forbids it.",
        f"Fix the reported problem, {RERUN}.",
        recognised="400, 409, 413 or 422 to the start with a text that fits no other row",
        cases=(
            (
                Cause.MODEL_NOT_READY,
                FailureVariant(
                    "409 `MODEL_NOT_READY`, or training_status 1, with spec.whenNotReady Fail "
                    "(with Wait the resource waits)",
                    f"Upload training data first (at least 5 hours of audio), {RERUN}; with "
                    "spec.whenNotReady Wait a run waits for the data automatically.",
                    codes=frozenset({"MODEL_NOT_READY"}),
                    waiting="Upload training data (at least 5 hours of audio); the training "
                    "starts automatically once the model is ready to run.",
                ),
            ),
            (
                Cause.TRAINING_IN_PROGRESS,
                FailureVariant(
                    "409 `TRAINING_IN_PROGRESS`, or training_status 3, with spec.existingTraining "
                    "Fail (with Adopt or Wait the resource follows it or waits)",
                    "Wait for the present training to end. A changed spec.runToken starts another "
                    "run after it; to follow the present training instead, re-create the resource "
                    "with spec.existingTraining Adopt.",
                    codes=frozenset({"TRAINING_IN_PROGRESS"}),
                    waiting="The requested training starts automatically once the present one has "
                    "ended and the model is ready to run.",
                ),
            ),
            (
                Cause.TRAINED_BEFORE,
                FailureVariant(
                    "training_status 4 or 5 at the first observation, with spec.existingTraining "
                    "Fail",
                    "Change spec.runToken to train the model again; to adopt the existing training "
                    "instead, re-create the resource with spec.existingTraining Adopt.",
                ),
            ),
        ),
    ),
    FailureReason.UNKNOWN: Remedy(
        "The run failed with words that fit no other row (they are shown whole, up to 4096 "
        "characters), with none at all, or the model was changed before its outcome could be "
        "read.",
        "Read the message and the log of the run (the API keeps it; status.log says whether a copy "
        f"is stored), ask Scriptix support if they do not explain it, {RERUN}.",
        recognised="a failure that no other row recognises",
    ),
    FailureReason.RESULT_NOT_PUBLISHED: Remedy(
        "The training has succeeded, but the cluster does not take the ConfigMap with its result: "
        "a quota, an admission policy or webhook, a missing permission, or another owner's object "
        "of that name. Succeeded is reported once the result ConfigMap exists.",
        "Fix the reported problem. The operator retries within a minute, without training or "
        "calling the API again.",
        recognised="the API server's answer to writing `<name>-result`; other than a refusal, one "
        "that has lasted for a minute",
        blocks=True,
    ),
    FailureReason.SECRET_NOT_FOUND: Remedy(
        "The Secret with the API key is missing.",
        "Create the Secret with the API key, or name another Secret in spec.apiKeySecretRef. The "
        "operator continues within a minute.",
        recognised="404 from the Kubernetes API server",
        blocks=True,
        cases=(
            (
                Cause.SECRET_FORBIDDEN,
                FailureVariant(
                    "403 from the Kubernetes API server (the operator may not read it)",
                    "Grant the operator's ServiceAccount the verb get on that Secret (a Role and "
                    "a RoleBinding in its namespace), or name another Secret in "
                    "spec.apiKeySecretRef. The operator continues within a minute.",
                ),
            ),
        ),
    ),
    FailureReason.KEY_NOT_FOUND: Remedy(
        "The Secret has no usable API key under the expected name.",
        "Put the API key into the Secret under the name that the message gives, or set "
        "spec.apiKeySecretRef.key to the name in the Secret. The operator continues within a "
        "minute.",
        recognised="the Secret's data",
        blocks=True,
    ),
    FailureReason.UNAUTHORIZED: Remedy(
        "The API rejects the key.",
        "Put a valid API key with the scope custom_models:write into the Secret. The operator "
        "notices a new key within a minute.",
        recognised="401 (`MISSING_API_KEY`, `INVALID_API_KEY`, `KEY_REVOKED`), 402 or 403 in the "
        "API's own JSON; of a key that has worked, from two polls",
        blocks=True,
        cases=(
            (
                Cause.PAYMENT,
                FailureVariant(
                    "402",
                    "The API knows the key, but the account is not paid up, or its plan does not "
                    "cover the call: settle the bill or the plan with Scriptix, or put the key of "
                    "another account into the Secret. The operator tries again automatically.",
                    statuses=frozenset({402}),
                ),
            ),
            (
                Cause.SCOPE,
                FailureVariant(
                    "403",
                    "The API knows the key, but the key lacks a permission: give the key the scope "
                    "custom_models:write and access to the model, or put a key with both into the "
                    "Secret. The operator notices a new key within a minute.",
                    codes=frozenset({"INSUFFICIENT_SCOPE"}),
                    statuses=frozenset({403}),
                ),
            ),
        ),
    ),
    FailureReason.MODEL_NOT_FOUND: Remedy(
        "The API does not know the model, or not for this key.",
        "Check spec.modelId, and that the API key belongs to the account that owns the model. "
        "modelId is immutable: create another resource to train another model.",
        recognised="404 (`MODEL_NOT_FOUND`) in the API's own JSON; of a model that was seen "
        "before, from two polls",
        blocks=True,
    ),
    FailureReason.GATEWAY_REFUSED: Remedy(
        "A proxy, gateway or filter refuses the polls; the API itself has not answered one for 5 "
        "minutes.",
        "Check SCRIPTIX_BASE_URL and each proxy on the way to the API (HTTPS_PROXY, ingress, web "
        "application firewall). The operator polls again within 2 minutes and continues "
        "automatically.",
        recognised="for 5 minutes 3xx, or 4xx other than 429 with a body that is not the API's "
        "JSON",
        blocks=True,
    ),
}
"""Rows are tried in order for a remote message; the first whose code or pattern fits wins."""
