"""Recording: writes of status that the cluster takes, refuses, or does not answer."""

from collections.abc import Iterator

from tests.model.rules import Mutation
from tests.model.steps import Here, Move, Steps, noted, replaced
from tests.model.values import Copy, LateWrite, State

__all__ = ["Recording"]


class Recording(Steps):
    """Recorder.record, and what stepper and starter do around it."""

    def record(self, here: Here) -> Iterator[Move]:
        """A write of status, over the version decided from."""
        answered = f"{here.name} writes r{here.job.resource}: {self.core.facts(here.job.status)}"
        if here.job.base.current:
            yield answered, self._recorded(self.written(here))
            for outcome, after in self.unanswered(here):
                given_up = after.goes_on(at="reread") if here.job.at == "intent" else after.ends()
                yield answered + outcome, given_up
        else:
            yield f"{answered}: refused, changed since; reads it", self.reconcile_again(here)

    def written(self, here: Here) -> Here:
        """The cluster has taken the status, and has said so."""
        copy = Copy(here.decided, current=True)
        state = replaced(here.state, here.job.resource, copy.thing)
        state = noted(self.core, state, here.job.resource)
        return here._replace(state=state, job=here.job._replace(base=copy)).knowing(copy)

    def unanswered(self, here: Here) -> Iterator[tuple[str, Here]]:
        """The cluster does not answer: it is written, or may be later."""
        poorer = here.paying("write")
        if poorer is None:
            return
        state = replaced(poorer.state, here.job.resource, here.decided)
        state = noted(self.core, state, here.job.resource)
        yield "; no answer, it is written", poorer._replace(state=state).behind()
        late = LateWrite(here.job.resource, here.job.status)
        state = poorer.state._replace(late=(*poorer.state.late, late))
        yield "; no answer, it is not written so far", poorer._replace(state=state)

    def _recorded(self, here: Here) -> State:
        mutation = self.rules.mutation
        match here.job.at:
            case "settle":
                return here.goes_on(at="close")
            case "intent" if mutation in {Mutation.ENTRY_AFTER_POST, Mutation.INTENT_AFTER_ENTRY}:
                return here.goes_on(at="send")
            case "intent":
                return here.goes_on(at="open")
            case _:
                return here.ends()

    def reloaded(self, here: Here) -> Here | None:
        """Recorder.reload: None where the resource is gone, or another has its name."""
        thing = here.state.things[here.job.resource]
        if thing is None or thing.uid != here.job.base.thing.uid:
            return None
        copy = Copy(thing, current=True)
        return here.knowing(copy)._replace(job=here.job._replace(base=copy))

    def reconcile_again(self, here: Here) -> State:
        """Stepper.step: after a conflict the resource is read, and visited anew."""
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
        """Starter._write_intent: our run there means that the intent was written."""
        fresh = self.reloaded(here)
        if fresh is None:
            yield f"{here.name} reads that r{here.job.resource} is gone", here.ends()
        elif self._run(fresh.job.base.thing.status) == self._run(here.job.status):
            fresh = fresh._replace(job=fresh.job._replace(at="intent"))
            yield f"{here.name} reads its intent", self._recorded(fresh)
        else:
            yield f"{here.name} does not find its intent, gives up", fresh.ends()

    def _run(self, status: int) -> int | None:
        return self.core.facts(status).run

    def answer(self, here: Here) -> Iterator[Move]:
        """Starter._record_answer: as long as the intent is there that was written."""
        answer = here.job.answer
        assert answer is not None
        verdict = self.core.answered(
            here.second, here.job.resource, here.job.base.thing, here.recall, answer
        )
        decided = here._replace(job=here.job._replace(status=verdict.status))
        facts = self.core.facts(verdict.status)
        answered = f"{here.name} writes r{here.job.resource}: {facts} ({answer.kind})"
        if decided.is_recorded or here.job.base.current:
            recorded = decided if decided.is_recorded else self.written(decided)
            yield answered, self.proceed(recorded, verdict)
        else:
            yield from self._answer_refused(here, answered)
            return
        if not decided.is_recorded:
            for outcome, after in self.unanswered(decided):
                again = after.job._replace(status=here.job.status)
                yield answered + outcome + "; tries again", after._replace(job=again).goes_on()
                yield answered + outcome + "; gives up", after.ends()

    def _answer_refused(self, here: Here, answered: str) -> Iterator[Move]:
        intent, fresh = self._run(here.job.base.thing.status), self.reloaded(here)
        is_withdrawn = here.job.answer is not None and here.job.answer.kind == "Withdrawn"
        if fresh is None:
            yield f"{answered}: refused, it is gone", here.ends()
        elif self._run(fresh.job.base.thing.status) == intent and not is_withdrawn:
            yield f"{answered}: refused; reads it and finds its intent", fresh.goes_on()
        else:
            yield f"{answered}: refused; reads it, visits it anew", self.reconcile_again(here)
