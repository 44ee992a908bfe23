"""Refuses retired words (docs/glossary.md): `make lint` runs this module over all tracked text.

A word counts wherever it stands as a whole word, also inside an identifier: `roster` is found in
`TrainingRoster`, `_roster_of` and "the roster". Words that have an ordinary meaning beside the
retired one (rest, take, before, note, step) are not in the list; reviews look for these.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

RETIRED: Final = {
    "anew": "again",
    "assailant": "injector",
    "catalogue": "catalog",
    "debit": "charge",
    "debits": "charges",
    "deed": "case",
    "goodbye": "deletion event",
    "heir": "successor",
    "lane": "key scheduler",
    "lanes": "key schedulers",
    "look": "poll, read, check",
    "looked": "polled, read, checked",
    "looking": "polling, reading",
    "looks": "polls",
    "luck": "jitter, rng",
    "mend": "fix",
    "mended": "fixed",
    "mends": "fixes",
    "nursery": "process pool",
    "rival": "competitor",
    "rivals": "competitors",
    "roster": "store",
    "shelf": "fake store",
    "spoilt": "failed",
    "stepper": "reconciler",
    "sweep": "resync",
    "sweeps": "resyncs",
    "told": "reported, named",
    "victim": "subject",
    "whoever": "anyone who, the process that",
    "whom": "the noun",
}
"""A retired word, and what to write instead."""
EXEMPT: Final = (
    "CHANGELOG.md",
    "charts/scriptix-operator/files/custommodeltrainings.scriptix.io.yaml",
    "docs/decisions/",
    "docs/glossary.md",
    "requirements/",
    "tests/chart/previous/",
    "tests/gitops/go.",
    "tools/check_words.py",
)
"""Decisions keep their words: a page is not rewritten. The others are generated or define them."""
SUFFIXES: Final = frozenset(
    {".cfg", ".lua", ".md", ".py", ".sh", ".toml", ".tpl", ".txt", ".yaml", ".yml"}
)
WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def retired_words(text: str) -> list[tuple[int, str]]:
    """The retired words in a text: line numbers from 1, and the words in lower case."""
    return [
        (number, word.lower())
        for number, line in enumerate(text.splitlines(), 1)
        for word in WORD.findall(line)
        if word.lower() in RETIRED
    ]


def main() -> int:
    """Print each retired word in tracked text files; 1 if there is any."""
    listed = subprocess.run(
        ["/usr/bin/env", "git", "ls-files"], capture_output=True, text=True, check=True
    )
    found = 0
    for name in listed.stdout.splitlines():
        path = Path(name)
        is_text = path.suffix in SUFFIXES or name in {"Dockerfile", "Makefile"}
        if name.startswith(EXEMPT) or not is_text or not path.is_file():
            continue
        for number, word in retired_words(path.read_text("utf-8")):
            found += 1
            sys.stderr.write(f"{name}:{number}: {word!r} is retired; write {RETIRED[word]!r}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
