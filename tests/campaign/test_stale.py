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
SAMPLE = 6
"""Cases in `make test`, beside those of the retry."""
Case = tuple[str, Cut, Stale]


def _all_cases() -> Iterator[Case]:
    rng = random.Random(f"stale {SEED}")  # noqa: S311 - repeatable on purpose
    for path in recordings():
        if path.parent.name != VERSION:
            continue
        writes = 0
        for cut in cuts(read_recording(path)):
            writes += cut.kind == "status"
            for older in sorted({1, rng.randint(1, max(writes, 1)), writes - 1}):
                if 0 < older < writes:
                    stale = Stale(older, rng.choice(SECONDS), is_read_stale=rng.random() < 0.5)
                    yield path.stem, cut, stale


def _retries() -> Iterator[Case]:
    """After the retry has ended, its resource as it was while the retry was due.

    The API of this story starts a model that has ended: only the operator prevents another start.
    """
    [path] = [found for found in recordings() if found.match(f"{VERSION}/retry.jsonl")]
    lines = read_recording(path)
    written = [line["resource"]["status"] for line in lines if "resource" in line]
    last = [cut for cut in cuts(lines) if cut.kind == "status"][-1]
    for older, status in enumerate(reversed(written)):
        if "retryAt" in status["run"]:
            yield path.stem, last, Stale(older, 90.0, is_read_stale=False)


def _params() -> Iterator[object]:
    cases, retries = list(_all_cases()), list(_retries())
    rng = random.Random(f"sample {SEED}")  # noqa: S311 - repeatable on purpose
    sample = [*retries, *rng.sample(cases, SAMPLE)]
    for story, cut, stale in dict.fromkeys([*retries, *cases]):
        read = "reads" if stale.is_read_stale else "lists"
        name = f"{story}-{cut}-{stale.writes}-older-{stale.seconds:.0f}s-{read}"
        marks = () if (story, cut, stale) in sample else pytest.mark.whole
        yield pytest.param(story, cut, stale, id=name, marks=marks)


@pytest.mark.parametrize(("story", "cut", "stale"), list(_params()))
def test_older_version_after_a_restart_starts_nothing(story: str, cut: Cut, stale: Stale) -> None:
    [path] = [found for found in recordings() if found.match(f"{VERSION}/{story}.jsonl")]
    lines = read_recording(path)
    assert continued(lines, cut, stale) == lines[0]["end"]
