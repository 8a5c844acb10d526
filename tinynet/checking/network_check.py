"""The gradient of a run measured on its own network and data: error, step size and kinks, as text and figure."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tinynet.artifacts.environment import blas_threads
from tinynet.checking.entries import label, sample_indices
from tinynet.checking.extended_precision import EPS, Extended, Weight
from tinynet.checking.slopes import Kink, find_kinks
from tinynet.config.building import Run
from tinynet.errors import DivergedError, NumericalWarning
from tinynet.gradients.numerical import textbook_gradient
from tinynet.losses import mean_loss
from tinynet.network import TwoLayerNet
from tinynet.reports.plots import COLOURS, new_figure, save_figure
from tinynet.reports.text import paragraph, table
from tinynet.storage.writing import write_atomically
from tinynet.training.divergence import advice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
NAMED_UNITS, NAMED_KINKS = 5, 6
FLOOR = 1e-17  # an error of 0 has no place on a logarithmic axis


@dataclass(frozen=True)
class Curve:
    """What was measured by step: errors against the slope, or where jumps leave no slope, shares of windows."""

    what: str
    h: Array  # falling, the configured one among them
    columns: dict[str, Array]  # errors are in units of the largest slope; nan is unknown
    recommended: float  # an h; nan for none
    slope_error: float = math.nan  # nan where there is no slope


class Check:
    """The gradient of a run at its first weights, on the first batch of its training.

    Attributes
    ----------
    weights : list of pairs (key, index)
        Up to 10 of each array, drawn at random, the one of the largest entry among them.
    truth, got : arrays
        Their quotients in extended precision, and by the configured method.
    scale : float
        The largest of `truth`, in nats a sample per unit of the weight.
    errors : dict of arrays
        Of the configured method and of the loop, by weight, in units of the scale; infinite for nan.
    bound : float
        What an error of the configured method may be; nan where none is promised.
    curve : Curve
    kinks : list of Kink
    a : array, shape (n_samples, hidden_units)
        The inputs of the activation.
    met : array
        The pairs of sample and unit whose window holds a kink, counted by unit.
    slowdown_remarks : list of str
        Why "auto" takes longer than the series, where it does.
    """

    def __init__(self, run: Run) -> None:
        net, data, training, gradient = run.net, run.dataset, run.config.training, run.config.gradient
        self.run, self.net, self.h, self.method = run, net, gradient.h, gradient.method
        first = next(net.samples(data.X_train, data.y_train).batches(training.batch_size, run.config.seed, 1))
        self.n_batch, n_samples = len(first), max(1, min(len(first), MAX_PRODUCTS // net.n_parameters))
        if not math.isfinite(loss := mean_loss(net.logits(first.X), first.labels)):
            rate = run.optimizer.learning_rate
            raise DivergedError(1, 1, rate, loss, advice(net, first, self.h, rate, net.params))
        counted = copy(net)  # which has counted no fallbacks yet
        counted.numerical_gradient(first.X, first.labels, h=self.h)
        self.slowdown_remarks = counted.slowdown_remarks(SLOW)
        self.X, self.labels = first.X[:n_samples], first.labels[:n_samples]
        self.weights = self._draw_weights()
        extended = Extended(net, self.X, self.labels)
        self.truth = extended.truth(self.weights, self.h).astype(np.float64)
        self.scale = float(np.abs(self.truth).max()) or 1.0
        found = {method: self.quotients(method, self.h) for method in (self.method, "loop")}
        self.got = found[self.method]
        self.errors = {m: np.nan_to_num(np.abs(q - self.truth), nan=np.inf) / self.scale for m, q in found.items()}
        promised = self.method in ("auto", "exact")
        self.bound = bound(net, self.X, self.labels, self.h, self.scale) if promised else math.nan
        X = data.X_train[: max(1, MAX_PAIRS // max(net.shapes["W1"]))]
        self.a = X @ net.params["W1"] + net.params["b1"]
        farthest = max(1.0, self.h) * max(1.0, float(np.abs(X).max()))
        self.kinks = find_kinks(net.activation, float(self.a.min()) - farthest, float(self.a.max()) + farthest)
        windows = reaches(self.a, X, self.kinks)
        self.met = np.count_nonzero(windows <= self.h, axis=0)
        has_jumps = any(kink.is_jump for kink in self.kinks)
        self.curve = self._shares_of_windows(windows) if has_jumps else self._error_curve(extended)

    def quotients(self, method: str, h: float) -> Array:
        """Return the entries of the gradient of `method` for the weights; the loop is run for these alone."""
        if method != "loop":
            gradient = self.net.numerical_gradient(self.X, self.labels, h=h, method=method)
            return np.array([gradient[key][index] for key, index in self.weights])
        params = [self.net.params[key][tuple(slice(i, i + 1) for i in index)] for key, index in self.weights]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NumericalWarning)  # an h that is lost to rounding is part of the curve
            return np.array([textbook_gradient(self._loss, param, h).item() for param in params])

    def _loss(self, _: Any) -> float:
        return mean_loss(self.net.logits(self.X), self.labels)

    def _draw_weights(self) -> list[Weight]:
        passes = MAX_OF_LOOP / (len(self.X) * self.net.n_parameters)
        number = int(min(WEIGHTS, max(1, passes / (2 * len(STEPS)))))  # fewer where a forward pass takes long
        rng = np.random.default_rng(self.run.config.seed)
        method = "auto" if self.method == "loop" else self.method
        gradient = self.net.numerical_gradient(self.X, self.labels, h=self.h, method=method)
        return [(key, i) for key, entries in gradient.items() for i in sorted(sample_indices(entries, number, rng))]

    def _error_curve(self, extended: Extended) -> Curve:
        """Return the errors of the engine, the loop and the quotient itself by step.

        The widest step whose error is within twice the smallest is recommended: rounding only falls with h.
        """
        slopes, slope_errors = (values.astype(np.float64) for values in extended.slopes(self.weights))
        scale, steps = float(np.abs(slopes).max()) or 1.0, _with_step(STEPS, self.h)
        ways: dict[str, Callable[[float], Any]] = {method: partial(self.quotients, method) for method in self.errors}
        ways["truncation"] = partial(extended.quotients, self.weights)
        quotients = {name: np.array([way(h) for h in steps]).astype(np.float64) for name, way in ways.items()}
        columns = {name: np.abs(found - slopes).max(axis=1) / scale for name, found in quotients.items()}
        slope_error = float(slope_errors.max()) / scale
        rounding = EPS * max(1.0, float(np.abs(extended.logits).max())) / (steps * scale)
        columns["truncation"][columns["truncation"] < 4 * np.maximum(rounding, slope_error)] = np.nan
        known = np.nan_to_num(columns[self.method], nan=np.inf)
        recommended = float(steps[known <= GOOD * known.min()][0])
        what = "error against the slope, the limit of the quotient for h to 0"
        return Curve(what, steps, columns, recommended, slope_error)

    def _shares_of_windows(self, windows: Array) -> Curve:
        steps = _with_step(WIDTHS, self.h)
        shares = np.array([np.mean(windows <= step) for step in steps])
        recommended = float(np.quantile(windows, REACHED)) or math.nan
        return Curve("share of the windows that hold a jump of the activation", steps, {"share": shares}, recommended)

    def fault(self) -> str | None:
        """Return, in a line, how the engine breaks its bound; None when it keeps it."""
        worst = int(self.errors[self.method].argmax())
        error, place = self.errors[self.method][worst], label(*self.weights[worst])
        if math.isnan(self.bound) or error <= self.bound:
            return None
        return (
            f"the error of {self.method} is {error:.1e} of the largest entry, above its bound of {self.bound:.1e}: "
            f"{place} is {self.got[worst]:.9g}, and in extended precision {self.truth[worst]:.9g}"
        )

    def text(self) -> str:
        """Return the numbers in lines of at most 80 columns; docs/check.md says how to read them."""
        samples = f"samples {len(self.X)} of {self.n_batch} in the first batch"
        weights = f"weights {len(self.weights)}, seed {self.run.config.seed}; largest entry {self.scale:.3g}"
        parts = [self._engine_text(), self._curve_text(), self._kinks_text(), *map(paragraph, self.slowdown_remarks)]
        return "\n\n".join([f"{headline(self.run)}\n{samples}; {weights}", *parts]) + "\n"

    def _engine_text(self) -> str:
        rows = [["", "weights", *self.errors, f"worst of {self.method}"]]
        for key in self.net.params:
            of_key = np.array([name == key for name, _ in self.weights])
            largest = (f"{errors[of_key].max():.1e}" for errors in self.errors.values())
            worst = self.weights[int(np.where(of_key, self.errors[self.method], -1.0).argmax())]
            rows.append([key, f"{of_key.sum()}", *largest, label(*worst)])
        verdict = "kept" if self.fault() is None else "EXCEEDED"
        if math.isnan(self.bound):
            verdict = f'none is promised for method "{self.method}"'
        elif not self.bound < 1.0:
            verdict = "not meaningful: losses this large lose too many digits even in extended precision"
        title = f"THE ENGINE against extended precision (np.longdouble, eps {EPS:.1e})"
        return "\n".join([title, *table(rows), f"bound  {self.bound:.1e}  {verdict}"])

    def _marks(self) -> dict[str, float]:
        """Return the steps that are named in the table and in the figure."""
        return {"your h": self.h, "recommended": self.curve.recommended}

    def _curve_text(self) -> str:
        """Return the table of the step: whole powers of ten, and what is marked."""
        curve, rows = self.curve, [["h", *self.curve.columns, ""]]
        form = ".1e" if curve.slope_error >= 0 else ".4f"
        for n, h in enumerate(curve.h):
            marks = [mark for mark, at in self._marks().items() if at == h]
            if marks or abs(math.log10(h) - round(math.log10(h))) < 1e-6:
                values = (f"{column[n]:{form}}".replace("nan", "") for column in curve.columns.values())
                rows.append([f"{h:.2g}", *values, ", ".join(marks)])
        last = f"Recommended: h = {curve.recommended:.1g}" if curve.recommended > 0 else "None is recommended"
        if curve.slope_error >= 0:
            last += f"; the slope is known to {max(curve.slope_error, EPS):.0e}"
        return "\n".join([f"THE STEP: {curve.what}", *table(rows), last])

    def _kinks_text(self) -> str:
        name, a, met = self.net.activation.name, self.a, int(self.met.sum())
        if not self.kinks:
            return f"KINKS\n{name} has none between {a.min():.3g} and {a.max():.3g}"
        places = " ".join(f"{kink.at:.4g}" for kink in self.kinks[:NAMED_KINKS])
        units = [unit for unit in np.argsort(-self.met, kind="stable")[:NAMED_UNITS] if self.met[unit]]
        return (
            f"KINKS of {name}\n"
            f"places   {len(self.kinks)}, at a = {places}\n"
            f"windows  {met:,} of {a.size:,} pairs of sample and unit, {100 * met / a.size:.3g} %\n"
            f"units    {' '.join(f'{unit} ({self.met[unit]:,})' for unit in units) or 'none'}"
        )

    def figure(self) -> Figure:
        """Return a figure of two panels: what was measured by step, and the inputs of the activation."""
        figure, curve = new_figure(10.0, 3.8), self.curve
        steps, inputs = figure.subplots(1, 2, width_ratios=(5, 4))
        for (name, values), colour, style in zip(curve.columns.items(), COLOURS, ("o-", "s-", "d--"), strict=False):
            steps.plot(curve.h, np.maximum(values, FLOOR), style, color=colour, markersize=4, label=name)
        for (mark, h), style in zip(self._marks().items(), (":", "--"), strict=True):
            steps.axvline(h, color="black", linewidth=0.8, linestyle=style, label=mark)
        steps.set(title=curve.what, xlabel="h", xscale="log", yscale="log" if curve.slope_error >= 0 else "linear")
        steps.legend(frameon=False, fontsize="small")
        inputs.hist(self.a.ravel(), bins=80, color=COLOURS[5])
        for kink in self.kinks:
            inputs.axvline(kink.at, color=COLOURS[1], linewidth=1.0)
        share = 100 * float(self.met.sum()) / self.a.size
        inputs.set(title=f"{share:.3g} % of the windows hold a kink (line)" if self.kinks else "no kinks")
        inputs.set(xlabel="a, the input of a unit", ylabel="pairs of sample and unit")
        tidy(steps, inputs)
        return figure


@blas_threads()
def check(run: Run) -> Check:
    """Measure the gradient of `run`, as `prepare` returns it, and leave its network as it is.

    Raises
    ------
    DivergedError
        When the loss of the first weights is not finite.
    """
    return Check(run)


def bound(net: TwoLayerNet, X: Array, labels: npt.NDArray[np.intp], h: float, scale: float) -> float:
    """Return what the error of "auto" and "exact" may be, in units of `scale`: docs/fast_gradient.md, section 3.

    It is 1e-9 of the largest entry, and rounding, with that of extended precision itself.
    """
    logits = net.logits(X)
    size = max(1.0, mean_loss(logits, labels), float(np.abs(logits).max()))
    return 1e-9 + (rounding_bound(net, X, labels, h) + 4 * EPS * size / h) / scale


def rounding_bound(net: TwoLayerNet, X: Array, labels: npt.NDArray[np.intp], h: float) -> float:
    """Return what the rounding of a shifted activation, 4 eps max(1, |a|) / h, may be in an entry of the gradient.

    A move of the activation changes the loss by at most 1 − p of the label times the range of a unit's weights.
    """
    a = max(1.0, float(np.abs(X @ net.params["W1"] + net.params["b1"]).max()))
    others = net.predict_proba(X)
    others[np.arange(len(labels)), labels] = 0.0
    unit = float(others.sum(axis=1).mean()) * max(1.0, float(np.ptp(net.params["W2"], axis=1).max()))
    return 4 * float(np.finfo(np.float64).eps) * a / h * unit


def reaches(a: Array, X: Array, kinks: Sequence[Kink]) -> Array:
    """Return the smallest h at which the window of each pair (sample, unit) holds a kink, shape as `a`.

    The window is a ± h max(1, |x|), with the largest x of the sample: as far as one weight or bias moves a. It is
    infinite where there is no kink.
    """
    places = np.array([-np.inf, *(kink.at for kink in kinks), np.inf])
    above = np.searchsorted(places[1:-1], a) + 1
    distances = np.minimum(a - places[above - 1], places[above] - a)
    return np.asarray(distances / np.maximum(1.0, np.abs(X).max(axis=1, keepdims=True)))


def _with_step(steps: Array, h: float) -> Array:
    """Return `steps` in falling order, `h` among them."""
    return np.sort(np.append(steps[np.abs(np.log(steps / h)) > 1e-6], h))[::-1]


def write_check(folder: Path, name: str, text: str, figure: Figure) -> Path:
    """Write NAME.txt and NAME.png into `folder`, and return where the figure is."""
    write_atomically(folder / f"{name}.txt", text.encode())
    save_figure(figure, folder / f"{name}.png")
    return folder / f"{name}.png"


def headline(run: Run) -> str:
    """Return network and gradient of a run."""
    config, net = run.config, run.net
    sizes = "-".join(str(size) for size in (*net.shapes["W1"], net.shapes["b2"][0]))
    return paragraph(
        f"{config.name}: network {sizes} ({net.activation.name}), {net.n_parameters:,} parameters; "
        f"method {config.gradient.method}, h = {config.gradient.h:g}"
    )


def tidy(*panels: Axes) -> None:
    """Give panels a faint grid and two open sides."""
    for ax in panels:
        ax.grid(alpha=0.3, linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
