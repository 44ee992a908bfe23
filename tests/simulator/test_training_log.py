"""The log lines of a run."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_simulator.training_log import epoch_share, lines, word_error_rate


def test_lines_come_in_the_order_they_are_written() -> None:
    shares = [line.share for line in lines(12.5)]
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] < 1


def test_number_of_lines_is_as_documented() -> None:
    assert len(list(lines(12.5))) + 1 == 156


@pytest.mark.parametrize(("epoch", "hour"), [(5, 2), (10, 4), (15, 6), (20, 7.5)])
def test_epochs_end_when_the_timeline_says(epoch: int, hour: float) -> None:
    assert epoch_share(epoch) == hour / 8


def test_the_word_error_rate_is_that_of_the_document() -> None:
    messages = [line.message for line in lines(12.5)]
    assert messages[0] == "Training started"
    assert messages[1] == "Preprocessing audio files..."
    assert "Training epoch 1/20 - WER: 45.2%" in messages
    assert "Training epoch 5/20 - WER: 28.3%" in messages


@given(st.decimals(0, 100, places=1).map(float))
def test_the_word_error_rate_falls_towards_the_final_one(final: float) -> None:
    rates = [word_error_rate(epoch, final) for epoch in range(1, 21)]
    assert all(later < earlier for earlier, later in pairwise(rates))
    assert rates[-1] >= final
