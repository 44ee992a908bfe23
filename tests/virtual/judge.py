"""What a day was like, by the servers' books and by what the operator knew when it called."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scriptix_operator.api.reasons import Phase
from scriptix_operator.core.lane import Call
from scriptix_operator.core.lessons import CLEAN_WINDOWS
from scriptix_simulator import Limit
from scriptix_simulator.calls import Record
from tests.virtual.day import Day, Server, Span
from tests.virtual.loop import EPOCH
from tests.virtual.wire import Sent, is_kept

__all__ = ["Judge", "Pause"]

CONFLICT = 409


@dataclass(frozen=True, slots=True)
class Pause:
    """A start was allowed and somebody waited for it, but none was made."""

    key: str
    begin: float
    seconds: float


class Judge:
    """Judges a day that is over."""

    def __init__(self, day: Day) -> None:
        self._day = day
        self._sent: defaultdict[tuple[str, Call], list[Sent]] = defaultdict(list)
        for one in day.wire.sent:
            self._sent[one.key, one.kind].append(one)

    # Refusals.

    def refusals_of_what_was_kept(self) -> list[Sent]:
        """Calls that were refused although the operator kept to the server's limit."""
        return [
            one
            for (key, call), sent in self._sent.items()
            for one in sent
            if one.is_refused and is_kept(one.limits, _limits(self._day.servers[key], call))
        ]

    def refusals_after_the_first(self) -> list[Sent]:
        """Calls refused that were sent after the first refusal, until more may be tried."""
        found = []
        for (key, call), sent in self._sent.items():
            refused = [one for one in sent if one.is_refused]
            if not refused:
                continue
            window = max(limit.seconds for limit in _limits(self._day.servers[key], call))
            taught_at = refused[0].answered_at
            while_kept = Span(taught_at, taught_at + CLEAN_WINDOWS * window)
            found += [one for one in refused if one.at in while_kept]
        return found

    def lessons(self) -> Counter[tuple[str, Call]]:
        """Refusals, by key and kind of call."""
        return Counter(
            {of: refused for of, sent in self._sent.items() if (refused := _refused(sent))}
        )

    # Starts.

    def starts(self) -> Counter[int]:
        """Runs that were started, by model."""
        return Counter(call.model for call in self._day.records() if call.started and call.model)

    def conflicts(self) -> list[Record]:
        """Starts of models that could not be started."""
        return [call for call in self._day.records() if call.status == CONFLICT]

    def use(self, key: str) -> tuple[int, int]:
        """How many starts a key has used while any waited, and how many it could have.

        By windows that slide: nobody knows where fixed ones begin.
        """
        waiting = self._waiting(key)
        posts = [one for one in self._sent[key, Call.START] if not one.is_refused]
        used = sum(any(one.at in span for span in waiting) for one in posts)
        return used, _most(waiting, self._day.servers[key].starts)

    def pauses(self, key: str) -> Iterator[Pause]:
        """When a start was allowed by the server's own count, and waited for, but not made."""
        limits = self._day.servers[key].starts
        counted = [
            call.acted_at - EPOCH
            for call in self._day.states[key].calls
            if call.kind == "run" and call.acted_at is not None and call.status != 429
        ]
        posts = self._sent[key, Call.START]
        for span in self._waiting(key):
            free = span.begin
            for one in [*(post for post in posts if post.at in span), None]:
                begin = _free_at(free, counted, limits)
                end = span.end if one is None else one.at
                if end > begin:
                    yield Pause(key, begin, end - begin)
                if one is not None:
                    free = max(one.answered_at if one.status else one.at, free)

    def _waiting(self, key: str) -> list[Span]:
        """When anything of a key was queued, the API there, and an operator, too."""
        spans = self._day.queued[key].all()
        for away in (self._day.plan.outage, self._day.plan.change):
            spans = [part for span in spans for part in _without(span, away)]
        return spans

    # How it ended.

    def wrong_ends(self) -> Iterator[str]:
        """Resources whose status does not say what has become of their model."""
        now = EPOCH + self._day.plan.end
        for resource, number in self._day.resources.items():
            status = self._day.world.status(resource)
            model = self._day.state_of(resource).models[number]
            phase, remote = status.phase, model.status(now)
            if number == self._day.poisoned:
                expected = {Phase.PENDING}
            elif remote in {1, 2}:
                expected = {Phase.PENDING, Phase.QUEUED}
            elif model.last is not None and now - model.last.ends < 2 * self._day.plan.poll:
                expected = {Phase.RUNNING, _over(remote)} if now >= model.last.ends else {_over(3)}
            else:
                expected = {_over(remote)}
            if phase not in expected:
                yield f"{resource}: {phase}, the model is at {remote}: {status.message}"


def _over(remote: int) -> Phase:
    return {4: Phase.SUCCEEDED, 5: Phase.FAILED}.get(remote, Phase.RUNNING)


def _limits(server: Server, call: Call) -> tuple[Limit, ...]:
    return {Call.START: server.starts, Call.STATUS: server.looks, Call.LOG: server.logs}[call]


def _refused(sent: Sequence[Sent]) -> int:
    return sum(one.is_refused for one in sent)


def _without(span: Span, away: Span) -> Iterator[Span]:
    if away.end <= span.begin or span.end <= away.begin:
        yield span
        return
    if span.begin < away.begin:
        yield Span(span.begin, away.begin)
    if away.end < span.end:
        yield Span(away.end, span.end)


def _most(spans: Sequence[Span], limits: Sequence[Limit]) -> int:
    """How many calls fit into some spans."""
    made: list[float] = []
    for span in spans:
        at = _free_at(span.begin, made, limits)
        while at in span:
            made.append(at)
            at = _free_at(at, made, limits)
    return len(made)


def _free_at(at: float, made: Sequence[float], limits: Sequence[Limit]) -> float:
    """When a call fits, from a time on; `made` may go on after that."""
    for limit in limits:
        before = [one for one in made if one <= at]
        if len(before) >= limit.count:
            at = max(at, before[-limit.count] + limit.seconds)
    return at
