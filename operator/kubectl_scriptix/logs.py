"""The stored log of a training, put together from its ConfigMaps."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from rich.text import Text

from kubectl_scriptix.cluster import Cluster
from kubectl_scriptix.errors import PluginError
from kubectl_scriptix.runs import find_run, runs_of
from scriptix_operator.core.logs.lines import START, Line, second_of, split
from scriptix_operator.core.logs.segments import LOG_KEY
from scriptix_operator.core.model.training import Training

__all__ = ["line_text", "new_lines", "read_log", "run_lines"]

EARLIEST = timedelta(seconds=30)
"""The first lines of a run may be this much older than its start, by the clock of the log."""
STYLES = {"ERROR": "red", "CRITICAL": "red", "WARNING": "yellow", "WARN": "yellow", "DEBUG": "dim"}
LEVEL = 1
"""The level is the second word of a line."""


def read_log(cluster: Cluster, training: Training) -> list[Line]:
    """All stored lines, oldest first; a ConfigMap that is missing by now is left out."""
    log = training.status.log
    lines: list[Line] = []
    for name in () if log is None else log.config_maps:
        data = cluster.config_map(training.key.namespace, name) or {}
        lines += split(data.get(LOG_KEY, ""), lines[-1].at if lines else START.at)
    return lines


def run_lines(training: Training, lines: Sequence[Line], run_id: str) -> list[Line]:
    """The lines of one run: from its start until the next one's.

    Raises:
        PluginError: Status knows no such run.
    """
    run = find_run(training, run_id)
    if run is None or run.started_at is None:
        known = ", ".join(one.id for one in runs_of(training)) or "none"
        raise PluginError(f"{training.key} has no started run {run_id!r}; its runs are: {known}")
    later = [
        one.started_at
        for one in runs_of(training)
        if one.started_at is not None and one.started_at > run.started_at
    ]
    begin = second_of(run.started_at - EARLIEST)
    end = second_of(min(later) - EARLIEST) if later else None
    return [line for line in lines if line.at >= begin and (end is None or line.at < end)]


def new_lines(known: Sequence[Line], lines: Sequence[Line]) -> Iterable[Line]:
    """The lines behind those already shown; older ones may have been dropped meanwhile."""
    if not known:
        return lines
    last = known[-1]
    for index in range(len(lines) - 1, -1, -1):
        if lines[index] == last:
            return lines[index + 1 :]
    return lines


def line_text(line: Line) -> Text:
    """A line, coloured by its level; the level is in the text, too."""
    words = line.text.split(" ", 2)
    level = words[LEVEL].upper() if len(words) > LEVEL else ""
    return Text(line.text, STYLES.get(level, ""))
