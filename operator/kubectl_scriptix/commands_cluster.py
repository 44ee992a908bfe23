"""The commands about the quota and the installation."""

from pathlib import Path
from typing import Annotated

import typer

from kubectl_scriptix.bundle import write_bundle
from kubectl_scriptix.cluster import Cluster
from kubectl_scriptix.doctor import Severity, examine
from kubectl_scriptix.errors import ExitStatus, PluginError
from kubectl_scriptix.live import Live, read_live
from kubectl_scriptix.manifests import applied, read_manifests
from kubectl_scriptix.options import Options, Output
from kubectl_scriptix.output import OutputFormat, markdown, print_objects, print_text
from kubectl_scriptix.plan import make_plan
from kubectl_scriptix.plan_text import (
    plan_lines,
    plan_record,
    plan_table,
    quota_records,
    quota_table,
    use_table,
)
from kubectl_scriptix.tables import plain_table
from scriptix_operator.core.model.training import Training
from scriptix_operator.kube.parsing import UnreadableError, parse_training

__all__ = ["doctor", "plan", "quota", "support_bundle"]

OperatorNamespace = Annotated[
    str | None,
    typer.Option(
        "--operator-namespace", help="Namespace of the operator; default: as trainings name it."
    ),
]


def quota(
    options: Options,
    *,
    operator_namespace: OperatorNamespace = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show the quota of each API key.

    With its use by namespace, as far as you may list trainings there.
    """
    cluster, out = options.cluster(), options.console()
    live = read_live(cluster, operator_namespace, options.now())
    if live.document is None:
        raise PluginError(live.notes[0])
    print_objects(out, output, quota_table(live), list(quota_records(live)))
    if output in {OutputFormat.TABLE, OutputFormat.MARKDOWN}:
        print_text(out, "")
        print_objects(out, output, use_table(live), [])
        for note in live.notes:
            print_text(out, f"\n{note}")


def plan(
    options: Options,
    *,
    place: Annotated[
        str, typer.Option("--filename", "-f", help="A folder or file of manifests; -: stdin.")
    ],
    operator_namespace: OperatorNamespace = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show what manifests would start, and when.

    The plan has the expected starts and ends, each with the time that nine of ten keep, the quota
    that is used, and the trainings that are delayed. Nothing is changed.
    """
    cluster, out = options.cluster(), options.console()
    live = read_live(cluster, operator_namespace, options.now())
    found = make_plan(_applied(place, cluster, live), live)
    records = [plan_record(run) for run in found.runs]
    if output not in {OutputFormat.TABLE, OutputFormat.MARKDOWN}:
        print_objects(out, output, "", records)
        return
    nothing = "The manifests start no training."
    is_markdown = output is OutputFormat.MARKDOWN
    if is_markdown:
        out.out(f"### Trainings\n\n{markdown(plan_table(found)) if records else nothing}\n")
    else:
        out.print(plan_table(found) if records else nothing)
    for line in plan_lines(found):
        if is_markdown:
            out.out(f"- {line}")
        else:
            print_text(out, line)


def _applied(place: str, cluster: Cluster, live: Live) -> list[Training]:
    """The resources of the manifests, as they are once applied."""
    there = {(t.key.namespace, t.key.name): t for t in live.trainings}
    found = []
    for manifest in read_manifests(place):
        metadata = manifest["metadata"]
        namespace = metadata.get("namespace") or cluster.namespace
        is_live = (namespace, metadata["name"]) in there
        raw = cluster.raw_training(metadata["name"], namespace) if is_live else None
        try:
            found.append(parse_training(applied(manifest, raw, namespace, live.now)))
        except UnreadableError as error:
            raise PluginError(f"{error}", ExitStatus.USAGE) from error
    return found


def doctor(options: Options) -> ExitStatus:
    """Examine CRD, rights, Secrets and operator.

    The exit status is 1 if a finding is bad.
    """
    out = options.console()
    status = ExitStatus.SUCCEEDED
    table = plain_table("", "TOPIC", "FINDING")
    for finding in examine(options.cluster()):
        table.add_row(finding.severity, finding.topic, finding.text)
        if finding.severity is Severity.BAD:
            status = ExitStatus.ERROR
    out.print(table)
    return status


def support_bundle(
    options: Options,
    *,
    file: Annotated[Path, typer.Option("--file", "-o", help="The .tar.gz file to write.")],
    no_redaction: Annotated[
        bool, typer.Option("--no-redaction", help="Keep values that may be credentials.")
    ] = False,
) -> None:
    """Collect what helps to find a cause in one file.

    The file holds trainings, events, logs and the findings of doctor, and no Secret. Values that
    may be credentials are redacted.
    """
    names = write_bundle(options.cluster(), file, options.now(), is_redacted=not no_redaction)
    text = f"{file}: {len(names)} files; read through them before you pass them on"
    print_text(options.console(), text)
