"""The training loop: shuffle, gradient, update, record."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tinynet.data.samples import Samples
from tinynet.errors import (
    DataError,
    DivergedError,
    Interrupted,
    InvalidTypeError,
    InvalidValueError,
    check_choice,
    check_integer,
    check_number,
    check_step_size,
)
from tinynet.network import METHODS, TwoLayerNet
from tinynet.schedules import Schedule
from tinynet.training.checkpoints import State
from tinynet.training.history import Epoch, History
from tinynet.training.progress import progress_bar
from tinynet.training.resumption import copied, pauses, rate_of

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
    sample_weight: npt.ArrayLike | None = None,
    sample_weight_validation: npt.ArrayLike | None = None,
    h: float = 1e-4,
    method: str = "auto",
    patience: int | None = None,
    schedule: Schedule | None = None,
    on_start: Callable[[History], object] | None = None,
    on_epoch: Callable[[Epoch], object] | None = None,
    progress: bool = False,
    checkpoint_dir: str | os.PathLike[str] | None = None,
    checkpoint_every_s: float = 30.0,
    checkpoint_settings: Mapping[str, str | float | None] | None = None,
    resume: bool = False,
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
    sample_weight, sample_weight_validation : arrays, shape (n_samples,), at least 0, optional
        Losses and accuracies become means weighted by them; a weight of 0 leaves a sample out. The loss of a
        batch is the mean of w_i L_i, w_i in units of the mean weight of all: it counts in a batch of one as well.
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
    on_start : callable, optional
        Called before the first step with the `History` that will be returned: empty, or what was resumed.
    on_epoch : callable, optional
        Called with the new `Epoch` after every epoch; training stops when it returns True.
    progress : bool
        Show a progress bar on stderr; silent where stderr is no terminal.
    checkpoint_dir : path, optional
        A folder for checkpoints, made if need be: at the end of epochs, as often as that costs no more than 2 % of
        the training, and inside long ones. The optimizer's state must be its ``velocity``, as that of `SGD` is.
        With it, an error or a signal before the first checkpoint leaves `net` and `optimizer` as they were.
    checkpoint_every_s : float of at least 0
        Seconds of training between checkpoints inside an epoch; 0 saves every step.
    checkpoint_settings : mapping of text and numbers, optional
        What else a training that is resumed must have in common with this one, by name: the version of a function
        of your own, for example. A difference is refused and named.
    resume : bool
        Go on from the last checkpoint in `checkpoint_dir`, or from the beginning when there is none yet, and end in
        the same bits as a training that was never interrupted. `epochs` alone may differ from before.

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
    Interrupted
        With a `checkpoint_dir`, on ^C or SIGTERM: after the step under way and a checkpoint; at once on the
        second signal. `net` has the weights after the last whole epoch.
    RunFolderError
        When another process trains into `checkpoint_dir`, it holds checkpoints and `resume` is false, or they
        are damaged or were made with other settings or data; or when it was moved, and another has its name.
    OSError
        When a checkpoint cannot be written; the one before stays. FileNotFoundError when the folder is gone.
    DataError, InvalidValueError, InvalidTypeError
        When an argument cannot be used, before anything is changed; the rates of a schedule are checked
        one by one, at their steps.
    """
    data = net.samples(X, y, sample_weight)
    validation = _validation_part(net, X_validation, y_validation, sample_weight_validation)
    epochs, batch_size = check_integer("epochs", epochs, 1), check_integer("batch_size", batch_size, 1)
    seed, h, method = check_integer("seed", seed, 0), check_step_size(h), check_choice("method", method, METHODS)
    if not callable(getattr(optimizer, "update", None)):
        raise InvalidTypeError(f"optimizer must have update(params, grads), as SGD has, got {optimizer!r}")
    if schedule is not None and not callable(schedule):
        raise InvalidTypeError(f"schedule must be a function of the epochs done, got {schedule!r}")
    if schedule is not None and not hasattr(optimizer, "learning_rate"):
        raise InvalidTypeError(f"a schedule needs an optimizer with a learning_rate, got {optimizer!r}")
    if patience is not None:
        check_integer("patience", patience, 1)
        if validation is None:
            raise InvalidValueError("patience needs validation data: give X_validation and y_validation")
    if batch_size > (n := np.shape(y)[0]):
        surplus = f"batch_size {batch_size} is larger than the {n} training samples"
        warnings.warn(f"{surplus}: one batch an epoch", stacklevel=2)

    state = State(
        settings={
            "batch_size": batch_size,
            "seed": seed,
            "h": h,
            "method": method,
            "patience": patience,
            "schedule": schedule is not None,
        },
        step=0,
        epoch_s=0.0,
        learning_rate=rate_of(optimizer),
        history=History(),
        params=net.params,
        velocity=getattr(optimizer, "velocity", {}),
        good=copied(net.params),
        best=copied(net.params),
    )
    resumed = epochs if resume else None
    own = checkpoint_settings or {}
    with pauses(state, net, optimizer, (data, validation), checkpoint_dir, checkpoint_every_s, own, resumed) as pause:
        history, n_steps = state.history, math.ceil(len(data) / batch_size)
        if schedule is not None:
            _compare_rates(schedule, state, n_steps)
        bar = progress_bar(epochs, len(history), "epoch", progress)
        try:
            if on_start is not None:
                on_start(history)
            while len(history) < epochs and not history.stopped_early:
                epoch, started = len(history) + 1, time.perf_counter() - state.epoch_s
                for batch in data.batches(batch_size, seed, epoch, done=state.step - len(history) * n_steps):
                    state.step += 1
                    if schedule is not None:
                        _set_learning_rate(optimizer, _rate(schedule, (state.step - 0.5) / n_steps))
                    _step(net, batch, optimizer, epoch, state.step, h, method)
                    state.epoch_s = time.perf_counter() - started
                    pause()
                row = _measure(net, data, validation, epoch, state.step, rate_of(optimizer), started)
                history.rows.append(row)
                state.epoch_s, state.good = 0.0, copied(net.params)
                state.best = state.good if history.best is row else state.best
                history.stopped_early = patience is not None and epoch - history.best.epoch >= patience
                bar(f"loss={row.train_loss:.4f}, accuracy={row.train_accuracy:.4f}")
                answer = None if on_epoch is None else on_epoch(row)
                if isinstance(answer, bool | np.bool_) and answer:  # not what a write() returns
                    history.stopped_early = True
                pause(epoch_ended=True)
            pause(ended=True)
        except (DivergedError, Interrupted) as error:
            net.params.update(state.good)  # at once: a second ^C may come here
            error.history = history
            raise
        finally:
            bar(None)
    if patience is not None:
        net.params.update(state.best)
    return history


def _step(net: TwoLayerNet, batch: Samples, optimizer: Optimizer, epoch: int, step: int, h: float, method: str) -> None:
    grads = net.quotients(batch, h, method)
    with np.errstate(over="ignore", invalid="ignore"):  # found out at the next gradient
        if _all_finite(grads):
            optimizer.update(net.params, grads)
            return
    raise DivergedError(epoch, step, rate_of(optimizer), net.evaluate(batch)[0])


def _all_finite(grads: dict[str, Array]) -> bool:
    """Return whether every entry is finite: the sum of squares tells at a third of the price, unless it overflows."""
    return math.isfinite(sum(float(np.vdot(grad, grad)) for grad in grads.values())) or all(
        np.isfinite(grad).all() for grad in grads.values()
    )


def _measure(
    net: TwoLayerNet, data: Samples, validation: Samples | None, epoch: int, step: int, rate: float, started: float
) -> Epoch:
    train_loss, train_accuracy = net.evaluate(data)
    validation_loss, validation_accuracy = (math.nan, math.nan) if validation is None else net.evaluate(validation)
    for loss in (train_loss, 0.0 if validation is None else validation_loss):
        if not math.isfinite(loss):
            raise DivergedError(epoch, step, rate, loss)
    return Epoch(
        epoch=epoch,
        step=step,
        train_loss=train_loss,
        train_accuracy=train_accuracy,
        validation_loss=validation_loss,
        validation_accuracy=validation_accuracy,
        learning_rate=rate,
        loss_evaluations=2 * net.n_parameters * step,
        duration_s=time.perf_counter() - started,
    )


def _validation_part(
    net: TwoLayerNet, X: npt.ArrayLike | None, y: npt.ArrayLike | None, sample_weight: npt.ArrayLike | None
) -> Samples | None:
    if (X is None) != (y is None):
        raise DataError("X_validation and y_validation belong together, but only one of them was given")
    if X is None or y is None or np.shape(X)[:1] == np.shape(y)[:1] == (0,):
        if sample_weight is not None and np.size(sample_weight):
            raise DataError("sample_weight_validation was given, but no samples to weigh: X_validation, y_validation")
        return None
    return net.samples(X, y, sample_weight)


def _compare_rates(schedule: Schedule, state: State, n_steps: int) -> None:
    """Warn when another schedule gave the rates so far: that of fewer epochs, for example."""
    for at, there in [*((row.step, row.learning_rate) for row in state.history), (state.step, state.learning_rate)]:
        if at and (here := _rate(schedule, (at - 0.5) / n_steps)) != there:
            warnings.warn(
                f"the schedule is not that of the steps so far (learning rate {there:g} in step {at}, now {here:g}): "
                "the training ends otherwise than one that had this schedule from its beginning",
                stacklevel=3,
            )
            return


def _rate(schedule: Schedule, epochs_done: float) -> float:
    return check_number(f"schedule({epochs_done:g})", schedule(epochs_done), 0.0)


def _set_learning_rate(optimizer: Any, rate: float) -> None:
    optimizer.learning_rate = rate
