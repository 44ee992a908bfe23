"""The commands about the installation."""

from pathlib import Path
from typing import Annotated

import typer

from kubectl_scriptix.bundle import write_bundle
from kubectl_scriptix.doctor import Severity, examine
from kubectl_scriptix.errors import ExitStatus
from kubectl_scriptix.options import Options
from kubectl_scriptix.output import print_text

__all__ = ["doctor", "support_bundle"]


def doctor(options: Options) -> ExitStatus:
    """Examine CRD, rights, Secrets and operator, and say what to do."""
    out = options.console()
    status = ExitStatus.SUCCEEDED
    for finding in examine(options.cluster()):
        print_text(out, str(finding))
        if finding.severity is Severity.BAD:
            status = ExitStatus.ERROR
    return status


def support_bundle(
    options: Options,
    *,
    file: Annotated[Path, typer.Option("--file", "-o", help="The .tar.gz file to write.")],
) -> None:
    """Collect trainings, events, logs and findings in one file, without Secrets."""
    names = write_bundle(options.cluster(), file, options.now())
    text = f"{file}: {len(names)} files; read through them before you pass them on"
    print_text(options.console(), text)
