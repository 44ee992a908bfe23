"""docs/logs.md: the core computes its example."""

from datetime import datetime

from scriptix_operator.core.logs.collector import LogCollector
from scriptix_operator.core.logs.lines import START, UNTIMED, join, split
from scriptix_operator.core.logs.plan import plan
from scriptix_operator.core.logs.segments import LogIndex
from scriptix_operator.core.logs.window import Window
from scriptix_operator.core.model.remote import LogEntry
from tests.unit.pages.tables import page, table

REPLY = (
    "2026-11-30T08:05:00Z INFO Loading data",
    "2026-11-30T08:05:30Z WARNING One file was skipped",
    "2026-11-30T08:06:00Z INFO Training epoch 1/20",
    "2026-11-30T08:07:00Z INFO Training epoch 2/20",
)


def test_page_shows_how_a_late_and_a_new_entry_are_merged() -> None:
    before, max_bytes = (REPLY[0], REPLY[2]), 2**20
    active = split("\n".join(before), UNTIMED)
    log_index = LogIndex("run", (), first=1, next=1, before=START, active=active)
    collector = LogCollector(log_index, Window(), run_id="run", max_bytes=max_bytes)
    for line in REPLY:
        time, level, message = line.split(" ", 2)
        collector.add(LogEntry(datetime.fromisoformat(time), level, message))
    planned = plan(log_index, collector.result(), run_id="run", max_bytes=max_bytes)
    after = join(planned.log_index.active).splitlines()
    rows = [
        (f"`{line}`", "yes" if line in before else "no", after.index(line) + 1) for line in REPLY
    ]
    assert table(("entry in the reply", "stored before", "line afterwards"), rows) in page(
        "logs.md"
    )
