"""The fields of a log line: the training, model, run, call, API key or process it is about.

A module that logs about one of these has `logger = field_logger(__name__)`, and names them by
`about`: `logger.about(training, operation=Call.START).warning("start aborted: %s", error)`. The
message does not repeat the fields. JSON lines have them as members, text lines begin with
`namespace/training: ` and end with the others as `key=value` (telemetry/logs.py).
docs/logging.md lists the fields for people.
"""

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.scheduling.calls import Call

__all__ = ["FIELDS", "NAMESPACE", "TRAINING", "FieldLogger", "field_logger"]

NAMESPACE: Final = "namespace"
TRAINING: Final = "training"
MODEL_ID: Final = "modelId"
RUN: Final = "run"
OPERATION: Final = "operation"
KEY_FINGERPRINT: Final = "keyFingerprint"
IDENTITY: Final = "identity"

FIELDS: Final = (NAMESPACE, TRAINING, MODEL_ID, RUN, OPERATION, KEY_FINGERPRINT, IDENTITY)
"""All fields, in the order in which lines have them."""


class FieldLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose lines carry fields; only `about` and `about_process` set them."""

    def about(
        self,
        subject: Training | TrainingKey | None = None,
        *,
        namespace: str | None = None,
        run: str | None = None,
        operation: Call | None = None,
        fingerprint: str | None = None,
    ) -> "FieldLogger":
        """A logger whose lines carry these fields, too.

        Args:
            subject: The resource; a whole one also gives its model and its run.
            namespace: The namespace, of a line that is about no single resource.
            run: The id of the run, where `subject` does not give it.
            operation: The kind of call to the Scriptix API.
            fingerprint: The fingerprint of the API key of the call; None: that of the run, if
                there is an operation.
        """
        key = subject.key if isinstance(subject, Training) else subject
        training = subject if isinstance(subject, Training) else None
        known_run = None if training is None else training.status.run
        if known_run is not None:
            run = known_run.id
            if operation is not None:
                fingerprint = fingerprint or known_run.key_fingerprint
        named = {
            NAMESPACE: namespace if key is None else key.namespace,
            TRAINING: None if key is None else key.name,
            MODEL_ID: None if training is None else training.spec.model_id,
            RUN: run,
            OPERATION: None if operation is None else operation.value,
            KEY_FINGERPRINT: fingerprint,
        }
        added = {field: value for field, value in named.items() if value not in {None, ""}}
        return FieldLogger(self.logger, {**_fields(self), **added})

    def about_process(self, identity: str) -> "FieldLogger":
        """A logger whose lines carry the name of this process in the Lease, too."""
        return FieldLogger(self.logger, {**_fields(self), IDENTITY: identity})

    def process(
        self, msg: object, kwargs: MutableMapping[str, Any]
    ) -> tuple[object, MutableMapping[str, Any]]:
        """Add the fields to a line; called by the methods that log."""
        return msg, {**kwargs, "extra": {**(kwargs.get("extra") or {}), **_fields(self)}}


def field_logger(name: str) -> FieldLogger:
    """The logger of a module, without fields."""
    return FieldLogger(logging.getLogger(name), {})


def _fields(logger: FieldLogger) -> Mapping[str, object]:
    return logger.extra or {}
