"""Prints the packages in the image as JSON; `image/build.sh` runs this script in the image.

Standard library only, and passed to `python -c`: the image has no other tools for this.
"""

import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import distributions
from pathlib import Path

DPKG_STATUS = Path("/var/lib/dpkg/status")


def python_packages(path: Sequence[str]) -> list[dict[str, str]]:
    """Name, version and license of each package in these directories, by name."""
    found = [
        {
            "name": dist.metadata["Name"],
            "version": dist.version,
            "license": str(dist.metadata.json.get("license_expression", "")),
        }
        for dist in distributions(path=list(path))
    ]
    return sorted(found, key=lambda package: (package["name"].lower(), package["version"]))


def directories_of_the_base() -> Iterator[str]:
    """The directories with Python packages that are not the operator's.

    The whole file system is searched: the base may have more than one Python, each with its own
    directories. Directories that the image's user may not read are skipped, as Python does.
    """
    for directory, below, files in os.walk("/"):
        if directory == "/":
            below[:] = [name for name in below if name not in {"proc", "sys", "dev"}]
        notes = any(name.endswith((".dist-info", ".egg-info")) for name in (*below, *files))
        if notes and directory not in sys.path:
            yield directory


def debian_packages() -> list[dict[str, str]]:
    """Name, version and architecture of each Debian package, by name; empty without dpkg."""
    if not DPKG_STATUS.is_file():
        return []
    found = []
    for paragraph in DPKG_STATUS.read_text(encoding="utf-8").split("\n\n"):
        lines = (line.partition(": ") for line in paragraph.splitlines() if line[:1].strip())
        fields = {name: value for name, _, value in lines}
        if fields.get("Status", "").endswith(" installed"):
            found.append(
                {
                    "name": fields["Package"],
                    "version": fields["Version"],
                    "architecture": fields["Architecture"],
                }
            )
    return sorted(found, key=lambda package: package["name"])


def main() -> None:
    """Print the inventory."""
    release = platform.freedesktop_os_release()
    inventory = {
        "system": {"id": release["ID"], "version": release.get("VERSION_ID", "")},
        "python": platform.python_version(),
        "python_packages": python_packages(sys.path),
        "python_packages_of_the_base": python_packages(sorted(directories_of_the_base())),
        "debian_packages": debian_packages(),
    }
    json.dump(inventory, sys.stdout)


if __name__ == "__main__":
    main()
