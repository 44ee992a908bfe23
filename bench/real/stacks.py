"""The profile of a process: where py-spy saw it, by module and by function.

`python -m bench.real.stacks FILE` prints the tables of a file that `--profile` has written.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.report import Report, Table, lines_of

__all__ = ["profile"]

TOP = 15
_FRAME = re.compile(r"(?P<function>.+) \((?P<file>.+?)(:\d+)?\)$")
_PACKAGE = re.compile(
    r"site-packages/([^/]+)|(scriptix_operator/[^/]+)|(bench/real)|python3\.\d+/([^/]+)"
)


def profile(lines: Iterable[str]) -> list[Report]:
    """Return the shares of packages and functions in the samples of py-spy's raw format.

    A sample counts for the package and the function that ran (own), and for each that waited for
    it (with callees).
    """
    own, total, packages, samples = Counter[str](), Counter[str](), Counter[str](), 0
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = [_named(frame) for frame in stack.split(";") if _FRAME.match(frame)]
        if not frames or not count.strip().isdigit():
            continue
        samples += int(count)
        own[frames[-1][1]] += int(count)
        packages[frames[-1][0]] += int(count)
        for name in {name for _, name in frames}:
            total[name] += int(count)
    return [
        _report("Packages", "By the package of the function that ran.", packages, samples),
        _report("Functions, own", "Without their callees.", own, samples),
        _report("Functions, with callees", "With all that they call.", total, samples),
    ]


def _named(frame: str) -> tuple[str, str]:
    """Return package and name of a frame such as `parse (json/decoder.py:12)`."""
    found = _FRAME.match(frame)
    if found is None:
        return "?", frame
    place = _PACKAGE.search(found["file"])
    package = next(filter(None, place.groups()), "?") if place else found["file"].split("/")[0]
    return package, f"{found['function']} ({'/'.join(found['file'].split('/')[-2:])})"


def _report(title: str, about: str, counts: Counter[str], samples: int) -> Report:
    rows = [(name, f"{count / samples:.1%}") for name, count in counts.most_common(TOP)]
    return Report(title, about, Table(("", "share"), rows))


def main(arguments: Sequence[str]) -> None:
    """Print the profile in each file."""
    for name in arguments:
        lines = Path(name).read_text().splitlines()
        for report in profile(lines):
            print("\n".join([*lines_of(report), ""]))


if __name__ == "__main__":
    main(sys.argv[1:])
