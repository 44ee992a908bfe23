"""The content of the image, and a run of the image as in the Deployment."""

import importlib.util
import json
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.controlplane.cluster import ControlPlane
from tests.image.container import Contained, Image, buildah
from tests.operator.installation import REPOSITORY, wait_until_served
from tests.operator.lab import laboratory

# The first one builds the image, and perhaps the base before it.
pytestmark = pytest.mark.timeout(1800)

SYSTEM = "scriptix-system"
USER = 65532
COMPILERS = {"cc", "gcc", "g++", "c++", "cpp", "clang", "tcc", "as", "ld", "make", "rustc", "go"}
UNCHECKED_HASH = 0b01
"""Flags of a compiled module that is loaded without checking its source (PEP 552)."""


@pytest.fixture
def account(control_plane: ControlPlane, tmp_path: Path) -> Path:
    """Write the files that a pod of the operator's ServiceAccount has mounted."""
    control_plane.kubectl("apply", "-k", str(REPOSITORY / "deploy"))
    wait_until_served(control_plane, "scriptix.io")
    directory = tmp_path / "serviceaccount"
    directory.mkdir()
    token = control_plane.kubectl("-n", SYSTEM, "create", "token", "scriptix-operator")
    certificate = control_plane.directory / "certs" / "apiserver.crt"
    files = {"token": token.strip(), "ca.crt": certificate.read_text(), "namespace": SYSTEM}
    for name, text in files.items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o644)
    tmp_path.chmod(0o755)
    return directory


def container_of(control_plane: ControlPlane) -> dict[str, Any]:
    """Read the container that the Deployment in the cluster describes."""
    printed = control_plane.kubectl("-n", SYSTEM, "get", "deployment", "-o", "json")
    [deployment] = json.loads(printed)["items"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return dict(container)


def variables_of(
    container: Mapping[str, Any], control_plane: ControlPlane, clusters: Mapping[str, str]
) -> dict[str, str]:
    """Resolve its environment as the kubelet does, except for fields of the pod.

    Args:
        container: Of a pod.
        control_plane: Where the ConfigMaps are that it names.
        clusters: What the cluster itself tells each pod.
    """
    variables = dict(clusters)
    for source in container["envFrom"]:
        name = source["configMapRef"]["name"]
        printed = control_plane.kubectl("-n", SYSTEM, "get", "configmap", name, "-o", "json")
        variables |= json.loads(printed).get("data", {})
    for entry in container["env"]:
        if "value" in entry:
            references = re.compile(r"\$\((\w+)\)")
            variables[entry["name"]] = references.sub(
                lambda found: variables[found[1]], entry["value"]
            )
    return variables


def status_of(container: Contained) -> dict[str, str]:
    """/proc/PID/status of its process 1."""
    text = Path(f"/proc/{container.pid}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def root_options(container: Contained) -> list[str]:
    """Options of the mount that its root is on."""
    lines = Path(f"/proc/{container.pid}/mountinfo").read_text().splitlines()
    [root] = [line.split() for line in lines if line.split()[4] == "/"]
    return root[5].split(",")


async def test_a_closed_container_does_the_main_job_as_process_1_and_ends_cleanly_on_sigterm(
    image: Image, control_plane: ControlPlane, account: Path, namespace: str, tmp_path: Path
) -> None:
    started: list[Contained] = []

    async def launch(_module: str, variables: Mapping[str, str], log_file: Path) -> Contained:
        # A pod has what its manifest gives it, not what the tests have; but for what a test says.
        url = httpx.URL(control_plane.api.base_url)
        api = {"KUBERNETES_SERVICE_HOST": url.host, "KUBERNETES_SERVICE_PORT": str(url.port)}
        container = container_of(control_plane)
        given = variables_of(container, control_plane, api)
        given |= {k: v for k, v in variables.items() if k.startswith(("SCRIPTIX_", "POD_"))}
        started.append(await image.start(container["args"], account, given, log_file))
        return started[-1]

    async with laboratory(control_plane, namespace, tmp_path, launch=launch) as lab:
        lab.model(601)
        await lab.secret()
        operator = await lab.operator({"POD_NAMESPACE": SYSTEM}, watch_namespaces="")
        url = await operator.url()
        process = status_of(started[0])
        assert process["NSpid"].split()[-1] == "1"
        assert set(process["Uid"].split()) == set(process["Gid"].split()) == {str(USER)}
        assert process["Groups"].split() == []
        assert (int(process["CapEff"], 16), process["NoNewPrivs"]) == (0, "1")
        assert "ro" in root_options(started[0])

        await lab.train("contained", 601)
        await lab.until_phase("contained", "Succeeded")
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{url}/readyz")).is_success
        operator.terminate()
        assert await operator.ended() == 0
        assert "released the Lease" in operator.log


def test_all_files_belong_to_root_and_only_root_may_write_them(image: Image) -> None:
    for path in files(image):
        found = path.lstat()
        assert found.st_uid == 0, path
        # Other users may write only to /tmp and similar directories, which the read-only root
        # closes in the cluster.
        if found.st_mode & stat.S_IWOTH and not stat.S_ISLNK(found.st_mode):
            assert found.st_mode & stat.S_ISVTX, path


def files(image: Image, below: str = "") -> Iterator[Path]:
    """All files and directories but those of the kernel."""
    kernels = {image.root / name for name in ("proc", "sys", "dev")}
    stack = [image.root / below]
    while stack:
        for path in stack.pop().iterdir():
            if path in kernels:
                continue
            yield path
            if path.is_dir() and not path.is_symlink():
                stack.append(path)


def test_nothing_is_setuid_or_setgid(image: Image) -> None:
    raised = [p for p in files(image) if p.is_file() and p.lstat().st_mode & 0o6000]
    assert not raised


def test_image_has_no_pip_and_no_compiler(image: Image) -> None:
    found = [
        path.relative_to(image.root)
        for path in files(image)
        if re.fullmatch(r"(pip|setuptools|wheel|pkg_resources|ensurepip)(-.*)?", path.name)
        or re.fullmatch(r"(pip|setuptools|wheel)-.*\.whl", path.name)
        or (path.parent.name == "bin" and re.fullmatch(r"pip[0-9.]*", path.name))
        or (path.parent.name in {"bin", "sbin"} and path.name in COMPILERS)
    ]
    # dpkg's metadata and documentation are no packages.
    assert not [path for path in found if not str(path).startswith(("var/lib/dpkg", "usr/share"))]
    # Files that were removed from the base are in no lower layer, either.
    assert len(image.oci["rootfs"]["diff_ids"]) == 1


def test_every_module_is_compiled_without_source_check(image: Image) -> None:
    [site] = (image.root / "venv" / "lib").glob("python3.*/site-packages")
    tag = site.parent.name.replace("python", "cpython-").replace(".", "")
    uncompiled = []
    for package in ("scriptix_operator", "scriptix_simulator", "kopf", "kubernetes", "httpx"):
        assert importlib.util.find_spec(package) is not None
        for source in (site / package).rglob("*.py"):
            compiled = source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc"
            if not compiled.exists() or compiled.read_bytes()[4] != UNCHECKED_HASH:
                uncompiled.append(source.name)
    assert not uncompiled


def test_labels_name_version_and_commit(image: Image) -> None:
    prefix = "org.opencontainers.image."
    labels = {
        name.removeprefix(prefix): value
        for name, value in image.config["Labels"].items()
        if name.startswith(prefix)
    }
    assert labels.keys() == {
        *("base.name", "created", "description", "licenses", "revision", "source", "title"),
        "version",
    }
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["revision"])
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["created"])
    printed = run_in(image, "scriptix-operator", "--version")
    assert printed.strip() == labels["version"]


def run_in(image: Image, *command: str) -> str:
    """Run a command by buildah itself, as the image's user."""
    container = buildah("from", "--pull-never", image.name).strip()
    try:
        return buildah("run", "--isolation", "chroot", container, "--", *command)
    finally:
        buildah("rm", container)


def test_image_prints_the_crd_of_this_checkout(image: Image) -> None:
    file = REPOSITORY / "crds" / "custommodeltrainings.scriptix.io.yaml"
    assert run_in(image, *image.config["Entrypoint"], "crd") == file.read_text()


def test_user_is_a_number_without_passwd_entry(image: Image) -> None:
    # runAsNonRoot needs a numeric user, and a cluster may choose another one.
    assert image.config["User"] == f"{USER}:{USER}"
    for file in ("passwd", "group"):
        assert f":{USER}:" not in (image.root / "etc" / file).read_text()
