"""Checks of a day, by the calls at the servers and the limits that the operator knew."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from scriptix_operator.api.reasons import Phase
from scriptix_operator.core.ratelimit.additive_increase import CLEAN_WINDOWS
from scriptix_operator.core.ratelimit.limiter import MAX_TRANSIT
from scriptix_operator.core.scheduling.calls import Call
from scriptix_operator.core.scheduling.circuit_breaker import MAX_TRIAL
from scriptix_operator.core.scheduling.poll_scheduler import SHARES, PollPriority
from scriptix_operator.core.scheduling.start_scheduler import EXPECTED, PATIENCE
from scriptix_operator.scriptix.client import Timeouts
from scriptix_simulator import Limit
from tests.virtual.day import Day, key_in
from tests.virtual.loop import EPOCH
from tests.virtual.plan import Server, Span
from tests.virtual.wire import KINDS, Sent, is_kept

__all__ = ["Idle", "Judge"]

OVERDUE = 1.1
"""Factor of the requested poll interval after which a poll is overdue; jitter is a tenth."""
OK = 200
LATENCY = 5.0
"""Seconds that a call may take, including one whose reply is lost."""


class Bound(Protocol):
    """A limit of the server or of the operator."""

    @property
    def count(self) -> int:
        """Calls in a window."""

    @property
    def seconds(self) -> float:
        """Length of the window."""


@dataclass(frozen=True, slots=True)
class Idle:
    """A time in which a call was allowed and needed, but none was made."""

    key: str
    at: float
    """In the loop's time."""
    seconds: float


class Judge:
    """Checks a day that is over.

    Attributes:
        keys: All API keys.
    """

    def __init__(self, day: Day) -> None:
        self._day = day
        self.keys = day.keys
        self._sent: defaultdict[tuple[str, Call], list[Sent]] = defaultdict(list)
        for one in day.wire.sent:
            self._sent[one.key, one.kind].append(one)

    def is_hinted(self, key: str) -> bool:
        """Whether the refusals of a key carry a retry time."""
        return self._day.servers[key].is_hinted

    # Refusals.

    def refusals(self) -> Counter[tuple[str, Call]]:
        """Number of refusals by key and kind of call."""
        return Counter((one.key, one.kind) for one in self._day.wire.sent if one.is_refused)

    def refusals_within_limit(self) -> list[Sent]:
        """Refused calls although the operator kept to the limit of the server."""
        return [
            one
            for one in self._day.wire.sent
            if one.is_refused
            and is_kept(one.limits, _limits(self._day.servers[one.key], one.kind))
            and not self._is_overtaken(one)
        ]

    def refusals_after_the_first(self) -> list[Sent]:
        """Refused calls sent after the first refusal, until a larger limit may be tried."""
        found = []
        for (key, call), sent in self._sent.items():
            refused = [one for one in sent if one.is_refused]
            window = max(limit.seconds for limit in _limits(self._day.servers[key], call))
            for one in refused[1:]:
                observed_at = refused[0].over_at
                until = observed_at + CLEAN_WINDOWS * window
                if one.at in Span(observed_at, until) and not self._is_overtaken(one):
                    found.append(one)
        return found

    def _is_overtaken(self, one: Sent) -> bool:
        """Whether the server processed an older call after the operator had stopped counting it.

        A call without a reply may still be on its way; the operator can only estimate how long.
        """
        window = max(limit.seconds for limit in _limits(self._day.servers[one.key], one.kind))
        counted = Span(one.at - window, one.over_at)
        return any(
            record.acted_at is not None
            and record.acted_at - record.at > Timeouts().read + MAX_TRANSIT
            and KINDS.get(record.kind) == one.kind
            and record.acted_at - EPOCH in counted
            for record in self._day.states[one.key].calls
        )

    # Starts.

    def runs_started(self) -> int:
        """Number of runs started."""
        return sum(call.started is not None for call in self._day.records())

    def wrong_starts(self) -> Iterator[str]:
        """Models that were not started exactly once for each requested run."""
        started = Counter(call.model for call in self._day.records() if call.started is not None)
        for resource, model in self._day.models.items():
            phase, asked = self._day.world.status(resource).phase, self._day.asked[model]
            # A resource that still waits at the end of the day was not started yet.
            waits = asked and phase in {Phase.PENDING, Phase.QUEUED}
            expected = {asked - 1} if waits else {asked}
            if phase == Phase.STARTING:
                expected.add(asked - 1)
            if started[model] not in expected:
                yield f"{resource}: {started[model]} starts, {asked} requested, {phase}"

    def use(self, key: str) -> float:
        """The mean fraction of the start quota of a key in use while a resource waited.

        Windows slide, because the begin of fixed ones is unknown. A start whose reply was lost
        counts: the operator cannot know whether the server counted it.
        """
        limits = self._day.servers[key].starts
        counted = [one.over_at for one in self._sent[key, Call.START] if not one.is_refused]
        used = total = 0.0
        for span in self._waiting(key):
            changes = {
                at for one in counted for at in (one, *(one + limit.seconds for limit in limits))
            }
            times = sorted({span.begin, span.end, *(at for at in changes if at in span)})
            for begin, end in pairwise(times):
                used += (end - begin) * max(_in_use(counted, begin, limit) for limit in limits)
            total += span.seconds
        return used / total

    def idle_starts(self, key: str) -> Iterator[Idle]:
        """Times in which a resource waited and the known limits allowed a start, but none was made.

        Excluded are the polls of the next resource before its start, the patience for queue entries
        that do not start, and retry times of the API, which also counts starts with lost replies.
        A poll that fails starts nothing, so the resource behind needs another one.
        """
        server, posts = self._day.servers[key], self._sent[key, Call.START]
        polls = min(limit.count / limit.seconds for limit in server.polls)
        poll_time = 1 / (polls * SHARES[PollPriority.BASELINE])
        failed = [one for one in self._sent[key, Call.STATUS] if one.status != OK]
        # A refusal without a retry time counts as a call.
        counted = [one for one in posts if not (one.is_refused and server.is_hinted)]
        last = posts[-1].limits
        for span in self._waiting(key):
            # A start in flight when the API becomes reachable counts as well.
            in_flight = [one.over_at for one in posts if one.at < span.begin <= one.over_at]
            begin = max([span.begin, *in_flight])
            for post in [*(post for post in posts if post.at in span), None]:
                end, limits = (span.end, last) if post is None else (post.at, post.limits)
                free = _free_at(begin, [one.over_at for one in counted if one.at < end], limits)
                free = max(free, *(one.back_at for one in posts if one.over_at <= begin), 0.0)
                count = 2 + sum(free <= one.at < end for one in failed)
                if end - free > EXPECTED * PATIENCE + count * poll_time:
                    yield Idle(key, free, end - free)
                begin = end if post is None else max(begin, post.over_at)

    def _waiting(self, key: str) -> list[Span]:
        """When a resource of a key was queued while the API was reachable and an operator ran."""
        return list(_without(self._day.queued[key].until(self._day.plan.end), self._away(key)))

    def _away(self, key: str) -> list[Span]:
        """When the API was unreachable or no operator ran, until the recovery could be noticed."""
        outage, change = self._day.plan.outage, self._day.plan.change
        found = min(
            one.over_at for one in self._day.wire.sent if one.key == key and one.at >= outage.end
        )
        back = min(found, outage.end + MAX_TRIAL)
        return [Span(outage.begin, back + LATENCY), Span(change.begin, change.end + LATENCY)]

    # Polls.

    def idle_polls(self, key: str) -> Iterator[Idle]:
        """Times in which polls were overdue and fewer were made than allowed."""
        polls = self._sent[key, Call.STATUS]
        for span in self._overdue(key):
            made = [one for one in polls if one.at in span]
            known = [one.limits for one in polls if one.at <= span.end][-1]
            allowed = span.seconds * min(limit.count / limit.seconds for limit in known)
            if len(made) < 0.9 * allowed - 2:
                yield Idle(key, span.begin, span.seconds)

    def _overdue(self, key: str) -> Iterator[Span]:
        """When the poll of any run of a key was overdue."""
        poll, by_model = self._day.plan.poll, defaultdict[int, list[float]](list)
        for one in self._sent[key, Call.STATUS]:
            by_model[one.model].append(one.at)
        late = []
        for model, polls in by_model.items():
            for span in self._day.followed[model].until(self._day.plan.end):
                times = [span.begin, *(at for at in polls if at in span), span.end]
                for before, at in pairwise(times):
                    due = before + OVERDUE * poll + LATENCY
                    if due < at:
                        late.append(Span(due, at))
        return _without(_union(late), self._away(key))

    # Final statuses.

    def wrong_ends(self) -> Iterator[str]:
        """Resources whose final status does not match their model."""
        now = EPOCH + self._day.plan.end
        for resource, number in self._day.models.items():
            status = self._day.world.status(resource)
            model = self._day.states[key_in(resource.namespace)].models[number]
            remote, expected = model.status(now), {_phase(model.status(now))}
            if number == self._day.poisoned:
                expected = {Phase.PENDING}
            elif remote in {1, 2}:
                expected = {Phase.PENDING, Phase.QUEUED}
            elif model.last is not None and now - model.last.ends < KNOWN * self._day.plan.poll:
                expected.add(Phase.RUNNING)
            if status.phase not in expected:
                yield f"{resource}: {status.phase}, the model is at {remote}: {status.message}"


KNOWN = 3
"""Number of poll intervals after which an end has to be known, even with few polls."""


def _phase(remote: int) -> Phase:
    return {4: Phase.SUCCEEDED, 5: Phase.FAILED}.get(remote, Phase.RUNNING)


def _limits(server: Server, call: Call) -> tuple[Limit, ...]:
    return {Call.START: server.starts, Call.STATUS: server.polls, Call.LOG: server.logs}[call]


def _in_use(made: Iterable[float], at: float, limit: Bound) -> float:
    """The fraction of a limit in use at a time."""
    return min(sum(at - limit.seconds < one <= at for one in made) / limit.count, 1.0)


def _free_at(at: float, made: Sequence[float], limits: Iterable[Bound]) -> float:
    """The first time from `at` on at which the limits allow a call."""
    for limit in limits:
        before = [one for one in made if one <= at]
        if len(before) >= limit.count:
            at = max(at, before[-limit.count] + limit.seconds)
    return at


def _union(spans: Iterable[Span]) -> Iterator[Span]:
    """The union of spans, as spans that do not overlap."""
    current: Span | None = None
    for span in sorted(spans, key=lambda one: one.begin):
        if current is None or span.begin > current.end:
            if current is not None:
                yield current
            current = span
        else:
            current = Span(current.begin, max(current.end, span.end))
    if current is not None:
        yield current


def _without(spans: Iterable[Span], away: Iterable[Span]) -> Iterator[Span]:
    """The spans without the times in `away`."""
    left = list(spans)
    for hole in away:
        parts = (
            part
            for span in left
            for part in (
                Span(span.begin, min(span.end, hole.begin)),
                Span(max(span.begin, hole.end), span.end),
            )
        )
        left = [part for part in parts if part.seconds > 0]
    yield from left
