"""Learning-rate schedules: each returns a function of the epochs done that gives a learning rate.

A schedule holds no state, so that a run which is resumed at a step finds the rate of that step again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from tinynet.errors import InvalidValueError, check_integer, check_number

Schedule = Callable[[float], float]


def constant(learning_rate: float, *, warmup_epochs: float = 0.0) -> Schedule:
    """Return the schedule η(t) = learning_rate · min(1, t / warmup_epochs), with t in epochs.

    Parameters
    ----------
    learning_rate : float above 0
    warmup_epochs : float of at least 0
        Epochs over which the rate rises linearly from 0; without them the rate is `learning_rate` throughout.

    Returns
    -------
    callable
        Takes the epochs done, a float, and returns the learning rate.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        When an argument is out of range.

    References
    ----------
    Goyal et al. (2017), *Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour*, section 2.2,
    for the gradual warm-up.

    Examples
    --------
    >>> schedule = constant(0.1, warmup_epochs=2)
    >>> [schedule(t) for t in (0.5, 1.0, 2.0, 9.0)]
    [0.025, 0.05, 0.1, 0.1]
    """
    return _warmed_up(learning_rate, warmup_epochs, _constant)


def step(learning_rate: float, *, step_epochs: int, step_factor: float = 0.1, warmup_epochs: float = 0.0) -> Schedule:
    """Return the schedule η(t) = learning_rate · min(1, t / warmup_epochs) · step_factor^⌊t / step_epochs⌋.

    Parameters
    ----------
    learning_rate : see `constant`
    step_epochs : int of at least 1
        Epochs between drops, those of the warm-up included.
    step_factor : float in (0, 1)
        Factor of each drop.
    warmup_epochs : see `constant`

    Raises
    ------
    InvalidValueError, InvalidTypeError
        When an argument is out of range.

    References
    ----------
    He et al. (2016), *Deep Residual Learning for Image Recognition*, section 4.2.

    Examples
    --------
    >>> schedule = step(0.4, step_epochs=10, step_factor=0.5)
    >>> [schedule(t) for t in (0.5, 9.5, 10.5, 20.5)]
    [0.4, 0.4, 0.2, 0.1]
    """
    step_epochs = check_integer("step_epochs", step_epochs, 1)
    step_factor = check_number("step_factor", step_factor, 0.0, 1.0, closed=False)
    return _warmed_up(learning_rate, warmup_epochs, partial(_stairs, length=step_epochs, factor=step_factor))


def cosine(learning_rate: float, *, epochs: int, warmup_epochs: float = 0.0) -> Schedule:
    """Return the schedule that falls from `learning_rate` to 0 along half a cosine.

    With t in epochs, η(t) = learning_rate · t / warmup_epochs during the warm-up, and then::

        η(t) = learning_rate · (1 + cos(π (t − warmup_epochs) / (epochs − warmup_epochs))) / 2

    Parameters
    ----------
    learning_rate, warmup_epochs : see `constant`
    epochs : int of at least 1, above warmup_epochs
        After so many epochs, those of the warm-up included, the rate is 0.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        When an argument is out of range.

    References
    ----------
    Loshchilov and Hutter (2017), *SGDR: Stochastic Gradient Descent with Warm Restarts*, equation 5,
    here without a restart.

    Examples
    --------
    >>> schedule = cosine(0.1, epochs=20)
    >>> [round(schedule(t), 3) for t in (0.0, 5.0, 10.0, 20.0)]
    [0.1, 0.085, 0.05, 0.0]
    """
    epochs, warmup = check_integer("epochs", epochs, 1), check_number("warmup_epochs", warmup_epochs, 0.0)
    if warmup >= epochs:
        raise InvalidValueError(f"warmup_epochs must be below epochs, {epochs}, got {warmup_epochs!r}")
    return _warmed_up(learning_rate, warmup, partial(_half_cosine, begin=warmup, end=epochs))


def _warmed_up(learning_rate: float, warmup_epochs: float, shape: Schedule) -> Schedule:
    peak = check_number("learning_rate", learning_rate, 0.0, closed=False)
    return partial(_rate, peak=peak, warmup=check_number("warmup_epochs", warmup_epochs, 0.0), shape=shape)


# Functions of the module, and not closures, so that what holds a schedule can be pickled.


def _rate(epochs_done: float, *, peak: float, warmup: float, shape: Schedule) -> float:
    warmth = epochs_done / warmup if epochs_done < warmup else 1.0
    return peak * warmth * shape(epochs_done)


def _constant(t: float) -> float:
    return 1.0


def _stairs(t: float, *, length: int, factor: float) -> float:
    return float(factor ** (t // length))


def _half_cosine(t: float, *, begin: float, end: float) -> float:
    progress = (t - begin) / (end - begin)
    return (1.0 + math.cos(math.pi * min(max(progress, 0.0), 1.0))) / 2.0
