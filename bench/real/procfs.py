"""What Linux knows of a process: CPU time, memory, file descriptors."""

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Usage", "find_child", "usage_of"]

TICKS = os.sysconf("SC_CLK_TCK")
KIB = 1024
MEGA = 1_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """The use of resources by one process until now.

    Attributes:
        cpu: CPU seconds of all threads, in user mode and in the kernel.
        memory: Resident MB (10^6 bytes) now.
        peak: Resident MB at most.
        descriptors: Open file descriptors.
    """

    cpu: float
    memory: float
    peak: float
    descriptors: int


def usage_of(pid: int) -> Usage | None:
    """Return the use by a process; None if the process has ended."""
    folder = Path("/proc", str(pid))
    try:
        # The name of the program, in parentheses, may contain anything.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        lines = (folder / "status").read_text().splitlines()
        descriptors = sum(1 for _ in (folder / "fd").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return None
    sizes = {name: text for name, _, text in (line.partition(":") for line in lines)}
    if "VmRSS" not in sizes:  # it has ended, and is not reaped yet
        return None
    return Usage(
        cpu=(int(fields[11]) + int(fields[12])) / TICKS,
        memory=_megabytes(sizes["VmRSS"]),
        peak=_megabytes(sizes["VmHWM"]),
        descriptors=descriptors,
    )


def _megabytes(text: str) -> float:
    return int(text.split(maxsplit=1)[0]) * KIB / MEGA


def find_child(program: str) -> int:
    """Return the pid of the child of this process that runs the program.

    Raises:
        LookupError: There is none.
    """
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == os.getpid() and Path(os.fsdecode(command[0])).name == program:
            return int(entry.name)
    raise LookupError(f"no child runs {program}")
