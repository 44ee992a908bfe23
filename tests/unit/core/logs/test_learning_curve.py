"""core/logs/learning_curve.py: the points that are read from log lines."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from scriptix_operator.api.status import LearningPoint
from scriptix_operator.core.logs.buffer import LEADING
from scriptix_operator.core.logs.learning_curve import MAX_EPOCHS, LearningCurve
from scriptix_operator.core.logs.lines import second_of
from scriptix_operator.core.model.remote import LogEntry

START = datetime(2025, 1, 16, 8, 0, tzinfo=UTC)


def entry(message: str, minutes: int | None = 0) -> LogEntry:
    at = None if minutes is None else START + timedelta(minutes=minutes)
    return LogEntry(at, "info", message)


def learning_curve(
    entries: Iterable[LogEntry], since: datetime | None = None
) -> tuple[LearningPoint, ...]:
    """The curve in a log, of entries since a time."""
    curve = LearningCurve()
    for each in entries:
        curve.add(LEADING if each.at is None else second_of(each.at) * 1_000_000, each)
    return curve.points(lambda second: since is None or second >= second_of(since))


def test_points_come_with_their_time() -> None:
    entries = [
        entry("Training started"),
        entry("Training epoch 1/20 - WER: 45.2%", 15),
        entry("Training epoch 5/20 - WER: 28.3%", 60),
        entry("Training completed - Final WER: 12.5%", 450),
    ]
    assert learning_curve(entries) == (
        LearningPoint(epoch=1, of=20, word_error_rate="45.2", at=START + timedelta(minutes=15)),
        LearningPoint(epoch=5, of=20, word_error_rate="28.3", at=START + timedelta(minutes=60)),
    )


@pytest.mark.parametrize(
    ("message", "rate"),
    [
        ("EPOCH 3 of 9: wer=7", "7"),
        ("epoch: 3/9, loss 0.1, WER 101.25 %", "101.25"),
        ("Epoch #3 / 9 | word error rate: 12,5%", "12.5"),
        ("[epoch 3/9] cer: 1.0% wer: 2.0%", "2.0"),
    ],
)
def test_other_spellings_are_read_too(message: str, rate: str) -> None:
    assert learning_curve([entry(message, None)]) == (
        LearningPoint(epoch=3, of=9, word_error_rate=rate),
    )


@pytest.mark.parametrize(
    "message",
    [
        "epoch 3 - WER: 1%",
        "epoch 0/9 - WER: 1%",
        "epoch 10/9 - WER: 1%",
        "epoch 1234567/1234568 - WER: 1%",
        "epoch 3/9 - WER: n/a",
        "epoch 3/9 - WER: 12345%",
        "WER: 1% in epoch 3/9",
        "epochs 3/9 answer: 1%",
        "x " * 256 + "epoch 3/9 - WER: 1%",
    ],
)
def test_other_lines_are_passed_over(message: str) -> None:
    assert learning_curve([entry(message)]) == ()


def test_latest_of_two_points_of_an_epoch_counts_in_any_order() -> None:
    entries = [entry("epoch 1/2 WER: 3%", 9), entry("epoch 2/2 WER: 1%", 5)]
    entries += [entry("epoch 1/2 WER: 4%", 1)]
    assert [(p.epoch, p.word_error_rate) for p in learning_curve(entries)] == [(1, "3"), (2, "1")]


def test_an_earlier_run_is_left_out() -> None:
    entries = [entry("epoch 1/2 WER: 3%", -9), entry("epoch 2/2 WER: 1%", 5)]
    assert [p.epoch for p in learning_curve(entries, START)] == [2]


@pytest.mark.parametrize("count", [39, 40, 41, 79, 1000])
def test_many_points_are_thinned_evenly_and_keep_both_ends(count: int) -> None:
    entries = [entry(f"epoch {i}/{count} WER: 1%", i) for i in range(1, count + 1)]
    epochs = [point.epoch for point in learning_curve(entries)]
    assert len(epochs) == min(count, 40)
    assert (epochs[0], epochs[-1]) == (1, count)
    steps = {later - earlier for earlier, later in pairwise(epochs)}
    assert max(steps) - min(steps) <= 1


def test_endless_epochs_take_bounded_memory_and_keep_both_ends() -> None:
    last, curve = 3 * MAX_EPOCHS, LearningCurve()
    for i in range(1, last + 1):
        curve.add(i, entry(f"epoch {i}/{last} WER: 1%"))
        assert len(curve) <= MAX_EPOCHS
    points = curve.points(lambda _: True)
    assert (len(points), points[0].epoch, points[-1].epoch) == (40, 1, last)
