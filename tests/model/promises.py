"""What is promised of every state (docs/start-protocol.md)."""

from collections import Counter
from collections.abc import Callable

from tests.model.judgement import Judgement
from tests.model.values import State, Thing

__all__ = [
    "Promise",
    "a_token_is_used_once",
    "an_end_is_believed",
    "entry_stays_open",
    "is_at_rest",
    "nothing_for_the_deleted",
    "one_run_for_one_request",
    "owned_is_ours",
]

Promise = Callable[[Judgement, State], str | None]
"""Says what is wrong with a state."""


def one_run_for_one_request(_core: Judgement, state: State) -> str | None:
    """A resource re-created from the same manifest asks for the same run; each token for one."""
    requests = Counter((run.resource, run.request, run.token) for run in state.ours)
    for (resource, _, _), runs in requests.items():
        if runs > 1:
            return f"{runs} runs were started for one request of r{resource}"
    return None


def a_token_is_used_once(_core: Judgement, state: State) -> str | None:
    """A value that was sent once starts nothing when it is set again."""
    sent = Counter((run.resource, run.uid, run.token) for run in state.ours if run.token)
    for (resource, _, token), runs in sent.items():
        if runs > 1:
            return f"{runs} runs were started for token {token!r} of r{resource}"
    return None


def owned_is_ours(core: Judgement, state: State) -> str | None:
    """Owned is said of a run that a POST of ours has started, and of no other.

    Where the reply did not show the model, only that a run was started is known, and not which.
    """
    for resource, thing in enumerate(state.things):
        if thing is None:
            continue
        facts = core.facts(thing.status)
        if facts.ownership != "Owned":
            continue
        ours = {run.marker for run in state.ours if run.resource == resource}
        # A start time in the reply to a POST is compared with nothing. Where others start the model
        # too, the first poll may show their training, and nothing distinguishes it from ours.
        is_compared = core.rules.reply and not core.rules.budget.foreign
        is_named = is_compared and facts.marker is not None
        if facts.marker not in ours if is_named else not ours:
            return f"r{resource} is said to own training {facts.marker}, which is not its own"
    return None


def entry_stays_open(core: Judgement, state: State) -> str | None:
    """As long as a POST may act, its entry is open in the ledger: no conclusion is drawn yet."""
    budget = core.rules.budget
    if budget.foreign or budget.wiped or (budget.stale and budget.data):
        # Another's training is taken for ours, and so is ours of before the baseline where a look
        # shows that; a rebuilt ledger counts anew.
        return None
    entry = core.entry(state.ledger)
    for post in state.posts:
        if post.entry != entry:
            return f"the entry of a POST that may still act is closed (r{post.resource})"
    return None


def nothing_for_the_deleted(core: Judgement, state: State) -> str | None:
    """Nothing is started or adopted for a resource that is known to be deleted, or about to be."""
    for process in state.processes:
        job = process.job
        if job is None:
            continue
        known = process.store[job.resource]
        is_known = known is not None and known.thing.uid == job.base.thing.uid
        if job.at == "wait" and not is_known:
            return f"a POST is sent for r{job.resource}, which is known to be deleted"
        if not job.base.thing.doomed:
            continue
        if job.at == "intent":
            return f"an intent is written for r{job.resource}, which is being deleted"
        before, after = core.facts(job.base.thing.status), core.facts(job.status)
        if after.ownership == "Adopted" and before.ownership is None:
            return f"r{job.resource} adopts a run, and is being deleted"
    return None


def an_end_is_believed(core: Judgement, state: State) -> str | None:
    """A run whose end was seen is never said to have timed out, or to have an unknown outcome."""
    for job in (process.job for process in state.processes):
        if job is None:
            continue
        before, after = core.facts(job.base.thing.status), core.facts(job.status)
        is_pending = before.end_seen is not None
        if is_pending and after.finished and after.reason in {"TimedOut", "Unknown"}:
            return f"the end of r{job.resource}'s run was seen, and it is said to be {after.reason}"
    return None


def is_at_rest(core: Judgement, state: State) -> bool:
    """Each resource follows its run, or has ended, or waits for people: that is what all reach."""
    return all(
        thing is None or _is_at_rest(core, state, resource, thing)
        for resource, thing in enumerate(state.things)
    )


def _is_at_rest(core: Judgement, state: State, resource: int, thing: Thing) -> bool:
    facts = core.facts(thing.status)
    if thing.suspended:
        return True
    if facts.finished:
        return not _is_asked_for(core, state, resource, thing)
    if thing.doomed:
        # An entry whose outcome is recorded is closed by the next one that needs the model.
        if facts.attempt is None or state.ledger is None:
            return facts.attempt is None
        return not core.has_start_in_flight(resource, thing, state.ledger)
    if facts.followed:
        return state.model.status == 3
    # It waits for new data, beside a training that it has not asked for.
    token = thing.token if facts.run is None else facts.token
    asked = resource, thing.uid, token
    is_own = any((run.resource, run.uid, run.token) == asked for run in state.ours)
    return state.model.status == 4 and not is_own and facts.attempt is None


def _is_asked_for(core: Judgement, state: State, resource: int, thing: Thing) -> bool:
    """Whether a run is asked for by a token that was never used: it has to come."""
    facts = core.facts(thing.status)
    is_used = thing.token in facts.used or (resource, thing.uid, thing.token) in state.sent
    return bool(thing.token) and not is_used and bool(core.rules.budget.token)
