"""What a training run recorded: one row an epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field, fields
from typing import TYPE_CHECKING

from tinynet.errors import InvalidValueError, did_you_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Epoch:
    """One epoch: losses in nats a sample, accuracies in [0, 1]; nan where there is no validation part.

    The norms are root mean squares over the steps of the epoch: of the Euclidean length of the gradient, and of the
    move of all parameters; nan where a run of an older version, or an optimizer without `update_norm`, has none.
    """

    epoch: int
    step: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    loss_evaluations: int
    duration_s: float
    gradient_norm: float = math.nan
    update_norm: float = math.nan

    @property
    def monitored_part(self) -> str:
        """The part that decides which epoch is best: "validation", or "train" where there is none."""
        return "train" if math.isnan(self.validation_loss) else "validation"

    @property
    def monitored(self) -> float:
        """The validation loss, or the training loss without validation."""
        return self.train_loss if self.monitored_part == "train" else self.validation_loss


COLUMNS = tuple(column.name for column in fields(Epoch))


@dataclass
class History:
    """The epochs of one run, in order, and how it ended.

    Attributes
    ----------
    rows : list of Epoch
    stopped_early : bool, early stopping ended the run before its last epoch
    kept : int or None, the epoch whose weights the network was left with, 0 for the initial ones; None until the end
    step_losses : list of float, the loss of each step's batch before the step; empty unless fewer than 3 epochs, and
        no more than 10,000 steps, were planned

    Examples
    --------
    >>> history = History([Epoch(1, 4, 0.9, 0.5, 0.8, 0.6, 0.1, 100, 0.0)])
    >>> history["validation_loss"], history.best.epoch, len(history)
    ([0.8], 1, 1)
    """

    rows: list[Epoch] = field(default_factory=list)
    stopped_early: bool = False
    kept: int | None = None
    step_losses: list[float] = field(default_factory=list)

    def __repr__(self) -> str:
        """Return the number of epochs and the best of them."""
        if not self.rows:
            return "History(no epochs)"
        loss = f"{self.best.monitored_part}_loss={self.best.monitored:.4g}"
        ending = ", stopped early" if self.stopped_early else ""
        return f"History({len(self.rows):,} epochs, the best is {self.best.epoch} with {loss}{ending})"

    def __len__(self) -> int:
        """Return the number of epochs."""
        return len(self.rows)

    def __iter__(self) -> Iterator[Epoch]:
        """Iterate over the epochs."""
        return iter(self.rows)

    def __getitem__(self, column: str) -> list[float]:
        """Return one column, such as ``history["train_loss"]``, as a list."""
        if column not in COLUMNS:
            raise KeyError(f"no column {column!r}{did_you_mean(column, COLUMNS)}")
        return [getattr(row, column) for row in self.rows]

    @property
    def best(self) -> Epoch:
        """The first epoch with the lowest validation loss, or training loss without validation."""
        if not self.rows:
            raise InvalidValueError("an empty history has no best epoch")
        return min(self.rows, key=lambda row: row.monitored)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the losses by epoch, as `tinynet.plot_loss_curve` does, and return the axes."""
        from tinynet.reports.plots import plot_loss_curve

        return plot_loss_curve(self, ax=ax)

    def to_csv(self) -> str:
        """Return the header and all rows as CSV text, floats in full precision."""
        return "".join(csv_line(line) for line in [COLUMNS, *(astuple(row) for row in self.rows)])


def csv_line(cells: tuple[object, ...]) -> str:
    """Return one line of metrics.csv; nan is an empty cell."""
    return ",".join("" if isinstance(cell, float) and math.isnan(cell) else str(cell) for cell in cells) + "\n"
