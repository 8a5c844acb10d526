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
from tinynet.checking.extended_precision import EPS, Extended, Weight
from tinynet.checking.inspection import sample_indices
from tinynet.checking.kinks import Kink, find_kinks, reaches, share_of_moves
from tinynet.checking.mistakes import label
from tinynet.config.building import Run
from tinynet.errors import DivergedError, NumericalWarning
from tinynet.gradients.numerical import textbook_gradient
from tinynet.losses import mean_loss
from tinynet.network import TwoLayerNet
from tinynet.training.divergence import advice

Array = npt.NDArray[np.float64]

STEPS = 10.0 ** np.arange(0.0, -12.5, -0.5)  # of the curve
SLOW = 1.5  # times the series' duration
MOST_PRODUCTS = 2_000_000  # of samples and weights, in a forward pass; a larger batch is cut
MOST_OF_LOOP = 2.5e9  # products in all forward passes of the loop for one array
MOST_PAIRS = 2**22  # pairs of sample and unit whose kinks are counted
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
class Agreement:
    """The errors of one array's weights against extended precision, in units of the largest entry of all."""

    key: str
    n_weights: int
    engine: float
    loop: float
    engine_to_loop: float
    worst: str  # W1[3, 7]
    got: float
    expected: float


@dataclass(frozen=True)
class Curve:
    """The error against the slope by step, in units of the largest slope."""

    h: Array
    engine: Array
    loop: Array
    truncation: Array  # of the quotient itself; nan where extended precision does not resolve it
    slope_error: float
    recommended: int  # where in `h`
    recommended_for_loop: int
    chosen: int


@dataclass(frozen=True)
class Census:
    """Which windows of pairs (sample, unit) hold a kink or a jump of the activation."""

    kinks: list[Kink]
    a: Array  # (n, hidden_units), the inputs of the activation
    n_pairs: int
    met: Array  # pairs, by unit
    h: Array
    shares: Array  # of the windows, by h
    moves: Array  # shares of the moves of one weight of W1 in one sample, by h
    chosen: int  # where in `h`
    recommended: float  # the h at which three quarters of the windows hold a kink; nan without kinks

    @property
    def has_jumps(self) -> bool:
        """Whether a derivative of the loss would miss something that a difference sees."""
        return any(kink.is_jump for kink in self.kinks)


@dataclass(frozen=True)
class Check:
    """All that was found out about the gradient of a run."""

    run: Run
    n_samples: int  # of the batch, cut when it is long
    n_batch: int
    weights: list[Weight]
    scale: float  # the largest entry among them, in nats a sample per unit of the weight
    agreements: list[Agreement]
    bound: float  # of the engine, in units of the scale; nan where none is promised
    curve: Curve | None  # None where jumps leave no slope to compare with
    census: Census
    slow_steps: list[str]  # why "auto" takes longer than the series, where it does

    @property
    def worst(self) -> Agreement:
        """The array with the largest error of the engine."""
        return max(self.agreements, key=lambda agreement: agreement.engine)

    @property
    def ok(self) -> bool:
        """Whether the engine keeps its bound."""
        return math.isnan(self.bound) or self.worst.engine <= self.bound


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
    n_samples = max(1, min(len(first), MOST_PRODUCTS // net.n_parameters))
    case = replace(batch, X=batch.X[:n_samples], labels=batch.labels[:n_samples])
    weights = draw_weights(case, run.config.seed)
    extended = Extended(net, case.X, case.labels)
    truth = extended.truth(weights, case.h).astype(np.float64)
    scale = float(np.abs(truth).max()) or 1.0
    census = count_kinks(net, data.X_train, case.h)
    return Check(
        run=run,
        n_samples=n_samples,
        n_batch=len(first),
        weights=weights,
        scale=scale,
        agreements=agreements(case, weights, truth, scale),
        bound=bound(case, scale) if case.method in ("auto", "exact") else math.nan,
        curve=None if census.has_jumps else error_curve(case, weights, extended),
        census=census,
        slow_steps=slow_steps(batch),
    )


def draw_weights(case: Case, seed: int) -> list[Weight]:
    """Return up to 10 weights of every array, drawn at random, the one of the largest entry among them."""
    passes = MOST_OF_LOOP / (len(case.X) * case.net.n_parameters)
    number = int(min(WEIGHTS, max(1, passes / (2 * len(STEPS)))))  # fewer where a forward pass takes long
    rng = np.random.default_rng(seed)
    method = "auto" if case.method == "loop" else case.method
    gradient = case.net.numerical_gradient(case.X, case.labels, h=case.h, method=method)
    weights: list[Weight] = []
    for key, entries in gradient.items():
        largest = int(np.nan_to_num(np.abs(entries)).argmax())
        place = tuple(int(i) for i in np.unravel_index(largest, entries.shape))
        others = [index for index in sample_indices(entries.shape, number, rng) if index != place]
        weights += [(key, index) for index in sorted({place, *others[: number - 1]})]
    return weights


def agreements(case: Case, weights: Sequence[Weight], truth: Array, scale: float) -> list[Agreement]:
    """Return the errors of engine and loop against `truth`, array by array."""
    engine, loop = (case.quotients(weights, case.h, method) for method in (case.method, "loop"))
    found = []
    for key in case.net.params:
        own = [n for n, (name, _) in enumerate(weights) if name == key]
        errors = np.nan_to_num(np.abs(engine - truth)[own], nan=np.inf)
        worst = own[int(errors.argmax())]
        found.append(
            Agreement(
                key=key,
                n_weights=len(own),
                engine=float(errors.max()) / scale,
                loop=float(np.abs(loop - truth)[own].max()) / scale,
                engine_to_loop=float(np.abs(engine - loop)[own].max()) / scale,
                worst=label(*weights[worst]),
                got=float(engine[worst]),
                expected=float(truth[worst]),
            )
        )
    return found


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
    """Return the errors of the engine, the loop and the quotient itself by step, the chosen h among the steps."""
    slopes, slope_errors = (values.astype(np.float64) for values in extended.slopes(weights))
    scale = float(np.abs(slopes).max()) or 1.0
    steps = with_step(STEPS, case.h)

    def errors(quotients: Callable[[float], npt.NDArray[Any]]) -> Array:
        return np.array([float(np.abs(quotients(h).astype(np.float64) - slopes).max()) for h in steps]) / scale

    engine = errors(lambda h: case.quotients(weights, h, case.method))
    loop = engine if case.method == "loop" else errors(lambda h: case.quotients(weights, h, "loop"))
    truncation = errors(lambda h: extended.quotients(weights, h))
    slope_error = float(slope_errors.max()) / scale
    rounding = EPS * max(1.0, float(np.abs(extended.logits).max())) / (steps * scale)
    truncation[truncation < 4 * np.maximum(rounding, slope_error)] = np.nan
    return Curve(
        h=steps,
        engine=engine,
        loop=loop,
        truncation=truncation,
        slope_error=slope_error,
        recommended=recommended(engine),
        recommended_for_loop=recommended(loop),
        chosen=int(np.flatnonzero(steps == case.h)[0]),
    )


def with_step(steps: Array, h: float) -> Array:
    """Return `steps` in falling order, `h` among them."""
    return np.sort(np.append(steps[np.abs(np.log(steps / h)) > 1e-6], h))[::-1]


def recommended(errors: Array) -> int:
    """Return the place of the widest step whose error is within twice the smallest: rounding only falls with h."""
    errors = np.nan_to_num(errors, nan=np.inf)
    return int(np.flatnonzero(errors <= GOOD * errors.min())[0])


def count_kinks(net: TwoLayerNet, X: Array, h: float) -> Census:
    """Count the pairs of the first rows of `X` and hidden units whose window holds a kink."""
    n_units = net.shapes["b1"][0]
    X = X[: max(1, MOST_PAIRS // max(net.shapes["W1"]))]
    a = X @ net.params["W1"] + net.params["b1"]
    reach = max(1.0, h) * max(1.0, float(np.abs(X).max()))
    kinks = find_kinks(net.activation, float(a.min()) - reach, float(a.max()) + reach)
    windows = reaches(a, X, kinks)
    steps = with_step(np.append([10.0, 10**0.5], STEPS[STEPS > 1e-6]), h)
    return Census(
        kinks=kinks,
        a=a,
        n_pairs=len(X) * n_units,
        met=np.count_nonzero(windows <= h, axis=0),
        h=steps,
        shares=np.array([np.mean(windows <= step) for step in steps]),
        moves=share_of_moves(a, X, kinks, steps),
        chosen=int(np.flatnonzero(steps == h)[0]),
        recommended=float(f"{np.quantile(windows, REACHED):.1g}") if kinks else math.nan,
    )


def slow_steps(batch: Case) -> list[str]:
    """Return why a gradient of method "auto" takes longer than its series, where counts predict half as long again."""
    net = copy(batch.net)  # which has counted nothing yet
    net.numerical_gradient(batch.X, batch.labels, h=batch.h)
    return net.slow_steps(SLOW)
