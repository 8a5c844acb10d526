"""The training loop: shuffle, gradient, update, record."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass, replace
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
from tinynet.gradients.workspace import Tally
from tinynet.network import METHODS, TwoLayerNet
from tinynet.schedules import Schedule
from tinynet.training.checkpoints import Checkpoints, copied, rate_of
from tinynet.training.divergence import advice
from tinynet.training.history import Epoch, History
from tinynet.training.progress import epoch_figures, progress_bar
from tinynet.training.state import State, Sums

MAX_EPOCHS_BY_STEP, MAX_STEP_LOSSES = 2, 10_000  # a longer training records no loss of single steps

Array = npt.NDArray[Any]
Validation = Samples | tuple[Any, ...]


class Optimizer(Protocol):
    """What `train` needs of an optimizer; a ``learning_rate``, if there is one, is recorded."""

    def update(self, params: dict[str, Array], grads: dict[str, Array]) -> object:
        """Change the arrays of `params`; `grads` has the same keys and shapes."""


def train(
    net: TwoLayerNet,
    X: npt.ArrayLike | Samples,
    y: npt.ArrayLike | None,
    optimizer: Optimizer,
    *,
    epochs: int,
    batch_size: int,
    seed: int | None,
    validation: Validation | None = None,
    sample_weight: npt.ArrayLike | None = None,
    h: float = 1e-4,
    method: str = "auto",
    patience: int | None = None,
    keep: str | None = None,
    measure: str = "after",
    schedule: Schedule | None = None,
    on_epoch: Callable[[Epoch], object] | None = None,
    progress: bool | Callable[[str], object] = False,
    checkpoints: Checkpoints | None = None,
) -> History:
    """Train `net` in place by stochastic gradient descent on difference quotients.

    Parameters
    ----------
    net : TwoLayerNet
    X : array, shape (n_samples, n_features), or Samples, beside which y is None
    y : labels, shape (n_samples,), or one-hot rows
    optimizer : SGD, or anything with ``update(params, grads)``
        Its ``learning_rate``, if there is one, is recorded.
    epochs : int of at least 1
        In each epoch every sample is visited once, the last short batch included.
    batch_size : int of at least 1
        More than n_samples means one batch.
    seed : int of at least 0, or None
        The order of samples in an epoch depends on (seed, epoch) alone; None keeps the order that they have.
    validation : pair (X, y), triple (X, y, sample_weight), or Samples, optional
        Measured after every epoch, never trained on; without rows it counts as not given.
    sample_weight : array, shape (n_samples,), at least 0, optional
        Losses and accuracies become means weighted by them; a weight of 0 leaves a sample out. The loss of a
        batch is the mean of w_i L_i, w_i in units of the mean weight of all: it counts in a batch of one as well.
    h : float above 0
        The step of the differences, in units of a weight.
    method : "auto", "loop", "exact" or "series"; see `TwoLayerNet.numerical_gradient`
    patience : int of at least 1, optional
        Stop when the validation loss has not fallen for so many epochs.
    keep : "last" or "best", optional
        Which weights `net` is left with: those of the last epoch, or of the lowest validation loss. Unset: the
        best with `patience`, which "last" excludes, else the last. "best" needs validation data.
    measure : "after" or "during"
        When the training loss and accuracy of an epoch are measured: over all samples when it is over, or batch
        by batch before each step, as MLPClassifier and Keras do, which costs nothing more. The last epoch of all
        is always measured after.
    schedule : callable, optional
        ``schedule(t)`` is the learning rate when t epochs are done, a float, as `tinynet.schedules` makes
        them. It is set as the optimizer's ``learning_rate`` before every step, with t at the middle of
        the step, (step − 1/2) / steps an epoch: no warm-up begins and no cosine ends with a step of length 0.
    on_epoch : callable, optional
        Called with the new `Epoch` after every epoch; training stops when it returns True.
    progress : bool or callable
        Show a progress bar on stderr, or in a notebook; silent where stderr is not a terminal. There a function is
        called with a line of text after every 10 % of the epochs or 30 s, whichever comes later.
    checkpoints : Checkpoints, optional
        Where the training is saved and whether it resumes.

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
        With `checkpoints`, on ^C or SIGTERM: after the step under way and a checkpoint; at once on the
        second signal. `net` has the weights after the last whole epoch.
    RunFolderError
        When another process trains into the folder of `checkpoints`, it holds some and is not to be resumed, or they
        are damaged or were made with other settings or data; or when it was moved, and another has its name.
    OSError
        When a checkpoint cannot be written; the one before stays. FileNotFoundError when the folder is gone.
    DataError, InvalidValueError, InvalidTypeError
        When an argument cannot be used, before anything is changed; the rates of a schedule are checked
        one by one, at their steps.
    """
    if not isinstance(net, TwoLayerNet):
        raise InvalidTypeError(f"net must be a TwoLayerNet, got {net!r:.100}; a TinyNetClassifier trains by its fit")
    if not (on_epoch is None or callable(on_epoch)):
        raise InvalidTypeError(f"on_epoch must be a function of an Epoch, got {on_epoch!r}")
    if not (isinstance(progress, bool) or callable(progress)):
        raise InvalidTypeError(f"progress must be True, False or a function of a line of text, got {progress!r}")
    data, held_out = net.samples(X, y, sample_weight), _validation_part(net, validation)
    task = _Task(net, optimizer, data, held_out, epochs, batch_size, seed, h, method, patience, keep, measure, schedule)
    if checkpoints is not None and not isinstance(checkpoints, Checkpoints):
        raise InvalidTypeError(f"checkpoints must be tinynet.Checkpoints(folder, ...), got {checkpoints!r}")
    if task.batch_size > (n := len(data) if y is None else np.shape(y)[0]):
        surplus = f"batch_size {batch_size} is larger than the {n} training samples"
        warnings.warn(f"{surplus}: one batch an epoch", stacklevel=2)
    state = task.first_state()
    saved: AbstractContextManager[Callable[..., None]] = nullcontext(lambda **_: None)
    if checkpoints is not None:
        saved = checkpoints.session(state, net, optimizer, (data, held_out), task.epochs)
    with (
        saved as pause,
        _last_good_weights(net, state),
        progress_bar(task.epochs, len(state.history), "epoch", progress) as show,
    ):
        task.compare_rates(state)
        if not task.by_step:  # a training that was resumed for more epochs
            state.history.step_losses.clear()
        while len(state.history) < task.epochs and not state.history.stopped_early:
            started = time.perf_counter() - state.epoch_s
            for batch in task.batches(state):
                task.step(state, batch)
                state.epoch_s = time.perf_counter() - started
                pause()
            row = task.record(state)
            show(epoch_figures(row))
            answer = None if on_epoch is None else on_epoch(row)
            if isinstance(answer, bool | np.bool_) and answer:  # ignore non-bool returns such as file.write's count
                state.history.stopped_early = True
                task.measure_after(state)
            pause(epoch_ended=True)
        pause(ended=True)
    state.history.kept = len(state.history)
    if task.keep == "best":
        net.params.update(state.best)
        state.history.kept = state.history.best.epoch
    return state.history


@dataclass
class _Task:
    """What is trained, on what and how: all that a step and an epoch need, checked."""

    net: TwoLayerNet
    optimizer: Any
    data: Samples
    validation: Samples | None
    epochs: int
    batch_size: int
    seed: int | None
    h: float
    method: str
    patience: int | None
    keep: str | None
    measure: str
    schedule: Schedule | None
    best: Epoch | None = None  # so far

    def __post_init__(self) -> None:
        self.epochs = check_integer("epochs", self.epochs, 1)
        self.batch_size = check_integer("batch_size", self.batch_size, 1)
        self.seed = None if self.seed is None else check_integer("seed", self.seed, 0)
        self.h, self.method = check_step_size(self.h), check_choice("method", self.method, METHODS)
        if isinstance(self.optimizer, type) or not callable(getattr(self.optimizer, "update", None)):
            raise InvalidTypeError(f"optimizer must have update(params, grads), as SGD has, got {self.optimizer!r}")
        if self.schedule is not None:
            if not callable(self.schedule):
                raise InvalidTypeError(f"schedule must be a function of the epochs done, got {self.schedule!r}")
            if not hasattr(self.optimizer, "learning_rate"):
                raise InvalidTypeError(f"a schedule needs an optimizer with a learning_rate, got {self.optimizer!r}")
        default, wanting = ("last", 'keep="best"') if self.patience is None else ("best", "patience")
        self.keep = check_choice("keep", default if self.keep is None else self.keep, ("last", "best"))
        if self.patience is not None:
            check_integer("patience", self.patience, 1)
            if self.keep == "last":
                raise InvalidValueError('keep="last" and patience exclude each other: patience keeps the best weights')
        if self.keep == "best" and self.validation is None:
            raise InvalidValueError(f"{wanting} needs validation data: give validation=(X, y)")
        self.measure = check_choice("measure", self.measure, ("after", "during"))
        self.n_steps = math.ceil(len(self.data) / self.batch_size)  # an epoch
        self.by_step = self.epochs <= MAX_EPOCHS_BY_STEP and self.epochs * self.n_steps <= MAX_STEP_LOSSES

    def first_state(self) -> State:
        names = ("batch_size", "seed", "h", "method", "patience", "keep", "measure")
        return State(
            settings={name: getattr(self, name) for name in names} | {"schedule": self.schedule is not None},
            params=self.net.params,
            velocity=getattr(self.optimizer, "velocity", {}),
            good=copied(self.net.params),
            best=copied(self.net.params),
            learning_rate=rate_of(self.optimizer),
        )

    def batches(self, state: State) -> Iterator[Samples]:
        """Return the batches of the epoch under way that are still to come."""
        done = len(state.history)
        return self.data.batches(self.batch_size, self.seed, done + 1, done=state.step - done * self.n_steps)

    def step(self, state: State, batch: Samples) -> None:
        """Measure the gradient on `batch` and update the weights."""
        state.step += 1
        if self.schedule is not None:
            self.optimizer.learning_rate = self._rate(state.step)
        tally = Tally() if self.measure == "during" or self.by_step else None
        grads = self.net.quotients(batch, self.h, self.method, tally)
        if math.isnan(norm := _norm(grads)):
            raise self._diverged(state, batch)
        with np.errstate(over="ignore", invalid="ignore"):  # found out at the next gradient
            self.optimizer.update(self.net.params, grads)
        sums = state.sums
        sums.gradient = math.hypot(sums.gradient, norm)
        sums.update = math.hypot(sums.update, getattr(self.optimizer, "update_norm", math.nan))
        sums.n_steps += 1
        if tally is not None:
            sums.loss, sums.correct = sums.loss + tally.loss, sums.correct + tally.correct
            if self.by_step and len(state.history.step_losses) == state.step - 1:  # all earlier ones are there
                state.history.step_losses.append(tally.loss / len(batch))

    def record(self, state: State) -> Epoch:
        """Measure what an epoch has led to, add it to the history and return it; the last is measured after it."""
        started, history, sums = time.perf_counter() - state.epoch_s, state.history, state.sums
        epoch, trained = len(history) + 1, (sums.loss / len(self.data), sums.correct / len(self.data))
        validated = (math.nan, math.nan) if self.validation is None else self.net.evaluate(self.validation)
        best = self.best or (history.best if history.rows else None)  # which is looked for once
        best_epoch = epoch if best is None or validated[0] < best.validation_loss else best.epoch
        history.stopped_early = self.patience is not None and epoch - best_epoch >= self.patience
        state.during = trained if self.measure == "during" else None
        if self.measure == "after" or history.stopped_early or epoch == self.epochs:
            trained = self.net.evaluate(self.data)
        for (loss, _), part in ((trained, self.data), (validated, self.validation)):
            if part is not None and not math.isfinite(loss):
                history.stopped_early = False
                raise self._diverged(state, part)
        row = Epoch(
            *(epoch, state.step, *trained, *validated),
            learning_rate=rate_of(self.optimizer),
            loss_evaluations=2 * self.net.n_parameters * state.step,
            duration_s=time.perf_counter() - started,
            gradient_norm=_mean(sums.gradient, sums.n_steps),
            update_norm=_mean(sums.update, sums.n_steps),
        )
        history.rows.append(row)
        state.epoch_s, state.sums, state.good = 0.0, Sums(), copied(self.net.params)
        self.best = row if best is None or row.monitored < best.monitored else best
        state.best = state.good if self.best is row else state.best
        return row

    def measure_after(self, state: State) -> None:
        """Measure the last epoch after it when a callback has made it the last."""
        rows = state.history.rows
        if self.measure == "during":
            loss, accuracy = self.net.evaluate(self.data)
            rows[-1] = replace(rows[-1], train_loss=loss, train_accuracy=accuracy)

    def compare_rates(self, state: State) -> None:
        """Warn when there is a schedule and another one gave the rates so far: that of fewer epochs, for example."""
        rates = {row.step: row.learning_rate for row in state.history} | {state.step: state.learning_rate}
        changed = [step for step, there in rates.items() if self.schedule and step and self._rate(step) != there]
        for step in changed[:1]:
            warnings.warn(
                f"the schedule is not that of the steps so far (learning rate {rates[step]:g} in step {step}, now "
                f"{self._rate(step):g}): the training ends otherwise than one that had it from its beginning",
                stacklevel=3,
            )

    def _rate(self, step: int) -> float:
        """Return the rate of a step, at its middle."""
        done = (step - 0.5) / self.n_steps
        return check_number(f"schedule({done:g})", self.schedule(done), 0.0) if self.schedule else math.nan

    def _diverged(self, state: State, part: Samples) -> DivergedError:
        """Return the error that says where, and by going back to the last good weights why."""
        loss, rate, epoch = self.net.evaluate(part)[0], rate_of(self.optimizer), len(state.history) + 1
        before = copy(self.net)
        before.params = state.good
        in_all = rate / (1.0 - float(getattr(self.optimizer, "momentum", 0.0)))
        return DivergedError(
            epoch, state.step, rate, loss, advice(before, part, self.h, in_all, state.good if epoch == 1 else None)
        )


@contextmanager
def _last_good_weights(net: TwoLayerNet, state: State) -> Iterator[None]:
    """Leave the network with the weights of the last whole epoch when a step or a measurement ends the training."""
    try:
        yield
    except (DivergedError, Interrupted) as error:
        net.params.update(state.good)  # at once: a second ^C may come here
        error.history, state.history.kept = state.history, len(state.history)
        raise


def _norm(grads: dict[str, Array]) -> float:
    """Return the Euclidean norm of all entries, inf where it overflows, and nan when an entry is not finite."""
    squares = sum(float(np.vdot(grad, grad)) for grad in grads.values())
    overflows = not math.isfinite(squares) and all(np.isfinite(grad).all() for grad in grads.values())
    return math.sqrt(squares) if math.isfinite(squares) else math.inf if overflows else math.nan


def _mean(length: float, n_steps: float) -> float:
    """Return the root mean square of norms whose squares add up to that of `length`."""
    return length / math.sqrt(n_steps) if n_steps and math.isfinite(length) else math.nan


def _validation_part(net: TwoLayerNet, validation: Validation | None) -> Samples | None:
    if validation is None or isinstance(validation, Samples):
        return None if validation is None else net.samples(validation)
    if not isinstance(validation, tuple | list) or len(validation) not in (2, 3):
        wanted = "a pair (X, y), a triple (X, y, sample_weight) or a Samples"
        raise InvalidTypeError(f"validation must be {wanted}, got {type(validation).__name__}")
    X, y, *weights = validation
    if np.shape(X)[:1] == np.shape(y)[:1] == (0,):
        if any(np.size(some) for some in weights if some is not None):
            raise DataError("validation has weights, but no samples to weigh")
        return None
    return net.samples(X, y, *weights)
