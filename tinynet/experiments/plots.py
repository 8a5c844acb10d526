"""Plots: loss curves and decision boundaries, made without a display and readable in grey."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tinynet.errors import DataError, check_integer
from tinynet.history import History
from tinynet.network import TwoLayerNet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")  # Okabe and Ito
MARKERS = "osD^vP*X"
DPI = 150


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches that needs no display and no pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure | Axes, path: str | Path) -> None:
    """Write a figure, or the figure of some axes, as PNG; the same figure gives the same bytes."""
    whole: Any = getattr(figure, "figure", None) or figure
    temporary = Path(path).with_name(f".{Path(path).name}.tmp")
    whole.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
    temporary.replace(path)


def plot_loss_curve(
    history_or_runs: History | Mapping[str, History], ax: Axes | None = None, *, smoothing: int = 1
) -> Axes:
    """Draw training and validation loss by epoch, and the accuracy beside it.

    Parameters
    ----------
    history_or_runs : History, or a mapping of labels to histories
    ax : matplotlib axes, optional
        The losses alone are drawn into it. None makes a new figure with the accuracy beside.
    smoothing : int of at least 1
        Epochs in a moving average; 1 draws the figures as they are.

    Returns
    -------
    matplotlib axes of the losses; ``ax.figure`` is the whole figure
        Loss in nats a sample, accuracy in percent. The best epoch of a single run is marked.
    """
    check_integer("smoothing", smoothing, 1)
    runs = {"": history_or_runs} if isinstance(history_or_runs, History) else dict(history_or_runs)
    accuracy_ax = None
    if ax is None:
        ax, accuracy_ax = new_figure(9.0, 3.6).subplots(1, 2)
    for number, (label, history) in enumerate(runs.items()):
        colours = (COLOURS[0], COLOURS[1]) if len(runs) == 1 else (COLOURS[number % len(COLOURS)],) * 2
        _draw_columns(ax, history, "loss", 1.0, label, colours, smoothing)
        if accuracy_ax is not None:
            _draw_columns(accuracy_ax, history, "accuracy", 100.0, label, colours, smoothing)
    if len(runs) == 1 and len(next(iter(runs.values()))):
        _mark_best(ax, accuracy_ax, next(iter(runs.values())))
    _finish(ax, "cross-entropy (nats a sample)")
    ax.set_ylim(bottom=0)
    if accuracy_ax is not None:
        _finish(accuracy_ax, "accuracy (%)")
    return ax


def plot_decision_boundary(
    net: TwoLayerNet,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    ax: Axes | None = None,
    *,
    class_names: tuple[str, ...] | None = None,
) -> Axes:
    """Draw the classes that `net` predicts over the plane, and the samples on top.

    Parameters
    ----------
    net : TwoLayerNet of two features
    X : array, shape (n_samples, 2)
    y : integer labels, shape (n_samples,)
    ax : matplotlib axes, optional
    class_names : tuple of str, optional

    Returns
    -------
    matplotlib axes

    Raises
    ------
    DataError
        When the network has not two features.
    """
    from matplotlib.colors import ListedColormap

    X, y = np.asarray(X, dtype=np.float64), np.asarray(y)
    if net.shapes["W1"][0] != 2 or X.ndim != 2 or X.shape[1] != 2:
        raise DataError(f"a decision boundary needs two features, got a network of {net.shapes['W1'][0]}")
    ax = new_figure(4.8, 4.0).subplots() if ax is None else ax
    margin = 0.08 * np.ptp(X, axis=0)
    axes = [
        np.linspace(low, high, 300) for low, high in zip(X.min(axis=0) - margin, X.max(axis=0) + margin, strict=True)
    ]
    xx0, xx1 = np.meshgrid(*axes)
    n_classes = net.shapes["b2"][0]
    classes = net.predict(np.column_stack([xx0.ravel(), xx1.ravel()])).reshape(xx0.shape)
    shades = ListedColormap([COLOURS[k % len(COLOURS)] for k in range(n_classes)])
    ax.pcolormesh(xx0, xx1, classes, cmap=shades, vmin=-0.5, vmax=n_classes - 0.5, alpha=0.25, rasterized=True)
    borders = np.unique(classes)[:-1] + 0.5
    if len(borders):  # in grey the shades look alike, the line does not
        ax.contour(xx0, xx1, classes, levels=borders, colors="black", linewidths=0.8)
    for k in range(n_classes):
        ax.scatter(
            X[y == k, 0],
            X[y == k, 1],
            s=14,
            color=COLOURS[k % len(COLOURS)],
            marker=MARKERS[k % len(MARKERS)],
            linewidths=0.4,
            edgecolors="white",
            label=class_names[k] if class_names else f"class {k}",
        )
    ax.set(xlabel="feature 0", ylabel="feature 1")
    ax.legend(loc="best", fontsize="small", framealpha=0.9)
    return ax


def _draw_columns(
    ax: Axes,
    history: History,
    what: str,
    factor: float,
    label: str,
    colours: tuple[str, ...],
    smoothing: int,
) -> None:
    epochs = np.array(history["epoch"])
    for part, line, colour in zip(("train", "validation"), ("-", "--"), colours, strict=True):
        values = np.array(history[f"{part}_{what}"], dtype=np.float64) * factor
        if len(values) and np.isnan(values).all():
            continue
        if smoothing > 1 and len(values) >= smoothing:
            values = np.convolve(values, np.full(smoothing, 1 / smoothing), mode="valid")
        name = {"train": "training", "validation": "validation"}[part] + (f", {label}" if label else "")
        name += f" (mean of {smoothing} epochs)" if smoothing > 1 else ""
        marker = "o" if len(values) <= 12 else None
        ax.plot(
            epochs[len(epochs) - len(values) :], values, line, color=colour, label=name, marker=marker, markersize=3
        )


def _mark_best(ax: Axes, accuracy_ax: Axes | None, history: History) -> None:
    best = history.best
    validated = not np.isnan(best.validation_loss)
    loss, accuracy = (
        (best.validation_loss, best.validation_accuracy) if validated else (best.train_loss, best.train_accuracy)
    )
    places = [(ax, loss, f"best: epoch {best.epoch}, {loss:.3f}")]
    if accuracy_ax is not None:
        places.append((accuracy_ax, 100 * accuracy, f"epoch {best.epoch}: {100 * accuracy:.1f} %"))
    for axes, value, text in places:
        if np.isfinite(value):
            axes.plot(best.epoch, value, "D", color="black", markersize=5, zorder=5, label=text)


def _finish(ax: Axes, ylabel: str) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set(xlabel="epoch", ylabel=ylabel)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(alpha=0.3, linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    if ax.lines:
        ax.legend(frameon=False, fontsize="small", loc="best")
