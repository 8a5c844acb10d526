"""Plots: loss curves, decision boundaries and confusion matrices, made without a display and readable in grey."""

from __future__ import annotations

import math
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from tinynet.errors import DataError, InvalidTypeError, check_integer
from tinynet.network import TwoLayerNet
from tinynet.storage.writing import write_atomically
from tinynet.training.history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

Array = npt.NDArray[Any]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito
MARKERS = "os^vDP*X"  # one more than colours: 56 runs differ, and the first eight differ in grey
PARTS: dict[str, tuple[str, Literal["-", "--"]]] = {"train": ("training", "-"), "validation": ("validation", "--")}
PANELS = {"loss": ("cross-entropy (nats a sample)", 1.0), "accuracy": ("accuracy (%)", 100.0)}
MARKED_EPOCHS = 12  # of a curve, or up to twice as many; on more they would run together
LEGEND_ROWS = 16
DPI = 150


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches that needs no display and no pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height), dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: FigureBase | Axes, path: str | Path) -> None:
    """Write a figure, or the figure of some axes, as PNG; the same figure gives the same bytes."""
    whole: Any = getattr(figure, "figure", None) or figure
    png = BytesIO()
    whole.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    write_atomically(Path(path), png.getvalue())


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
        Draw the mean over so many epochs around each, with the figures themselves faintly behind;
        1 draws the figures as they are.

    Returns
    -------
    matplotlib axes of the losses; ``ax.figure`` is the whole figure
        Loss in nats a sample, accuracy in percent. The best epoch of a single run is marked.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        For anything but histories, or a smoothing below 1.
    """
    check_integer("smoothing", smoothing, 1)
    runs = _runs(history_or_runs)
    legend_columns = 0 if len(runs) == 1 else math.ceil((len(runs) + len(PARTS)) / LEGEND_ROWS)
    legend_width = legend_columns * (0.8 + 0.07 * max(map(len, ("validation", *runs))))
    panels = [ax] if ax is not None else list(new_figure(9.0 + legend_width, 3.6).subplots(1, 2))
    for panel, what in zip(panels, PANELS, strict=False):
        for number, (label, history) in enumerate(runs.items()):
            _draw(panel, what, history, label, None if len(runs) == 1 else number, smoothing)
        if len(runs) == 1:
            _mark_best(panel, what, next(iter(runs.values())))
        _finish(panel, what)
    _begin_at_zero(panels[0])
    style: dict[str, Any] = {"frameon": False, "fontsize": "small", "title_fontsize": "small"}
    style["title"] = f"mean over {smoothing} epochs" if smoothing > 1 else None
    if len(runs) == 1:
        for panel in panels:
            if panel.lines:
                panel.legend(**style)
    elif ax is not None:
        ax.legend(handles=_keys(runs), **style)
    else:
        panels[0].figure.legend(handles=_keys(runs), loc="outside right upper", ncols=legend_columns, **style)
    return panels[0]


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
        When the network has not two features, or the samples or names do not fit it.
    """
    n_features = net.shapes["W1"][0]
    if n_features != 2:
        raise DataError(f"a decision boundary needs two features, got a network of {n_features}")
    samples = net.samples(X, y)
    X, labels = samples.X, samples.labels
    names = _class_names(net, class_names)
    ax = new_figure(4.8, 4.0).subplots() if ax is None else ax
    _draw_regions(ax, net, X)
    for k, name in enumerate(names):
        own = labels == k
        ax.scatter(
            X[own, 0],
            X[own, 1],
            s=20,
            color=COLOURS[k % len(COLOURS)],
            marker=MARKERS[k % len(MARKERS)],
            linewidths=0.5,
            edgecolors="white",
            label=_plain(name),
        )
    ax.set(xlabel="feature 0", ylabel="feature 1")
    ax.legend(loc="upper right", fontsize="small", framealpha=0.9)  # the "best" place takes a second to find
    return ax


def plot_confusion_matrix(
    net: TwoLayerNet,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    ax: Axes | None = None,
    *,
    class_names: tuple[str, ...] | None = None,
) -> Axes:
    """Draw how many samples of each class (a row) `net` takes for which class (a column).

    Parameters
    ----------
    net : TwoLayerNet
    X : array, shape (n_samples, n_features)
    y : integer labels, shape (n_samples,)
    ax : matplotlib axes, optional
    class_names : tuple of str, optional

    Returns
    -------
    matplotlib axes
        Drawn by scikit-learn's ``ConfusionMatrixDisplay``.

    Raises
    ------
    DataError
        When the samples or names do not fit the network.
    """
    from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

    labels = net.samples(X, y).labels
    names = _class_names(net, class_names)
    counts = confusion_matrix(labels, net.predict(X), labels=np.arange(len(names)))
    ax = new_figure(4.8, 4.0).subplots() if ax is None else ax
    ConfusionMatrixDisplay(counts, display_labels=[_plain(name) for name in names]).plot(
        ax=ax, cmap="Blues", colorbar=False, xticks_rotation="vertical" if sum(map(len, names)) > 30 else "horizontal"
    )
    return ax


def _class_names(net: TwoLayerNet, class_names: tuple[str, ...] | None) -> tuple[str, ...]:
    n_classes = net.shapes["b2"][0]
    names = class_names or tuple(f"class {k}" for k in range(n_classes))
    if len(names) != n_classes:
        raise DataError(f"{len(names)} class_names for {n_classes} classes")
    return names


def _runs(history_or_runs: History | Mapping[str, History]) -> dict[str, History]:
    if isinstance(history_or_runs, History):
        return {"": history_or_runs}
    runs = dict(history_or_runs) if isinstance(history_or_runs, Mapping) else {"": history_or_runs}
    for label, history in runs.items():
        if not isinstance(history, History):
            where = f" under {label!r}" if label else ""
            raise InvalidTypeError(
                f"a loss curve needs a History or a mapping of labels to them, got {type(history).__name__}{where}"
            )
    return runs


def _draw(ax: Axes, what: str, history: History, label: str, number: int | None, smoothing: int) -> None:
    """Draw both parts of a run: in two colours when it is the only one, else in the colour and marker of its number."""
    epochs = np.array(history["epoch"])
    every = max(1, len(epochs) // MARKED_EPOCHS)
    for place, (part, (word, line)) in enumerate(PARTS.items()):
        values = np.array(history[f"{part}_{what}"], dtype=np.float64) * PANELS[what][1]
        if np.isnan(values).all():
            continue
        colour, marker = COLOURS[place], "o" if every == 1 else ""
        if number is not None:
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        if smoothing > 1:
            ax.plot(epochs, values, line, color=colour, linewidth=0.8, alpha=0.35)
        ax.plot(
            epochs,
            _moving_mean(values, smoothing),
            line,
            color=colour,
            label=_plain(f"{word}, {label}" if label else word),
            marker=marker,
            markevery=every,
            markersize=4,
            markerfacecolor=colour if part == "train" else "white",
        )


def _moving_mean(values: Array, width: int) -> Array:
    """Return the mean of `width` values around each; there are fewer at the ends."""
    before, after = (width - 1) // 2, width // 2 + 1
    return np.array([values[max(0, i - before) : i + after].mean() for i in range(len(values))])


def _mark_best(ax: Axes, what: str, history: History) -> None:
    """Mark the epoch that `History.best` names; its figures stand in the legend, where they hide no curve."""
    if not len(history):
        return
    best = history.best
    part = "train" if math.isnan(best.validation_loss) else "validation"
    value = getattr(best, f"{part}_{what}") * PANELS[what][1]
    if math.isfinite(value):
        text = f"best: epoch {best.epoch}, {value:.3g}" if what == "loss" else f"epoch {best.epoch}: {value:.1f} %"
        ax.plot(best.epoch, value, "D", color="black", fillstyle="none", markersize=9, zorder=5, label=text)


def _keys(runs: Mapping[str, History]) -> list[Any]:
    """Return legend entries: one a run, and one for each part that any run has."""
    from matplotlib.lines import Line2D

    keys = [
        Line2D(
            [], [], color=COLOURS[k % len(COLOURS)], marker=MARKERS[k % len(MARKERS)], markersize=4, label=_plain(label)
        )
        for k, label in enumerate(runs)
    ]
    for part, (word, line) in PARTS.items():
        if not all(np.isnan(history[f"{part}_loss"]).all() for history in runs.values()):
            keys.append(Line2D([], [], color="dimgrey", linestyle=line, label=word))
    return keys


def _plain(text: str) -> str:
    """Return a label as matplotlib shows it as it is: "$" begins no formula, "_" does not hide the entry."""
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def _finish(ax: Axes, what: str) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set(xlabel="epoch", ylabel=PANELS[what][0])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    ax.margins(x=0.03)
    ax.grid(alpha=0.3, linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)


def _begin_at_zero(ax: Axes) -> None:
    ax.update_datalim([(0.0, 0.0)], updatex=False)
    ax.autoscale_view(scalex=False)
    ax.set_ylim(bottom=0)


def _draw_regions(ax: Axes, net: TwoLayerNet, X: Array) -> None:
    """Shade the plane around `X` by predicted class, with a black line where it changes."""
    from matplotlib.colors import ListedColormap

    spread = np.ptp(X, axis=0)
    margin = np.where(spread > 0, 0.08 * spread, 1.0)
    x0, x1 = np.linspace(X.min(axis=0) - margin, X.max(axis=0) + margin, 300).T
    logits = net.logits(np.stack(np.meshgrid(x0, x1), axis=-1).reshape(-1, 2)).reshape(len(x1), len(x0), -1)
    n_classes = logits.shape[-1]
    shades = ListedColormap([COLOURS[k % len(COLOURS)] for k in range(n_classes)])
    ax.pcolormesh(
        x0, x1, logits.argmax(axis=-1), cmap=shades, vmin=-0.5, vmax=n_classes - 0.5, alpha=0.25, rasterized=True
    )
    for k in range(n_classes):
        lead = logits[..., k] - np.delete(logits, k, axis=-1).max(axis=-1)
        if lead.min() < 0 < lead.max():
            ax.contour(x0, x1, lead, levels=[0.0], colors="black", linewidths=0.8)
