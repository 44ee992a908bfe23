"""Command line: `python -m tests.model [WORD …]` searches the variants whose names have the words.

`mutations` searches deliberately wrong protocols instead, and shows how each breaks its promise.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter

from tests.model.search import Found, search
from tests.model.variants import PROMISES, Variant, found_by, mutated, whole

PROCESSES = 2
"""Concurrent searches; each needs up to 1 GB."""


def main(words: list[str]) -> int:
    """Search; the exit status is 1 if a promise of the protocol is broken."""
    if words == ["mutations"]:
        for mutation in mutated():
            _say(f"{mutation.name}: {found_by(mutation)}")
        return 0
    began, states, broken = perf_counter(), 0, 0
    chosen = [variant for variant in whole() if all(word in variant.name for word in words)]
    with ProcessPoolExecutor(PROCESSES) as pool:
        for (name, _), found in zip(chosen, pool.map(_searched, chosen), strict=True):
            states += found.states
            broken += found.broken is not None or not found.is_complete
            _say(f"{name}: {found}")
    _say(f"{len(chosen)} searches, {states} states, {perf_counter() - began:.0f} s")
    return min(broken, 1)


def _searched(variant: Variant) -> Found:
    return search(variant.rules, PROMISES)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
