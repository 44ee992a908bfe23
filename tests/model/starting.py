"""The start ledger, the POST and its reply (engine/start_ledger.py and engine/run_starter.py)."""

from collections.abc import Iterator

from tests.model.reconciling import Here, Move
from tests.model.recording import Recording
from tests.model.rules import TICKS, Mutation
from tests.model.values import Answer, LateWrite, Message, State

__all__ = ["Starting", "ledger_replaced"]

NOTHING_SENT = Answer("NotSent")
ABORTED = Answer("Aborted")


def ledger_replaced(state: State, ledger: int | None) -> State:
    """The state with another version of the ledger, of which no process has a current copy."""
    processes = tuple(
        process._replace(current=False) if process.current else process
        for process in state.processes
    )
    late = tuple(write for write in state.late if write.resource is not None)
    return state._replace(ledger=ledger, processes=processes, late=late)


class Starting(Recording):
    """The effects of StartLedger, RunStarter and RemoteCalls.start."""

    # Taking over the ledger.

    def read_ledger(self, here: Here) -> Iterator[Move]:
        """StartLedger.ready: read the ledger; decisions from another version become void."""
        found = here.state.ledger
        if found is None and self._may_not_rebuild(here):
            event = f"{here.name} may not rebuild the ledger: a namespace is not listed"
            # A recorded outcome stays recorded; the in-flight start is resolved later.
            yield event, self.act(here) if here.job.then == "resolve_start" else here.ends()
            return
        if found is None:
            known = tuple(
                (resource, copy.thing)
                for resource, copy in enumerate(here.process.store)
                if copy is not None
            )
            found = self.core.rebuilt(known)
        process = here.process._replace(ledger=None, current=True)
        revision = here.job.revision and here.job.then == "poll"
        after = here._replace(process=process).continues(
            at="take_over", found=found, revision=revision
        )
        yield f"{here.name} reads the ledger: {self._said(found)}", after

    def _may_not_rebuild(self, here: Here) -> bool:
        is_ours = self.rules.mutation is not Mutation.REBUILT_FROM_SOME
        return is_ours and bool(here.process.unlisted)

    def take_over(self, here: Here) -> Iterator[Move]:
        """Write the ledger once, so that no other process can write over that version."""
        if not here.process.current:
            event = f"{here.name} cannot take over the ledger: conflict"
            yield event, here.continues(at="read_ledger", found=None)
            return
        found, then = here.job.found, here.job.then
        assert found is not None
        here = self._ledger_written(here, self.core.counted(found))
        job = here.job._replace(found=None, then="")
        here = here._replace(job=job)
        event = f"{here.name} takes over the ledger"
        if then == "abort":
            yield event, self._aborted(here)
        else:
            yield event, here.continues(at=then)

    def _ledger_written(self, here: Here, ledger: int | None) -> Here:
        process = here.process._replace(ledger=ledger, current=True)
        return here._replace(state=ledger_replaced(here.state, ledger), process=process)

    def _said(self, ledger: int) -> str:
        in_flight = self.core.in_flight(ledger)
        return (
            "no in-flight start" if in_flight is None else f"a start {self.core.owner(in_flight)}"
        )

    # Beginning a start.

    def begin_start(self, here: Here) -> Iterator[Move]:
        """StartLedger.begin: charge the start and record it as in flight."""
        any_version = self.rules.mutation is Mutation.ANY_LEDGER
        ledger = here.state.ledger if any_version else here.process.ledger
        is_basis = here.job.revision or any_version
        if not is_basis or ledger is None:
            yield f"{here.name} begins no start: the ledger was read again", self._aborted(here)
            return
        done = self.core.with_start_begun(here.job.resource, here.decided, ledger)
        if done is None:
            yield f"{here.name} begins no start: another one is in flight", self._aborted(here)
            return
        updated, in_flight = done
        event = f"{here.name} begins the start {self.core.owner(in_flight)}"
        if not here.process.current and not any_version:
            lost = here._replace(process=here.process._replace(ledger=None))
            after = lost.continues(at="read_ledger", then="abort", revision=False)
            yield f"{event}: conflict, the ledger has changed", after
            return
        yield event, self._opened(self._ledger_written(here, updated), in_flight)
        for outcome, unsure in self._unanswered(here, updated):
            yield (
                event + outcome,
                unsure.continues(at="reread_ledger", then="begin_start", found=updated),
            )

    def _aborted(self, here: Here) -> State:
        if self.rules.mutation is Mutation.INTENT_AFTER_IN_FLIGHT:
            return here.ends()  # there is no intent to abort
        return here.continues(at="answer", answer=ABORTED)

    def _opened(self, here: Here, in_flight: int) -> State:
        recall = here.recall._replace(in_flight=in_flight, age=0)
        here = here.with_recall(recall)
        match self.rules.mutation:
            case Mutation.IN_FLIGHT_AFTER_POST:
                return here.continues(at="answer")
            case Mutation.INTENT_AFTER_IN_FLIGHT:
                return here.continues(at="intent")
            case _:
                return here.continues(at="send")

    def _unanswered(self, here: Here, ledger: int) -> Iterator[tuple[str, Here]]:
        """The reply is lost: the ledger was written, or may still be written."""
        poorer = here.paying("write")
        if poorer is None:
            return
        unread = poorer.process._replace(ledger=None, current=False)
        poorer = poorer._replace(process=unread)
        state = ledger_replaced(poorer.state, ledger)
        yield "; the reply is lost, the ledger is written", poorer._replace(state=state)
        late = LateWrite(None, ledger)
        state = poorer.state._replace(late=(*poorer.state.late, late))
        yield "; the reply is lost, the ledger is not written yet", poorer._replace(state=state)

    def reread_ledger(self, here: Here) -> Iterator[Move]:
        """StartLedger: after a lost reply, it compares the ledger with the one that it wrote."""
        found, then = here.job.found, here.job.then
        if here.state.ledger != found:
            yield f"{here.name} does not find its version of the ledger and gives up", here.ends()
            return
        process = here.process._replace(ledger=found, current=True)
        job = here.job._replace(found=None, then="")
        here = here._replace(process=process, job=job)
        event = f"{here.name} finds its version of the ledger"
        in_flight = self.core.in_flight(found)
        if then == "begin_start" and in_flight is not None:
            yield event, self._opened(here, in_flight)
        else:
            yield event, self.act(here)

    # Resolving a start.

    def resolve_start(self, here: Here) -> Iterator[Move]:
        """StartLedger.resolve: in any version of the ledger, as the outcome holds for all."""
        start_outcome = here.job.start_outcome
        assert start_outcome is not None
        if here.process.ledger is None:
            for event, after in self.read_ledger(
                here._replace(job=here.job._replace(then="resolve_start"))
            ):
                yield event, after
            return
        updated = self.core.with_start_resolved(here.process.ledger, start_outcome)
        event = f"{here.name} resolves the start {self.core.owner(start_outcome.in_flight)}"
        if updated == here.process.ledger:
            yield f"{event}, which is resolved already", self.act(here)
        elif here.process.current:
            yield event, self.act(self._ledger_written(here, updated))
            for outcome, unsure in self._unanswered(here, updated):
                yield (
                    event + outcome,
                    unsure.continues(at="reread_ledger", then="act", found=updated),
                )
        else:
            lost = here._replace(process=here.process._replace(ledger=None))
            yield f"{event}: conflict", lost.continues(at="read_ledger", then="resolve_start")

    # The POST.

    def send(self, here: Here) -> Iterator[Move]:
        """RemoteCalls.start: the last check; the fence excludes a pause before the first byte."""
        begun, window = here.job.begun, TICKS.send_window
        assert begun is not None
        if self._is_deleted(here):
            event = f"{here.name} does not send: the resource is deleted or being deleted"
            yield event, self.replied(here, NOTHING_SENT)
        elif begun > window or not self.leads(here):
            why = "too late" if begun > window else "it is not the leader any more"
            yield f"{here.name} does not send: {why}", self.replied(here, NOTHING_SENT)
        elif self.rules.mutation is Mutation.NO_FENCE:
            yield f"{here.name} checks that it may send", here.continues(at="checked")
        else:
            yield from self.checked(here)

    def _is_deleted(self, here: Here) -> bool:
        """Whether the store lacks the resource, or has it with a deletionTimestamp."""
        if self.rules.mutation is Mutation.DELETION_UNSEEN:
            return False
        if self.rules.mutation is Mutation.REMOVAL_UNSEEN:
            return here.decided.doomed
        return not here.is_known or here.decided.doomed

    def checked(self, here: Here) -> Iterator[Move]:
        """Send the POST."""
        begun = here.job.begun or 0
        # The POST can act until W+P+G after the write of the intent began; without a fence, later.
        left = int(TICKS.longest_in_flight - min(begun, TICKS.send_window)) - 1
        uid = here.job.base.thing.uid
        token = self.core.facts(here.job.status).token
        message = Message(
            here.job.resource, uid, here.recall.in_flight, here.number, left, token, awaited=True
        )
        state = here.state._replace(posts=(*here.state.posts, message))
        yield (
            f"{here.name} sends the POST",
            here._replace(state=state).continues(at="wait", begun=None),
        )

    def wait(self, here: Here) -> Iterator[Move]:
        """Wait for the reply; `environment` has what the API does with the POST."""
        waiting = [post for post in here.state.posts if post.sender == here.number and post.awaited]
        if not waiting:
            yield (
                f"{here.name} gets no reply in time",
                self.replied(here, Answer("Ambiguous")),
            )
            return
        poorer = here.paying("late")
        if poorer is not None:
            for is_reset, event in ((False, "gives the POST up"), (True, "sees a reset")):
                posts = tuple(
                    _given_up(post, is_reset=is_reset) if post in waiting else post
                    for post in here.state.posts
                )
                state = poorer.state._replace(posts=posts)
                answer = Answer("Ambiguous", reset=is_reset)
                after = self.replied(poorer._replace(state=state), answer)
                yield f"{here.name} {event}, which is still on its way", after

    def replied(self, here: Here, answer: Answer) -> State:
        """RunStarter.start: the reply enters the in-process state before it is recorded."""
        here = here.with_recall(here.recall._replace(reply=answer))
        late = self.rules.mutation is Mutation.IN_FLIGHT_AFTER_POST
        return here.continues(at="begin_start" if late else "answer", answer=answer, begun=None)


def _given_up(post: Message, *, is_reset: bool) -> Message:
    """A POST that its sender gave up; after a reset it acts within G, or never."""
    left = min(post.left, int(TICKS.grace_period) - 1) if is_reset else post.left
    return post._replace(awaited=False, left=left)
