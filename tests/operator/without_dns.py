"""An operator whose name server can fail: `python -m tests.operator.without_dns run`.

Only `socket.getaddrinfo` is wrapped. A lookup for a port fails while the file in `FAILING` names
the port; each such lookup is noted in the file in `NOTED`, as a port and monotonic seconds.
"""

import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

from scriptix_operator.cli import main

__all__ = ["FAILING", "NOTED"]

FAILING, NOTED = "WITHOUT_DNS_FAILING", "WITHOUT_DNS_NOTED"
"""Environment variables with the paths of the two files."""


def fail_lookups(failing: Path, noted: Path) -> None:
    """Have the lookups fail whose port is in the file."""
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *more: Any, **named: Any) -> Any:  # noqa: ANN401 - as wrapped
        if str(port) in failing.read_text().split():
            with noted.open("a") as notes:
                notes.write(f"{port} {time.monotonic()}\n")
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(host, port, *more, **named)

    socket.getaddrinfo = resolve


if __name__ == "__main__":
    fail_lookups(Path(os.environ[FAILING]), Path(os.environ[NOTED]))
    sys.exit(main())
