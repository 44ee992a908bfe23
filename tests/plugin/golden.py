"""What the plugin prints, for the golden files and for the pictures of docs/plugin.md."""

import io
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Literal

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from kubectl_scriptix.why import explain
from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import Reason
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.requests.requests import begin_run
from scriptix_operator.core.status.conditions import ConditionReason
from tests.plugin.fake import called
from tests.plugin.states import NOW, all_states
from tests.plugin.story import METRICS, cluster, with_facts

__all__ = ["COMMANDS", "GOLDEN", "PAGE", "PICTURES", "page", "pictures", "renders"]

Change = Callable[[Training], Training]
ColorSystem = Literal["truecolor"]
GOLDEN = Path(__file__).parent / "golden"
PICTURES = Path(__file__).parent.parent.parent / "docs" / "pictures"
PAGE = PICTURES.parent / "plugin.md"
MANIFESTS = Path(__file__).parent / "manifests"
DRAWN = ("top", "plot", "compare", "quota", "plan")
"""Commands with a picture in the docs."""
COMMANDS: dict[str, tuple[str, ...]] = {
    "help": ("--help",),
    "usage": ("top", "--everything"),
    "top": ("top",),
    "top-all": ("top", "-A", "--once"),
    "top-json": ("top", "-n", "team-b", "-o", "json"),
    "why-blocked": ("why", "pathology-en"),
    "watch": ("watch", "cardiology-en"),
    "describe": ("describe", "cardiology-en"),
    "logs": ("logs", "cardiology-en"),
    "logs-run": ("logs", "cardiology-en", "--run", "3f0c2a9d41"),
    "history": ("history", "cardiology-en"),
    "compare": ("compare", "oncology-de"),
    "plot": ("plot", "cardiology-en"),
    "report": ("report", "cardiology-en", "-o", "out/report.html"),
    "retrain": ("retrain", "cardiology-en", "--token", "data-v3", "--wait"),
    "retrain-same": ("retrain", "oncology-de", "--token", "data-v3"),
    "suspend": ("suspend", "cardiology-en"),
    "resume": ("resume", "urology-en"),
    "quota": ("quota",),
    "quota-own": ("quota",),
    "plan": ("plan", "-f", "trainings/"),
    "plan-markdown": ("plan", "-f", "trainings/", "-o", "markdown"),
    "plan-own": ("plan", "-f", "trainings/"),
    "doctor": ("doctor",),
    "support-bundle": ("support-bundle", "-o", "out/bundle.tar.gz"),
}
"""Command lines by the name of the golden file."""
OWN_ONLY = frozenset({"list custommodeltrainings *", "get configmaps scriptix-system"})
"""What a user of one namespace lacks."""


def renders() -> dict[str, str]:
    """The text of each golden file by its name."""
    texts = {f"{name}.txt": _printed(name) for name in COMMANDS}
    return {**texts, "why.txt": _why()}


def page() -> str:
    """The page of the docs, with the output of each command behind its command line."""
    outputs = {
        _command_line(name): _printed(name) for name in COMMANDS if not name.endswith("-own")
    }

    def renewed(block: re.Match[str]) -> str:
        return f"```console\n{outputs[block[1]]}```"

    return re.sub(r"```console\n(\$ [^\n]*)\n.*?```", renewed, PAGE.read_text(), flags=re.DOTALL)


def pictures() -> dict[str, str]:
    """The SVG of each picture by its name."""
    return {f"{name}.svg": _drawn(name) for name in DRAWN}


def _why() -> str:
    """The answer of `why` for each state."""
    return "\n".join(f"# {title}\n{explain(one, NOW)}\n" for title, one in all_states())


def _printed(name: str) -> str:
    """The command line, what it prints, and its exit status unless that is 0."""
    console = _console()
    status, text = _call(name, console)
    ending = f"exit status {status}\n" if status else ""
    return f"{_command_line(name)}\n{text}{ending}"


def _command_line(name: str) -> str:
    return f"$ kubectl scriptix {' '.join(COMMANDS[name])}"


def _drawn(name: str) -> str:
    """The output as a picture, which loads no fonts."""
    console = _console(color_system="truecolor", record=True)
    _call(name, console)
    form = re.sub(r"@font-face {{.*?}}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    title = _command_line(name).removeprefix("$ ")
    return console.export_svg(title=title, code_format=form, unique_id=name) + "\n"


def _console(color_system: ColorSystem | None = None, *, record: bool = False) -> Console:
    return Console(
        file=io.StringIO(),
        width=80,
        force_terminal=True,
        color_system=color_system,
        highlight=False,
        record=record,
        legacy_windows=False,
    )


def _call(name: str, console: Console) -> tuple[int, str]:
    found = cluster(OWN_ONLY if name.endswith("-own") else frozenset())
    found.later = LATER.get(name, [])[:]
    with tempfile.TemporaryDirectory() as directory, _standard_streams() as printed:
        places = {"out/": f"{directory}/", "trainings/": str(MANIFESTS)}
        arguments = [_placed(one, places) for one in COMMANDS[name]]
        if name == "top":
            arguments.append("--once")  # the file shows one table of the live view
        status, text = called(found, *arguments, console=console)
        text += printed.getvalue()
        return status, text.replace(directory, "out")


def _placed(argument: str, places: dict[str, str]) -> str:
    for written, place in places.items():
        argument = argument.replace(written, place)
    return argument


@contextmanager
def _standard_streams() -> Iterator[io.StringIO]:
    """What typer and errors print."""
    stream = io.StringIO()
    with redirect_stdout(stream), redirect_stderr(stream):
        yield stream


def _progressing(progress: int, stage: str) -> Change:
    def change(training: Training) -> Training:
        if training.status.run is None or training.status.run.id != "e35c5d2eba":
            return training
        why = ConditionReason(
            Reason.TRAINING.value, f"The run is in stage {stage}, at {progress}%."
        )
        return with_facts(training, why, progress=progress, stage=stage)

    return change


def _ended(training: Training) -> Training:
    """The end of the only run that is at 90 % or more."""
    if (training.status.progress or 0) < 90 or training.status.finished_at is not None:
        return training
    why = ConditionReason(Reason.TRAINING_SUCCEEDED.value, "The model is trained.")
    return with_facts(training, why, progress=100, finished_at=NOW, metrics=METRICS)


def _rerun(training: Training) -> Training:
    """The requested run, once the one before has ended."""
    if training.spec.run_token != "data-v3" or training.key.name != "cardiology-en":
        return training
    asked = with_facts(training, ConditionReason(Reason.OBSERVED.value, "The resource waits."))
    begun = begin_run(asked)
    run = replace(begun.run, ownership="Owned") if begun.run is not None else None
    why = ConditionReason(Reason.TRAINING.value, "95%")
    return with_facts(
        training.with_status(begun),
        why,
        run=run,
        progress=95,
        started_at=NOW,
        stage="FinalEvaluation",
    )


LATER: dict[str, list[Change]] = {
    "watch": [_progressing(70, "FineTuning"), _progressing(95, "FinalEvaluation"), _ended],
    "retrain": [
        _progressing(95, "FinalEvaluation"),
        _ended,
        _rerun,
        _ended,
    ],
}
"""How the trainings change while a command waits."""
