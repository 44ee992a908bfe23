"""Writes the image's SBOM: CycloneDX 1.6 from the inventory on standard input.

    python3 image/sbom.py VERSION requirements/runtime.txt <inventory.json

Standard library only, so that building an image needs no .venv. The same inventory gives the same
bytes: no serial number, and a timestamp only from SOURCE_DATE_EPOCH.
"""

import json
import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

OPERATOR = "scriptix-operator"

Component = dict[str, Any]
Inventory = Mapping[str, Any]


class UnpinnedError(Exception):
    """The operator's environment has a package that the pins do not name at that version."""


def normalized(name: str) -> str:
    """The normalized name of a Python package (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pins(requirements: str) -> dict[tuple[str, str], list[str]]:
    """The accepted SHA-256 sums of each name and version in a hash-pinned requirements file."""
    pins: dict[tuple[str, str], list[str]] = {}
    for entry in requirements.replace("\\\n", " ").splitlines():
        pinned = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;]+)", entry)
        if pinned:
            sums = re.findall(r"--hash=sha256:([0-9a-f]{64})", entry)
            pins[normalized(pinned[1]), pinned[2]] = sorted(sums)
    return pins


def python_component(package: Mapping[str, str], sums: list[str]) -> Component:
    """A Python package; packages of the base have no sums."""
    name, version = normalized(package["name"]), package["version"]
    purl = f"pkg:pypi/{name}@{quote(version)}"
    component: Component = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
    }
    if package["license"]:
        component["licenses"] = [{"expression": package["license"]}]
    # One of these sums was installed: wheels for other platforms have other sums.
    component["properties"] = [{"name": "scriptix:pinned-sha256", "value": one} for one in sums]
    return component


def debian_component(package: Mapping[str, str], system: Mapping[str, str]) -> Component:
    """A package of the base."""
    name, version, architecture = package["name"], package["version"], package["architecture"]
    distribution = f"{system['id']}-{system['version']}"
    purl = (
        f"pkg:deb/{system['id']}/{quote(name)}@{quote(version, safe='')}"
        f"?arch={architecture}&distro={distribution}"
    )
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
    }


def bill_of_materials(
    inventory: Inventory, version: str, requirements: str, epoch: str | None
) -> dict[str, Any]:
    """The SBOM.

    Args:
        inventory: The output of image/inventory.py.
        version: The version of the operator.
        requirements: Text of the hash-pinned requirements that the image is made from.
        epoch: Seconds since 1970 for the timestamp; None: no timestamp.

    Raises:
        UnpinnedError: A package of the operator's environment is not what was pinned.
    """
    pins = read_pins(requirements)
    system = inventory["system"]
    components = [
        {
            "type": "operating-system",
            "bom-ref": "base",
            "name": system["id"],
            "version": system["version"],
        },
        {
            "type": "platform",
            "bom-ref": "python",
            "name": "python",
            "version": inventory["python"],
            "purl": f"pkg:generic/python@{inventory['python']}",
        },
    ]
    for package in inventory["python_packages"]:
        key = normalized(package["name"]), package["version"]
        if key == (OPERATOR, version):
            continue
        if key not in pins:
            raise UnpinnedError(f"{key[0]} {key[1]} is in the image, but not in the pins")
        components.append(python_component(package, pins[key]))
    # The base may have the same package, or one several times; a reference must be unique.
    listed = {component["bom-ref"] for component in components}
    for package in inventory["python_packages_of_the_base"]:
        component = python_component(package, [])
        if component["bom-ref"] not in listed:
            listed.add(component["bom-ref"])
            components.append(component)
    components += [debian_component(package, system) for package in inventory["debian_packages"]]
    root = f"pkg:oci/{OPERATOR}@{version}"
    metadata: dict[str, Any] = {
        "component": {
            "type": "container",
            "bom-ref": root,
            "name": OPERATOR,
            "version": version,
            "licenses": [{"expression": "Apache-2.0"}],
        }
    }
    if epoch is not None:
        metadata = {
            "timestamp": datetime.fromtimestamp(int(epoch), UTC).isoformat(),
            **metadata,
        }
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata,
        "components": components,
        "dependencies": [{"ref": root, "dependsOn": [c["bom-ref"] for c in components]}],
    }


def main() -> None:
    """Read the inventory, and print the SBOM."""
    _, version, requirements = sys.argv
    try:
        bom = bill_of_materials(
            json.load(sys.stdin),
            version,
            Path(requirements).read_text(encoding="utf-8"),
            os.environ.get("SOURCE_DATE_EPOCH"),
        )
    except UnpinnedError as error:
        sys.exit(f"sbom.py: {error}")
    json.dump(bom, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
