"""The command line: shared options, exit statuses, colours, outages, completion, the bundle."""

import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from kubectl_scriptix.bundle import redact
from kubectl_scriptix.cluster import Target
from kubectl_scriptix.complete import completions
from kubectl_scriptix.errors import ExitStatus, PluginError
from kubectl_scriptix.follow import LONGEST_PAUSE, repeat
from kubectl_scriptix.output import open_console
from kubectl_scriptix.refusals import UnreachableError
from scriptix_operator.core.model.training import Training
from tests.plugin.fake import FakeCluster, called
from tests.plugin.story import cluster, of_team_a

CARDIOLOGY = of_team_a()[0]


@pytest.mark.parametrize(
    "arguments", [("-n", "team-b", "top", "--once"), ("top", "--once", "-n", "team-b")]
)
def test_shared_options_stand_anywhere(arguments: tuple[str, ...]) -> None:
    status, printed = called(cluster(), *arguments)
    assert status == 0
    assert "legal-de" in printed
    assert "cardiology-en" not in printed


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("watch", "oncology-de"), ExitStatus.GATE_MISSED),
        (("watch", "pathology-en"), ExitStatus.BLOCKED),
        (("watch", "urology-en"), ExitStatus.BLOCKED),
        (("watch", "dermatology-en"), ExitStatus.SUCCEEDED),
        (("watch", "cardiology-en", "--timeout", "0"), ExitStatus.TIMED_OUT),
        (("watch",), ExitStatus.USAGE),
        (("watch", "nothing"), ExitStatus.ERROR),
        (("plan", "-f", "/nothing"), ExitStatus.USAGE),
        (("compare", "dermatology-en", "none"), ExitStatus.ERROR),
    ],
)
def test_exit_status_says_how_it_ended(arguments: tuple[str, ...], expected: ExitStatus) -> None:
    assert called(cluster(), *arguments)[0] == expected


@pytest.mark.parametrize("name", ["NO_COLOR", "TERM"])
def test_environment_turns_colours_off(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(name, "dumb")
    monkeypatch.setattr("sys.stdout", _Terminal())
    out = open_console(True)  # noqa: FBT003 - its only argument
    out.print("[red]text[/red]")
    assert out.file.getvalue() == "text\n"  # type: ignore[attr-defined] # _Terminal


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_reads_are_repeated_through_an_outage_at_growing_pauses() -> None:
    outage: list[Training | Exception] = [UnreachableError("gone") for _ in range(6)]
    pauses: list[float] = []
    for moment in repeat(_replying([*outage, CARDIOLOGY]), sleep=pauses.append, clock=lambda: 0.0):
        if moment.training is not None:
            break
        assert moment.problem == "gone"
    assert pauses == [4.0, 8.0, 16.0, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]


def test_other_errors_end_the_reads() -> None:
    with pytest.raises(PluginError, match="forbidden"):
        list(repeat(_replying([PluginError("forbidden")]), sleep=lambda _: None))


def _replying(replies: Sequence[Training | Exception]) -> Callable[[], Training]:
    left = iter(replies)

    def read() -> Training:
        reply = next(left)
        if isinstance(reply, Exception):
            raise reply
        return reply

    return read


def test_live_table_survives_an_outage() -> None:
    class Failing(FakeCluster):
        """Fails every other time, and ends the test at last."""

        reads = 0

        def trainings(self, namespace: str | None) -> list[Training]:
            self.reads += 1
            if self.reads == 4:
                raise PluginError("forbidden")
            if self.reads % 2:
                raise UnreachableError("the API server does not answer")
            return super().trainings(namespace)

    found = Failing(of_team_a())
    found.later = [lambda training: training] * 3
    status, printed = called(found, "top")
    assert status == ExitStatus.ERROR
    assert found.reads == 4
    assert "does not answer" in printed
    assert "cardiology-en" in printed


def test_completion_offers_commands_options_and_names() -> None:
    def names(target: Target) -> list[str]:
        return ["cardiology-en", "legal-de"] if target.namespace == "speech" else []

    assert completions(["re"], names) == ["report", "resume", "retrain"]
    assert completions(["watch", "--time"], names) == ["--timeout"]
    assert completions(["-n", "speech", "watch", "c"], names) == ["cardiology-en"]
    assert completions(["doctor", ""], names) == []


def test_bundle_has_no_credential(tmp_path: Path) -> None:
    leaky = "2026-11-30T05:00:03 INFO Authorization: Bearer abcdefgh12345678\n"
    found = cluster(more={"speech/cardiology-en-log": {"log": leaky}})
    file = tmp_path / "bundle.tar.gz"
    assert called(found, "support-bundle", "-o", str(file))[0] == 0
    with tarfile.open(file) as archive:
        names = archive.getnames()
        log = archive.extractfile("scriptix-bundle/logs/cardiology-en.txt")
        assert log is not None
        assert "[redacted]" in log.read().decode()
    assert "scriptix-bundle/doctor.txt" in names
    assert f"scriptix-bundle/trainings/{CARDIOLOGY.key.name}.json" in names


@pytest.mark.parametrize(
    "text", ["api_key=abcdefgh1234", '"token": "abcdefgh1234"', "Bearer abcdefgh1234"]
)
def test_redaction_keeps_no_value_of_a_credential(text: str) -> None:
    assert "abcdefgh1234" not in redact(text)


def test_redaction_keeps_the_run_token() -> None:
    text = '"runToken": "2026-11-30-nightly", "name": "scriptix-api-key"'
    assert redact(text) == text


def test_redaction_can_be_turned_off(tmp_path: Path) -> None:
    leaky = "2026-11-30T05:00:03 INFO token=abcdefgh12345678\n"
    found = cluster(more={"speech/cardiology-en-log": {"log": leaky}})
    file = tmp_path / "bundle.tar.gz"
    assert called(found, "support-bundle", "-o", str(file), "--no-redaction")[0] == 0
    with tarfile.open(file) as archive:
        log = archive.extractfile("scriptix-bundle/logs/cardiology-en.txt")
        assert log is not None
        assert log.read().decode() == leaky.strip()


def test_report_refers_to_nothing_outside(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    assert called(cluster(), "report", "cardiology-en", "-o", str(file))[0] == 0
    page = file.read_text()
    assert "default-src 'none'" in page
    assert "<svg" in page
    assert "src=" not in page.replace("default-src=", "")
    assert "href=" not in page


def test_quota_names_no_namespace_that_the_caller_may_not_list() -> None:
    found = cluster(frozenset({"list custommodeltrainings *"}))
    status, printed = called(found, "quota")
    assert status == 0
    assert "team-b" not in printed
    assert "(others)   5                     1" in printed
    assert "team-b" not in called(found, "quota", "-o", "json")[1]


def test_plot_writes_svg(tmp_path: Path) -> None:
    file = tmp_path / "curve.svg"
    assert called(cluster(), "plot", "cardiology-en", "--svg", str(file))[0] == 0
    assert file.read_text().startswith("<svg")


def test_pipe_has_no_colours_and_no_broken_lines() -> None:
    out = Console(file=io.StringIO(), width=200, highlight=False)
    called(cluster(), "why", "cardiology-en", console=out)
    assert isinstance(out.file, io.StringIO)
    assert len(out.file.getvalue().splitlines()) == 1
