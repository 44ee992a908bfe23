"""Time travel: after a restart, the API server shows an older version of the resource.

Sieve found operators that act on such a version. The recorded runs end at each status write, and
the operator that continues is shown the resource as it was one or more writes before, for a while:
only the write of the intent, which names the version, and the ledger decide about a start.
"""

import os
import random
from collections.abc import Iterator

import pytest

from tests.recorded.replay import Cut, Stale, continued, cuts, read_recording, recordings

SEED = int(os.environ.get("SEED", "1"))
VERSION = "0.1.0"
"""The recording with the format of today's resource and ledger."""
SECONDS = (1.0, 90.0, 400.0)
"""How long the cache is old; after 300 s the resync lists again."""
SAMPLE = 10
"""Cases in `make test`."""


def _all_cases() -> Iterator[tuple[str, Cut, Stale]]:
    rng = random.Random(f"stale {SEED}")  # noqa: S311 - repeatable on purpose
    for path in recordings():
        if path.parent.name != VERSION:
            continue
        lines = read_recording(path)
        writes = 0
        for cut in cuts(lines):
            writes += cut.kind == "status"
            for older in {1, rng.randint(1, writes), writes - 1} if writes > 1 else ():
                if 0 < older < writes:
                    stale = Stale(older, rng.choice(SECONDS), is_read_stale=rng.random() < 0.5)
                    yield path.stem, cut, stale


def _params() -> Iterator[object]:
    cases = list(_all_cases())
    rng = random.Random(f"sample {SEED}")  # noqa: S311 - repeatable on purpose
    sample = set(rng.sample(range(len(cases)), SAMPLE))
    for number, (story, cut, stale) in enumerate(cases):
        read = "reads" if stale.is_read_stale else "lists"
        name = f"{story}-{cut}-{stale.writes}-older-{stale.seconds:.0f}s-{read}"
        marks = () if number in sample else pytest.mark.whole
        yield pytest.param(story, cut, stale, id=name, marks=marks)


@pytest.mark.parametrize(("story", "cut", "stale"), _params())
def test_older_version_after_a_restart_starts_nothing(story: str, cut: Cut, stale: Stale) -> None:
    [path] = [found for found in recordings() if found.match(f"{VERSION}/{story}.jsonl")]
    lines = read_recording(path)
    assert continued(lines, cut, stale) == lines[0]["end"]
