"""core/cluster/served_by.py: which installation serves a resource, and how long others skip it."""

import dataclasses
from datetime import datetime, timedelta

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.status import ServedBy, TrainingStatus
from scriptix_operator.core.cluster.served_by import (
    RENEWAL,
    SILENCE,
    last_seen_at,
    left_alone,
    left_for,
    left_text,
    needs_renewal,
    with_server,
)
from scriptix_operator.core.model.training import Training
from tests.unit.core.builders import EIGHT, a_run, a_status, a_training, at, followed

OURS, OTHER = "scriptix-system", "elsewhere"
SECOND = timedelta(seconds=1)
ENDED = a_status(run=a_run(ownership="Owned"), finished_at=EIGHT)


def served(
    namespace: str | None = OURS, status: TrainingStatus | None = None, *, suspend: bool = False
) -> Training:
    """A resource that an installation has written at eight; None: no installation has."""
    by = None if namespace is None else ServedBy(namespace=namespace, renewed_at=EIGHT)
    status = followed() if status is None else status
    return a_training(status=replace(status, served_by=by), suspend=suspend)


@pytest.mark.parametrize(
    ("namespace", "now", "seconds"),
    [
        pytest.param(None, EIGHT, None, id="no installation"),
        pytest.param(OURS, EIGHT, None, id="ours"),
        pytest.param(OTHER, EIGHT, 1800, id="just written"),
        pytest.param(OTHER, EIGHT + SILENCE - SECOND, 1, id="written lately"),
        pytest.param(OTHER, EIGHT + SILENCE, None, id="expired"),
        pytest.param(OTHER, EIGHT - timedelta(minutes=5), 2100, id="a clock that is ahead"),
        pytest.param(OTHER, EIGHT - SILENCE, None, id="a time far ahead"),
    ],
)
def test_resource_is_left_alone_while_another_serves_it(
    namespace: str | None, now: datetime, seconds: float | None
) -> None:
    assert left_for(served(namespace), OURS, now) == seconds


LATER = EIGHT + timedelta(hours=9)


@pytest.mark.parametrize(
    ("before", "renewed_at", "seen_at"),
    [
        pytest.param(OURS, EIGHT - SECOND, LATER, id="another name"),
        pytest.param(None, EIGHT, LATER, id="a first name"),
        pytest.param(OTHER, EIGHT + SECOND, LATER, id="renewed"),
        pytest.param(OTHER, EIGHT, at(hours=1), id="another change"),
        pytest.param(OTHER, EIGHT - SECOND, None, id="typed"),
    ],
)
def test_write_of_another_is_seen_by_the_own_clock(
    before: str | None, renewed_at: datetime, seen_at: datetime | None
) -> None:
    by = ServedBy(namespace=OTHER, renewed_at=renewed_at)
    known = dataclasses.replace(served(before), served_seen_at=at(hours=1))
    training = a_training(status=followed(served_by=by))
    assert last_seen_at(known, training, LATER) == seen_at
    assert last_seen_at(None, training, LATER) is None


def test_resource_is_left_alone_after_a_write_that_was_seen() -> None:
    training = dataclasses.replace(served(OTHER), served_seen_at=LATER)
    assert left_for(training, OURS, LATER + SECOND) == SILENCE.total_seconds() - 1
    assert left_for(training, OURS, LATER + SILENCE) is None
    assert left_for(training, OTHER, LATER) is None


FOLLOWED = served()
CHANGED = followed(progress=10)


@pytest.mark.parametrize(
    ("training", "status", "now", "is_written"),
    [
        pytest.param(FOLLOWED, CHANGED, EIGHT, True, id="changed"),
        pytest.param(FOLLOWED, FOLLOWED.status, EIGHT + RENEWAL - SECOND, False, id="unchanged"),
        pytest.param(FOLLOWED, FOLLOWED.status, EIGHT + RENEWAL, True, id="renewal"),
        pytest.param(served(None), served(None).status, EIGHT, True, id="of no installation"),
        pytest.param(served(OTHER), served(OTHER).status, at(hours=1), True, id="taken over"),
        pytest.param(
            served(OTHER, ENDED), served(OTHER, ENDED).status, at(hours=1), False, id="has ended"
        ),
        pytest.param(
            served(OTHER, suspend=True),
            served(OTHER).status,
            at(hours=1),
            False,
            id="is suspended",
        ),
    ],
)
def test_write_names_its_installation(
    training: Training, status: TrainingStatus, now: datetime, *, is_written: bool
) -> None:
    written = with_server(training, status, OURS, now)
    if is_written:
        assert written.served_by == ServedBy(namespace=OURS, renewed_at=now)
        assert replace(written, served_by=status.served_by) == status
    else:
        assert written is status


@pytest.mark.parametrize(
    ("training", "is_due"),
    [
        pytest.param(FOLLOWED, True, id="followed"),
        pytest.param(served(status=TrainingStatus()), True, id="waits"),
        pytest.param(served(status=ENDED), False, id="has ended"),
        pytest.param(
            served(status=a_status(run=a_run(retry_at=at(hours=9)), finished_at=EIGHT)),
            True,
            id="waits for its retry",
        ),
        pytest.param(served(suspend=True), False, id="is suspended"),
        pytest.param(served(OTHER), False, id="is another's"),
        pytest.param(served(None), False, id="of no installation"),
    ],
)
def test_served_active_resources_are_renewed(training: Training, *, is_due: bool) -> None:
    assert needs_renewal(training, OURS, EIGHT + RENEWAL) is is_due
    assert not needs_renewal(training, OURS, EIGHT + RENEWAL - SECOND)


def test_skipped_resources_are_counted_by_installation() -> None:
    theirs = [a_training(name=name, status=served(OTHER).status) for name in ("b", "a")]
    left = left_alone([*theirs, served("third"), served(), served(None)], OURS, EIGHT)
    assert {other: len(trainings) for other, trainings in left.items()} == {OTHER: 2, "third": 1}
    assert left_text(OTHER, left[OTHER]) == (
        "2 resources are left alone until the installation in namespace elsewhere, which serves "
        "them, has not written their status for 30m. Let no namespace be served by both "
        "(SCRIPTIX_WATCH_NAMESPACES), or uninstall one of them. The first is team-a/a."
    )
