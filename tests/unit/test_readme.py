"""README and the pages for users name commands and paths that exist, and README stays short."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = ("architecture", "demo", "install", "rehearsal", "trainings")
TEXT = README + "".join((ROOT / f"docs/{name}.md").read_text("utf-8") for name in DOCS)
LONGEST = 160
"""Lines of a page that is read in four minutes."""


def test_each_make_target_that_is_named_exists() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"(?:`|^    )(?:[A-Z_]+=\S+ )?make ([a-z-]+)", TEXT, re.MULTILINE)
    assert {"demo", "test"} < set(named) <= set(targets)


def test_each_path_that_is_named_exists() -> None:
    folders = "operator|tests|docs|charts|crds|deploy|demo|image"
    named = set(re.findall(rf"`((?:{folders})/[\w./-]*)`|-[fk] ((?:{folders})/[\w./-]+)", TEXT))
    paths = sorted(path for pair in named for path in pair if path)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_demo_excerpt_is_cut_from_the_whole_output() -> None:
    output = (ROOT / "docs" / "demo-output.txt").read_text(encoding="utf-8").splitlines()
    [excerpt] = re.findall(r"```console\n(\$ kubectl apply .*?\n)```", README, re.DOTALL)
    position = 0
    for line in filter(None, excerpt.splitlines()):
        start = line.removesuffix("…").rstrip()
        found = [at for at in range(position, len(output)) if output[at].startswith(start)]
        assert found, line
        position = found[0] + 1


def test_readme_is_read_in_four_minutes() -> None:
    assert len(README.splitlines()) <= LONGEST
