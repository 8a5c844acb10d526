"""When a training ends and how its learning rate falls, by MLPClassifier's rules; what to say of one that stalled."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.data.samples import Samples
from tinynet.network import TwoLayerNet
from tinynet.optimizers import SGD
from tinynet.training.checkpoints import copied
from tinynet.training.history import Epoch

Array = npt.NDArray[Any]

SMALLEST_RATE = 1e-6  # "adaptive" ends the training here
RATE_DIVISOR = 5.0
STALLED_EPOCHS = 10  # a loss above guessing after so many is not a slow start
CERTAIN = 0.01  # nats: where guessing is better than this, nearly all weight is on one class


class StoppingRule:
    """Called after each epoch: records it, sets the next learning rate, and tells whether to stop.

    A score (minus the training loss, or the validation accuracy with early stopping) has to rise by `tol`; when it
    has not for more than `n_iter_no_change` epochs, "adaptive" lowers the learning rate and all others stop.

    Parameters
    ----------
    options : TinyNetClassifier, whose parameters are read
    net : TwoLayerNet
    optimizer : SGD
    n_samples, samples_seen : int, those of an epoch, and those of all epochs so far
    """

    def __init__(self, options: Any, net: TwoLayerNet, optimizer: SGD, n_samples: int, samples_seen: int) -> None:
        self.options, self.net, self.optimizer = options, net, optimizer
        self.n_samples, self.samples_seen = n_samples, samples_seen
        self.first_rate, self.rows, self.kept_loss = optimizer.learning_rate, list[Epoch](), math.nan
        self.best, self.best_params, self.epochs_waited = -math.inf, dict[str, Array](), 0
        self._set_rate()

    def __call__(self, row: Epoch) -> bool:
        """Return whether to stop after this epoch."""
        options, early = self.options, self.options.early_stopping
        self.rows.append(row)
        self.samples_seen += self.n_samples
        if options.verbose:
            score_text = f", validation score = {row.validation_accuracy:.6f}" if early else ""
            print(f"Iteration {row.epoch}, loss = {row.train_loss:.8f}{score_text}")
        score = row.validation_accuracy if early else -row.train_loss
        self.epochs_waited = self.epochs_waited + 1 if score < self.best + options.tol else 0
        if score > self.best or not early:
            self.kept_loss = row.train_loss
        if score > self.best:
            self.best = score
            if early:
                self.best_params = copied(self.net.params)
        self._set_rate()
        if self.epochs_waited <= options.n_iter_no_change:
            return False
        if options.learning_rate != "adaptive" or self.optimizer.learning_rate <= SMALLEST_RATE:
            return True
        self.optimizer.learning_rate /= RATE_DIVISOR
        self.epochs_waited = 0
        return False

    @property
    def has_converged(self) -> bool:
        """Whether the rule has ended the training."""
        return bool(self.epochs_waited > self.options.n_iter_no_change)

    def restore_best(self) -> None:
        """Give the network the weights of its best validation score, where there was one."""
        self.net.params.update(self.best_params)

    def _set_rate(self) -> None:
        if self.options.learning_rate == "invscaling":
            self.optimizer.learning_rate = self.first_rate / (self.samples_seen + 1) ** self.options.power_t


def delayed(schedule: Callable[[float], float], epochs: int) -> Callable[[float], float]:
    """Return `schedule` as it goes on when so many epochs are done."""
    return lambda epochs_done: schedule(epochs + epochs_done)


def stalled(rule: StoppingRule, samples: Samples) -> str:
    """Return what to say of a loss that is no better than always giving the frequencies of the classes."""
    shares = np.bincount(samples.labels, samples.weights) / len(samples)
    guessing = -float(sum(share * math.log(share) for share in shares if share > 0))
    if len(rule.rows) < STALLED_EPOCHS or guessing < CERTAIN or rule.kept_loss < guessing:
        return ""
    largest = max(samples.X.max(), -samples.X.min())
    return (
        f"after {len(rule.rows)} epochs the training loss of {rule.kept_loss:.3g} is above {guessing:.3g}, "
        f"that of always giving the class frequencies: scale X, whose largest entry is {largest:.3g}, for "
        "instance by StandardScaler in a pipeline, or lower learning_rate"
    )
