"""kube/logstore.py against a real API server: crash at any write, save again, count entries.

tests/unit/core/logs/test_plan.py has the cases; these tests cover the behaviour of the cluster.
"""

import asyncio
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count

import pytest

from scriptix_operator.api.status import LogStatus
from scriptix_operator.core.logs.collector import LogCollector
from scriptix_operator.core.logs.lines import UNTIMED, render
from scriptix_operator.core.logs.window import Window
from scriptix_operator.core.model.owner import Owner
from scriptix_operator.core.model.remote import LogEntry
from scriptix_operator.kube.api import KubeApi
from scriptix_operator.kube.configmaps import ConfigMaps, NameTaken
from scriptix_operator.kube.errors import ConflictError
from scriptix_operator.kube.logstore import LogStore
from tests.operator.logsupport import (
    RESTORED,
    KilledError,
    Namespace,
    Recorder,
    reference_to,
)

MINIMUM = 65536
SEAL = 512 * 1024
ACTIVE = "cardio-log"
EIGHT = datetime(2025, 1, 16, 8, 0, tzinfo=UTC)
EIGHT_SECOND = 1737014400


def entry(message: str, seconds: float = 0) -> LogEntry:
    return LogEntry(EIGHT + timedelta(seconds=seconds), "info", message)


def wide(number: int, *, begin: int = 0) -> list[LogEntry]:
    """Entries of 1,000 bytes each when rendered, a second apart, every second one like the last."""
    filler = "x" * (1000 - len(render(entry("000000 x"))))
    return [entry(f"{i // 2:06} {filler}", i // 2) for i in range(begin, begin + number)]


def whole(entries: Sequence[LogEntry]) -> str:
    """The text of entries that are in order."""
    return "".join(f"{render(each)}\n" for each in entries)


class Saver:
    """Saves the logs of one resource as the engine does, with the status of the last save.

    Args:
        space: The resource's namespace.
        store: The store under test.
        name: Name of the resource, which is created.
    """

    def __init__(self, space: Namespace, store: LogStore, name: str = "cardio") -> None:
        self.space = space
        self.owner: Owner = space.make_resource(name)
        self.status: LogStatus | None = None
        self._store = store

    async def save(
        self,
        entries: Sequence[LogEntry],
        *,
        run_id: str = "r1",
        max_bytes: int = 2**20,
        since: int = UNTIMED,
    ) -> LogStatus:
        """Save, and remember the status."""
        stored_log = await self._store.open(self.owner, self.status)
        window = Window(since)
        collector = LogCollector(stored_log.log_index, window, run_id=run_id, max_bytes=max_bytes)
        for each in entries:
            collector.add(each)
        saved = await self._store.save(
            stored_log, collector.result(), run_id=run_id, max_bytes=max_bytes
        )
        self.status = saved.log
        return self.status

    @property
    def texts(self) -> list[str]:
        """The text of each object that status names, in its order."""
        assert self.status is not None
        return [self.space.read(name)["data"]["log"] for name in self.status.config_maps]

    @property
    def text(self) -> str:
        """The whole stored log."""
        return "".join(self.texts)


@pytest.fixture
def saver(space: Namespace, client: KubeApi) -> Saver:
    """Return a saver for the log of a new resource."""
    return Saver(space, LogStore(ConfigMaps(client)))


async def test_log_is_stored_and_status_names_its_config_maps(saver: Saver) -> None:
    entries = [entry("Training started"), entry("größer 🎧", 300)]
    status = await saver.save(entries)
    text = "2025-01-16T08:00:00Z INFO Training started\n2025-01-16T08:05:00Z INFO größer 🎧\n"
    assert saver.texts == [text]
    assert status == LogStatus(config_maps=(ACTIVE,), entries=2, bytes=len(text.encode()))
    assert saver.space.read(ACTIVE)["metadata"]["labels"]["scriptix.io/run"] == "r1"


async def test_log_save_keeps_other_status_fields(saver: Saver) -> None:
    saver.status = LogStatus(state="Collecting", last_fetched_at=EIGHT)
    status = await saver.save([entry("x")])
    assert (status.state, status.last_fetched_at) == ("Collecting", EIGHT)


async def test_empty_log_creates_nothing(saver: Saver) -> None:
    assert await saver.save([]) == LogStatus()
    assert saver.space.names() == []


async def test_unchanged_log_costs_two_reads(saver: Saver, status_writer: Recorder) -> None:
    await saver.save(wide(700))
    status_writer.calls.clear()
    await saver.save(wide(700))
    assert status_writer.calls == [f"GET {ACTIVE}", "GET cardio-log-0003"]


async def test_new_lines_cost_two_reads_and_one_write(
    saver: Saver, status_writer: Recorder
) -> None:
    await saver.save(wide(700))
    status_writer.calls.clear()
    await saver.save(wide(710))
    assert status_writer.calls == [f"GET {ACTIVE}", "GET cardio-log-0003", f"PUT {ACTIVE}"]


async def test_full_segments_are_sealed_at_512_kib_and_immutable(saver: Saver) -> None:
    status = await saver.save(wide(1100), max_bytes=2**24)
    assert status.config_maps == ("cardio-log-0001", "cardio-log-0002", ACTIVE)
    for name in status.config_maps[:-1]:
        segment = saver.space.read(name)
        assert segment["immutable"] is True
        size = sum(len(value.encode()) for value in segment["data"].values())
        assert SEAL - 2000 < size <= SEAL
    assert status.next_segment == 3
    assert saver.text == whole(wide(1100))


async def test_the_widest_characters_fit_through_the_api(saver: Saver) -> None:
    entries = [entry("🎧" * 4000, i) for i in range(70)]
    status = await saver.save(entries, max_bytes=2**24)
    assert len(status.config_maps) == 4
    assert saver.text == whole(entries)
    assert status.bytes == len(whole(entries).encode())


async def test_oldest_segments_are_deleted_to_keep_the_bound(saver: Saver) -> None:
    for lines in (30, 60, 90, 120):
        status = await saver.save(wide(lines), max_bytes=MINIMUM)
        assert status.bytes == len(saver.text.encode()) <= MINIMUM
        assert whole(wide(lines)).endswith(saver.text)
        assert saver.space.names() == sorted(status.config_maps)
        assert status.entries == saver.text.count("\n")
        assert status.truncated == (lines > 60)


@dataclass(frozen=True)
class Scene:
    """A save that succeeds and one that is killed."""

    first: list[LogEntry]
    second: list[LogEntry]
    run_id: str = "r1"
    since: int = UNTIMED

    @property
    def fits(self) -> bool:
        """Whether all may be kept."""
        return len(whole(self.second).encode()) < MINIMUM


SCENES = {
    "first-of-all": Scene([], wide(64)),
    "seal": Scene(wide(10), wide(64)),
    "seal-and-drop": Scene(wide(60), wide(95)),
    "overrun": Scene(wide(60), wide(400)),
    "late": Scene(wide(50), [*wide(63), entry("late", 24)]),
    "rerun": Scene(wide(20), wide(60), run_id="r2", since=EIGHT_SECOND + 10),
    "rerun-overrun": Scene(wide(30), wide(110), run_id="r2", since=EIGHT_SECOND + 15),
}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
async def test_killed_at_any_write_the_next_save_makes_it_good(
    space: Namespace, client: KubeApi, status_writer: Recorder, scene: Scene, moment: str
) -> None:
    store = LogStore(ConfigMaps(client))
    for write in count():
        saver = Saver(space, store, name=f"cardio{write}")
        await saver.save(scene.first, max_bytes=MINIMUM)
        again = partial(
            saver.save,
            scene.second,
            run_id=scene.run_id,
            since=scene.since,
            max_bytes=MINIMUM,
        )
        status_writer.kill(**{moment: write})
        try:
            await again()
        except KilledError:
            status_writer.kill()
            status = await again()
        else:
            assert write > 0
            break
        assert status.bytes == len(saver.text.encode()) <= MINIMUM
        assert space.names(saver.owner.name) == sorted(status.config_maps)
        if scene.fits:
            assert sorted(saver.text.splitlines()) == sorted(whole(scene.second).splitlines())
        if scene is not SCENES["late"]:
            assert whole(scene.second).endswith(saver.text)
        assert status.truncated is not scene.fits


async def test_new_run_seals_the_active_segment_of_the_old_run(saver: Saver) -> None:
    await saver.save(wide(10))
    start = EIGHT_SECOND + 3600
    status = await saver.save([*wide(10), entry("again", 3600)], run_id="r2", since=start)
    assert status.config_maps == ("cardio-log-0001", ACTIVE)
    assert saver.texts == [whole(wide(10)), "2025-01-16T09:00:00Z INFO again\n"]
    labels = [saver.space.read(name)["metadata"]["labels"] for name in status.config_maps]
    assert [each["scriptix.io/run"] for each in labels] == ["r1", "r2"]


async def test_deleted_active_segment_is_recreated_without_duplicates(saver: Saver) -> None:
    await saver.save(wide(1000))
    assert saver.status is not None
    assert len(saver.status.config_maps) == 4
    saver.space.delete(ACTIVE)
    status = await saver.save(wide(1001))
    assert saver.text == whole(wide(1001))
    assert saver.space.names() == sorted(status.config_maps)


async def test_active_segment_with_a_broken_index_is_rewritten(saver: Saver) -> None:
    await saver.save(wide(1000))
    saver.space.patch(ACTIVE, {"data": {"index": "{"}})
    status = await saver.save(wide(1001))
    assert saver.text == whole(wide(1001))
    assert saver.space.names() == sorted(status.config_maps)


async def test_remaining_segments_stay_if_the_active_one_is_deleted(
    saver: Saver,
) -> None:
    await saver.save(wide(1000))
    saver.space.delete("cardio-log-0002")
    saver.space.delete(ACTIVE)
    status = await saver.save(wide(1000))
    assert status.config_maps == ("cardio-log-0001", "cardio-log-0003", ACTIVE)
    assert saver.space.names() == sorted(status.config_maps)


async def test_segment_numbers_continue_from_status(saver: Saver) -> None:
    saver.status = LogStatus(next_segment=42)
    status = await saver.save(wide(300))
    assert status.config_maps == ("cardio-log-0042", ACTIVE)


async def test_lost_status_is_recovered_from_the_active_segment(saver: Saver) -> None:
    before = await saver.save(wide(1000))
    saver.status = None
    assert await saver.save(wide(1000)) == before


@pytest.mark.parametrize("name", [ACTIVE, "cardio-log-0002"])
async def test_log_config_map_of_another_owner_is_reported(saver: Saver, name: str) -> None:
    theirs = saver.space.make(name, {"theirs": "1"})
    with pytest.raises(NameTaken) as caught:
        await saver.save(wide(1000))
    assert caught.value.name == name
    assert saver.space.read(name) == theirs
    saver.space.delete(name)
    await saver.save(wide(1000))
    assert saver.text == whole(wide(1000))


async def test_segments_of_a_deleted_resource_are_replaced(space: Namespace, saver: Saver) -> None:
    # The garbage collector cannot resolve this version, so the operator replaces the segments.
    dead = reference_to(
        saver.owner,
        apiVersion="scriptix.io/v1alpha0",
        uid="00000000-0000-0000-0000-000000000000",
    )
    for name in (ACTIVE, "cardio-log-0001"):
        space.make(name, {"log": "old\n"}, dead)
    await saver.save(wide(1000))
    assert saver.text == whole(wide(1000))


async def test_restored_log_is_fetched_again_and_never_read(space: Namespace, saver: Saver) -> None:
    # The restored status names the segments that have lost their owner.
    saver.status = LogStatus(config_maps=("cardio-log-0001", ACTIVE), entries=2, next_segment=2)
    for name in ("cardio-log-0001", "cardio-log-0002", ACTIVE):
        space.make(name, {"log": "old\n"}, labels=RESTORED, immutable=name != ACTIVE)
    status = await saver.save(wide(1000))
    assert status.config_maps == ("cardio-log-0002", "cardio-log-0003", "cardio-log-0004", ACTIVE)
    assert saver.text == whole(wide(1000))
    assert all(space.read(name)["metadata"]["ownerReferences"] for name in status.config_maps)
    # The name is not needed: the object stays, like every object without a training as controller.
    assert space.read("cardio-log-0001")["data"] == {"log": "old\n"}


async def test_concurrent_log_write_is_detected(saver: Saver, status_writer: Recorder) -> None:
    await saver.save(wide(10))
    touch = partial(saver.space.patch, ACTIVE, {"metadata": {"annotations": {"note": "x"}}})
    status_writer.meanwhile(f"PUT {ACTIVE}", touch)
    await saver.save(wide(1000))
    assert saver.text == whole(wide(1000))
    assert saver.space.read(ACTIVE)["metadata"]["annotations"]["note"] == "x"


async def test_log_save_gives_up_after_repeated_conflicts(
    saver: Saver, status_writer: Recorder
) -> None:
    await saver.save(wide(10))
    numbers = count()

    def touch() -> None:
        note = str(next(numbers))
        saver.space.patch(ACTIVE, {"metadata": {"annotations": {"note": note}}})
        status_writer.meanwhile(f"PUT {ACTIVE}", touch)

    touch()
    with pytest.raises(ConflictError):
        await saver.save(wide(20))
    assert saver.text == whole(wide(10))


async def test_two_leaders_at_once_store_each_entry_once(space: Namespace, saver: Saver) -> None:
    await saver.save(wide(10))
    other = copy(saver)
    results = await asyncio.gather(
        saver.save(wide(900)), other.save(wide(800)), return_exceptions=True
    )
    # The writes of the slower leader are refused; it fetches the log again.
    assert [type(each) for each in results].count(ConflictError) <= 1
    await saver.save(wide(900))
    assert saver.text == whole(wide(900))
    assert saver.status is not None
    assert space.names() == sorted(saver.status.config_maps)


async def test_log_is_garbage_collected_with_the_resource(saver: Saver) -> None:
    status = await saver.save(wide(1000))
    saver.space.delete_resource()
    for name in status.config_maps:
        saver.space.control_plane.kubectl(
            "wait",
            "--for=delete",
            "--timeout=120s",
            f"--namespace={saver.space.name}",
            f"configmap/{name}",
        )
    assert saver.space.names() == []
