"""The profile of a process: where py-spy saw it, by package and by function.

`python -m bench.real.stacks FILE` prints the tables of a file that `--profile` has written.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.report import Report, Table, lines_of

__all__ = ["profile"]

TOP = 30
OURS = "scriptix_operator"
_FRAME = re.compile(r"(?P<function>.+) \((?P<file>.+?)(:\d+)?\)$")


def profile(lines: Iterable[str]) -> list[Report]:
    """Return the shares of packages and functions in the samples of py-spy's raw format.

    A sample counts once for the package and the function that ran, and for each function that
    waited for it. Those of the standard library wait for everything, and are left out.
    """
    own, total, packages, samples = Counter[str](), Counter[str](), Counter[str](), 0
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = [frame for frame in stack.split(";") if _FRAME.match(frame)]
        if not frames:
            continue
        samples += int(count)
        own[_name(frames[-1])] += int(count)
        packages[_package(frames[-1])] += int(count)
        for name in {_name(frame) for frame in frames if not _is_standard(frame)}:
            total[name] += int(count)
    return [
        _report("Packages", "By the package of the function that ran.", packages, samples),
        _report("Functions", "Without their callees.", own, samples),
        _report("Functions with callees", "Without the standard library.", total, samples),
    ]


def _name(frame: str) -> str:
    """Return a frame such as `parse (json/decoder.py:12)` without its line."""
    return _FRAME.sub(r"\g<function> (\g<file>)", frame)


def _package(frame: str) -> str:
    """Return the package of a frame; of the operator, the layer."""
    parts = _FRAME.sub(r"\g<file>", frame).split("/")
    return "/".join(parts[:2]) if parts[0] == OURS and len(parts) > 2 else parts[0]  # noqa: PLR2004 - a layer is a folder


def _is_standard(frame: str) -> bool:
    package = _package(frame).removesuffix(".py")
    return package in sys.stdlib_module_names or package.startswith("<")


def _report(title: str, about: str, counts: Counter[str], samples: int) -> Report:
    rows = [(name, f"{count / samples:.1%}") for name, count in counts.most_common(TOP)]
    return Report(title, about, Table(("", "share"), rows))


def main(arguments: Sequence[str]) -> None:
    """Print the profile in each file."""
    for name in arguments:
        for report in profile(Path(name).read_text().splitlines()):
            print("\n".join([*lines_of(report), ""]))


if __name__ == "__main__":
    main(sys.argv[1:])
