"""One model, several resources: who may start or adopt, and what the others are told.

docs/start-protocol.md, step 7: the run that a status records comes first, then the older claim.
"""

from collections.abc import Iterable
from datetime import datetime

from scriptix_operator.api.reasons import Ownership
from scriptix_operator.core.ledger.ledger import InFlightStart
from scriptix_operator.core.model.remote import RemoteModel, TrainingState
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.start.staleness import recorded_starts
from scriptix_operator.core.status.conditions import is_blocked, is_finished, is_followed

__all__ = ["is_start_of", "model_in_use", "named", "unreadable_in_use", "was_started_by"]


def is_start_of(entry: InFlightStart, training: Training) -> bool:
    """Whether a resource's intent is the one that this entry was opened for."""
    run = training.status.run
    return (
        training.uid == entry.uid
        and run is not None
        and run.intent is not None
        and (run.id, run.attempt, run.intent.nonce) == (entry.run, entry.attempt, entry.nonce)
    )


def named(other: TrainingKey, training: Training) -> str:
    """A resource, as `training` may be told of it.

    One in another namespace is not named: who else trains there is not this tenant's business.
    """
    is_neighbour = other.namespace == training.key.namespace
    return other.name if is_neighbour else "a resource in another namespace"


def unreadable_in_use(holder: TrainingKey, training: Training) -> str:
    """Say why `training` may not have a model that a resource has which cannot be read."""
    return (
        f"{named(holder, training)} may be training this model, and the operator cannot read that "
        "resource; waiting until it can. The operator's log names the cause."
    )


def model_in_use(training: Training, others: Iterable[Training], model: RemoteModel) -> str | None:
    """Say why `training`, which has no remote run, may not have the model now.

    A start that the ledger has open is no matter of this: it is resolved first, as
    resolve.resolve_for_others. An intent without one was never sent.

    Args:
        training: The resource that wants to start or adopt.
        others: The other resources with the same modelId, in any namespace.
        model: The model as just seen.

    Returns:
        One sentence; None where nothing stands in the way.
    """
    # A resource that is being deleted starts nothing, and its run shows in the model's own status.
    contenders = (training, *(other for other in others if not other.is_being_deleted))
    for other in sorted(contenders[1:], key=_age):
        name = named(other.key, training)
        if is_followed(other.status):
            return f"{name} is training this model; waiting until it has ended."
        if _takes_over(training, model) and _is_run_of(other, model):
            return (
                f"The model's last training belongs to {name}; waiting for new data. To train "
                "again, change that resource's spec.runToken."
            )
        older = _age(other) < _age(training)
        if older and _wants_to_start(other) and not _waits_for_data(other, contenders, model):
            return f"{name} is older and waits to train this model first."
    return None


def was_started_by(training: Training, model: RemoteModel) -> bool:
    """Whether a resource has started the training that the model shows, as polls have shown it."""
    runs = (training.status.run, *training.status.history)
    started = {
        run.started_training_at
        for run in runs
        if run is not None and run.ownership != Ownership.ADOPTED
    }
    return model.started_at is not None and model.started_at in started


def _age(training: Training) -> tuple[datetime, str]:
    return training.created_at, training.uid


def _is_run_of(other: Training, model: RemoteModel) -> bool:
    """Whether what there is to adopt is recorded by another resource, which nobody else adopts."""
    adoptable = model.training_status in {
        TrainingState.RUNNING,
        TrainingState.SUCCEEDED,
        TrainingState.FAILED,
    }
    if not adoptable or model.started_at is None:
        return False
    return model.started_at in recorded_starts(other.status) or _may_be_hidden_run(other, model)


def _may_be_hidden_run(other: Training, model: RemoteModel) -> bool:
    """Whether it may be the run that another resource has started and no poll has shown yet."""
    run = other.status.run
    if run is None or run.ownership is None or run.baseline is None:
        return False
    before = run.baseline.started_training_at
    is_newer = before is None or (model.started_at is not None and model.started_at > before)
    return run.started_training_at is None and is_newer


def _takes_over(training: Training, model: RemoteModel) -> bool:
    """Whether it would take a training over that is there: at first sight, or after lost starts."""
    run = training.status.run
    if run is None:
        return True
    return run.baseline is not None and run.baseline.started_training_at != model.started_at


def _wants_to_start(other: Training) -> bool:
    status = other.status
    was_polled = status.last_observed_at is not None
    may_start = not (other.unreadable or other.spec.suspend or is_blocked(status))
    return was_polled and may_start and not is_finished(status)


def _waits_for_data(other: Training, contenders: Iterable[Training], model: RemoteModel) -> bool:
    """Whether it can do nothing with the model as it is: that is another's."""
    return _takes_over(other, model) and any(
        _is_run_of(contender, model) for contender in contenders if contender.uid != other.uid
    )
