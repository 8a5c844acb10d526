"""The parity certificate: a training by difference quotients beside its twin by backpropagation, step by step.

Backpropagation lives here, to be compared with; no training uses it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tinynet.activations import NAMED, Activation, sigmoid
from tinynet.artifacts.environment import blas_threads
from tinynet.checking.entries import label, largest_entry
from tinynet.checking.network_check import headline, reaches, rounding_bound, tidy
from tinynet.checking.slopes import EPS, find_kinks
from tinynet.config.building import Run, schedule_of
from tinynet.errors import ConfigError, DivergedError
from tinynet.losses import softmax
from tinynet.reports.plots import COLOURS, new_figure
from tinynet.reports.text import paragraph, table
from tinynet.training.loop import train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
EPOCH_ROWS = 30  # of the table, beside the powers of two
PARITY_DIGITS = 3  # to which the curves must agree: more than a figure shows


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


class Parity:
    """Training twice: an optimizer that updates a network as SGD does, and with every step a twin by backpropagation.

    Attributes
    ----------
    gaps : list of float
        By step, the largest difference of the gradients at the same weights, in units of the largest entry.
    distances : list of float
        By step, as those of the moments.
    moments : list of Moment
        At powers of two and the ends of epochs.
    first : dict of Gap
        The first "above rounding", the first "beyond truncation" of the quotient, and the first "unexplained",
        without a kink in any window.
    diverged : DivergedError, or None
    """

    def __init__(self, run: Run) -> None:
        data, config = run.dataset, run.config
        self.run, self.net, self.twin = run, run.net, deepcopy(run.net)
        self.optimizers = (run.optimizer, deepcopy(run.optimizer))
        self.learning_rate = run.optimizer.learning_rate  # which `train` sets
        self.samples, size = run.net.samples(data.X_train, data.y_train), config.training.batch_size
        self.batches = chain.from_iterable(self.samples.batches(size, config.seed, epoch) for epoch in count(1))
        self.kinks = find_kinks(run.net.activation, -10.0, 10.0)
        self.gaps: list[float] = []
        self.distances: list[float] = []
        self.moments: list[Moment] = []
        self.first: dict[str, Gap] = {}
        self.diverged: DivergedError | None = None
        self.n_steps = math.ceil(len(self.samples) / size)  # an epoch
        self._note()

    def update(self, params: dict[str, Array], grads: dict[str, Array]) -> None:
        """Take one step with both, and keep how far they are apart."""
        batch = next(self.batches)
        self._compare(grads, batch.X, batch.labels)
        with np.errstate(over="ignore", invalid="ignore"):  # a twin that diverges is part of what is found
            own = backpropagation(self.twin.params, self.twin.activation, batch.X, batch.labels)
            for optimizer in self.optimizers:
                optimizer.learning_rate = self.learning_rate
            self.optimizers[0].update(params, grads)
            self.optimizers[1].update(self.twin.params, own)
            self.distances.append(self._distance())
            step = len(self.gaps)
            if step & (step - 1) == 0 or step % self.n_steps == 0:
                self._note()

    def _distance(self) -> float:
        ours, twin = (np.concatenate([p.ravel() for p in net.params.values()]) for net in (self.net, self.twin))
        unit = float(np.abs(ours).max()) or 1.0  # so that no square overflows
        return float(np.linalg.norm((ours - twin) / unit) / np.linalg.norm(ours / unit))

    def _note(self) -> None:
        losses = (net.evaluate(self.samples)[0] for net in (self.net, self.twin))
        self.moments.append(Moment(len(self.gaps), len(self.gaps) / self.n_steps, self._distance(), *losses))

    def _compare(self, grads: dict[str, Array], X: Array, labels: Array) -> None:
        """Compare the quotient with the derivative at the same weights; the first gaps of each kind are kept."""
        net, h = self.net, self.run.config.gradient.h
        derivative = backpropagation(net.params, net.activation, X, labels)
        scale = max(float(np.abs(entries).max()) for entries in derivative.values()) or 1.0
        gaps = {key: np.abs(grads[key] - derivative[key]) for key in grads}
        key = max(gaps, key=lambda key: float(gaps[key].max()))
        index = largest_entry(gaps[key])
        size = float(gaps[key][index]) / scale
        self.gaps.append(size)
        rounding = ORDINARY + rounding_bound(net, X, labels, h) / scale
        if size <= rounding:
            return
        windows = reaches(X @ net.params["W1"] + net.params["b1"], X, self.kinks)
        met = int(np.count_nonzero(windows <= h))
        values = float(grads[key][index]), float(derivative[key][index])
        gap = Gap(len(self.gaps), size, met, label(key, index), *values)
        self.first.setdefault("above rounding", gap)
        farthest = h * max(1.0, float(np.abs(X).max())) * max(1.0, float(np.ptp(net.params["W2"], axis=1).max()))
        if size <= rounding + MARGIN * farthest**2:  # as far as h moves a logit, squared: the order of the truncation
            return
        self.first.setdefault("beyond truncation", gap)
        narrow, wide = (net.numerical_gradient(X, labels, h=step, method="exact") for step in (h, 2 * h))
        truncation = max(float(np.abs(wide[key] - narrow[key]).max()) for key in narrow) / 3  # it goes with h²
        if not met and size > rounding + MARGIN * truncation / scale:
            self.first.setdefault("unexplained", gap)

    def text(self) -> str:
        """Return the certificate as lines of at most 80 columns; docs/check.md says how to read it."""
        head = f"{headline(self.run)}\ntrained twice, seed {self.run.config.seed}"
        return "\n\n".join([head, self._moments_text(), self._gaps_text(), self._verdict()]) + "\n"

    def fault(self) -> str | None:
        """Return what is wrong, in a line; None when nothing is."""
        loss, gap = self.moments[-1].backpropagation_loss, self.first.get("unexplained")
        if self.diverged is not None:
            return str(self.diverged)
        if not math.isfinite(loss):
            return f"the loss of the training by backpropagation became {loss}; try a smaller learning rate"
        return (
            None
            if gap is None
            else (
                f"parity is not shown: in step {gap.step} the gradients differ by {gap.size:.1e} of the largest entry, "
                f"most in {gap.entry}; neither rounding nor truncation explains so much, and no kink is near"
            )
        )

    def _moments_text(self) -> str:
        rows = [["step", "epoch", "distance", "loss", "by backprop.", "digits"]]
        every = math.ceil(self.run.config.training.epochs / EPOCH_ROWS)
        for m in self.moments:
            if m.step & (m.step - 1) == 0 or m.epoch % every == 0 or m is self.moments[-1]:
                digits = "all" if m.digits == math.inf else "?" if math.isnan(m.digits) else f"{max(0.0, m.digits):.1f}"
                losses = (f"{loss:#.10g}" for loss in (m.loss, m.backpropagation_loss))
                rows.append([f"{m.step:,}", f"{m.epoch:.2f}", f"{m.distance:.1e}", *losses, digits])
        return "\n".join(table(rows))

    def _gaps_text(self) -> str:
        """Return a column for the first gap of each kind between the gradients at the same weights."""
        columns = [["first gap", "step", "size", "kinks", "entry", "quotient", "derivative"]]
        for kind in ("above rounding", "beyond truncation", "unexplained"):
            numbers = ["none", *[""] * 5]
            if gap := self.first.get(kind):
                values = (f"{gap.quotient:.12g}", f"{gap.derivative:.12g}")
                numbers = [f"{gap.step:,}", f"{gap.size:.1e}", f"{gap.kinks:,}", gap.entry, *values]
            columns.append([kind, *numbers])
        rows = list(zip(*columns, strict=True))
        return "\n".join([*table(rows), f"largest in any step: {max(self.gaps, default=0.0):.1e}"])

    def _verdict(self) -> str:
        if fault := self.fault():
            return paragraph(f"NO PARITY: {fault}")
        verdict = "PARITY"
        if "beyond truncation" in self.first:
            verdict = "PARITY but for kinks"
        elif min(m.digits for m in self.moments) < PARITY_DIGITS:
            verdict = "NO PARITY to the end, by truncation alone"
        X = self.run.dataset.X_train
        alike = int((self.net.predict(X) == self.twin.predict(X)).sum())
        return f"{verdict}\nlabelled alike: {alike:,} of {len(X):,} training samples"

    def figure(self) -> Figure:
        """Return a figure: both curves of the loss, and how far the two trainings are apart."""
        figure = new_figure(11.0, 3.8)
        losses, apart = figure.subplots(1, 2)
        moments = [m for m in self.moments if m.step]
        steps = [m.step for m in moments]
        losses.loglog(steps, [m.loss for m in moments], color=COLOURS[5], linewidth=4, label="difference quotients")
        losses.loglog(steps, [m.backpropagation_loss for m in moments], "k--", linewidth=1.2, label="backpropagation")
        losses.set(title="training loss", xlabel="step", ylabel="cross-entropy (nats a sample)")
        by_step = {"gradients at the same weights": (self.gaps, 5), "parameters (relative)": (self.distances, 0)}
        for name, (values, colour) in by_step.items():
            shown = np.where(np.array(values) > 0, values, np.nan)  # 0 has no place on a logarithmic axis
            apart.loglog(np.arange(1, len(shown) + 1), shown, color=COLOURS[colour], linewidth=1.2, label=name)
        apart.axhline(EPS, color="black", linewidth=0.8, linestyle=":", label="eps of float64")
        apart.set(title="how far apart", xlabel="step", ylabel="difference")
        for (kind, gap), marker in zip(self.first.items(), "oDX", strict=False):
            name = f"first {kind}: step {gap.step:,}"
            apart.loglog(gap.step, gap.size, f"k{marker}", fillstyle="none", markersize=9, zorder=5, label=name)
        losses.legend(frameon=False, fontsize="small")
        handles, _ = apart.get_legend_handles_labels()
        figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize="small")
        tidy(losses, apart)
        return figure


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
    found, config, data = Parity(run), run.config, run.dataset
    options = config.gradient.model_dump() | config.training.model_dump(include={"epochs", "batch_size"})
    options |= {"seed": config.seed, "schedule": schedule_of(config), "progress": progress}
    try:
        train(run.net, data.X_train, data.y_train, found, **options)
    except DivergedError as error:
        found.diverged = error
    return found
