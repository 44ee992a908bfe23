"""Asks for known vulnerabilities of all Python packages that are pinned; `make lint` runs it.

    python image/audit.py [--strict] [--osv-url URL]

A known one ends it with 1, as does a pip-audit that breaks. Where no advisory service answers for a
package, a line says so loudly and nothing fails: a build without network is no worse than before,
but it must not look audited. With --strict that ends it with 1 as well: a release must be audited.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).parents[1] / "requirements"
FILES = ("runtime.txt", "dev.txt", "go.txt")
SERVICES = ("pypi", "osv")
"""Asked in this order; the second for what the first does not know."""

UNREACHABLE = (
    *("ConnectionError", "ServiceError", "ConnectTimeout", "Max retries exceeded"),
    *("Could not connect", "not redirecting properly", "Read timed out", "JSONDecodeError"),
)
"""What pip-audit's last words are made of where its service does not answer."""


def ask(service: str, options: Sequence[str], pins: Sequence[str]) -> list[dict[str, Any]] | None:
    """What pip-audit says of each package; None where the service cannot be reached.

    Raises:
        RuntimeError: pip-audit broke; with its last words.
    """
    command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", service, *options]
    form = ["--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    form += ["--disable-pip", "--require-hashes", *(f"--requirement={file}" for file in pins)]
    reply = subprocess.run(  # noqa: S603 - our own files, from the Makefile's own line
        [*command, *form],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found: list[dict[str, Any]] = json.loads(reply.stdout)["dependencies"]
    except ValueError:
        words = reply.stderr.strip().splitlines() or [f"pip-audit ended with {reply.returncode}"]
        if any(word in reply.stderr for word in UNREACHABLE):
            return None
        raise RuntimeError(words[-1]) from None
    return found


def vulnerabilities(package: dict[str, Any]) -> Iterator[str]:
    """Each as a line."""
    for one in package["vulns"]:
        mended = ", ".join(one["fix_versions"]) or "no version yet"
        yield f"{package['name']} {package['version']}: {one['id']}, mended in {mended}"


def main(options: Sequence[str]) -> int:
    """Ask, say what came of it, and return the exit status."""
    strict = "--strict" in options
    options = [option for option in options if option != "--strict"]
    pins = [str(REQUIREMENTS / name) for name in FILES]
    audited: dict[tuple[str, str], set[str]] = {}
    unknown: set[str] = set()
    answered: set[str] = set()
    services = ("osv",) if options else SERVICES
    for service in services:
        reply = ask(service, options, pins) or []
        # What is skipped comes without its version, so a skip of one stands for all of that name.
        skipped = {package["name"] for package in reply if "skip_reason" in package}
        for package in reply:
            if "skip_reason" not in package:
                # Gathered: a service that knows of nothing takes back nothing.
                lines = audited.setdefault((package["name"], package["version"]), set())
                lines.update(vulnerabilities(package))
                answered |= {package["name"]} - skipped
        unknown = (unknown | skipped) - answered
        if audited and not unknown:
            break
    known = sorted(line for lines in audited.values() for line in lines)
    for line in known:
        sys.stderr.write(f"KNOWN VULNERABILITY: {line}\n")
    missed = bool(unknown) or not audited
    if missed:
        what = f"{len(unknown)} packages" if audited else "any package"
        sys.stderr.write(
            f"NOT AUDITED: no advisory service ({', '.join(services)}) could be asked about "
            f"{what}; nothing is known of vulnerabilities there\n"
        )
    if audited:
        sys.stdout.write(f"Audited {len(audited)} packages, {len(known)} known vulnerabilities\n")
    return 1 if known or (strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
