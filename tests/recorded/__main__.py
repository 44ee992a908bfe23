"""Records this version's runs: `python -m tests.recorded 0.2.0`."""

import sys
from pathlib import Path

from tests.recorded.recorder import record

if len(sys.argv) != 2:
    sys.exit("usage: python -m tests.recorded VERSION")
try:
    record(Path(__file__).parent / sys.argv[1])
except FileExistsError:
    sys.exit(f"{sys.argv[1]} is recorded, and a recording is never rewritten")
