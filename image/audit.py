"""Audits all pinned Python packages for known vulnerabilities; `make lint` runs this script.

    python image/audit.py [--strict] [--osv-url URL]

A known vulnerability ends the script with 1, as does a failure of pip-audit. Where no advisory
service replies for a package, the script prints a warning and does not fail: a build without
network is allowed, but must not appear audited. With --strict the script then ends with 1 as well,
because a release must be audited.
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
"""Queried in this order; the second one for packages that the first one does not know."""

UNREACHABLE = (
    *("ConnectionError", "ServiceError", "ConnectTimeout", "Max retries exceeded"),
    *("Could not connect", "not redirecting properly", "Read timed out", "JSONDecodeError"),
)
"""Parts of pip-audit's error output when its service is unreachable."""


def ask(service: str, options: Sequence[str], pins: Sequence[str]) -> list[dict[str, Any]] | None:
    """The report of pip-audit for each package; None if the service is unreachable.

    Raises:
        RuntimeError: pip-audit failed; with the last line of its output.
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
    """A line for each known vulnerability of a package."""
    for one in package["vulns"]:
        fixed_in = ", ".join(one["fix_versions"]) or "no version yet"
        yield f"{package['name']} {package['version']}: {one['id']}, fixed in {fixed_in}"


def main(options: Sequence[str]) -> int:
    """Audit the pins, print the result, and return the exit status."""
    strict = "--strict" in options
    options = [option for option in options if option != "--strict"]
    pins = [str(REQUIREMENTS / name) for name in FILES]
    audited: dict[tuple[str, str], set[str]] = {}
    unknown: set[str] = set()
    answered: set[str] = set()
    services = ("osv",) if options else SERVICES
    for service in services:
        reply = ask(service, options, pins) or []
        # A skipped package has no version in the reply, so a skip counts for all of that name.
        skipped = {package["name"] for package in reply if "skip_reason" in package}
        for package in reply:
            if "skip_reason" not in package:
                # Results are merged: a service without findings removes none.
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
            f"NOT AUDITED: no advisory service ({', '.join(services)}) could be queried for "
            f"{what}; vulnerabilities are unknown\n"
        )
    if audited:
        sys.stdout.write(f"Audited {len(audited)} packages, {len(known)} known vulnerabilities\n")
    return 1 if known or (strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
