"""MLPClassifier's rules: when a training ends, how its learning rate falls, and a penalty that spares intercepts."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from typing import Any

import numpy.typing as npt

from tinynet.network import TwoLayerNet
from tinynet.optimizers import SGD
from tinynet.training.history import Epoch

Array = npt.NDArray[Any]

SMALLEST_RATE = 1e-6  # "adaptive" ends the training here
RATE_DIVISOR = 5.0


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
                self.best_params = {key: param.copy() for key, param in self.net.params.items()}
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


class PenalisedSGD(SGD):
    """SGD with MLPClassifier's penalty: `penalty` times the weights, and not the intercepts, joins the gradient."""

    penalty = 0.0

    def update(self, params: MutableMapping[str, Array], grads: Mapping[str, Array]) -> None:
        """Change every array of `params` in place; `grads` has the same keys and shapes."""
        if self.penalty:
            grads = {**grads} | {key: grads[key] + self.penalty * params[key] for key in ("W1", "W2")}
        super().update(params, grads)
