"""The reconcile context that the parts of `decide` share: the facts, and the ways to decide."""

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from scriptix_operator.api.base import replace
from scriptix_operator.api.spec import TrainingSpec
from scriptix_operator.api.status import Run, TrainingStatus
from scriptix_operator.core.model.remote import TrainingState
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.reconcile.in_process_state import InProcessState, StartState
from scriptix_operator.core.reconcile.vocabulary import Action, Decision, RequeueAfter
from scriptix_operator.core.status.conditions import (
    ConditionReason,
    derive_status,
    is_end_pending,
    may_be_running,
)
from scriptix_operator.core.status.texts import poll_texts
from scriptix_operator.core.status.unreadable import describe_unreadable, reported_unreadable
from scriptix_operator.core.status.used_requests import pending_request, repeated_request

__all__ = ["Durations", "ReconcileContext", "soonest"]

RECHECK = 60.0
"""Longest delay, in seconds, until a block that needs no API call is checked again."""

RESOLVE = 5.0
"""Longest poll interval, in seconds, while a start's outcome is unknown."""


def soonest(*waits: float | None) -> float | None:
    """The shortest of several waits; None: there is nothing to wait for."""
    return min((wait for wait in waits if wait is not None), default=None)


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds of the start protocol (docs/start-protocol.md); never compared across clocks."""

    send_window: float = 5.0
    """W: a POST is sent only within this time of writing its intent."""
    post_timeout: float = 30.0
    """P: a POST is given up after this time."""
    grace_period: float = 10.0
    """G: a POST that the client gave up takes effect within this time, or never (assumed)."""
    agree: float = 2.0
    """Least time between two polls that must agree."""
    results: float = 120.0
    """Results that the API did not show with the end of a run are awaited for this time."""
    log: float = 120.0
    """The API has written the last entries of a log by this time after the end of the run."""

    @property
    def longest_in_flight(self) -> float:
        """The longest time for which the POST of an intent that is seen now is still in flight."""
        return self.send_window + self.post_timeout + self.grace_period


@dataclass(frozen=True, slots=True)
class ReconcileContext:
    """One reconcile: the resource with its status so far, the time, and the in-process state."""

    training: Training
    now: datetime
    state: InProcessState
    durations: Durations = field(default_factory=Durations)
    granted_poll_in: float | None = None
    """Seconds until the next poll, as granted; None: as requested."""
    recorded: TrainingStatus | None = None
    """The status at the beginning of the reconcile."""

    @property
    def spec(self) -> TrainingSpec:
        """The spec of the resource."""
        return self.training.spec

    @property
    def status(self) -> TrainingStatus:
        """The facts so far."""
        return self.training.status

    @property
    def run(self) -> Run:
        """The run in status.

        Raises:
            ValueError: There is no run; the caller has to check that first.
        """
        if self.status.run is None:
            raise ValueError(f"{self.training.key} has no run in status")
        return self.status.run

    @property
    def requested_interval(self) -> float:
        """Requested poll interval in seconds."""
        return float(self.spec.poll_interval_seconds)

    @property
    def next_poll_in(self) -> float:
        """Seconds until the next poll, if nothing else is to be done."""
        return self.requested_interval if self.granted_poll_in is None else self.granted_poll_in

    @property
    def is_derived(self) -> bool:
        """Whether nothing has changed since the status was derived, as in most reconciles."""
        status = self.status
        if status is not self.recorded or status.observed_generation != self.training.generation:
            return False
        if reported_unreadable(status) != describe_unreadable(self.training):
            return False
        # The annotation requested-at changes no generation.
        requests = repeated_request(self.training, status), pending_request(self.training, status)
        return (status.repeated_request, status.pending_request) == requests

    @property
    def deadline(self) -> datetime | None:
        """When the run times out; None while the run cannot be running."""
        run = self.status.run
        if run is None or run.claimed_at is None or not may_be_running(self.status):
            return None
        if self.training.is_being_deleted:
            return None  # only the outcome of a start is still determined, however late
        if self.training.cannot_read("spec.timeoutSeconds") or self.is_judgement_held:
            return None
        return run.claimed_at + timedelta(seconds=self.spec.timeout_seconds)

    @property
    def is_judgement_held(self) -> bool:
        """Whether the run has ended and waits for a quality gate that can be read."""
        run = self.status.run
        if run is None or run.pending_end is None or not is_end_pending(self.status):
            return False
        is_success = run.pending_end.training_status == TrainingState.SUCCEEDED
        return is_success and self.training.cannot_read("spec.qualityGate")

    @property
    def results_until(self) -> datetime | None:
        """Until when the results of a pending end are awaited; None: none are awaited."""
        run = self.status.run
        if run is None or run.pending_end is None or not is_end_pending(self.status):
            return None
        until = run.pending_end.seen_at + timedelta(seconds=self.durations.results)
        return None if self.is_judgement_held and self.now >= until else until

    def with_status(self, status: TrainingStatus) -> "ReconcileContext":
        """The same reconcile with other facts."""
        return replace(self, training=self.training.with_status(status))

    def with_facts(self, **facts: Any) -> "ReconcileContext":  # noqa: ANN401 - tools/typed_updates.py checks them
        """The same reconcile with some facts of the status replaced."""
        return self.with_status(replace(self.status, **facts))

    def with_run(self, **facts: Any) -> "ReconcileContext":  # noqa: ANN401 - tools/typed_updates.py checks them
        """The same reconcile with some facts of the run replaced."""
        return self.with_facts(run=replace(self.run, **facts))

    def with_state(self, **state: Any) -> "ReconcileContext":  # noqa: ANN401 - tools/typed_updates.py checks them
        """The same reconcile with parts of the in-process state replaced."""
        return replace(self, state=replace(self.state, **state))

    def with_polls(self, **state: Any) -> "ReconcileContext":  # noqa: ANN401 - tools/typed_updates.py checks them
        """The same reconcile with parts of the in-process state of the polls replaced."""
        return self.with_state(polls=replace(self.state.polls, **state))

    def with_start(self, **state: Any) -> "ReconcileContext":  # noqa: ANN401 - tools/typed_updates.py checks them
        """The same reconcile with parts of the in-process state of the starts replaced."""
        return self.with_state(start=replace(self.state.start, **state))

    def with_log_fetches(self, **state: Any) -> "ReconcileContext":  # noqa: ANN401 - tools/typed_updates.py checks them
        """The same reconcile with parts of the in-process state of the log fetches replaced."""
        return self.with_state(log_fetches=replace(self.state.log_fetches, **state))

    def without_in_flight_start(self) -> "ReconcileContext":
        """The same reconcile without the state of an in-flight start, whose outcome is known."""
        start = self.state.start
        return self.with_state(start=StartState(refusals=start.refusals, cooldown=start.cooldown))

    def without_refused_polls(self) -> "ReconcileContext":
        """The same reconcile without refused polls: the next refusal is the first."""
        return self.with_polls(refused_since=None, gateway_refused_since=None)

    def decision_on(
        self,
        action: Action,
        condition_reason: ConditionReason | None = None,
        *,
        publish: bool = False,
    ) -> Decision:
        """Derive the status from the facts, and decide on `action`."""
        status = self.status
        if condition_reason is not None and self.state.polls.unreadable:
            unread = poll_texts.reply_fields_unreadable(self.state.polls.unreadable)
            condition_reason = ConditionReason(
                condition_reason.reason, f"{condition_reason.message} {unread}"
            )
        if condition_reason is not None or not self.is_derived:
            status = derive_status(self.training, status, self.now, condition_reason)
        return Decision(status, action, self.state, publish)

    def requeue(
        self, seconds: float | None, condition_reason: ConditionReason | None = None
    ) -> Decision:
        """Requeue after `seconds`, at the latest at the run's time-out or the next results poll."""
        return self.decision_on(RequeueAfter(soonest(seconds, self._bound)), condition_reason)

    def requeue_for_poll(
        self, seconds: float | None, condition_reason: ConditionReason | None = None
    ) -> Decision:
        """Requeue as `requeue` does, where nothing but a poll is due after `seconds`."""
        bound = self._bound
        poll_by = math.inf if bound is None else bound
        return replace(self.requeue(seconds, condition_reason), poll_by=poll_by)

    @property
    def _bound(self) -> float | None:
        """Seconds until the run's time-out or the next results poll, whichever comes first."""
        bounds = [self.deadline]
        if self.results_until is not None:
            due = self.state.polls.results_due_at
            bounds += [self.results_until, due if due is not None and due > self.now else None]
        waits = [max((at - self.now).total_seconds(), 0.0) for at in bounds if at is not None]
        return soonest(*waits)
