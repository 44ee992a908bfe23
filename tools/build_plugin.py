"""Builds the wheel of the kubectl plugin: `python -m tools.build_plugin DIRECTORY`.

The wheel holds the plugin and the pure packages of the operator that the plugin shares: the models
of the resource, the decisions and the texts. It depends on none of Kopf, httpx and Prometheus'
client.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["build"]

ROOT = Path(__file__).parent.parent
SHARED = (
    "__init__.py",
    "py.typed",
    "api",
    "core",
    "kube/__init__.py",
    "kube/parsing.py",
    "kube/sharing.py",
)
"""What the plugin imports of the operator, below operator/scriptix_operator."""
IGNORED = shutil.ignore_patterns("__pycache__")


def build(directory: Path) -> Path:
    """Build the wheel; returns its path.

    Raises:
        subprocess.CalledProcessError: The build failed; its output is on standard error.
    """
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "source"
        shutil.copytree(ROOT / "plugin", source, ignore=IGNORED)
        packages = ROOT / "operator"
        shutil.copytree(packages / "kubectl_scriptix", source / "kubectl_scriptix", ignore=IGNORED)
        for name in SHARED:
            origin = packages / "scriptix_operator" / name
            target = source / "scriptix_operator" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if origin.is_dir():
                shutil.copytree(origin, target, ignore=IGNORED)
            else:
                shutil.copy(origin, target)
        wheels = Path(temporary) / "wheels"
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        command += ["--no-build-isolation", "--wheel-dir", str(wheels), str(source)]
        subprocess.run(command, check=True, stdout=sys.stderr)  # noqa: S603 - our own command
        (wheel,) = wheels.glob("*.whl")
        directory.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(wheel, directory))


if __name__ == "__main__":
    sys.stdout.write(f"{build(Path(sys.argv[1]))}\n")
