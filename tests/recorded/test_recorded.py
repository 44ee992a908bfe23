"""This version continues each recorded run, from each line: no start twice, no run forgotten."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recorded.replay import Cut, continued, cuts, read_recording, recordings


def _all_cuts() -> Iterator[tuple[Path, Cut, bool]]:
    """Each cut of each recording, and whether `make test` has it: the last start, or any other."""
    for path in recordings():
        found = cuts(read_recording(path))
        rng = random.Random(f"{path.parent.name} {path.stem}")  # noqa: S311 - repeatable on purpose
        starts = [cut for cut in found if cut.kind == "start"]
        sampled = starts[-1] if starts else rng.choice(found)
        yield from ((path, cut, cut == sampled) for cut in found)


@pytest.mark.parametrize(
    ("path", "cut"),
    [
        pytest.param(
            path,
            cut,
            id=f"{path.parent.name}-{path.stem}-{cut}",
            marks=() if is_sampled else pytest.mark.whole,
        )
        for path, cut, is_sampled in _all_cuts()
    ],
)
def test_upgrade_in_mid_run_starts_nothing_twice(path: Path, cut: Cut) -> None:
    lines = read_recording(path)
    assert continued(lines, cut) == lines[0]["end"]
