"""Writes of status that the cluster accepts, rejects, or leaves without a reply."""

from collections.abc import Iterator

from tests.model.reconciling import Here, Move, Reconciling, noted, replaced
from tests.model.rules import Mutation
from tests.model.values import Copy, LateWrite, State

__all__ = ["Recording"]


class Recording(Reconciling):
    """StatusWriter.write, and what Reconciler and RunStarter do before and after each write."""

    def record(self, here: Here) -> Iterator[Move]:
        """Write the status over the version that was decided on."""
        event = f"{here.name} writes r{here.job.resource}: {self.core.facts(here.job.status)}"
        if here.job.base.current:
            yield event, self._recorded(self.written(here))
            for outcome, after in self.unanswered(here):
                given_up = after.continues(at="reread") if here.job.at == "intent" else after.ends()
                yield event + outcome, given_up
        else:
            yield f"{event}: conflict; reads the resource", self.reconcile_again(here)

    def written(self, here: Here) -> Here:
        """The cluster has written the status and replied."""
        copy = Copy(here.decided, current=True)
        state = replaced(here.state, here.job.resource, copy.thing)
        state = noted(self.core, state, here.job.resource)
        return here._replace(state=state, job=here.job._replace(base=copy)).with_copy(copy)

    def unanswered(self, here: Here) -> Iterator[tuple[str, Here]]:
        """The reply is lost: the status was written, or may still be written."""
        poorer = here.paying("write")
        if poorer is None:
            return
        state = replaced(poorer.state, here.job.resource, here.decided)
        state = noted(self.core, state, here.job.resource)
        yield "; the reply is lost, the status is written", poorer._replace(state=state).behind()
        late = LateWrite(here.job.resource, here.job.status)
        state = poorer.state._replace(late=(*poorer.state.late, late))
        yield "; the reply is lost, the status is not written yet", poorer._replace(state=state)

    def _recorded(self, here: Here) -> State:
        mutation = self.rules.mutation
        match here.job.at:
            case "resolve":
                return here.continues(at="resolve_start")
            case "intent" if mutation in {
                Mutation.IN_FLIGHT_AFTER_POST,
                Mutation.INTENT_AFTER_IN_FLIGHT,
            }:
                return here.continues(at="send")
            case "intent":
                return here.continues(at="begin_start")
            case _:
                return here.ends()

    def reloaded(self, here: Here) -> Here | None:
        """StatusWriter.reload: None if the resource is gone or was re-created."""
        thing = here.state.things[here.job.resource]
        if thing is None or thing.uid != here.job.base.thing.uid:
            return None
        copy = Copy(thing, current=True)
        return here.with_copy(copy)._replace(job=here.job._replace(base=copy))

    def reconcile_again(self, here: Here) -> State:
        """Reconciler.reconcile: after a conflict it reads the resource and reconciles it again."""
        fresh, leads = self.reloaded(here), self.leads(here)
        if fresh is None:
            return here.ends()
        if not leads:
            poorer = fresh.paying("revisits")
            if poorer is None:
                return fresh.ends()
            fresh = poorer
        return self.begin(fresh.ends(), here.number, here.job.resource, fresh.job.base)

    def reread(self, here: Here) -> Iterator[Move]:
        """RunStarter.start: if the run is in status, the intent was written."""
        fresh = self.reloaded(here)
        if fresh is None:
            yield f"{here.name} reads that r{here.job.resource} is gone", here.ends()
        elif self._run(fresh.job.base.thing.status) == self._run(here.job.status):
            fresh = fresh._replace(job=fresh.job._replace(at="intent"))
            yield f"{here.name} reads its intent", self._recorded(fresh)
        else:
            yield f"{here.name} does not find its intent and gives up", fresh.ends()

    def _run(self, status: int) -> int | None:
        return self.core.facts(status).run

    def answer(self, here: Here) -> Iterator[Move]:
        """RunStarter: record the reply as long as the written intent is in status."""
        answer = here.job.answer
        assert answer is not None
        decision = self.core.answered(
            here.second, here.job.resource, here.job.base.thing, here.recall, answer
        )
        decided = here._replace(job=here.job._replace(status=decision.status))
        facts = self.core.facts(decision.status)
        event = f"{here.name} writes r{here.job.resource}: {facts} ({answer.kind})"
        if decided.is_recorded or here.job.base.current:
            recorded = decided if decided.is_recorded else self.written(decided)
            yield event, self.proceed(recorded, decision)
        else:
            yield from self._answer_refused(here, event)
            return
        if not decided.is_recorded:
            for outcome, after in self.unanswered(decided):
                again = after.job._replace(status=here.job.status)
                yield event + outcome + "; retries", after._replace(job=again).continues()
                yield event + outcome + "; gives up", after.ends()

    def _answer_refused(self, here: Here, event: str) -> Iterator[Move]:
        intent, fresh = self._run(here.job.base.thing.status), self.reloaded(here)
        is_aborted = here.job.answer is not None and here.job.answer.kind == "Aborted"
        if fresh is None:
            yield f"{event}: the resource is gone", here.ends()
        elif self._run(fresh.job.base.thing.status) == intent and not is_aborted:
            yield f"{event}: conflict; reads the resource and finds its intent", fresh.continues()
        else:
            yield (
                f"{event}: conflict; reads and reconciles the resource again",
                self.reconcile_again(here),
            )
