"""Runs the image as a cluster would: process 1, user 65532, a read-only root, no privileges.

`buildah run` has no read-only root and, isolated by chroot, no process ids of its own; an OCI
runtime wants cgroups that CI does not have. So util-linux and coreutils do what a runtime does: new
namespaces, the mounts, chroot to the image's user. The network is the machine's, as the API server
listens on loopback.
"""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.operator.process import Process
from tests.tether import tethered

__all__ = ["SERVICE_ACCOUNT", "Contained", "Image", "mounted"]

SERVICE_ACCOUNT = "run/secrets/kubernetes.io/serviceaccount"

ENTER = """\
set -eu
root=$1 account=$2 mountpoint=$3 user=$4
shift 4
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
for device in null zero urandom; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mount --bind "$account" "$root/$mountpoint"
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" "$@"
"""


class Image:
    """An image in buildah's storage.

    Args:
        name: Its name.
        root: Where a container's file system of it is mounted.
    """

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        described = json.loads(buildah("inspect", "--type", "image", name))
        self.oci: dict[str, Any] = described["OCIv1"]
        self.config: dict[str, Any] = self.oci["config"]

    @property
    def variables(self) -> dict[str, str]:
        """The image's own environment."""
        return dict(entry.split("=", 1) for entry in self.config["Env"])

    async def start(
        self, arguments: Sequence[str], account: Path, variables: Mapping[str, str], log_file: Path
    ) -> "Contained":
        """Run the image's entry point.

        Args:
            arguments: In place of the image's own.
            account: Directory with the ServiceAccount's token and ca.crt.
            variables: Environment beside the image's own.
            log_file: Takes the output.
        """
        (self.root / SERVICE_ACCOUNT).mkdir(parents=True, exist_ok=True)
        namespaces = ["--mount", "--pid", "--ipc", "--uts", "--propagation", "private"]
        enter = ["sh", "-c", ENTER, "enter"]
        with log_file.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *tethered(["unshare", *namespaces, "--fork", "--kill-child", *enter]),
                str(self.root),
                str(account),
                SERVICE_ACCOUNT,
                self.config["User"],
                *self.config["Entrypoint"],
                *arguments,
                # One PATH finds the machine's commands and the image's.
                env={**self.variables, **variables, "PATH": f"{self.variables['PATH']}:/usr/sbin"},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return Contained(process)


class Contained:
    """A running container; `Process` of tests/operator, so that a lab can have it."""

    def __init__(self, outer: asyncio.subprocess.Process) -> None:
        self._outer: Process = outer
        self._children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._outer.returncode

    @property
    def pid(self) -> int:
        """Its process 1, as the machine numbers it.

        Raises:
            ProcessLookupError: It has ended.
        """
        try:
            return int(self._children.read_text(encoding="ascii").split()[0])
        except (FileNotFoundError, IndexError):
            raise ProcessLookupError("the container has ended") from None

    def send_signal(self, signal: int, /) -> None:
        """Send its process 1 a signal, from outside as an engine does."""
        os.kill(self.pid, signal)

    async def wait(self) -> int:
        """Wait for its end; unshare passes the exit status on."""
        return await self._outer.wait()


def buildah(*arguments: str) -> str:
    """Run buildah and return what it prints."""
    found = shutil.which("buildah")
    assert found is not None
    return output_of([found, *arguments])


def output_of(command: Sequence[str], **variables: str) -> str:
    """Run a command and return what it prints; its standard error is the failure's text."""
    reply = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert reply.returncode == 0, f"{command}: {reply.returncode}\n{reply.stderr[-6000:]}"
    return reply.stdout


@contextmanager
def mounted(name: str) -> Iterator[Image]:
    """Mount a new container of an image for as long as the block runs."""
    container = buildah("from", "--pull-never", name).strip()
    try:
        yield Image(name, Path(buildah("mount", container).strip()))
    finally:
        buildah("rm", container)
