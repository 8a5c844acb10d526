"""The training loop: shuffle, gradient, update, record."""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tinynet.errors import (
    DataError,
    DivergedError,
    InvalidTypeError,
    InvalidValueError,
    check_choice,
    check_integer,
    check_number,
    check_step_size,
)
from tinynet.history import Epoch, History
from tinynet.losses import mean_loss
from tinynet.network import METHODS, TwoLayerNet
from tinynet.schedules import Schedule

Array = npt.NDArray[Any]


class Optimizer(Protocol):
    """What `train` needs of an optimizer; a ``learning_rate``, if there is one, is recorded."""

    def update(self, params: dict[str, Array], grads: dict[str, Array]) -> object:
        """Change the arrays of `params`; `grads` has the same keys and shapes."""


def train(
    net: TwoLayerNet,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    optimizer: Optimizer,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    X_validation: npt.ArrayLike | None = None,
    y_validation: npt.ArrayLike | None = None,
    h: float = 1e-4,
    method: str = "auto",
    patience: int | None = None,
    schedule: Schedule | None = None,
    on_epoch: Callable[[Epoch], object] | None = None,
    progress: bool = False,
) -> History:
    """Train `net` in place by stochastic gradient descent on difference quotients.

    Parameters
    ----------
    net : TwoLayerNet
    X : array, shape (n_samples, n_features)
    y : labels, shape (n_samples,), or one-hot rows
    optimizer : SGD, or anything with ``update(params, grads)``
        Its ``learning_rate``, if there is one, is recorded.
    epochs : int of at least 1
        In each epoch every sample is visited once, the last short batch included.
    batch_size : int of at least 1
        More than n_samples means one batch.
    seed : int of at least 0
        The order of samples in an epoch depends on (seed, epoch) alone.
    X_validation, y_validation : arrays, optional
        Measured after every epoch, never trained on; without rows they count as not given.
    h : float above 0
        The step of the differences, in units of a weight.
    method : "auto", "loop", "exact" or "series"; see `TwoLayerNet.numerical_gradient`
    patience : int of at least 1, optional
        Stop when the validation loss has not fallen for so many epochs, and leave `net` with the
        weights of its lowest validation loss.
    schedule : callable, optional
        ``schedule(t)`` is the learning rate when t epochs are done, a float, as `tinynet.schedules` makes
        them. It is set as the optimizer's ``learning_rate`` before every step, with t at the middle of
        the step, (step − 1/2) / steps an epoch: no warm-up begins and no cosine ends with a step of length 0.
    on_epoch : callable, optional
        Called with the new `Epoch` after every epoch.
    progress : bool
        Show a progress bar on stderr; silent where stderr is no terminal.

    Returns
    -------
    History
        One `Epoch` a row: losses in nats a sample over the whole part, accuracies in [0, 1],
        durations in seconds.

    Warns
    -----
    UserWarning
        When batch_size is larger than n_samples.

    Raises
    ------
    DivergedError
        As soon as a loss or gradient is not finite; `net` is left with the weights after the last
        good epoch (the initial ones before that), and the error's ``history`` has the good epochs.
    DataError, InvalidValueError, InvalidTypeError
        When an argument cannot be used, before anything is changed; the rates of a schedule are checked
        one by one, at their steps.
    """
    X, labels = net._check(X, y)
    validation = _validation_part(net, X_validation, y_validation)
    epochs, batch_size = check_integer("epochs", epochs, 1), check_integer("batch_size", batch_size, 1)
    seed, h, method = check_integer("seed", seed, 0), check_step_size(h), check_choice("method", method, METHODS)
    if not callable(getattr(optimizer, "update", None)):
        raise InvalidTypeError(f"optimizer must have update(params, grads), as SGD has, got {optimizer!r}")
    _check_schedule(schedule, optimizer)
    if patience is not None:
        check_integer("patience", patience, 1)
        if validation is None:
            raise InvalidValueError("patience needs validation data: give X_validation and y_validation")
    if batch_size > len(X):
        warnings.warn(
            f"batch_size {batch_size} is larger than the {len(X)} training samples: one batch an epoch", stacklevel=2
        )

    history, good = History(), _copy(net.params)
    best = good
    bar = _progress_bar(epochs, progress)
    try:
        for epoch in range(1, epochs + 1):
            started = time.perf_counter()
            step = _run_epoch(net, X, labels, optimizer, schedule, epoch, batch_size, seed, h, method)
            row = _measure(net, X, labels, validation, epoch, step, _learning_rate(optimizer), started)
            history.rows.append(row)
            good = _copy(net.params)
            best = good if history.best is row else best
            bar(row)
            if on_epoch is not None:
                on_epoch(row)
            if patience is not None and epoch - history.best.epoch >= patience:
                history.stopped_early = True
                break
    except DivergedError as error:
        _restore(net.params, good)
        error.history = history
        raise
    finally:
        bar(None)
    if patience is not None:
        _restore(net.params, best)
    return history


def evaluate(net: TwoLayerNet, X: Array, labels: Array) -> tuple[float, float]:
    """Return (loss in nats a sample, accuracy) of `net` in one forward pass."""
    logits = net._logits(X)
    return mean_loss(logits, labels), float((logits.argmax(axis=1) == labels).mean())


def _run_epoch(
    net: TwoLayerNet,
    X: Array,
    labels: Array,
    optimizer: Optimizer,
    schedule: Schedule | None,
    epoch: int,
    batch_size: int,
    seed: int,
    h: float,
    method: str,
) -> int:
    """Visit every sample once and return the number of steps taken since epoch 1 began."""
    order = np.random.default_rng([seed, epoch]).permutation(len(X))
    steps_per_epoch = math.ceil(len(X) / batch_size)
    step = (epoch - 1) * steps_per_epoch
    for start in range(0, len(X), batch_size):
        batch = order[start : start + batch_size]
        step += 1
        if schedule is not None:
            _set_learning_rate(optimizer, schedule, (step - 0.5) / steps_per_epoch)
        grads = net._gradient(X[batch], labels[batch], h, method)
        with np.errstate(over="ignore", invalid="ignore"):  # found out at the next gradient
            if _all_finite(grads):
                optimizer.update(net.params, grads)
                continue
        loss, _ = evaluate(net, X[batch], labels[batch])
        raise DivergedError(epoch, step, _learning_rate(optimizer), loss)
    return step


def _all_finite(grads: dict[str, Array]) -> bool:
    """Return whether every entry is finite: the sum tells at half the price, unless it overflows."""
    return math.isfinite(sum(float(grad.sum()) for grad in grads.values())) or all(
        np.isfinite(grad).all() for grad in grads.values()
    )


def _measure(
    net: TwoLayerNet,
    X: Array,
    labels: Array,
    validation: tuple[Array, Array] | None,
    epoch: int,
    step: int,
    learning_rate: float,
    started: float,
) -> Epoch:
    train_loss, train_accuracy = evaluate(net, X, labels)
    validation_loss, validation_accuracy = (math.nan, math.nan) if validation is None else evaluate(net, *validation)
    for loss in (train_loss, 0.0 if validation is None else validation_loss):
        if not math.isfinite(loss):
            raise DivergedError(epoch, step, learning_rate, loss)
    return Epoch(
        epoch=epoch,
        step=step,
        train_loss=train_loss,
        train_accuracy=train_accuracy,
        validation_loss=validation_loss,
        validation_accuracy=validation_accuracy,
        learning_rate=learning_rate,
        loss_evaluations=2 * net.n_parameters * step,
        duration_s=time.perf_counter() - started,
    )


def _validation_part(net: TwoLayerNet, X: npt.ArrayLike | None, y: npt.ArrayLike | None) -> tuple[Array, Array] | None:
    if (X is None) != (y is None):
        raise DataError("X_validation and y_validation belong together, but only one of them was given")
    if X is None or y is None or np.shape(X)[:1] == np.shape(y)[:1] == (0,):
        return None
    return net._check(X, y)


def _check_schedule(schedule: object, optimizer: Optimizer) -> None:
    if schedule is None:
        return
    if not callable(schedule):
        raise InvalidTypeError(f"schedule must be a function of the epochs done, got {schedule!r}")
    if not hasattr(optimizer, "learning_rate"):
        raise InvalidTypeError(f"a schedule needs an optimizer with a learning_rate, got {optimizer!r}")


def _set_learning_rate(optimizer: Any, schedule: Schedule, epochs_done: float) -> None:
    optimizer.learning_rate = check_number(f"schedule({epochs_done:g})", schedule(epochs_done), 0.0)


def _learning_rate(optimizer: Optimizer) -> float:
    return float(getattr(optimizer, "learning_rate", math.nan))


def _copy(params: dict[str, Array]) -> dict[str, Array]:
    return {key: param.copy() for key, param in params.items()}


def _restore(params: dict[str, Array], saved: dict[str, Array]) -> None:
    for key, param in saved.items():
        params[key][...] = param


def _progress_bar(epochs: int, progress: bool) -> Callable[[Epoch | None], None]:
    """Return a function that shows an epoch, or closes the bar when given None."""
    if not progress or sys.stderr is None:
        return lambda row: None
    from tqdm import tqdm

    bar: Any = tqdm(total=epochs, unit="epoch", disable=None, dynamic_ncols=True)

    def show(row: Epoch | None) -> None:
        if row is None:
            bar.close()
            return
        losses: Iterable[tuple[str, float]] = [("loss", row.train_loss), ("accuracy", row.train_accuracy)]
        bar.set_postfix({name: f"{value:.4f}" for name, value in losses}, refresh=False)
        bar.update()

    return show
