"""What the process of `run` imports: each package costs memory and a part of the start."""

import subprocess
import sys
from importlib.util import find_spec

CUT = ("kubernetes", "requests", "urllib3", "websocket", "oauthlib", "uvloop")
"""Packages that docs/decisions/0053 has measured and cut."""


def test_run_does_not_import_the_kubernetes_package() -> None:
    code = "import sys, scriptix_operator.cli; print(*sys.modules, sep='\\n')"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {line.partition(".")[0] for line in made.stdout.splitlines()}
    assert "kopf" in loaded
    assert loaded.isdisjoint(CUT)


def test_httpcore_finds_sniffio() -> None:
    assert find_spec("sniffio") is not None
