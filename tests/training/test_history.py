"""History: columns, the best epoch, and the CSV text."""

from __future__ import annotations

import csv
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinynet import Epoch, History, InvalidValueError
from tinynet.training.history import COLUMNS


def row(epoch: int, train_loss: float = 1.0, validation_loss: float = math.nan) -> Epoch:
    return Epoch(epoch, 4 * epoch, train_loss, 0.5, validation_loss, math.nan, 0.1, 100 * epoch, 0.25)


def test_a_history_has_the_length_of_its_rows_and_iterates_over_them() -> None:
    rows = [row(1), row(2)]
    history = History(rows)
    assert len(history) == 2 and list(history) == rows
    assert len(History()) == 0 and History().rows is not History().rows


def test_a_mistyped_column_is_answered_with_the_nearest() -> None:
    with pytest.raises(KeyError, match=r"no column 'train_los'; did you mean 'train_loss'.*allowed: epoch, step"):
        History()["train_los"]


def test_the_best_epoch_is_the_first_with_the_lowest_loss() -> None:
    rows = [row(1, 0.1, 0.9), row(2, 0.3, 0.5), row(3, 0.2, 0.5), row(4, 0.4, 0.7)]
    assert History(rows).best is rows[1]
    rows = [row(1, 0.3), row(2, 0.2), row(3, 0.4)]  # without validation the training loss decides
    assert History(rows).best is rows[1]
    with pytest.raises(InvalidValueError, match="empty history has no best epoch"):
        _ = History().best


@given(st.lists(st.tuples(st.floats(0, allow_infinity=False), st.floats(allow_nan=True, allow_infinity=False))))
def test_the_csv_text_reads_back_to_the_same_floats(losses: list[tuple[float, float]]) -> None:
    rows = [row(number, *pair) for number, pair in enumerate(losses, 1)]
    lines = list(csv.reader(io.StringIO(History(rows).to_csv(), newline="")))
    assert lines[0] == list(COLUMNS)
    for line, expected in zip(lines[1:], rows, strict=True):
        cells = dict(zip(COLUMNS, line, strict=True))
        assert int(cells["epoch"]) == expected.epoch and int(cells["step"]) == expected.step
        assert float(cells["train_loss"]) == expected.train_loss
        assert cells["validation_accuracy"] == ""
        if math.isnan(expected.validation_loss):
            assert cells["validation_loss"] == ""
        else:
            assert float(cells["validation_loss"]) == expected.validation_loss
