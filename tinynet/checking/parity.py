"""The parity certificate: a training by difference quotients beside its twin by backpropagation, step by step.

Backpropagation lives here, to be compared with; no training uses it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.activations import NAMED, Activation, sigmoid
from tinynet.artifacts.environment import blas_threads
from tinynet.checking.entries import label, largest_entry
from tinynet.checking.kinks import find_kinks, reaches
from tinynet.checking.network_check import rounding_bound
from tinynet.config.building import Run, schedule_of
from tinynet.errors import ConfigError, DivergedError
from tinynet.losses import softmax
from tinynet.training.loop import train

Array = npt.NDArray[Any]

DERIVATIVES: dict[str, Callable[[Array, Array], Array]] = {  # of the input a and the output z
    "tanh": lambda a, z: 1.0 - z * z,
    "sigmoid": lambda a, z: z * (1.0 - z),
    "relu": lambda a, z: (a > 0).astype(np.float64),  # 0 at the kink, by the usual convention
    "silu": lambda a, z: sigmoid(a) * (1.0 + a - z),
    "identity": lambda a, z: np.ones_like(a),
}
ORDINARY = 1e-12  # what "auto" is held to at ordinary scaling: a gap below is rounding
MARGIN = 10.0  # a gap may be so many times the measured truncation


@dataclass(frozen=True)
class Moment:
    """Both trainings after a step; losses in nats a sample over the training part."""

    step: int
    epoch: float
    distance: float  # the norm of the difference of the parameters over that of the parameters
    loss: float
    backpropagation_loss: float

    @property
    def digits(self) -> float:
        """To how many digits the two losses agree; inf when they are equal."""
        gap = abs(self.loss - self.backpropagation_loss)
        return math.inf if gap == 0 else -math.log10(gap / abs(self.loss)) if self.loss else 0.0


@dataclass(frozen=True)
class Gap:
    """A step at which quotient and derivative differ, both at the same weights."""

    step: int
    size: float  # in units of the largest entry
    kinks: int  # pairs of sample and unit with a kink in their window
    entry: str  # where they differ most: W1[3, 7]
    quotient: float
    derivative: float


@dataclass
class Parity:
    """What came out of training twice.

    `first` has the first gap of each kind: above rounding; beyond what the truncation of the quotient explains; and
    unexplained, without a kink in any window.
    """

    run: Run
    distances: list[float] = field(default_factory=list)  # by step, as those of the moments
    gaps: list[float] = field(default_factory=list)  # by step, in units of the largest entry
    moments: list[Moment] = field(default_factory=list)  # at powers of two and the ends of epochs
    first: dict[str, Gap] = field(default_factory=dict)
    alike: int = 0  # training samples that both label the same at the end
    diverged: DivergedError | None = None


def derivative_of(activation: Activation) -> Callable[[Array, Array], Array]:
    """Return the derivative of a named activation, a function of its input and output.

    Raises
    ------
    ConfigError
        For an activation that has none but 0, or none that is known here.
    """
    name = activation.name
    if name in DERIVATIVES and activation.function is NAMED[name]:
        return DERIVATIVES[name]
    known = f"tinynet knows its values alone; parity can be shown for {', '.join(DERIVATIVES)}"
    raise ConfigError([f"network.activation: {name!r} has no derivative for backpropagation to use: {known}"])


def backpropagation(params: Mapping[str, Array], activation: Activation, X: Array, labels: Array) -> dict[str, Array]:
    """Return the derivative of the mean cross-entropy by the chain rule, keys and shapes as `params`."""
    a = X @ params["W1"] + params["b1"]
    z = activation(a)
    error = softmax(z @ params["W2"] + params["b2"])
    error[np.arange(len(X)), labels] -= 1.0
    error /= len(X)
    back = error @ params["W2"].T * derivative_of(activation)(a, z)
    return {"W1": X.T @ back, "b1": back.sum(axis=0), "W2": z.T @ error, "b2": error.sum(axis=0)}


@blas_threads()
def parity(run: Run, *, progress: bool = False) -> Parity:
    """Train the network of `run` as its config says, and a twin by backpropagation beside it.

    Parameters
    ----------
    run : Run, as `prepare` returns it; its network is trained, without early stopping
    progress : bool, show a progress bar on stderr

    Returns
    -------
    Parity

    Raises
    ------
    ConfigError
        When the activation has no derivative.
    """
    derivative_of(run.net.activation)
    config, data = run.config, run.dataset
    found = Parity(run)
    beside = _Beside(run, found)
    try:
        train(
            run.net,
            data.X_train,
            data.y_train,
            beside,
            epochs=config.training.epochs,
            batch_size=config.training.batch_size,
            seed=config.seed,
            h=config.gradient.h,
            method=config.gradient.method,
            schedule=schedule_of(config),
            progress=progress,
        )
    except DivergedError as error:
        found.diverged = error
    else:
        found.alike = int((run.net.predict(data.X_train) == beside.twin.predict(data.X_train)).sum())
    return found


class _Beside:
    """An optimizer that updates a network as SGD does, and with every step a twin by backpropagation."""

    def __init__(self, run: Run, found: Parity) -> None:
        data, config = run.dataset, run.config
        self.found, self.gradient, self.net, self.twin = found, config.gradient, run.net, deepcopy(run.net)
        self.optimizers = (run.optimizer, deepcopy(run.optimizer))
        self.learning_rate = run.optimizer.learning_rate
        self.samples, size = run.net.samples(data.X_train, data.y_train), config.training.batch_size
        self.batches = chain.from_iterable(self.samples.batches(size, config.seed, epoch) for epoch in count(1))
        self.kinks = find_kinks(run.net.activation, -10.0, 10.0)
        self.n_steps, self.step = math.ceil(len(self.samples) / size), 0
        self._note()

    def update(self, params: dict[str, Array], grads: dict[str, Array]) -> None:
        """Take one step with both, and keep how far they are apart."""
        batch = next(self.batches)
        self.step += 1
        self._compare(grads, batch.X, batch.labels)
        with np.errstate(over="ignore", invalid="ignore"):  # a twin that diverges is part of what is found
            own = backpropagation(self.twin.params, self.twin.activation, batch.X, batch.labels)
            for optimizer, *step in zip(self.optimizers, (params, self.twin.params), (grads, own), strict=True):
                optimizer.learning_rate = self.learning_rate
                optimizer.update(*step)
            self.found.distances.append(self._distance())
            if self.step & (self.step - 1) == 0 or self.step % self.n_steps == 0:
                self._note()

    def _distance(self) -> float:
        ours, twin = (np.concatenate([p.ravel() for p in net.params.values()]) for net in (self.net, self.twin))
        unit = float(np.abs(ours).max()) or 1.0  # so that no square overflows
        return float(np.linalg.norm((ours - twin) / unit) / np.linalg.norm(ours / unit))

    def _note(self) -> None:
        losses = (net.evaluate(self.samples)[0] for net in (self.net, self.twin))
        self.found.moments.append(Moment(self.step, self.step / self.n_steps, self._distance(), *losses))

    def _compare(self, grads: dict[str, Array], X: Array, labels: Array) -> None:
        """Compare the quotient with the derivative at the same weights; the first gaps of each kind are kept."""
        net, first, h = self.net, self.found.first, self.gradient.h
        derivative = backpropagation(net.params, net.activation, X, labels)
        scale = max(float(np.abs(entries).max()) for entries in derivative.values()) or 1.0
        gaps = {key: np.abs(grads[key] - derivative[key]) for key in grads}
        key = max(gaps, key=lambda key: float(gaps[key].max()))
        index = largest_entry(gaps[key])
        size = float(gaps[key][index]) / scale
        self.found.gaps.append(size)
        rounding = ORDINARY + rounding_bound(net, X, labels, h) / scale
        if size <= rounding:
            return
        a = X @ net.params["W1"] + net.params["b1"]
        met = int(np.count_nonzero(reaches(a, X, self.kinks) <= h))
        gap = Gap(self.step, size, met, label(key, index), float(grads[key][index]), float(derivative[key][index]))
        first.setdefault("above rounding", gap)
        farthest = h * max(1.0, float(np.abs(X).max())) * max(1.0, float(np.ptp(net.params["W2"], axis=1).max()))
        if size <= rounding + MARGIN * farthest**2:  # as far as h moves a logit, squared: the order of the truncation
            return
        first.setdefault("beyond truncation", gap)
        if not met and size > rounding + MARGIN * self._truncation(X, labels) / scale:
            first.setdefault("unexplained", gap)

    def _truncation(self, X: Array, labels: Array) -> float:
        """Return the truncation as the exact quotients of h and 2h show it: it goes with h²."""
        h = self.gradient.h
        narrow, wide = (self.net.numerical_gradient(X, labels, h=step, method="exact") for step in (h, 2 * h))
        return max(float(np.abs(wide[key] - narrow[key]).max()) for key in narrow) / 3
