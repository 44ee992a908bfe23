"""The SBOM: valid, complete, and the same for the same image."""

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from image.sbom import UnpinnedError, bill_of_materials, read_pins
from tests.image.container import Image, output_of
from tests.image.test_image import run_in

REPOSITORY = Path(__file__).parents[2]
INVENTORY: dict[str, Any] = {
    "system": {"id": "debian", "version": "12"},
    "python": "3.11.2",
    "python_packages": [
        {"name": "Ruamel.Yaml", "version": "1.2", "license": "MIT"},
        {"name": "scriptix-operator", "version": "0.1.0", "license": "Apache-2.0"},
    ],
    "python_packages_of_the_base": [],
    "debian_packages": [
        {"name": "libstdc++6", "version": "1:12.2.0-14+deb12u1", "architecture": "amd64"}
    ],
}
SUMS = ["a" * 64, "b" * 64]
PINS = f"""
ruamel-yaml==1.2 ; sys_platform == 'linux' \\
    --hash=sha256:{SUMS[1]} \\
    --hash=sha256:{SUMS[0]}
    # via kopf
"""


def test_sbom_is_valid_by_the_schema_of_cyclonedx() -> None:
    bom = bill_of_materials(INVENTORY, "0.1.0", PINS, "0")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bom)) is None


def test_each_package_has_its_purl_and_pinned_sums() -> None:
    bom = bill_of_materials(INVENTORY, "0.1.0", PINS, None)
    by_name = {component["name"]: component for component in bom["components"]}
    assert by_name.keys() == {"debian", "python", "ruamel-yaml", "libstdc++6"}
    assert by_name["ruamel-yaml"]["purl"] == "pkg:pypi/ruamel-yaml@1.2"
    assert [p["value"] for p in by_name["ruamel-yaml"]["properties"]] == SUMS
    assert by_name["libstdc++6"]["purl"] == (
        "pkg:deb/debian/libstdc%2B%2B6@1%3A12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12"
    )
    assert bom["dependencies"][0]["dependsOn"] == [c["bom-ref"] for c in bom["components"]]


def test_same_image_gives_the_same_bytes_without_a_time() -> None:
    once, again = (bill_of_materials(INVENTORY, "0.1.0", PINS, None) for _ in range(2))
    assert json.dumps(once) == json.dumps(again)
    assert "timestamp" not in once["metadata"]
    dated = bill_of_materials(INVENTORY, "0.1.0", PINS, "1764294000")
    assert dated["metadata"]["timestamp"] == "2025-11-28T01:40:00+00:00"


@pytest.mark.parametrize(
    "stranger",
    [{"name": "left-pad", "version": "1"}, {"name": "ruamel.yaml", "version": "1.3"}],
    ids=["unknown", "another version"],
)
def test_unpinned_package_is_an_error(stranger: dict[str, str]) -> None:
    packages = [{**stranger, "license": ""}]
    with pytest.raises(UnpinnedError, match=r"(left-pad 1|ruamel-yaml 1\.3) is in the image"):
        bill_of_materials({**INVENTORY, "python_packages": packages}, "0.1.0", PINS, None)


def test_packages_of_the_base_are_listed_once_without_pin() -> None:
    strangers = [{"name": "Left_Pad", "version": one, "license": ""} for one in ("1", "1", "2")]
    packages = [*strangers, *INVENTORY["python_packages"][:1]]
    inventory = {**INVENTORY, "python_packages_of_the_base": packages}
    bom = bill_of_materials(inventory, "0.1.0", PINS, None)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bom)) is None
    listed = [c["purl"] for c in bom["components"] if c.get("purl", "").startswith("pkg:pypi/")]
    assert listed == ["pkg:pypi/ruamel-yaml@1.2", "pkg:pypi/left-pad@1", "pkg:pypi/left-pad@2"]


def test_all_pins_are_read() -> None:
    text = (REPOSITORY / "requirements" / "runtime.txt").read_text()
    pins = read_pins(text)
    assert len(pins) == sum("==" in line and line[0].isalpha() for line in text.splitlines())
    assert sum(map(len, pins.values())) == text.count("--hash=sha256:")


@pytest.mark.timeout(1800)  # the first test builds the image
def test_sbom_of_the_image_matches_python_and_dpkg(image: Image, sbom: dict[str, Any]) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(sbom)) is None
    [site] = (image.root / "venv" / "lib").glob("python3.*/site-packages")
    installed = {path.name.removesuffix(".dist-info") for path in site.glob("*.dist-info")}
    purls = [c["purl"] for c in sbom["components"] if "purl" in c]
    listed = [purl for purl in purls if purl.startswith("pkg:pypi/")]
    assert len(listed) == len(installed) - 1  # the operator itself is what the SBOM is of
    printed = run_in(image, "dpkg-query", "--show", "--showformat", "${Package} ${Version}\n")
    packages = [c for c in sbom["components"] if c.get("purl", "").startswith("pkg:deb/")]
    assert [f"{c['name']} {c['version']}" for c in packages] == sorted(printed.splitlines())


@pytest.mark.timeout(1800)  # the same
@pytest.mark.parametrize("site", ["usr/lib/python3/dist-packages", "opt/other/python9/packages"])
def test_inventory_has_python_packages_of_the_base_anywhere(image: Image, site: str) -> None:
    notes = image.root / site / "left_pad-1.3.dist-info"
    notes.mkdir(parents=True)
    (notes / "METADATA").write_text("Metadata-Version: 2.1\nName: left-pad\nVersion: 1.3\n")
    script = (REPOSITORY / "image" / "inventory.py").read_text()
    user = f"--userspec={image.config['User']}"
    printed = output_of(["chroot", user, str(image.root), "/venv/bin/python", "-c", script])
    inventory = json.loads(printed)
    [stranger] = inventory["python_packages_of_the_base"]
    assert stranger == {"name": "left-pad", "version": "1.3", "license": ""}
    assert "scriptix-operator" in [package["name"] for package in inventory["python_packages"]]
