"""The gradient of a run measured on its own network and data: error, step size and kinks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.artifacts.environment import blas_threads
from tinynet.checking.entries import sample_indices
from tinynet.checking.extended_precision import EPS, Extended, Weight
from tinynet.checking.kinks import Kink, find_kinks, reaches
from tinynet.config.building import Run
from tinynet.errors import DivergedError, NumericalWarning
from tinynet.gradients.numerical import textbook_gradient
from tinynet.losses import mean_loss
from tinynet.network import TwoLayerNet
from tinynet.training.divergence import advice

Array = npt.NDArray[np.float64]

STEPS = 10.0 ** np.arange(0.0, -12.5, -0.5)  # of the curve of errors
WIDTHS = 10.0 ** np.arange(1.0, -6.0, -0.5)  # of the windows around jumps
SLOW = 1.5  # times the series' duration
MAX_PRODUCTS = 2_000_000  # of samples and weights, in a forward pass; a larger batch is cut
MAX_OF_LOOP = 2.5e9  # products in all forward passes of the loop for one array
MAX_PAIRS = 2**22  # pairs of sample and unit whose kinks are counted
WEIGHTS = 10  # checked of each array
GOOD = 2.0  # the error at the recommended step, in units of the smallest
REACHED = 0.75  # share of pairs whose window should hold a jump, where there is no slope


@dataclass(frozen=True)
class Case:
    """The gradient that is checked: of a network at its weights, for some samples."""

    net: TwoLayerNet
    X: Array
    labels: npt.NDArray[np.intp]
    h: float
    method: str

    def quotients(self, weights: Sequence[Weight], h: float, method: str) -> Array:
        """Return the entries of the gradient of `method` for `weights`; the loop is run for these alone."""
        if method != "loop":
            gradient = self.net.numerical_gradient(self.X, self.labels, h=h, method=method)
            return np.array([gradient[key][index] for key, index in weights])
        params = [self.net.params[key][tuple(slice(i, i + 1) for i in index)] for key, index in weights]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NumericalWarning)  # an h that is lost to rounding is part of the curve
            return np.array([textbook_gradient(lambda _: self.loss(), param, h).item() for param in params])

    def loss(self) -> float:
        """Return the mean loss as the loop does, in one forward pass."""
        return mean_loss(self.net.logits(self.X), self.labels)


@dataclass(frozen=True)
class Curve:
    """What was measured by step: errors against the slope, or where jumps leave no slope, shares of windows."""

    what: str
    h: Array  # falling, the configured one among them
    columns: dict[str, Array]  # errors are in units of the largest slope; nan is unknown
    recommended: float  # an h; nan for none
    slope_error: float = math.nan  # nan where there is no slope


@dataclass(frozen=True)
class Check:
    """All that was found out about the gradient of a run."""

    run: Run
    n_samples: int  # of the batch, cut when it is long
    n_batch: int
    weights: list[Weight]
    truth: Array  # the quotients of the weights in extended precision
    engine: Array  # by the configured method
    loop: Array
    bound: float  # of the engine's error; nan where none is promised
    curve: Curve
    kinks: list[Kink]
    a: Array  # (n, hidden_units), the inputs of the activation
    met: Array  # pairs of sample and unit whose window holds a kink, by unit
    slow_steps: list[str]  # why "auto" takes longer than the series, where it does

    @property
    def scale(self) -> float:
        """The largest entry among the weights, in nats a sample per unit of the weight."""
        return float(np.abs(self.truth).max()) or 1.0

    def errors(self, quotients: Array) -> Array:
        """Return the errors of the weights' quotients, in units of the scale; infinite for nan."""
        return np.nan_to_num(np.abs(quotients - self.truth), nan=np.inf) / self.scale

    @property
    def ok(self) -> bool:
        """Whether the engine keeps its bound."""
        return math.isnan(self.bound) or bool(self.errors(self.engine).max() <= self.bound)


@blas_threads()
def check(run: Run) -> Check:
    """Measure the gradient of `run` at its first weights, on the first batch of its training.

    Parameters
    ----------
    run : Run, as `prepare` returns it; its network is left as it is

    Returns
    -------
    Check

    Raises
    ------
    DivergedError
        When the loss of the first weights is not finite.
    """
    net, data, training, gradient = run.net, run.dataset, run.config.training, run.config.gradient
    first = next(net.samples(data.X_train, data.y_train).batches(training.batch_size, run.config.seed, 1))
    batch = Case(net, first.X, first.labels, gradient.h, gradient.method)
    if not math.isfinite(loss := batch.loss()):
        rate = run.optimizer.learning_rate
        raise DivergedError(1, 1, rate, loss, advice(net, first, gradient.h, rate, net.params))
    n_samples = max(1, min(len(first), MAX_PRODUCTS // net.n_parameters))
    case = replace(batch, X=batch.X[:n_samples], labels=batch.labels[:n_samples])
    weights = draw_weights(case, run.config.seed)
    extended = Extended(net, case.X, case.labels)
    truth = extended.truth(weights, case.h).astype(np.float64)
    X = data.X_train[: max(1, MAX_PAIRS // max(net.shapes["W1"]))]
    a = X @ net.params["W1"] + net.params["b1"]
    farthest = max(1.0, case.h) * max(1.0, float(np.abs(X).max()))
    kinks = find_kinks(net.activation, float(a.min()) - farthest, float(a.max()) + farthest)
    windows, has_jumps = reaches(a, X, kinks), any(kink.is_jump for kink in kinks)
    counted = copy(net)  # which has counted no fallbacks yet
    counted.numerical_gradient(batch.X, batch.labels, h=batch.h)
    return Check(
        run=run,
        n_samples=n_samples,
        n_batch=len(first),
        weights=weights,
        truth=truth,
        engine=case.quotients(weights, case.h, case.method),
        loop=case.quotients(weights, case.h, "loop"),
        bound=bound(case, float(np.abs(truth).max()) or 1.0) if case.method in ("auto", "exact") else math.nan,
        curve=shares_of_windows(windows, case.h) if has_jumps else error_curve(case, weights, extended),
        kinks=kinks,
        a=a,
        met=np.count_nonzero(windows <= case.h, axis=0),
        slow_steps=counted.slow_steps(SLOW),
    )


def draw_weights(case: Case, seed: int) -> list[Weight]:
    """Return up to 10 weights of every array, drawn at random, the one of the largest entry among them."""
    passes = MAX_OF_LOOP / (len(case.X) * case.net.n_parameters)
    number = int(min(WEIGHTS, max(1, passes / (2 * len(STEPS)))))  # fewer where a forward pass takes long
    rng = np.random.default_rng(seed)
    method = "auto" if case.method == "loop" else case.method
    gradient = case.net.numerical_gradient(case.X, case.labels, h=case.h, method=method)
    return [(key, index) for key, entries in gradient.items() for index in sorted(sample_indices(entries, number, rng))]


def bound(case: Case, scale: float) -> float:
    """Return what the error of "auto" and "exact" may be, in units of `scale`: docs/fast_gradient.md, section 3.

    It is 1e-9 of the largest entry, and rounding, with that of extended precision itself.
    """
    size = max(1.0, case.loss(), float(np.abs(case.net.logits(case.X)).max()))
    return 1e-9 + (rounding_bound(case.net, case.X, case.labels, case.h) + 4 * EPS * size / case.h) / scale


def rounding_bound(net: TwoLayerNet, X: Array, labels: npt.NDArray[np.intp], h: float) -> float:
    """Return what the rounding of a shifted activation, 4 eps max(1, |a|) / h, may be in an entry of the gradient.

    A move of the activation changes the loss by at most 1 − p of the label times the range of a unit's weights.
    """
    a = max(1.0, float(np.abs(X @ net.params["W1"] + net.params["b1"]).max()))
    others = net.predict_proba(X)
    others[np.arange(len(labels)), labels] = 0.0
    unit = float(others.sum(axis=1).mean()) * max(1.0, float(np.ptp(net.params["W2"], axis=1).max()))
    return 4 * float(np.finfo(np.float64).eps) * a / h * unit


def error_curve(case: Case, weights: Sequence[Weight], extended: Extended) -> Curve:
    """Return the errors of the engine, the loop and the quotient itself by step.

    The widest step whose error is within twice the smallest is recommended: rounding only falls with h.
    """
    slopes, slope_errors = (values.astype(np.float64) for values in extended.slopes(weights))
    scale = float(np.abs(slopes).max()) or 1.0
    steps = with_step(STEPS, case.h)

    def errors(quotients: Callable[..., npt.NDArray[Any]], *method: str) -> Array:
        found = [quotients(weights, h, *method).astype(np.float64) for h in steps]
        return np.asarray(np.abs(np.array(found) - slopes).max(axis=1) / scale)

    columns = {method: errors(case.quotients, method) for method in dict.fromkeys((case.method, "loop"))}
    truncation = errors(extended.quotients)
    slope_error = float(slope_errors.max()) / scale
    rounding = EPS * max(1.0, float(np.abs(extended.logits).max())) / (steps * scale)
    truncation[truncation < 4 * np.maximum(rounding, slope_error)] = np.nan
    own = np.nan_to_num(columns[case.method], nan=np.inf)
    recommended = float(steps[np.flatnonzero(own <= GOOD * own.min())[0]])
    what = "error against the slope, the limit of the quotient for h to 0"
    return Curve(what, steps, columns | {"truncation": truncation}, recommended, slope_error)


def shares_of_windows(windows: Array, h: float) -> Curve:
    """Return the share of the windows that hold a jump by step; where three quarters do is recommended."""
    steps = with_step(WIDTHS, h)
    shares = np.array([np.mean(windows <= step) for step in steps])
    recommended = float(np.quantile(windows, REACHED)) or math.nan
    return Curve("share of the windows that hold a jump of the activation", steps, {"share": shares}, recommended)


def with_step(steps: Array, h: float) -> Array:
    """Return `steps` in falling order, `h` among them."""
    return np.sort(np.append(steps[np.abs(np.log(steps / h)) > 1e-6], h))[::-1]
