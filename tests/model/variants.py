"""The searches: each under its own rules, with few faults, so that all that can happen is seen."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from itertools import combinations_with_replacement
from types import ModuleType
from typing import NamedTuple
from unittest.mock import patch

from scriptix_operator.core import decide
from scriptix_operator.core.requests import requests
from scriptix_operator.core.start import admission as start
from scriptix_operator.core.start import resolution as resolve
from tests.model.promises import (
    Promise,
    a_token_is_used_once,
    an_end_is_believed,
    entry_stays_open,
    nothing_for_the_deleted,
    one_run_for_one_request,
    owned_is_ours,
)
from tests.model.rules import LENIENT, ONCE_READY, RERUN, Mutation, Rules
from tests.model.search import Found, search
from tests.model.values import Budget, View

__all__ = ["PROMISES", "Variant", "bounded", "found_by", "mutated", "whole"]

PROMISES: tuple[Promise, ...] = (
    one_run_for_one_request,
    owned_is_ours,
    entry_stays_open,
    nothing_for_the_deleted,
    an_end_is_believed,
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
    "anew",
    "refused",
    "wiped",
    "suspend",
)
BESIDE = {
    "gateway": ("crash", "lost", "late", "data", "anew", "gateway"),
    "flawed": ("crash", "lost", "late", "data", "anew", "flawed"),
    "doomed": ("crash", "lost", "late", "data", "anew", "deleted", "write", "suspend", "wiped"),
    "bare": (
        *("crash", "lost", "late", "stale", "anew", "overdue", "doomed"),
        *("bare", "suspend", "suspend suspend"),
    ),
    "overdue": ("crash", "lost", "late", "anew", "suspend", "wiped"),
    "unreadable": ("crash", "lost", "late", "data", "anew", "stale", "unreadable"),
}
"""Later faults, and those before them that may make each worse: all pairs would take hours."""
TRAINED = View(4, 0)


class Variant(NamedTuple):
    """A search."""

    name: str
    rules: Rules


def _dialects(existing: str) -> dict[str, Rules]:
    """What the API, and the user, are like."""
    return {
        "strict": Rules(existing=existing),
        "strict, a rerun": Rules(existing=existing, rerun=True, model=TRAINED),
        "rerun dialect, a rerun": Rules(
            existing=existing, rerun=True, model=TRAINED, starts_from=RERUN
        ),
        "never trained, replies without the model": Rules(
            existing=existing, model=View(2, None), reply=False
        ),
    }


def _pairs(rules: Rules) -> list[tuple[str, Rules]]:
    """All pairs of faults, each twice as well."""
    return [
        (f"{one} and {two}", rules.having(_budget(one, two)))
        for one, two in combinations_with_replacement(FAULTS, 2)
    ]


def _budget(*faults: str) -> Budget:
    return Budget()._replace(**{fault: faults.count(fault) for fault in faults})


def bounded() -> list[Variant]:
    """For every run of the tests."""
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
    tokens = [variant for variant in _tokens() if variant.name == "rerun dialect, tokens: refused"]
    return pairs + others + beside + tokens


def whole() -> list[Variant]:
    """For who has changed the protocol."""
    pairs = [
        Variant(f"{existing}, {dialect}: {faults}", paired)
        for existing in ("Adopt", "Wait")
        for dialect, rules in _dialects(existing).items()
        for faults, paired in _pairs(rules)
    ]
    triples = [
        Variant(
            f"{existing}, lenient: {' and '.join(faults)}",
            Rules(_budget(*faults), LENIENT, existing=existing),
        )
        for existing in ("Adopt", "Wait")
        for faults in (("crash", "late"), ("late", "stale"), ("anew", "stale"), ("late", "write"))
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
    """The token is set, taken back, set to another value, and set again."""
    rules = Rules(existing="Wait", rerun=True, model=TRAINED)
    faults = ("crash", "lost", "late", "refused", "data", "write", "stale", "anew", "overdue")
    return [
        Variant(
            f"{name}, tokens: {fault}",
            replace(rules, starts_from=dialect, budget=_budget("token", "token", fault)),
        )
        for name, dialect in (("strict", ONCE_READY), ("rerun dialect", RERUN))
        for fault in faults
    ] + [
        Variant(
            f"rerun dialect, tokens: three edits and {fault}",
            replace(rules, starts_from=RERUN, budget=_budget(*3 * ("token",), fault)),
        )
        for fault in ("lost", "refused")
    ]


def _shifted() -> list[Variant]:
    """The reply to a POST shows a start time a second later, or earlier, than polls do."""
    faults = ("crash", "late", "stale", "data", "anew")
    dialects = {
        "Adopt, never trained": Rules(model=View(2, None)),
        "Wait, rerun dialect, a rerun": _dialects("Wait")["rerun dialect, a rerun"],
    }
    return [
        Variant(
            f"{name}, replies {off:+} s: {one} and {two}",
            replace(rules, off=off, budget=_budget(one, two)),
        )
        for name, rules in dialects.items()
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
    """The later faults, each with new data: only then can a lost start be repeated."""
    return [
        Variant(
            f"{name}: {fault}, {other} and data",
            rules.having(_budget(fault, *other.split(), "data")),
        )
        for name, rules in (
            ("Adopt, strict", Rules()),
            ("Wait, rerun dialect, a rerun", _dialects("Wait")["rerun dialect, a rerun"]),
        )
        for fault, others in BESIDE.items()
        for other in others
    ]


def _successions() -> list[Variant]:
    """Another process takes over while the one before goes on with what it was at."""
    return [
        Variant(
            f"Wait, two processes: succession and {fault}",
            Rules(Budget()._replace(succession=1, **{fault: 1}), existing="Wait"),
        )
        for fault in ("crash", "lost", "late", "stale", "foreign", "data", "refused")
    ] + _revisits()


def _revisits() -> list[Variant]:
    """The process before visits a resource anew, although it does not lead any more."""
    revisits = Budget(succession=1, revisits=1)
    again = Rules(revisits, rerun=True, model=TRAINED)
    return [
        Variant("Wait, two processes: a visit anew", Rules(revisits, existing="Wait")),
        Variant("a rerun, two processes: a visit anew", replace(again, starts_from=RERUN)),
        Variant(
            "strict, a rerun, two processes: a visit anew and data",
            again.having(revisits._replace(data=1)),
        ),
    ]


class Worse(NamedTuple):
    """Where the search finds out that a protocol is not ours."""

    rules: Rules
    promise: Promise | None = one_run_for_one_request
    """That it breaks; None: there is a state from which nothing comes to a rest."""


def mutated() -> dict[Mutation, Worse]:
    """The protocols that are not ours."""
    trained = Rules(Budget(crash=1, data=1), RERUN, rerun=True, model=TRAINED)
    return {
        Mutation.ENTRY_AFTER_POST: Worse(Rules(Budget(crash=1, data=1))),
        Mutation.HASTY: Worse(Rules(Budget(late=1, data=1))),
        Mutation.ONE_POLL: Worse(Rules(Budget(late=1, stale=1, recreated=1, data=1))),
        Mutation.NEW_BASELINE: Worse(Rules(Budget(late=1, stale=1, data=1), slow_polls=True)),
        Mutation.NO_FENCE: Worse(Rules(Budget(succession=1, data=1))),
        Mutation.NEVER_STALE: Worse(Rules(Budget(recreated=1, stale=1), RERUN)),
        Mutation.LEDGER_MEANWHILE: Worse(trained),
        Mutation.ANY_LEDGER: Worse(Rules(Budget(data=1), rivalry=True)),
        Mutation.GATEWAY_BELIEVED: Worse(Rules(Budget(gateway=1, data=1))),
        Mutation.DELETION_UNSEEN: Worse(Rules(Budget(doomed=1)), nothing_for_the_deleted),
        Mutation.REMOVAL_UNSEEN: Worse(Rules(Budget(deleted=1)), nothing_for_the_deleted),
        Mutation.UNREADABLE_IS_ABSENT: Worse(Rules(Budget(lost=1, unreadable=3, data=1))),
        Mutation.UNLISTED_IS_GONE: Worse(Rules(Budget(unlisted=1, crash=1, data=1), resources=2)),
        Mutation.REBUILT_FROM_SOME: Worse(
            Rules(Budget(unlisted=1, crash=1, wiped=1, data=1), resources=2)
        ),
        Mutation.REPLY_COMPARED: Worse(Rules(model=View(2, None), off=60), promise=None),
        Mutation.END_NOT_BELIEVED: Worse(Rules(Budget(bare=1, overdue=1)), an_end_is_believed),
        Mutation.USED_FORGOTTEN: Worse(
            Rules(_budget("token", "token"), RERUN, rerun=True, model=TRAINED), a_token_is_used_once
        ),
        Mutation.ERROR_BELIEVED: Worse(Rules(Budget(lost=1, flawed=1, data=1))),
        Mutation.ABANDONED: Worse(Rules(Budget(doomed=1, lost=1)), promise=None),
        Mutation.SUCCESS_BELIEVED: Worse(Rules(Budget(flawed=1)), owned_is_ours),
    }


def found_by(mutation: Mutation) -> Found:
    """What is found of a protocol that is not ours: how it breaks a promise."""
    worse = mutated()[mutation]
    rules = replace(worse.rules, mutation=mutation)
    with ExitStack() as stack:
        for module, name, value in PATCHES.get(mutation, ()):
            stack.enter_context(patch.object(module, name, value))
        if worse.promise is None:
            return search(rules, ())
        return search(rules, (worse.promise,), traps=False)


def _never(*_: object) -> bool:
    return False


PATCHES: dict[Mutation, tuple[tuple[ModuleType, str, Callable[..., bool]], ...]] = {
    Mutation.ABANDONED: ((decide, "awaits_outcome", _never),),
    Mutation.USED_FORGOTTEN: ((requests, "is_used", _never),),
    Mutation.NEVER_STALE: ((start, "is_stale", _never), (resolve, "is_stale", _never)),
    Mutation.END_NOT_BELIEVED: (
        (decide, "is_wait_over", _never),
        (decide, "is_end_pending", _never),
    ),
}
"""What a mutation does to the core, where it is not in `judgement` or in the shell."""
