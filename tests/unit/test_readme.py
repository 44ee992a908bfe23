"""The README's settings and commands exist."""

import re
from pathlib import Path

from scriptix_operator.settings import settings_table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_settings_are_those_of_the_class() -> None:
    assert settings_table().strip() in README


def test_each_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)|^    make ([a-z-]+)", README, re.MULTILINE))
    named = {target for pair in named for target in pair if target}
    assert named
    assert named <= targets


def test_each_path_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:operator|tests|docs|charts|crds|deploy|demo)/[\w./-]*)`", README))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_demo_excerpt_is_cut_from_the_whole_output() -> None:
    output = (ROOT / "docs" / "demo-output.txt").read_text(encoding="utf-8").splitlines()
    [excerpt] = re.findall(r"```console\n(\$ kubectl create secret .*?\n)```", README, re.DOTALL)
    position = 0
    for line in filter(None, excerpt.splitlines()):
        start = line.removesuffix("…").rstrip()
        found = [at for at in range(position, len(output)) if output[at].startswith(start)]
        assert found, line
        position = found[0] + 1
