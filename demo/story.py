"""The steps of the demo, in order."""

import sys
import time

from demo import cast
from demo.background import Background, Places
from demo.errors import DemoError
from demo.narration import narrate
from demo.screen import Screen, open_screen
from demo.shell import Shell
from demo.simulator import upload, upload_command
from demo.table import EMPTY, Table, parse

PAUSE_SECONDS = 1.0
WIDE = "kubectl get cmt -o wide"

# The two long runs take about ten simulated hours; the other hours are for a slow machine.
HOURS_AT_MOST = 24
SLACK_SECONDS = 90.0


class Story:
    """Applies the examples, follows them, and shows their results.

    Args:
        shell: runs the commands.
        background: the services.
        places: their URLs.
        speed: simulated seconds per real second.
    """

    def __init__(self, shell: Shell, background: Background, places: Places, speed: float) -> None:
        self._shell = shell
        self._background = background
        self._places = places
        self._patience = SLACK_SECONDS + HOURS_AT_MOST * 3600 / speed

    def run(self) -> None:
        """Run the whole demo.

        Raises:
            DemoError: the demo did not show what it promises.
        """
        self._apply()
        self._follow(open_screen(sys.stdout))
        self._show_epilogue()

    def _apply(self) -> None:
        show = self._shell.show
        show("kubectl create secret generic scriptix-api-key --from-literal=api-key=demo-key")
        show("kubectl apply -k demo/overlay  # deploy/examples, polled each second")

    def _follow(self, screen: Screen) -> None:
        """Show the table until all three examples have reached their expected phases."""
        print("\n$ kubectl get cmt  # repeatedly", flush=True)
        deadline = time.monotonic() + self._patience
        before, data_is_there = EMPTY, False
        while True:
            began = time.monotonic()
            self._background.check()
            table = parse(self._shell.read(WIDE))
            news = list(narrate(before, table))
            if not data_is_there and cast.data_is_due(table):
                news.append(self._upload_data())
                data_is_there = True
            screen.show(table, news)
            if cast.has_ended(table):
                return
            if time.monotonic() > deadline:
                raise self._too_late(table)
            before = table
            time.sleep(max(0.0, began + PAUSE_SECONDS - time.monotonic()))

    def _upload_data(self) -> str:
        upload(self._places.simulator, cast.LATE_MODEL)
        command = upload_command(self._places.simulator, cast.LATE_MODEL)
        return f"The data for {cast.LATE} arrives: {command}"

    def _too_late(self, table: Table) -> DemoError:
        where = "; ".join(cast.missed(table))
        wide = self._shell.read(WIDE).rstrip()
        return DemoError(f"After {self._patience:.0f} seconds, {where}:\n{wide}")

    def _show_epilogue(self) -> None:
        show = self._shell.show
        show(f"kubectl wait --for=condition=Succeeded cmt/{cast.GOOD} --timeout=10s")
        show(f"kubectl describe cmt {cast.BAD}")
        show("kubectl events")
        show(f"kubectl get configmap {cast.GOOD}-log -o jsonpath='{{.data.log}}' | tail -n 8")
        lines = '{{range $name, $value := .data}}{{$name}}={{$value}}{{"\\n"}}{{end}}'
        show(f"kubectl get configmap {cast.GOOD}-result -o go-template='{lines}'")
