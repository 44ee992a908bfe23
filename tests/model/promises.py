"""Invariants that every state keeps (docs/start-protocol.md)."""

from collections import Counter
from collections.abc import Callable

from tests.model.decisions import Decisions
from tests.model.values import State, Thing

__all__ = [
    "Promise",
    "a_token_is_used_once",
    "is_at_rest",
    "no_start_for_deleted",
    "one_run_for_one_request",
    "owned_is_ours",
    "seen_end_is_reported",
    "start_stays_in_flight",
]

Promise = Callable[[Decisions, State], str | None]
"""Returns how a state breaks the promise; None if it keeps the promise."""


def one_run_for_one_request(_core: Decisions, state: State) -> str | None:
    """Each token asks for one run; a resource re-created from its manifest asks for no other."""
    requests = Counter((run.resource, run.request, run.token) for run in state.ours)
    for (resource, _, _), runs in requests.items():
        if runs > 1:
            return f"{runs} runs were started for one request of r{resource}"
    return None


def a_token_is_used_once(_core: Decisions, state: State) -> str | None:
    """A token whose start was sent starts nothing when it is set again."""
    sent = Counter((run.resource, run.uid, run.token) for run in state.ours if run.token)
    for (resource, _, token), runs in sent.items():
        if runs > 1:
            return f"{runs} runs were started for token {token!r} of r{resource}"
    return None


def owned_is_ours(core: Decisions, state: State) -> str | None:
    """Ownership Owned names a run that a POST of this resource has started, and no other.

    Where the reply does not show the model, the run that was started cannot be identified.
    """
    for resource, thing in enumerate(state.things):
        if thing is None:
            continue
        facts = core.facts(thing.status)
        if facts.ownership != "Owned":
            continue
        ours = {run.run_start for run in state.ours if run.resource == resource}
        # A run start time in the reply to a POST is never compared. Where other clients start the
        # model too, the first poll may show their training, which nothing distinguishes from ours.
        is_compared = core.rules.reply and not core.rules.budget.foreign
        is_named = is_compared and facts.run_start is not None
        if facts.run_start not in ours if is_named else not ours:
            return f"r{resource} owns training {facts.run_start}, which it did not start"
    return None


def start_stays_in_flight(core: Decisions, state: State) -> str | None:
    """While a POST may still act, its in-flight start stays in the ledger."""
    budget = core.rules.budget
    if budget.foreign or budget.wiped or (budget.stale and budget.data):
        # Another client's training is taken for this start, and so is an earlier training that a
        # stale poll shows; a rebuilt ledger restarts its serials.
        return None
    in_flight = core.in_flight(state.ledger)
    for post in state.posts:
        if post.in_flight != in_flight:
            return (
                f"the in-flight start of a POST that may still act is resolved (r{post.resource})"
            )
    return None


def no_start_for_deleted(core: Decisions, state: State) -> str | None:
    """No start and no adoption for a resource that the process knows to be deleted."""
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
            return f"r{job.resource} adopts a run while it is being deleted"
    return None


def seen_end_is_reported(core: Decisions, state: State) -> str | None:
    """A run whose end was seen is never reported as TimedOut or Unknown."""
    for job in (process.job for process in state.processes):
        if job is None:
            continue
        before, after = core.facts(job.base.thing.status), core.facts(job.status)
        is_pending = before.end_seen is not None
        if is_pending and after.finished and after.reason in {"TimedOut", "Unknown"}:
            return f"the end of r{job.resource}'s run was seen, but {after.reason} is reported"
    return None


def is_at_rest(core: Decisions, state: State) -> bool:
    """Each resource follows its run, has finished, or waits for a person."""
    return all(
        thing is None or _is_at_rest(core, state, resource, thing)
        for resource, thing in enumerate(state.things)
    )


def _is_at_rest(core: Decisions, state: State, resource: int, thing: Thing) -> bool:
    facts = core.facts(thing.status)
    if thing.suspended:
        return True
    if facts.finished:
        return not _is_asked_for(core, state, resource, thing)
    if thing.doomed:
        # The next resource that needs the model resolves a start whose outcome is recorded.
        if facts.attempt is None or state.ledger is None:
            return facts.attempt is None
        return not core.has_start_in_flight(resource, thing, state.ledger)
    if facts.followed:
        return state.model.status == 3
    # The resource waits for new data while the model shows a training that it did not request.
    token = thing.token if facts.run is None else facts.token
    asked = resource, thing.uid, token
    is_own = any((run.resource, run.uid, run.token) == asked for run in state.ours)
    return state.model.status == 4 and not is_own and facts.attempt is None


def _is_asked_for(core: Decisions, state: State, resource: int, thing: Thing) -> bool:
    """Whether a token that was never used asks for a run, which has to start."""
    facts = core.facts(thing.status)
    is_used = thing.token in facts.used or (resource, thing.uid, thing.token) in state.sent
    return bool(thing.token) and not is_used and bool(core.rules.budget.token)
