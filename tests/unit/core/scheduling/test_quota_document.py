"""core/scheduling/quota_document.py: the quota left, as a bounded JSON document."""

import json
from datetime import timedelta

import pytest

from scriptix_operator.check import quota_lines
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.window import PastCall
from scriptix_operator.core.scheduling.calls import Call
from scriptix_operator.core.scheduling.key_scheduler import KeyScheduler
from scriptix_operator.core.scheduling.quota_document import (
    MAX_KEYS,
    MAX_STARTS,
    QuotaDocument,
    dump,
    parse,
    quota_document,
)
from scriptix_operator.core.scheduling.start_queue import QueueEntry
from tests.unit.core.builders import EIGHT

NOW, HOUR = 10_000.0, 3600.0
LIMITS = {
    Call.START: (Limit(2, HOUR),),
    Call.STATUS: (Limit(100, 60.0),),
    Call.LOG: (Limit(20, HOUR), Limit(50, 86_400.0)),
}
CONFIG_MAP_BYTES = 1024 * 1024
KEY = "0123456789ab"


def a_scheduler(*queued: TrainingKey, starts: int = 0) -> KeyScheduler:
    """A key scheduler after starts one minute apart, the last one a minute ago."""
    scheduler = KeyScheduler(LIMITS, 0.0)
    scheduler.limiters[Call.START].restore(
        PastCall(NOW - 60.0 * number) for number in range(starts, 0, -1)
    )
    for number, key in enumerate(queued):
        asked_at = EIGHT + timedelta(seconds=number)
        entry = QueueEntry(key, f"{number:06}", False, 0, False, asked_at, asked_at)  # noqa: FBT003 - the fields in order
        scheduler.queue_position(entry, NOW)
    return scheduler


def a_document(**schedulers: KeyScheduler) -> QuotaDocument:
    return quota_document(schedulers, NOW, EIGHT)


def test_document_has_limits_use_and_next_free_start() -> None:
    document = json.loads(dump(quota_document({KEY: a_scheduler(starts=2)}, NOW, EIGHT)))
    assert document["version"] == 1
    assert document["writtenAt"] == "2025-01-16T08:00:00Z"
    assert document["omittedKeys"] == 0
    operations = document["keys"][KEY]["operations"]
    assert operations == {
        "start": {
            "limits": [{"limit": 2, "window": "1h", "used": 2, "left": 0}],
            "nextFreeAt": "2025-01-16T08:58:00Z",
        },
        "status": {"limits": [{"limit": 100, "window": "1m", "used": 0, "left": 100}]},
        "log": {
            "limits": [
                {"limit": 20, "window": "1h", "used": 0, "left": 20},
                {"limit": 50, "window": "1d", "used": 0, "left": 50},
            ]
        },
    }


def test_document_has_the_start_queue_by_namespace() -> None:
    queued = (TrainingKey("a", "a1"), TrainingKey("a", "a2"), TrainingKey("b", "b1"))
    document = a_document(key=a_scheduler(*queued, starts=2))
    queue = document.keys["key"].start_queue.model_dump(mode="json", by_alias=True)
    assert queue == {
        "length": 3,
        "listed": 3,
        "namespaces": {
            "a": [
                {"name": "a1", "position": 1, "estimatedStartAt": "2025-01-16T08:58:00Z"},
                {"name": "a2", "position": 3, "estimatedStartAt": "2025-01-16T09:58:00Z"},
            ],
            "b": [{"name": "b1", "position": 2, "estimatedStartAt": "2025-01-16T08:59:00Z"}],
        },
    }


def longest(number: int) -> TrainingKey:
    """A resource with the longest names, in one of twenty namespaces."""
    return TrainingKey(f"{number % 20:x<63}", f"{number:x<52}")


def test_document_with_ten_thousand_queued_resources_fits() -> None:
    document = a_document(key=a_scheduler(*map(longest, range(10_000)), starts=2))
    queue = document.keys["key"].start_queue
    assert (queue.length, queue.listed) == (10_000, MAX_STARTS)
    assert len(queue.namespaces) == 20
    assert len(dump(document)) < CONFIG_MAP_BYTES / 2


def test_document_of_more_keys_than_fit_says_so() -> None:
    crowded = a_scheduler(*map(longest, range(11)), starts=2)
    schedulers = {f"{n:012x}": crowded for n in range(MAX_KEYS + 1)}
    schedulers["ffffffffffff"] = a_scheduler(*map(longest, range(12)))
    document = quota_document(schedulers, NOW, EIGHT)
    assert (len(document.keys), document.omitted_keys) == (MAX_KEYS, 2)
    # The keys with the longest queues stay.
    assert document.keys["ffffffffffff"].start_queue.length == 12
    assert {key.start_queue.listed for key in document.keys.values()} == {MAX_STARTS // MAX_KEYS}
    assert len(dump(document)) < CONFIG_MAP_BYTES / 2


def test_a_queued_resource_stands_on_one_line() -> None:
    lines = dump(a_document(key=a_scheduler(TrainingKey("team-a", "cardio"), starts=2))).split("\n")
    one = '{"name": "cardio", "position": 1, "estimatedStartAt": "2025-01-16T08:58:00Z"}'
    assert any(one in line for line in lines)
    # kubectl prints a text as it is if no line ends with a space.
    assert not any(line.endswith(" ") for line in lines)


def test_document_is_read_as_it_was_written() -> None:
    document = a_document(key=a_scheduler(TrainingKey("team-a", "cardio"), starts=2))
    assert parse(dump(document)) == document
    newer = dump(document).replace('"version": 1', '"version": 2')
    with pytest.raises(ValueError, match="version 2 is not 1"):
        parse(newer)
    with pytest.raises(ValueError, match="keys"):
        parse('{"version": 1, "writtenAt": "2025-01-16T08:00:00Z", "keys": []}')


def test_only_the_time_of_writing_makes_no_difference() -> None:
    schedulers = {"key": a_scheduler()}
    first = quota_document(schedulers, NOW, EIGHT)
    later = EIGHT + timedelta(minutes=1)
    assert quota_document(schedulers, NOW + 60, later).has_same_quotas_as(first)
    schedulers["key"] = a_scheduler(starts=1)
    assert not quota_document(schedulers, NOW + 60, later).has_same_quotas_as(first)


def test_summary_of_a_key_is_one_line() -> None:
    schedulers = {KEY: a_scheduler(*map(longest, range(12)), starts=2), "other": a_scheduler()}
    polls = "100 of 100/1m status calls left"
    logs = "20 of 20/1h, 50 of 50/1d log calls left"
    waits = "next start at 2025-01-16T08:58:00Z; 12 resources wait for a start"
    assert list(quota_lines(quota_document(schedulers, NOW, EIGHT))) == [
        f"API key {KEY}: 0 of 2/1h start calls left; {polls}; {logs}; {waits}",
        f"API key other: 2 of 2/1h start calls left; {polls}; {logs}",
    ]
