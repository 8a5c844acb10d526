"""Plots as matplotlib axes, made without a display and readable in grey: what the pages show, for papers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tinynet.data.samples import Samples
from tinynet.errors import DataError, InvalidTypeError
from tinynet.network import TwoLayerNet
from tinynet.reports.curves import best_of, parts_of
from tinynet.reports.palette import LINES, N_COLOURS, REGIONS
from tinynet.reports.predictions import regions
from tinynet.storage.writing import write_atomically
from tinynet.training.history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

Array = npt.NDArray[Any]
Names = Iterable[object] | None

COLOURS = LINES
MARKERS = "os^vDP*"  # as many as have no divisor in common with the colours: 84 runs differ
DASHES = {"training": "-", "validation": "--"}
PANELS = {"loss": "cross-entropy (nats a sample)", "accuracy": "accuracy (%)"}
MARKED_EPOCHS = 12  # of a curve, or up to twice as many; on more they would run together
LEGEND_ROWS, MAX_BELOW = 16, 6  # entries of a legend in a column beside the axes, or below them
DPI = 150
FONTS = (  # for names that matplotlib's own font has no signs for; the first that is installed
    *("Noto Sans CJK TC", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans TC", "Noto Sans JP"),
    *("Source Han Sans TC", "Source Han Sans", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback"),
    *("Microsoft JhengHei", "Microsoft YaHei", "PingFang TC", "Hiragino Sans", "Yu Gothic", "IPAexGothic"),
    *("Malgun Gothic", "Apple SD Gothic Neo", "NanumGothic", "Arial Unicode MS"),
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


def plot_loss_curve(history_or_runs: History | Mapping[str, History], ax: Axes | None = None) -> Axes:
    """Draw training and validation loss by epoch, and the accuracy beside it.

    Parameters
    ----------
    history_or_runs : History, or a mapping of labels to histories
    ax : matplotlib axes, optional
        The losses alone are drawn into it. None makes a new figure with the accuracy beside.

    Returns
    -------
    matplotlib axes of the losses; ``ax.figure`` is the whole figure
        Loss in nats a sample, accuracy in percent. The best epoch of a single run is marked.

    Raises
    ------
    InvalidTypeError
        For anything but histories.
    """
    given = history_or_runs if isinstance(history_or_runs, Mapping) else {"": history_or_runs}
    runs = {str(label): history for label, history in given.items()}
    for label, history in runs.items():
        if not isinstance(history, History):
            allowed, received = "a History or a mapping of labels to them", type(history).__name__
            raise InvalidTypeError(
                f"a loss curve needs {allowed}, got {received}" + (f" under {label!r}" if label else "")
            )
    alone = len(runs) == 1
    panels = [ax] if ax is not None else list(_with_legend(9.0, 3.9, () if alone else (*runs, *DASHES)).subplots(1, 2))
    for panel, what in zip(panels, PANELS, strict=False):
        _draw(panel, what, runs)
    for part in () if alone else {part: None for history in runs.values() for part in parts_of(history, "loss")}:
        panels[-1].plot([], [], DASHES[part], color="dimgrey", label=part)
    for panel in panels if alone else panels[-1:]:
        _legend(panel, beside=not alone and ax is None)
    return _readable(panels[0])


def _draw(ax: Axes, what: str, runs: Mapping[str, History]) -> None:
    """Draw both parts of each run: in two colours those of the only one, else in the colour of the run."""
    from matplotlib.ticker import MaxNLocator

    alone = len(runs) == 1
    for number, (label, history) in enumerate(runs.items()):
        for place, (part, values) in enumerate(parts_of(history, what).items()):
            k, name = (place, f"{part}, {_plain(label)}" if label else part) if alone else (number, _plain(label))
            colour, marker = COLOURS[k % N_COLOURS], MARKERS[k % len(MARKERS)]
            style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4}
            style["markevery"] = max(1, len(history) // MARKED_EPOCHS)
            style["label"] = name if alone or not place else None  # a run has one entry in the legend
            ax.plot(history["epoch"], values, DASHES[part], markerfacecolor="white" if place else None, **style)
        best = best_of(history, what)
        if alone and best is not None:
            text = f"best: epoch {best[0]}, {best[1]:.3g}{' %' if what == 'accuracy' else ''}"
            ax.plot(*best, "D", color="black", fillstyle="none", markersize=9, zorder=5, label=text)
    ax.set(xlabel="epoch", ylabel=PANELS[what], title=f"{what.capitalize()} by epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    ax.margins(x=0.03)
    ax.grid(alpha=0.3, linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    if what == "loss":
        ax.update_datalim([(0.0, 0.0)], updatex=False)
        ax.autoscale_view(scalex=False)
        ax.set_ylim(bottom=0)


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
    samples, names = _checked(net, X, y, class_names)
    if (n_features := net.shapes["W1"][0]) != 2:
        raise DataError(f"a decision boundary needs two features, got a network of {n_features}")
    ax = _with_legend(4.2, 4.0, names).subplots() if ax is None else ax
    spread = np.ptp(samples.X, axis=0)
    margin = np.where(spread > 0, 0.08 * spread, 1.0)
    (x0, y0), (x1, y1) = samples.X.min(axis=0) - margin, samples.X.max(axis=0) + margin
    ax.imshow(regions(net, (x0, x1), (y0, y1)), extent=(x0, x1, y0, y1), aspect="auto", interpolation="nearest")
    for k, name in enumerate(names):
        own = samples.X[samples.labels == k]
        style: dict[str, Any] = {"color": REGIONS[k % N_COLOURS], "marker": MARKERS[k % len(MARKERS)], "label": name}
        ax.scatter(own[:, 0], own[:, 1], s=20, linewidths=0.5, edgecolors="black", **style)
    ax.set(xlabel="feature 0", ylabel="feature 1", title="Predicted classes and samples")
    _legend(ax, beside=True)
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
    from sklearn.metrics import ConfusionMatrixDisplay

    samples, names = _checked(net, X, y, class_names)
    side = max(4.0, 1.2 + 0.3 * len(names) + 0.06 * max(map(len, names)))
    ax = new_figure(side + 0.8, side).subplots() if ax is None else ax
    ConfusionMatrixDisplay.from_predictions(
        samples.labels,
        net.predict(X),
        labels=np.arange(len(names)),
        display_labels=names,
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

    display = PrecisionRecallDisplay.from_predictions
    return _one_against_the_rest(display, "Precision against recall", net, (X, y), ax, class_names)


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
    samples: tuple[Any, Any],
    ax: Axes | None,
    named: Names,
) -> Axes:
    """Let `display` draw the probability of the second class of two, or of each, into the axes."""
    checked, names = _checked(net, *samples, named)
    labels, probabilities = checked.labels, net.predict_proba(samples[0])
    shown = [k for k in ((1,) if len(names) == 2 else range(len(names))) if 0 < np.sum(labels == k) < len(labels)]
    if not shown:
        raise DataError("a curve needs samples of two classes, got samples of one")
    beside = len(shown) > MAX_BELOW
    ax = _with_legend(4.8, 4.4, [f"{name} (AUC = 0.00)" for name in names if beside]).subplots() if ax is None else ax
    ax.set_prop_cycle(color=COLOURS)
    for k in shown:
        display(labels == k, probabilities[:, k], name=names[k], ax=ax)
    _legend(ax, beside=beside)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_label_text(axis.get_label_text().partition(" (Positive")[0])
    ax.set_title(title)
    return _readable(ax)


def _with_legend(width: float, height: float, entries: Sequence[str]) -> Figure:
    """Return a figure with room for a legend of these entries beside the axes."""
    columns = math.ceil(len(entries) / LEGEND_ROWS)
    return new_figure(width + columns * (0.85 + 0.09 * max(map(len, entries), default=0)), height)


def _legend(ax: Axes, *, beside: bool = False) -> None:
    """Put the legend below or beside the axes, where it lies on no curve."""
    handles, labels = ax.get_legend_handles_labels()
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "borderaxespad": 4.5}
    place["ncols"] = 3 if sum(map(len, labels)) < 60 else 1
    if beside:
        columns = math.ceil(len(handles) / LEGEND_ROWS)
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "ncols": columns}
    if handles:
        ax.legend(frameon=False, fontsize="small", **place)


def _readable(ax: Axes) -> Axes:
    """Give every text that has signs of Chinese, Japanese or Korean a font that has them, where one is installed."""
    from matplotlib import font_manager, rcParams
    from matplotlib.text import Text

    figure: Any = ax.figure
    texts = [text for text in figure.findobj(Text) if max(text.get_text(), default="") > "\u2e7f"]
    installed = {font.name for font in font_manager.fontManager.ttflist} if texts else set()
    for text in texts:
        text.set_fontfamily([*rcParams["font.family"], *(name for name in FONTS if name in installed)])
    return ax


def _checked(net: TwoLayerNet, X: npt.ArrayLike, y: npt.ArrayLike, class_names: Names) -> tuple[Samples, list[str]]:
    """Return the samples, and a name for each class."""
    if not isinstance(net, TwoLayerNet):
        got = type(net).__name__
        raise InvalidTypeError(
            f"net must be a TwoLayerNet, got {got}; that of a TinyNetClassifier is net_, of a Model net"
        )
    n_classes = net.shapes["b2"][0]
    given = [str(name) for name in (() if class_names is None else class_names)]
    names = given or [f"class {k}" for k in range(n_classes)]
    if len(names) != n_classes:
        raise DataError(f"{len(names)} class_names for {n_classes} classes")
    return net.samples(X, y), [_plain(name) for name in names]


def _plain(label: str) -> str:
    """Return a label as matplotlib shows it as it is: "$" begins no formula, "_" does not hide the entry."""
    return (" " if label.startswith("_") else "") + label.replace("$", r"\$")
