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
        ("Epoch [3/9] Word Error Rate (WER): 45.2 %", "45.2"),
        ("Epoch 3 (of 9) | val_wer: 12.5", "12.5"),
        ("epochs 3 out of 9 - WER (dev) is 12.5%", "12.5"),
        ("epoch=3/9 train WER 7.1% validation WER 12.5%", "12.5"),
        ("epoch 003/009: best WER 9.0%, word-error-rate was 12.5%", "12.5"),
        ("{'eval_wer': 28.123456789, 'epoch': '3/9'}", "28.123456"),
        ("WER: 12.5% in epoch 3/9", "12.5"),
        ("WER 12.5% (epoch 3/9)", "12.5"),
    ],
)
def test_other_spellings_are_read_too(message: str, rate: str) -> None:
    assert learning_curve([entry(message, None)]) == (
        LearningPoint(epoch=3, of=9, word_error_rate=rate),
    )


@pytest.mark.parametrize(
    "message",
    [
        "epoch 3.5 - WER: 1%",
        "epoch 3.5/9 - WER: 1%",
        "epoch 0 - WER: 1%",
        "epoch 0/9 - WER: 1%",
        "epoch 10/9 - WER: 1%",
        "epoch 1234567/1234568 - WER: 1%",
        "epoch 3/9 - WER: n/a",
        "epoch 3/9 - WER: 12345%",
        "WER: 1% so far; epoch 3/9 begins",
        "best WER: 1% (epoch 3/9)",
        "epoch 3/9 - training WER: 1%",
        "epoch 3/9 - WER: 1.2.3",
        "epochs 3/9 answer: 1%",
        "x " * 256 + "epoch 3/9 - WER: 1%",
    ],
)
def test_other_lines_are_passed_over(message: str) -> None:
    assert learning_curve([entry(message)]) == ()


def test_number_of_epochs_is_learned_from_other_lines() -> None:
    entries = [entry("epoch 1 WER: 3%"), entry("epoch 2/9 WER: 2%"), entry("epoch 10 WER: 1%")]
    points = learning_curve(entries)
    assert [(point.epoch, point.of) for point in points] == [(1, 9), (2, 9), (10, 0)]


@pytest.mark.parametrize(
    ("lines", "rates"),
    [
        (["0.452", "0.5", "1.25"], ["45.2", "50", "125"]),
        (["0.452%", "0.5", "1.25"], ["0.452", "0.5", "1.25"]),
        (["0.452", "0.5", "2"], ["0.452", "0.5", "2"]),
    ],
    ids=["fractions", "a percent sign", "a rate of 2"],
)
def test_rates_without_percent_sign_may_be_fractions(lines: list[str], rates: list[str]) -> None:
    entries = [entry(f"epoch {n}/9 WER {rate}") for n, rate in enumerate(lines, 1)]
    assert [point.word_error_rate for point in learning_curve(entries)] == rates


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
