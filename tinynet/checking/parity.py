"""The parity certificate: a training by difference quotients beside its twin by backpropagation, step by step.

Backpropagation lives here, to be compared with; no training uses it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.activations import NAMED, Activation, sigmoid
from tinynet.artifacts.environment import blas_threads
from tinynet.checking.kinks import find_kinks, reaches
from tinynet.checking.mistakes import label
from tinynet.checking.network_check import rounding_bound
from tinynet.config.building import Run, schedule_of
from tinynet.errors import ConfigError, DivergedError, InvalidValueError
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
    distance: float  # the largest of any parameter
    relative: float  # the norm of the difference over that of the parameters
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
    worst: str  # W1[3, 7]
    quotient: float
    derivative: float
    kinks: int  # pairs of sample and unit with a kink in their window


@dataclass
class Parity:
    """What came out of training twice."""

    run: Run
    distances: list[float] = field(default_factory=list)  # by step, the relative ones
    gaps: list[float] = field(default_factory=list)  # by step, in units of the largest entry
    moments: list[Moment] = field(default_factory=list)  # at powers of two and the ends of epochs
    above_rounding: Gap | None = None  # the first
    beyond_truncation: Gap | None = None  # the first that the truncation of the quotient does not explain
    unexplained: Gap | None = None  # the first without a kink in any window
    alike: int = 0  # training samples that both label the same at the end
    diverged: DivergedError | None = None


def derivative_of(activation: Activation) -> Callable[[Array, Array], Array]:
    """Return the derivative of a named activation, a function of its input and output.

    Raises
    ------
    InvalidValueError
        For an activation that has none but 0, or none that is known here.
    """
    name = activation.name
    if name in DERIVATIVES and activation.function is NAMED[name]:
        return DERIVATIVES[name]
    raise InvalidValueError(
        f"activation {name!r} has no derivative for backpropagation to use: tinynet knows its values alone; "
        f"parity can be shown for {', '.join(DERIVATIVES)}"
    )


def require_derivative(run: Run, source: str) -> None:
    """Raise a ConfigError that names the key when the activation of `run`, from `source`, has no derivative."""
    try:
        derivative_of(run.net.activation)
    except InvalidValueError as error:
        raise ConfigError([f"{source}: network.activation: {error}"]) from error


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
    InvalidValueError
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
        data = run.dataset
        self.run, self.found, self.net, self.twin = run, found, run.net, deepcopy(run.net)
        self.samples = run.net.samples(data.X_train, data.y_train)
        self.sgd, self.twin_sgd = run.optimizer, deepcopy(run.optimizer)
        self.learning_rate = run.optimizer.learning_rate
        self.kinks = find_kinks(run.net.activation, -10.0, 10.0)
        self.steps = math.ceil(len(self.samples) / run.config.training.batch_size)
        self.step = 0
        self._note()

    def update(self, params: dict[str, Array], grads: dict[str, Array]) -> None:
        """Take one step with both, and keep how far they are apart."""
        epoch, n = divmod(self.step, self.steps)
        if n == 0:
            config = self.run.config
            self.batches = self.samples.batches(config.training.batch_size, config.seed, epoch + 1)
        batch = next(self.batches)
        X, labels = batch.X, batch.labels
        self.step += 1
        self._compare(grads, X, labels)
        self.sgd.learning_rate = self.twin_sgd.learning_rate = self.learning_rate
        with np.errstate(over="ignore", invalid="ignore"):  # a twin that diverges is part of what is found
            own = backpropagation(self.twin.params, self.twin.activation, X, labels)
            self.sgd.update(params, grads)
            self.twin_sgd.update(self.twin.params, own)
            self.found.distances.append(self._distances()[1])
            if self.step & (self.step - 1) == 0 or self.step % self.steps == 0:
                self._note()

    def _distances(self) -> tuple[float, float]:
        ours = list(self.net.params.values())
        gaps = [param - self.twin.params[key] for key, param in self.net.params.items()]
        unit = max(float(np.abs(param).max()) for param in ours) or 1.0  # so that no square overflows
        length = [math.sqrt(sum(float(np.vdot(part / unit, part / unit)) for part in parts)) for parts in (gaps, ours)]
        return max(float(np.abs(gap).max()) for gap in gaps), length[0] / length[1]

    def _note(self) -> None:
        losses = (net.evaluate(self.samples)[0] for net in (self.net, self.twin))
        self.found.moments.append(Moment(self.step, self.step / self.steps, *self._distances(), *losses))

    def _compare(self, grads: dict[str, Array], X: Array, labels: Array) -> None:
        """Compare the quotient with the derivative at the same weights; the first gaps of each kind are kept."""
        found, h = self.found, self.run.config.gradient.h
        derivative = backpropagation(self.net.params, self.net.activation, X, labels)
        scale = max(float(np.abs(entries).max()) for entries in derivative.values()) or 1.0
        size = max(float(np.abs(grads[key] - derivative[key]).max()) for key in grads) / scale
        found.gaps.append(size)
        if found.unexplained is not None or size <= ORDINARY:
            return
        rounding = ORDINARY + rounding_bound(self.net, X, labels, h) / scale
        if size <= rounding:
            return
        gap = self._gap(grads, derivative, size, X)
        found.above_rounding = found.above_rounding or gap
        if size <= rounding + MARGIN * self._truncation_scale(X):
            return
        found.beyond_truncation = found.beyond_truncation or gap
        if not gap.kinks and size > rounding + MARGIN * self._truncation(X, labels) / scale:
            found.unexplained = gap

    def _gap(self, grads: dict[str, Array], derivative: dict[str, Array], size: float, X: Array) -> Gap:
        key = max(grads, key=lambda key: float(np.abs(grads[key] - derivative[key]).max()))
        index = np.unravel_index(np.abs(grads[key] - derivative[key]).argmax(), grads[key].shape)
        a = X @ self.net.params["W1"] + self.net.params["b1"]
        return Gap(
            step=self.step,
            size=size,
            worst=label(key, tuple(int(i) for i in index)),
            quotient=float(grads[key][index]),
            derivative=float(derivative[key][index]),
            kinks=int(np.count_nonzero(reaches(a, X, self.kinks) <= self.run.config.gradient.h)),
        )

    def _truncation_scale(self, X: Array) -> float:
        """Return the square of how far a move of h shifts a logit: the order of what the quotient leaves out."""
        farthest = self.run.config.gradient.h * max(1.0, float(np.abs(X).max()))
        return (farthest * max(1.0, float(np.ptp(self.net.params["W2"], axis=1).max()))) ** 2

    def _truncation(self, X: Array, labels: Array) -> float:
        """Return the truncation as the exact quotients of h and 2h show it: it goes with h²."""
        h = self.run.config.gradient.h
        narrow, wide = (self.net.numerical_gradient(X, labels, h=step, method="exact") for step in (h, 2 * h))
        return max(float(np.abs(wide[key] - narrow[key]).max()) for key in narrow) / 3
