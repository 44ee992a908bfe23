"""The searches: each has its own rules, and few enough faults that all states can be searched."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from itertools import combinations_with_replacement
from types import ModuleType
from typing import NamedTuple
from unittest.mock import patch

from scriptix_operator.core import decide
from scriptix_operator.core.requests import requests
from scriptix_operator.core.start import resolution as resolve
from scriptix_operator.core.start import start_decision as start
from tests.model.promises import (
    Promise,
    a_token_is_used_once,
    no_start_for_deleted,
    one_run_for_one_request,
    owned_is_ours,
    seen_end_is_reported,
    start_stays_in_flight,
)
from tests.model.rules import LENIENT, ONCE_READY, RERUN, Mutation, Rules
from tests.model.search import Found, search
from tests.model.values import Budget, View

__all__ = ["PROMISES", "Variant", "bounded", "found_by", "mutated", "whole"]

PROMISES: tuple[Promise, ...] = (
    one_run_for_one_request,
    owned_is_ours,
    start_stays_in_flight,
    no_start_for_deleted,
    seen_end_is_reported,
    a_token_is_used_once,
)

FAULTS = (
    "crash",
    "lost",
    "late",
    "write",
    "stale",
    "foreign",
    "data",
    "recreated",
    "refused",
    "wiped",
    "suspend",
)
BESIDE = {
    "gateway": ("crash", "lost", "late", "data", "recreated", "gateway"),
    "flawed": ("crash", "lost", "late", "data", "recreated", "flawed"),
    "doomed": (
        "crash",
        "lost",
        "late",
        "data",
        "recreated",
        "deleted",
        "write",
        "suspend",
        "wiped",
    ),
    "bare": (
        *("crash", "lost", "late", "stale", "recreated", "overdue", "doomed"),
        *("bare", "suspend", "suspend suspend"),
    ),
    "overdue": ("crash", "lost", "late", "recreated", "suspend", "wiped"),
    "unreadable": ("crash", "lost", "late", "data", "recreated", "stale", "unreadable"),
}
"""Later faults, each with the earlier ones that may make it worse; all pairs would take hours."""
TRAINED = View(4, 0)


class Variant(NamedTuple):
    """A search."""

    name: str
    rules: Rules


def _api_variants(existing: str) -> dict[str, Rules]:
    """The variants of the API and of the user's request."""
    return {
        "strict": Rules(existing=existing),
        "strict, a rerun": Rules(existing=existing, rerun=True, model=TRAINED),
        "rerun from 4, a rerun": Rules(
            existing=existing, rerun=True, model=TRAINED, starts_from=RERUN
        ),
        "never trained, replies without the model": Rules(
            existing=existing, model=View(2, None), reply=False
        ),
    }


def _pairs(rules: Rules) -> list[tuple[str, Rules]]:
    """All pairs of faults, including each fault twice."""
    return [
        (f"{one} and {two}", rules.having(_budget(one, two)))
        for one, two in combinations_with_replacement(FAULTS, 2)
    ]


def _budget(*faults: str) -> Budget:
    return Budget()._replace(**{fault: faults.count(fault) for fault in faults})


def bounded() -> list[Variant]:
    """The searches that `make test` runs."""
    pairs = [
        Variant(f"{existing}, strict: {faults}", rules)
        for existing in ("Adopt", "Wait")
        for faults, rules in _pairs(Rules(existing=existing))
    ]
    others = [
        Variant("two processes", Rules(budget=Budget(succession=1))),
        Variant("two resources", Rules(resources=2, budget=Budget(late=1))),
    ]
    beside = [
        Variant(
            f"{fault}, {BESIDE[fault][0]} and data", Rules(_budget(fault, BESIDE[fault][0], "data"))
        )
        for fault in BESIDE
    ]
    tokens = [variant for variant in _tokens() if variant.name == "rerun from 4, tokens: refused"]
    return pairs + others + beside + tokens


def whole() -> list[Variant]:
    """The searches that `make test-model` runs."""
    pairs = [
        Variant(f"{existing}, {api}: {faults}", paired)
        for existing in ("Adopt", "Wait")
        for api, rules in _api_variants(existing).items()
        for faults, paired in _pairs(rules)
    ]
    triples = [
        Variant(
            f"{existing}, lenient: {' and '.join(faults)}",
            Rules(_budget(*faults), LENIENT, existing=existing),
        )
        for existing in ("Adopt", "Wait")
        for faults in (
            ("crash", "late"),
            ("late", "stale"),
            ("recreated", "stale"),
            ("late", "write"),
        )
    ]
    two = [
        Variant(
            f"{existing}, two resources: {' and '.join(faults)}",
            Rules(_budget(*faults), resources=2, existing=existing),
        )
        for existing in ("Adopt", "Wait")
        for faults in (
            *(("crash",), ("late",), ("deleted", "late"), ("data",), ("suspend",)),
            *(("doomed", "late"), ("doomed", "lost", "suspend")),
            *(("unlisted", "crash", "lost", "data"), ("unlisted", "crash", "wiped")),
        )
    ]
    two.append(
        Variant(
            "Wait, two resources: flawed and suspend and suspend",
            Rules(_budget("flawed", "suspend", "suspend"), resources=2, existing="Wait"),
        )
    )
    return _successions() + two + triples + pairs + _beside() + _shifted() + _tokens()


def _tokens() -> list[Variant]:
    """The run token is set, reverted, set to another value, and set again."""
    rules = Rules(existing="Wait", rerun=True, model=TRAINED)
    faults = ("crash", "lost", "late", "refused", "data", "write", "stale", "recreated", "overdue")
    return [
        Variant(
            f"{name}, tokens: {fault}",
            replace(rules, starts_from=statuses, budget=_budget("token", "token", fault)),
        )
        for name, statuses in (("strict", ONCE_READY), ("rerun from 4", RERUN))
        for fault in faults
    ] + [
        Variant(
            f"rerun from 4, tokens: three edits and {fault}",
            replace(rules, starts_from=RERUN, budget=_budget(*3 * ("token",), fault)),
        )
        for fault in ("lost", "refused")
    ]


def _shifted() -> list[Variant]:
    """The reply to a POST shows a run start time a second later or earlier than polls do."""
    faults = ("crash", "late", "stale", "data", "recreated")
    api_variants = {
        "Adopt, never trained": Rules(model=View(2, None)),
        "Wait, rerun from 4, a rerun": _api_variants("Wait")["rerun from 4, a rerun"],
    }
    return [
        Variant(
            f"{name}, replies {off:+} s: {one} and {two}",
            replace(rules, off=off, budget=_budget(one, two)),
        )
        for name, rules in api_variants.items()
        for off in (1, -1)
        for one, two in combinations_with_replacement(faults, 2)
    ] + [
        Variant(
            f"{existing}, two resources, replies {off:+} s: data",
            Rules(_budget("data"), resources=2, existing=existing, off=off),
        )
        for existing in ("Adopt", "Wait")
        for off in (1, -1)
    ]


def _beside() -> list[Variant]:
    """The later faults, each with new data, without which no start can be retried."""
    return [
        Variant(
            f"{name}: {fault}, {other} and data",
            rules.having(_budget(fault, *other.split(), "data")),
        )
        for name, rules in (
            ("Adopt, strict", Rules()),
            ("Wait, rerun from 4, a rerun", _api_variants("Wait")["rerun from 4, a rerun"]),
        )
        for fault, others in BESIDE.items()
        for other in others
    ]


def _successions() -> list[Variant]:
    """Another process becomes the leader while the former leader continues its reconcile."""
    return [
        Variant(
            f"Wait, two processes: succession and {fault}",
            Rules(Budget()._replace(succession=1, **{fault: 1}), existing="Wait"),
        )
        for fault in ("crash", "lost", "late", "stale", "foreign", "data", "refused")
    ] + _revisits()


def _revisits() -> list[Variant]:
    """The former leader reconciles a resource again."""
    revisits = Budget(succession=1, revisits=1)
    again = Rules(revisits, rerun=True, model=TRAINED)
    return [
        Variant("Wait, two processes: a second reconcile", Rules(revisits, existing="Wait")),
        Variant("a rerun, two processes: a second reconcile", replace(again, starts_from=RERUN)),
        Variant(
            "strict, a rerun, two processes: a second reconcile and data",
            again.having(revisits._replace(data=1)),
        ),
    ]


class Counterexample(NamedTuple):
    """The rules under which a mutation breaks a promise."""

    rules: Rules
    promise: Promise | None = one_run_for_one_request
    """The broken promise; None: a trap, from which some resource cannot come to rest."""


def mutated() -> dict[Mutation, Counterexample]:
    """The mutations, each with the rules under which it breaks a promise."""
    trained = Rules(Budget(crash=1, data=1), RERUN, rerun=True, model=TRAINED)
    return {
        Mutation.IN_FLIGHT_AFTER_POST: Counterexample(Rules(Budget(crash=1, data=1))),
        Mutation.HASTY: Counterexample(Rules(Budget(late=1, data=1))),
        Mutation.ONE_POLL: Counterexample(Rules(Budget(late=1, stale=1, recreated=1, data=1))),
        Mutation.NEW_BASELINE: Counterexample(
            Rules(Budget(late=1, stale=1, data=1), slow_polls=True)
        ),
        Mutation.NO_FENCE: Counterexample(Rules(Budget(succession=1, data=1))),
        Mutation.NEVER_STALE: Counterexample(Rules(Budget(recreated=1, stale=1), RERUN)),
        Mutation.LEDGER_MEANWHILE: Counterexample(trained),
        Mutation.ANY_LEDGER: Counterexample(Rules(Budget(data=1), two_leaders=True)),
        Mutation.GATEWAY_TRUSTED: Counterexample(Rules(Budget(gateway=1, data=1))),
        Mutation.DELETION_UNSEEN: Counterexample(Rules(Budget(doomed=1)), no_start_for_deleted),
        Mutation.REMOVAL_UNSEEN: Counterexample(Rules(Budget(deleted=1)), no_start_for_deleted),
        Mutation.UNREADABLE_IS_ABSENT: Counterexample(Rules(Budget(lost=1, unreadable=3, data=1))),
        Mutation.UNLISTED_IS_GONE: Counterexample(
            Rules(Budget(unlisted=1, crash=1, data=1), resources=2)
        ),
        Mutation.REBUILT_FROM_SOME: Counterexample(
            Rules(Budget(unlisted=1, crash=1, wiped=1, data=1), resources=2)
        ),
        Mutation.REPLY_COMPARED: Counterexample(Rules(model=View(2, None), off=60), promise=None),
        Mutation.END_IGNORED: Counterexample(
            Rules(Budget(bare=1, overdue=1)), seen_end_is_reported
        ),
        Mutation.USED_TOKEN_REUSED: Counterexample(
            Rules(_budget("token", "token"), RERUN, rerun=True, model=TRAINED), a_token_is_used_once
        ),
        Mutation.ERROR_TRUSTED: Counterexample(Rules(Budget(lost=1, flawed=1, data=1))),
        Mutation.ABANDONED: Counterexample(Rules(Budget(doomed=1, lost=1)), promise=None),
        Mutation.SUCCESS_TRUSTED: Counterexample(Rules(Budget(flawed=1)), owned_is_ours),
    }


def found_by(mutation: Mutation) -> Found:
    """Search a mutation, and return how it breaks a promise."""
    counterexample = mutated()[mutation]
    rules = replace(counterexample.rules, mutation=mutation)
    with ExitStack() as stack:
        for module, name, value in PATCHES.get(mutation, ()):
            stack.enter_context(patch.object(module, name, value))
        if counterexample.promise is None:
            return search(rules, ())
        return search(rules, (counterexample.promise,), traps=False)


def _never(*_: object) -> bool:
    return False


PATCHES: dict[Mutation, tuple[tuple[ModuleType, str, Callable[..., bool]], ...]] = {
    Mutation.ABANDONED: ((decide, "awaits_outcome", _never),),
    Mutation.USED_TOKEN_REUSED: ((requests, "is_used", _never),),
    Mutation.NEVER_STALE: ((start, "is_stale", _never), (resolve, "is_stale", _never)),
    Mutation.END_IGNORED: (
        (decide, "is_wait_over", _never),
        (decide, "is_end_pending", _never),
    ),
}
"""Functions of the core that a mutation replaces; other mutations are in the model's modules."""
