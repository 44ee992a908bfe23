"""The start protocol at a simulated API: no request is started twice.

The API loses replies, lets POSTs act as long after they were given up as docs/start-protocol.md
allows, shows single stale reads, ends trainings, gets new data and starts of other users; the
process restarts at times. Time advances from event to event.
"""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from scriptix_operator.core.model.remote import FailureKind, RemoteModel
from scriptix_operator.core.reconcile.call_results import Posted, PostFailed
from scriptix_operator.core.reconcile.context import Durations
from scriptix_operator.core.reconcile.vocabulary import (
    AcquireStart,
    Poll,
    PollFailed,
    Post,
    RequeueAfter,
    StartGranted,
)
from tests.unit.core.builders import EIGHT, Life, a_model, a_training, call_failed, metrics

BEFORE = EIGHT - timedelta(days=30)
TIMES = Durations()
STEPS = 40
FATES = (
    "answered",
    "reply lost",
    "never arrives",
    "late",
    "late",
    "late and reset",
    "late and reset",
    "killed before",
    "killed after",
    "429",
    "not sent",
)
"""The outcome of a POST."""


@dataclass(frozen=True)
class Script:
    """The events of a simulation beside the engine's actions."""

    starts_from: frozenset[int]
    """The training_status at which the server starts: 2; also 4 and 5; or also 3."""
    existing: str
    fates: list[tuple[str, float]]
    """The outcome of each POST, and when a late one acts, as a part (0 to 1) of its time."""
    lasts: float
    """The duration of a training in seconds."""
    data_after: float | None
    """The seconds from the end of a training to new data."""
    others_start_at: list[float]
    stale_polls: set[int]
    failed_polls: set[int]
    restarts: set[int]


def scripts() -> st.SearchStrategy[Script]:
    """Draw any simulation."""
    steps = st.sets(st.integers(1, STEPS), max_size=6)
    dialects = ({2}, {2, 4, 5}, {2, 3, 4, 5})
    return st.builds(
        Script,
        starts_from=st.sampled_from([frozenset(states) for states in dialects]),
        existing=st.sampled_from(["Adopt", "Wait"]),
        fates=st.lists(st.tuples(st.sampled_from(FATES), st.floats(0, 1)), min_size=2, max_size=6),
        lasts=st.sampled_from([0.5, 5, 20, 60, 600]),
        data_after=st.none() | st.sampled_from([0.5, 5, 30]),
        others_start_at=st.lists(st.floats(0, 300), max_size=2),
        stale_polls=st.sets(st.integers(1, STEPS), max_size=STEPS // 2),
        failed_polls=steps,
        restarts=steps,
    )


@dataclass
class World:
    """The model, the network, and one process of the operator."""

    script: Script
    life: Life = field(init=False)
    state: int = 2
    run_start_time: datetime = BEFORE
    shown_before: RemoteModel | None = None
    starts: list[str] = field(default_factory=list)
    """The runs that the operator's POSTs have started."""
    posts: int = 0
    _to_come: list[tuple[datetime, int, Callable[[], object]]] = field(default_factory=list)
    _serial: "count[int]" = field(default_factory=count)

    def __post_init__(self) -> None:
        """Begin with a resource that has not been observed."""
        training = a_training(
            poll_interval_seconds=1,
            existing_training=self.script.existing,
            log={"collect": "Never"},
        )
        self.life = Life(training, checked=False)
        for seconds in self.script.others_start_at:
            self._later(seconds, lambda: self.state == 2 and self._begin())

    # The remote side.

    def shows(self) -> RemoteModel:
        """The current model."""
        return a_model(self.state, started_at=self.run_start_time, metrics=metrics())

    def _later(self, seconds: float, happens: Callable[[], object]) -> None:
        moment = self.life.now + timedelta(seconds=seconds)
        heapq.heappush(self._to_come, (moment, next(self._serial), happens))

    def passes(self, seconds: float) -> None:
        """Advance the time, and process the events that are due."""
        until = self.life.now + timedelta(seconds=seconds)
        while self._to_come and self._to_come[0][0] <= until:
            moment, _, happens = heapq.heappop(self._to_come)
            self.life.now = moment
            happens()
        self.life.now = until

    def _change(self, state: int, run_start_time: datetime | None = None) -> None:
        self.shown_before = self.shows()
        self.state, self.run_start_time = state, run_start_time or self.run_start_time

    def _begin(self) -> bool:
        if self.state not in self.script.starts_from:
            return False
        # Run start times are to the second and grow.
        run_start_time = max(
            self.life.now.replace(microsecond=0), self.run_start_time + timedelta(seconds=1)
        )
        self._change(3, run_start_time)
        self._later(self.script.lasts, lambda: self._end(run_start_time))
        return True

    def _end(self, run_start_time: datetime) -> None:
        if (self.state, self.run_start_time) != (3, run_start_time):
            return
        self._change(4)
        if self.script.data_after is not None:
            self._later(self.script.data_after, lambda: self._get_data(run_start_time))

    def _get_data(self, run_start_time: datetime) -> None:
        if (self.state, self.run_start_time) == (4, run_start_time):
            self._change(2)

    def acts(self, run: str) -> bool:
        """A POST of the operator has reached the server."""
        begun = self._begin()
        self.starts += [run] * begun
        return begun

    # The engine.

    def step(self, number: int) -> None:
        """Wait until a reconcile is due, and do it."""
        rest = self.life.action
        self.passes(
            rest.seconds if isinstance(rest, RequeueAfter) and rest.seconds is not None else 30
        )
        if number in self.script.restarts:
            self.life.restarts()
        if self.life.status.finished_at is not None:
            self.life.edit(run_token=f"v{number}")
        if not isinstance(self.life.wake_ups().action, Poll):
            return
        if number in self.script.failed_polls:
            self.life.learns(PollFailed(call_failed(FailureKind.AMBIGUOUS)))
            return
        seen, before = self.shows(), self.shown_before
        stale = number in self.script.stale_polls and number - 1 not in self.script.stale_polls
        decision = self.life.sees(before if stale and before else seen)
        if isinstance(decision.action, AcquireStart):
            decision = self.life.learns(StartGranted(decision.action.model, decision.action.key))
            assert isinstance(decision.action, Post)
            self.life.opens()
            self.post()

    def post(self) -> None:
        """Send a POST with its drawn outcome."""
        fate, when = self.script.fates[self.posts % len(self.script.fates)]
        self.posts += 1
        life, run = self.life, self.life.run.id
        match fate:
            case "killed before":
                life.restarts()
            case "killed after":
                self.acts(run)
                life.restarts()
            case "429":
                life.learns(PostFailed(call_failed(FailureKind.RATE_LIMITED)))
            case "not sent":
                life.learns(PostFailed(call_failed(FailureKind.NOT_SENT)))
            case "answered" if self.acts(run):
                life.learns(Posted(self.shows()))
            case "answered":
                code = "TRAINING_IN_PROGRESS" if self.state == 3 else "MODEL_NOT_READY"
                life.learns(PostFailed(call_failed(FailureKind.CONFLICT, code=code)))
            case "late and reset":
                self.passes(TIMES.post_timeout * when)
                self._later(TIMES.grace_period * when, lambda: self.acts(run))
                life.learns(PostFailed(call_failed(FailureKind.AMBIGUOUS, reset_seen=True)))
            case _:
                if fate == "reply lost":
                    self.acts(run)
                if fate == "late":
                    self._later(TIMES.longest_in_flight * when, lambda: self.acts(run))
                self.passes(TIMES.post_timeout)
                life.learns(PostFailed(call_failed(FailureKind.AMBIGUOUS)))


@settings(max_examples=150, deadline=None)
@given(scripts())
def test_no_request_is_started_twice(script: Script) -> None:
    """Started runs ÷ requested runs is 1, under every fault."""
    world = World(script)
    for number in range(1, STEPS + 1):
        world.step(number)
        assert max(Counter(world.starts).values(), default=1) == 1
        run = world.life.status.run
        # Only a run that the operator's POST has started is Owned.
        assert run is None or run.ownership != "Owned" or run.id in world.starts


def test_on_a_quiet_day_every_request_is_started_once() -> None:
    script = Script(
        starts_from=frozenset({2}),
        existing="Adopt",
        fates=[("answered", 0.0)],
        lasts=20,
        data_after=5,
        others_start_at=[],
        stale_polls=set(),
        failed_polls=set(),
        restarts=set(),
    )
    world = World(script)
    for number in range(1, 200):
        world.step(number)
        assert len(world.starts) - len(world.life.status.history) in {0, 1}
    outcomes = [entry.outcome for entry in world.life.status.history]
    assert len(outcomes) > 5
    assert set(outcomes) == {"Succeeded"}


def test_after_every_kind_of_loss_the_run_is_started_in_the_end() -> None:
    for fate in FATES:
        script = Script(
            starts_from=frozenset({2}),
            existing="Adopt",
            fates=[(fate, 0.5), ("answered", 0.0)],
            lasts=600,
            data_after=None,
            others_start_at=[],
            stale_polls=set(),
            failed_polls=set(),
            restarts=set(),
        )
        world = World(script)
        for number in range(1, 60):
            world.step(number)
        assert len(world.starts) == 1, fate
        assert world.life.status.phase == "Running", fate
