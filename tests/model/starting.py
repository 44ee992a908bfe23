"""Starting: the ledger, the POST, and its reply (engine/run_starter.py, engine/start_ledger.py)."""

from collections.abc import Iterator

from tests.model.recording import Recording
from tests.model.rules import TICKS, Mutation
from tests.model.steps import Here, Move
from tests.model.values import Answer, LateWrite, Message, State

__all__ = ["Starting", "ledger_replaced"]

NOTHING_SENT = Answer("NotSent")
WITHDRAWN = Answer("Withdrawn")


def ledger_replaced(state: State, ledger: int | None) -> State:
    """The state with another version of the ledger, of which nobody has a current copy."""
    processes = tuple(
        process._replace(current=False) if process.current else process
        for process in state.processes
    )
    late = tuple(write for write in state.late if write.resource is not None)
    return state._replace(ledger=ledger, processes=processes, late=late)


class Starting(Recording):
    """StartLedger and Caller.start."""

    # Taking the ledger over.

    def take(self, here: Here) -> Iterator[Move]:
        """StartLedger._take_over: read it; what was decided from another version is void."""
        found = here.state.ledger
        if found is None and self._may_not_rebuild(here):
            answered = f"{here.name} may not rebuild the ledger: a namespace is not listed"
            # A conclusion that is recorded stays so; its entry is closed later.
            yield answered, self.act(here) if here.job.then == "close" else here.ends()
            return
        if found is None:
            known = tuple(
                (resource, copy.thing)
                for resource, copy in enumerate(here.process.store)
                if copy is not None
            )
            found = self.core.rebuilt(known)
        process = here.process._replace(ledger=None, current=True)
        revision = here.job.revision and here.job.then == "look"
        after = here._replace(process=process).goes_on(at="took", found=found, revision=revision)
        yield f"{here.name} reads the ledger: {self._said(found)}", after

    def _may_not_rebuild(self, here: Here) -> bool:
        is_ours = self.rules.mutation is not Mutation.REBUILT_FROM_SOME
        return is_ours and bool(here.process.unlisted)

    def took(self, here: Here) -> Iterator[Move]:
        """And write it once, so that nobody else can write what was decided from it."""
        if not here.process.current:
            answered = f"{here.name} may not take the ledger over: changed since"
            yield answered, here.goes_on(at="take", found=None)
            return
        found, then = here.job.found, here.job.then
        assert found is not None
        here = self._ledger_written(here, self.core.counted(found))
        job = here.job._replace(found=None, then="")
        here = here._replace(job=job)
        answered = f"{here.name} takes the ledger over"
        if then == "withdraw":
            yield answered, self._withdrawn(here)
        else:
            yield answered, here.goes_on(at=then)

    def _ledger_written(self, here: Here, ledger: int | None) -> Here:
        process = here.process._replace(ledger=ledger, current=True)
        return here._replace(state=ledger_replaced(here.state, ledger), process=process)

    def _said(self, ledger: int) -> str:
        entry = self.core.entry(ledger)
        return "no entry" if entry is None else f"entry {self.core.owner(entry)}"

    # Opening an entry.

    def open(self, here: Here) -> Iterator[Move]:
        """Starter._open: debit the start and open its entry, in the version known before."""
        any_version = self.rules.mutation is Mutation.ANY_LEDGER
        ledger = here.state.ledger if any_version else here.process.ledger
        is_basis = here.job.revision or any_version
        if not is_basis or ledger is None:
            yield f"{here.name} opens no entry: the ledger was read anew", self._withdrawn(here)
            return
        done = self.core.with_start_begun(here.job.resource, here.decided, ledger)
        if done is None:
            yield f"{here.name} opens no entry: one is open", self._withdrawn(here)
            return
        updated, entry = done
        answered = f"{here.name} opens entry {self.core.owner(entry)}"
        if not here.process.current and not any_version:
            lost = here._replace(process=here.process._replace(ledger=None))
            after = lost.goes_on(at="take", then="withdraw", revision=False)
            yield f"{answered}: refused, the ledger has changed", after
            return
        yield answered, self._opened(self._ledger_written(here, updated), entry)
        for outcome, unsure in self._unanswered(here, updated):
            yield answered + outcome, unsure.goes_on(at="reread_ledger", then="open", found=updated)

    def _withdrawn(self, here: Here) -> State:
        if self.rules.mutation is Mutation.INTENT_AFTER_ENTRY:
            return here.ends()  # there is nothing to withdraw
        return here.goes_on(at="answer", answer=WITHDRAWN)

    def _opened(self, here: Here, entry: int) -> State:
        recall = here.recall._replace(entry=entry, age=0)
        here = here.remembering(recall)
        match self.rules.mutation:
            case Mutation.ENTRY_AFTER_POST:
                return here.goes_on(at="answer")
            case Mutation.INTENT_AFTER_ENTRY:
                return here.goes_on(at="intent")
            case _:
                return here.goes_on(at="send")

    def _unanswered(self, here: Here, ledger: int) -> Iterator[tuple[str, Here]]:
        """The cluster does not answer: the ledger is written, or may be later."""
        poorer = here.paying("write")
        if poorer is None:
            return
        unread = poorer.process._replace(ledger=None, current=False)
        poorer = poorer._replace(process=unread)
        state = ledger_replaced(poorer.state, ledger)
        yield "; no answer, it is written", poorer._replace(state=state)
        late = LateWrite(None, ledger)
        state = poorer.state._replace(late=(*poorer.state.late, late))
        yield "; no answer, it is not written so far", poorer._replace(state=state)

    def reread_ledger(self, here: Here) -> Iterator[Move]:
        """StartLedger._replace: our ledger there means that it was written."""
        found, then = here.job.found, here.job.then
        if here.state.ledger != found:
            yield f"{here.name} does not find the ledger as it wrote it, gives up", here.ends()
            return
        process = here.process._replace(ledger=found, current=True)
        job = here.job._replace(found=None, then="")
        here = here._replace(process=process, job=job)
        answered = f"{here.name} finds the ledger as it wrote it"
        entry = self.core.entry(found)
        if then == "open" and entry is not None:
            yield answered, self._opened(here, entry)
        else:
            yield answered, self.act(here)

    # Closing one.

    def close(self, here: Here) -> Iterator[Move]:
        """StartLedger.close: in whatever version is there, as the conclusion holds for any."""
        settled = here.job.settled
        assert settled is not None
        if here.process.ledger is None:
            for answered, after in self.take(here._replace(job=here.job._replace(then="close"))):
                yield answered, after
            return
        updated = self.core.with_start_resolved(here.process.ledger, settled)
        answered = f"{here.name} closes entry {self.core.owner(settled.entry)}"
        if updated == here.process.ledger:
            yield f"{answered}, which is closed", self.act(here)
        elif here.process.current:
            yield answered, self.act(self._ledger_written(here, updated))
            for outcome, unsure in self._unanswered(here, updated):
                yield (
                    answered + outcome,
                    unsure.goes_on(at="reread_ledger", then="act", found=updated),
                )
        else:
            lost = here._replace(process=here.process._replace(ledger=None))
            yield f"{answered}: refused, changed since", lost.goes_on(at="take", then="close")

    # The POST.

    def send(self, here: Here) -> Iterator[Move]:
        """Caller.start: the last check; with the fence nothing comes between it and the bytes."""
        begun, window = here.job.begun, TICKS.send_window
        assert begun is not None
        if self._is_deleted(here):
            answered = f"{here.name} does not send: the resource is deleted, or is being deleted"
            yield answered, self.replied(here, NOTHING_SENT)
        elif begun > window or not self.leads(here):
            why = "too late" if begun > window else "it does not lead any more"
            yield f"{here.name} does not send: {why}", self.replied(here, NOTHING_SENT)
        elif self.rules.mutation is Mutation.NO_FENCE:
            yield f"{here.name} checks that it may send", here.goes_on(at="checked")
        else:
            yield from self.checked(here)

    def _is_deleted(self, here: Here) -> bool:
        """The store does not have the resource, or has it with a deletionTimestamp."""
        if self.rules.mutation is Mutation.DELETION_UNSEEN:
            return False
        if self.rules.mutation is Mutation.REMOVAL_UNSEEN:
            return here.decided.doomed
        return not here.is_known or here.decided.doomed

    def checked(self, here: Here) -> Iterator[Move]:
        """The bytes leave."""
        begun = here.job.begun or 0
        # It can act until W+P+S after the intent's writing began; later only without a fence.
        left = int(TICKS.unseen - min(begun, TICKS.send_window)) - 1
        uid = here.job.base.thing.uid
        token = self.core.facts(here.job.status).token
        message = Message(
            here.job.resource, uid, here.recall.entry, here.number, left, token, awaited=True
        )
        state = here.state._replace(posts=(*here.state.posts, message))
        yield (
            f"{here.name} sends the POST",
            here._replace(state=state).goes_on(at="wait", begun=None),
        )

    def wait(self, here: Here) -> Iterator[Move]:
        """For the reply; what the API does with the POST is told in `outside`."""
        waiting = [post for post in here.state.posts if post.sender == here.number and post.awaited]
        if not waiting:
            yield (
                f"{here.name} gets no reply in time",
                self.replied(here, Answer("Ambiguous")),
            )
            return
        poorer = here.paying("late")
        if poorer is not None:
            for is_reset, answered in ((False, "gives the POST up"), (True, "sees a reset")):
                posts = tuple(
                    _given_up(post, is_reset=is_reset) if post in waiting else post
                    for post in here.state.posts
                )
                state = poorer.state._replace(posts=posts)
                answer = Answer("Ambiguous", reset=is_reset)
                after = self.replied(poorer._replace(state=state), answer)
                yield f"{here.name} {answered}, which is still on its way", after

    def replied(self, here: Here, answer: Answer) -> State:
        """Starter.start: what was answered is remembered before it is recorded."""
        here = here.remembering(here.recall._replace(answer=answer))
        late = self.rules.mutation is Mutation.ENTRY_AFTER_POST
        return here.goes_on(at="open" if late else "answer", answer=answer, begun=None)


def _given_up(post: Message, *, is_reset: bool) -> Message:
    """What was reset acts soon, if it ever does."""
    left = min(post.left, int(TICKS.grace_period) - 1) if is_reset else post.left
    return post._replace(awaited=False, left=left)
