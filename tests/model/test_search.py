"""The start protocol keeps its promises in every order of events; each mutation breaks one."""

import pytest

from tests.model.rules import Mutation, Rules
from tests.model.search import search
from tests.model.values import Budget
from tests.model.variants import PROMISES, Variant, bounded, found_by, mutated

HARMLESS = {
    Mutation.INTENT_AFTER_IN_FLIGHT: Rules(Budget(crash=1, data=1)),
    Mutation.INTENT_IS_AMBIGUOUS: Rules(Budget(crash=1, late=1)),
}


@pytest.mark.parametrize("variant", bounded(), ids=lambda variant: variant.name)
def test_every_promise_is_kept(variant: Variant) -> None:
    found = search(variant.rules, PROMISES)
    assert found.broken is None, str(found)
    assert found.is_complete


@pytest.mark.parametrize("mutation", mutated(), ids=lambda mutation: mutation.name)
def test_search_finds_the_promise_that_a_mutation_breaks(mutation: Mutation) -> None:
    found = found_by(mutation)
    assert found.broken is not None, f"{found.states} states, and no promise is broken"


@pytest.mark.parametrize("mutation", HARMLESS, ids=lambda mutation: mutation.name)
def test_harmless_mutation_keeps_every_promise(mutation: Mutation) -> None:
    rules = HARMLESS[mutation]
    found = search(Rules(rules.budget, mutation=mutation), PROMISES)
    assert found.broken is None, str(found)
