"""Plots as matplotlib axes, made without a display and readable in grey: what the pages show, for papers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from tinynet.errors import DataError, InvalidTypeError, check_integer
from tinynet.network import TwoLayerNet
from tinynet.reports.curves import best_of, parts_of
from tinynet.reports.palette import LINES, N_COLOURS, REGIONS
from tinynet.reports.pictures import regions
from tinynet.storage.writing import write_atomically
from tinynet.training.history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

Array = npt.NDArray[Any]
Names = tuple[str, ...] | None

COLOURS = LINES
MARKERS = "os^vDP*"  # as many as have no divisor in common with the colours: 84 runs differ
PARTS: dict[str, tuple[str, Literal["-", "--"]]] = {"train": ("training", "-"), "validation": ("validation", "--")}
PANELS = {"loss": "cross-entropy (nats a sample)", "accuracy": "accuracy (%)"}
MARKED_EPOCHS = 12  # of a curve, or up to twice as many; on more they would run together
LEGEND_ROWS, MAX_BELOW = 16, 6  # entries of a legend in a column beside the axes, or below them
DPI = 150
FONTS = (  # for names that matplotlib's own font has no signs for; the first that is installed
    *("Noto Sans CJK TC", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Source Han Sans"),
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "Microsoft JhengHei", "Microsoft YaHei"),
    *("PingFang TC", "Hiragino Sans", "Yu Gothic", "IPAexGothic", "Malgun Gothic", "NanumGothic"),
)


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
    panels = [ax] if ax is not None else list(new_figure(9.0 + legend_width, 3.9).subplots(1, 2))
    for panel, what in zip(panels, PANELS, strict=False):
        for number, (label, history) in enumerate(runs.items()):
            _draw(panel, what, history, label, None if len(runs) == 1 else number, smoothing)
        if len(runs) == 1:
            _mark_best(panel, what, next(iter(runs.values())))
        _finish(panel, what)
    _begin_at_zero(panels[0])
    title = f"mean over {smoothing} epochs" if smoothing > 1 else None
    if len(runs) == 1:
        for panel in panels:
            if panel.lines:
                _legend_below(panel, title)
    elif ax is not None:
        _legend_below(ax, title, _keys(runs))
    else:
        style: dict[str, Any] = {"frameon": False, "fontsize": "small", "title": title, "title_fontsize": "small"}
        panels[0].figure.legend(handles=_keys(runs), loc="outside right upper", ncols=legend_columns, **style)
    return _readable(panels[0])


def plot_decision_boundary(
    net: TwoLayerNet, X: npt.ArrayLike, y: npt.ArrayLike, ax: Axes | None = None, *, class_names: Names = None
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
    names = _class_names(net, class_names)
    ax = new_figure(4.2 + _legend_width(names), 4.0).subplots() if ax is None else ax
    spread = np.ptp(samples.X, axis=0)
    margin = np.where(spread > 0, 0.08 * spread, 1.0)
    (x0, y0), (x1, y1) = samples.X.min(axis=0) - margin, samples.X.max(axis=0) + margin
    ax.imshow(regions(net, (x0, x1), (y0, y1)), extent=(x0, x1, y0, y1), aspect="auto", interpolation="nearest")
    for k, name in enumerate(names):
        own = samples.X[samples.labels == k]
        colour, marker = REGIONS[k % N_COLOURS], MARKERS[k % len(MARKERS)]
        style: dict[str, Any] = {"s": 20, "linewidths": 0.5, "edgecolors": "black"}
        ax.scatter(own[:, 0], own[:, 1], color=colour, marker=marker, label=_plain(name), **style)
    ax.set(xlabel="feature 0", ylabel="feature 1", title="Predicted classes and samples")
    _legend_beside(ax)
    return _readable(ax)


def plot_confusion_matrix(
    net: TwoLayerNet, X: npt.ArrayLike, y: npt.ArrayLike, ax: Axes | None = None, *, class_names: Names = None
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
    side = max(4.0, 1.2 + 0.3 * len(names) + 0.06 * max(map(len, names)))
    ax = new_figure(side + 0.8, side).subplots() if ax is None else ax
    ConfusionMatrixDisplay(counts, display_labels=[_plain(name) for name in names]).plot(
        ax=ax,
        cmap="Blues",
        colorbar=False,
        xticks_rotation="vertical" if sum(map(len, names)) > 30 else "horizontal",
        text_kw={"fontsize": "x-small"} if len(names) > 12 else None,
    )
    ax.set_title("Confusion matrix")
    return _readable(ax)


def plot_roc_curve(
    net: TwoLayerNet, X: npt.ArrayLike, y: npt.ArrayLike, ax: Axes | None = None, *, class_names: Names = None
) -> Axes:
    """Draw the ROC curve of `net`: of the second class of two, else of each class against the rest.

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
        Drawn by scikit-learn's ``RocCurveDisplay``, the area under the curve in its legend.

    Raises
    ------
    DataError
        When the samples or names do not fit the network, or are all of one class.
    """
    from sklearn.metrics import RocCurveDisplay

    return _one_against_the_rest(RocCurveDisplay.from_predictions, "ROC curve", net, (X, y), ax, class_names)


def plot_precision_recall_curve(
    net: TwoLayerNet, X: npt.ArrayLike, y: npt.ArrayLike, ax: Axes | None = None, *, class_names: Names = None
) -> Axes:
    """Draw precision against recall, as `plot_roc_curve` draws the ROC curve, by ``PrecisionRecallDisplay``."""
    from sklearn.metrics import PrecisionRecallDisplay

    return _one_against_the_rest(
        PrecisionRecallDisplay.from_predictions, "Precision against recall", net, (X, y), ax, class_names
    )


def plot_calibration_curve(
    net: TwoLayerNet, X: npt.ArrayLike, y: npt.ArrayLike, ax: Axes | None = None, *, class_names: Names = None
) -> Axes:
    """Draw how often what `net` gives a probability happens, in tenths of it, by ``CalibrationDisplay``.

    Arguments and classes are those of `plot_roc_curve`.
    """
    from sklearn.calibration import CalibrationDisplay

    display = partial(CalibrationDisplay.from_predictions, n_bins=10)
    return _one_against_the_rest(display, "Calibration", net, (X, y), ax, class_names)


def _one_against_the_rest(
    display: Callable[..., object],
    title: str,
    net: TwoLayerNet,
    samples: tuple[npt.ArrayLike, npt.ArrayLike],
    ax: Axes | None,
    class_names: Names,
) -> Axes:
    """Let `display` draw the probability of the second class of two, or of each, into the axes."""
    labels, probabilities = net.samples(*samples).labels, net.predict_proba(samples[0])
    names = _class_names(net, class_names)
    shown = [k for k in ((1,) if len(names) == 2 else range(len(names))) if 0 < np.sum(labels == k) < len(labels)]
    if not shown:
        raise DataError("a curve needs samples of two classes, got samples of one")
    beside = len(shown) > MAX_BELOW
    width = _legend_width([f"{name} (AUC = 0.00)" for name in names]) if beside else 0.6
    ax = new_figure(4.2 + width, 4.4).subplots() if ax is None else ax
    ax.set_prop_cycle(color=COLOURS)
    for k in shown:
        display(labels == k, probabilities[:, k], name=_plain(names[k]), ax=ax)
    (_legend_beside if beside else _legend_below)(ax)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_label_text(axis.get_label_text().partition(" (Positive")[0])
    ax.set_title(title)
    return _readable(ax)


def _legend_width(names: Sequence[str]) -> float:
    return math.ceil(len(names) / LEGEND_ROWS) * (0.85 + 0.09 * max(map(len, names)))


def _legend_beside(ax: Axes) -> None:
    columns = math.ceil(len(ax.get_legend_handles_labels()[0]) / LEGEND_ROWS)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), ncols=columns, fontsize="small", frameon=False)


def _legend_below(ax: Axes, title: str | None = None, handles: Sequence[Any] | None = None) -> None:
    """Put the legend under the axes, where it lies on no curve."""
    if handles is None:
        handles = ax.get_legend_handles_labels()[0]
    style: dict[str, Any] = {"frameon": False, "fontsize": "small", "title": title, "title_fontsize": "small"}
    ncols = 3 if sum(len(str(handle.get_label())) for handle in handles) < 60 else 1
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), borderaxespad=4.5, ncols=ncols, **style)


def _readable(ax: Axes) -> Axes:
    """Give every text that has signs of Chinese, Japanese or Korean a font that has them, where one is installed."""
    from matplotlib import font_manager, rcParams
    from matplotlib.text import Text

    figure: Any = ax.figure
    texts = [text for text in figure.findobj(Text) if any(ord(sign) > 0x2E7F for sign in text.get_text())]
    if texts:
        installed = {font.name for font in font_manager.fontManager.ttflist}
        for text in texts:
            text.set_fontfamily([*rcParams["font.family"], *(name for name in FONTS if name in installed)])
    return ax


def _class_names(net: TwoLayerNet, class_names: Names) -> tuple[str, ...]:
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
    for part, values in parts_of(history, what).items():
        word, line = PARTS[part]
        place = list(PARTS).index(part)
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
    """Mark the epoch that `History.best` names; its figures are in the legend, where they hide no curve."""
    best = best_of(history, what)
    if best is not None:
        epoch, value = best
        text = f"best: epoch {epoch}, {value:.3g}" if what == "loss" else f"epoch {epoch}: {value:.1f} %"
        ax.plot(epoch, value, "D", color="black", fillstyle="none", markersize=9, zorder=5, label=text)


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
        if any(part in parts_of(history, "loss") for history in runs.values()):
            keys.append(Line2D([], [], color="dimgrey", linestyle=line, label=word))
    return keys


def _plain(text: str) -> str:
    """Return a label as matplotlib shows it as it is: "$" begins no formula, "_" does not hide the entry."""
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def _finish(ax: Axes, what: str) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set(xlabel="epoch", ylabel=PANELS[what], title=f"{what.capitalize()} by epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    ax.margins(x=0.03)
    ax.grid(alpha=0.3, linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)


def _begin_at_zero(ax: Axes) -> None:
    ax.update_datalim([(0.0, 0.0)], updatex=False)
    ax.autoscale_view(scalex=False)
    ax.set_ylim(bottom=0)
