"""Plots: what is drawn, the labels, and the files written without a display."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.image import imread
from sklearn import metrics

from tinynet import (
    DataError,
    Epoch,
    History,
    InvalidTypeError,
    TinyNetClassifier,
    TwoLayerNet,
    plot_calibration_curve,
    plot_confusion_matrix,
    plot_decision_boundary,
    plot_loss_curve,
    plot_precision_recall_curve,
    plot_roc_curve,
)
from tinynet.reports import plots
from tinynet.reports.plots import new_figure, save_figure
from tinynet.reports.predictions import EDGE, regions


def history(losses: list[float], validation: list[float] | None = None) -> History:
    pairs = zip(losses, validation or [math.nan] * len(losses), strict=True)
    return History(
        [
            Epoch(epoch, epoch, loss, 1 - loss / 10, other, 0.9 - other / 10, 0.1, 8 * epoch, 0.1)
            for epoch, (loss, other) in enumerate(pairs, 1)
        ]
    )


loss_curve: Any = plot_loss_curve  # matplotlib's types do not describe an artist well enough
boundary: Any = plot_decision_boundary
confusion: Any = plot_confusion_matrix
CURVES: Any = plot_roc_curve, plot_precision_recall_curve, plot_calibration_curve
RUN = history([3.0, 2.0, 1.0, 0.5], [3.0, 1.5, 1.75, 2.0])


def curves(ax: Any) -> dict[str, list[float]]:
    """Return the y values of every labelled line of `ax`."""
    return {line.get_label(): list(line.get_ydata()) for line in ax.lines if not line.get_label().startswith("_")}


def legend_of(owner: Any) -> list[str]:
    return [text.get_text() for text in owner.get_legend().get_texts()]


def test_one_run_of_a_mapping_keeps_its_label() -> None:
    ax = loss_curve({"mine": RUN})
    assert "training, mine" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_labels_and_names_may_be_numbers() -> None:
    assert "0.5" in legend_of(loss_curve({0.1: RUN, 0.5: RUN}).figure.axes[1])
    matrix = confusion(half_plane(), POINTS, [0, 0, 1, 1], class_names=np.array([3, 7]))
    assert [text.get_text() for text in matrix.get_xticklabels()] == ["3", "7"]


def test_an_estimator_in_the_place_of_its_network_is_named() -> None:
    for plot in (boundary, confusion, *CURVES):
        with pytest.raises(InvalidTypeError, match="got TinyNetClassifier; that of a TinyNetClassifier is net_"):
            plot(TinyNetClassifier(), POINTS, [0, 0, 1, 1])


def test_what_is_no_history_is_refused() -> None:
    runs: Any = {"": [1, 2], " under 'mine'": {"mine": [1, 2]}}
    for where, given in runs.items():
        with pytest.raises(InvalidTypeError, match=f"got list{where}$"):
            loss_curve(given)


def test_the_same_plot_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first.png", "second.png"):
        save_figure(loss_curve(RUN), tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


def test_loss_and_accuracy_are_side_by_side_with_their_units() -> None:
    ax = loss_curve(RUN)
    loss, accuracy = ax.figure.axes
    assert ax is loss
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "cross-entropy (nats a sample)")
    assert (accuracy.get_xlabel(), accuracy.get_ylabel()) == ("epoch", "accuracy (%)")
    assert loss.get_ylim()[0] == 0.0 and loss.get_ylim()[1] > 3.0
    for panel, what, times in ((loss, "loss", 1), (accuracy, "accuracy", 100)):
        for part, column in (("training", "train"), ("validation", "validation")):
            np.testing.assert_allclose(curves(panel)[part], times * np.array(RUN[f"{column}_{what}"]))
        training, validation = panel.lines[:2]
        assert list(training.get_xdata()) == list(validation.get_xdata()) == [1, 2, 3, 4]
        assert (training.get_linestyle(), validation.get_linestyle()) == ("-", "--")  # they also differ in grey
        assert to_hex(training.get_markerfacecolor()) != to_hex(validation.get_markerfacecolor()) == "#ffffff"


def test_the_mark_of_the_best_epoch_hides_no_curve() -> None:
    loss, accuracy = loss_curve(RUN).figure.axes
    assert legend_of(loss) == ["training", "validation", "best: epoch 2, 1.5"]
    assert legend_of(accuracy) == ["training", "validation", "best: epoch 2, 75 %"]
    for panel, value in ((loss, 1.5), (accuracy, 75.0)):
        mark = panel.lines[-1]
        assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([2], [pytest.approx(value)])
        assert mark.get_fillstyle() == "none" and not panel.texts
    only_training = loss_curve(history([3.0, 1.0, 2.0])).figure.axes[0]
    assert list(curves(only_training)) == legend_of(only_training) == ["training", "best: epoch 2, 1"]


def test_only_the_losses_are_drawn_into_given_axes() -> None:
    figure = new_figure(4, 3)
    ax = figure.subplots()
    assert loss_curve({"a": history([2.0]), "b": history([1.0])}, ax) is ax
    assert figure.axes == [ax] and legend_of(ax) == ["a", "b", "training"]  # no part that is in no run


def test_the_only_epoch_of_a_run_is_inside_the_axes() -> None:
    for panel in loss_curve(history([2.0], [1.0])).figure.axes:
        low, high = panel.get_ylim()
        assert all(low < y < high - 0.03 * (high - low) for line in panel.lines for y in line.get_ydata())
        assert [tick for tick in panel.get_xticks() if tick == round(tick)] == list(panel.get_xticks())


def test_thirty_runs_look_different_with_one_legend_beside() -> None:
    ax = loss_curve({f"run {k}": history([2.0, 1.0], [2.0, 1.5]) for k in range(30)})
    styles = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in ax.lines}
    assert len(styles) == len(ax.lines) == 60
    accuracy = ax.figure.axes[1]
    assert ax.get_legend() is None and legend_of(accuracy)[-3:] == ["run 29", "training", "validation"]
    ax.figure.draw_without_rendering()
    box = accuracy.get_legend().get_window_extent()
    assert box.y0 >= 0 and accuracy.get_window_extent().x1 <= box.x0 and box.x1 <= ax.figure.bbox.x1


def test_labels_are_shown_as_they_are(tmp_path: Path) -> None:
    shown = {"_hidden": " _hidden", "$x_{$": r"\$x_{\$", "50 %": "50 %"}
    ax = loss_curve(dict.fromkeys(shown, RUN))
    assert legend_of(ax.figure.axes[1])[:3] == list(shown.values())
    save_figure(ax, tmp_path / "labels.png")


def test_nan_leaves_a_gap_and_a_column_of_nan_draws_nothing() -> None:
    for runs in (History(), {}, {"a": History(), "b": RUN}):
        assert loss_curve(runs).get_ylabel() == "cross-entropy (nats a sample)"
    ax = loss_curve(history([2.0, math.nan, 1.0]))
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [2.0, math.nan, 1.0])
    assert not loss_curve(history([math.nan, math.nan])).lines and not loss_curve(History()).lines


def test_anything_but_a_history_is_refused() -> None:
    wrong: list[tuple[Any, str]] = [([RUN], "got list"), ({"a": [1.0]}, "under 'a'"), (None, "got NoneType")]
    for runs, message in wrong:
        with pytest.raises(InvalidTypeError, match=message):
            loss_curve(runs)


def half_plane() -> TwoLayerNet:
    """Return a network that predicts class 1 where the first feature is above 0."""
    net = TwoLayerNet(2, 1, 2, seed=0)
    net.params["W1"][:] = [[1.0], [0.0]]
    net.params["W2"][:] = [[-1.0, 1.0]]
    return net


POINTS = np.array([[-1.0, 0.0], [-0.5, 1.0], [0.5, 0.0], [1.0, 1.0]])


def test_a_boundary_is_drawn_where_the_prediction_changes() -> None:
    ax = boundary(half_plane(), POINTS, [0, 0, 1, 1])
    pixels, side = np.asarray(ax.images[0].get_array()), 240
    assert ax.images[0].get_extent() == pytest.approx([-1.16, 1.16, -0.08, 1.08])
    assert (pixels[:, : side // 2 - 1] == pixels[0, 0]).all() and (pixels[:, side // 2 :] == pixels[0, -1]).all()
    assert (pixels[:, side // 2 - 1] == EDGE).all() and (pixels[0, 0] != pixels[0, -1]).any()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("feature 0", "feature 1")


def test_samples_of_each_class_have_their_marker_and_name() -> None:
    net = TwoLayerNet(2, 4, 3, seed=0)
    X, y = np.concatenate([POINTS, POINTS[:2] + 3]), [0, 0, 1, 1, 2, 2]
    ax = boundary(net, X, y, class_names=("a", "_b", "$c"))
    dots = [collection for collection in ax.collections if isinstance(collection, PathCollection)]
    assert [np.asarray(dot.get_offsets()).tolist() for dot in dots] == [X[:2].tolist(), X[2:4].tolist(), X[4:].tolist()]
    assert len({str(dot.get_paths()[0]) for dot in dots}) == 3
    assert legend_of(ax) == ["a", " _b", r"\$c"]
    assert legend_of(boundary(net, X, y)) == ["class 0", "class 1", "class 2"]


def test_neighbouring_regions_of_many_classes_differ_in_colour(rng: np.random.Generator) -> None:
    for n_classes in (12, 40):
        net = TwoLayerNet(2, 30, n_classes, weight_scale=3.0, seed=1)
        pixels = regions(net, (-3.0, 3.0), (-3.0, 3.0))
        plane = np.stack(np.meshgrid(np.linspace(-3, 3, 240), np.linspace(-3, 3, 240)[::-1]), axis=-1)
        classes = net.predict(plane.reshape(-1, 2)).reshape(240, 240)
        assert len(np.unique(classes)) > 7
        colour = {
            k: {tuple(one) for one in pixels[(classes == k) & (pixels[..., 3] != 255)]} for k in np.unique(classes)
        }
        for first, second in ((classes[1:], classes[:-1]), (classes[:, 1:], classes[:, :-1])):
            for a, b in np.unique(np.stack([first[first != second], second[first != second]]), axis=1).T:
                assert not colour[a] & colour[b]


def test_a_network_with_one_answer_has_no_boundary() -> None:
    net = half_plane()
    net.params["b2"][:] = [0.0, 50.0]
    ax = boundary(net, POINTS[:1], [1])
    assert len(np.unique(np.asarray(ax.images[0].get_array()).reshape(-1, 4), axis=0)) == 1
    assert (np.ptp(ax.get_xlim()), np.ptp(ax.get_ylim())) == (pytest.approx(2.0, rel=0.01),) * 2


def test_samples_that_do_not_fit_the_network_are_refused() -> None:
    two = TwoLayerNet(2, 1, 2)
    wrong: list[tuple[Any, Any, Any, Any, str]] = [
        (boundary, TwoLayerNet(3, 1, 2), np.zeros((2, 3)), [0, 1], "needs two features, got a network of 3"),
        (boundary, two, np.zeros((2, 3)), [0, 1], "X has 3 features"),
        (confusion, two, [[0.0, math.nan]], [0], "1 values that are nan or inf"),
        (confusion, two, np.zeros((2, 2)), [0, 2], "label 2 is outside"),
    ]
    for plot, net, X, y, message in wrong:
        with pytest.raises(DataError, match=message):
            plot(net, X, y)
    for plot in (boundary, confusion, plot_roc_curve):
        with pytest.raises(DataError, match="1 class_names for 2 classes"):
            plot(half_plane(), POINTS, [0, 0, 1, 1], class_names=("a",))


def test_a_confusion_matrix_has_true_classes_in_rows() -> None:
    ax = confusion(half_plane(), [*POINTS, [2.0, 0.0]], [0, 1, 1, 1, 1], class_names=("left", "$right"))
    assert [text.get_text() for text in ax.texts] == ["1", "0", "1", "3"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["left", r"\$right"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Predicted label", "True label")
    assert ax.get_xticklabels()[0].get_rotation() == 0
    given = new_figure(4, 3).subplots()
    assert confusion(TwoLayerNet(2, 3, 12, seed=0), POINTS, [0, 1, 2, 3], given) is given
    assert [label.get_text() for label in given.get_xticklabels()] == [f"class {k}" for k in range(12)]
    assert given.get_xticklabels()[0].get_rotation() == 90  # or they would overlap


@pytest.mark.parametrize("n_classes", [2, 13])
def test_legends_and_labels_do_not_cover_the_data(n_classes: int, rng: np.random.Generator) -> None:
    X, labels, names = rng.normal(size=(4 * n_classes, 2)), np.arange(4 * n_classes) % n_classes, None
    if n_classes == 13:
        names = tuple(f"a rather long name {k}" for k in range(13))
    net = TwoLayerNet(2, 8, n_classes, seed=0)
    plots_of_classes: Any = *CURVES, boundary
    drawn = [plot(net, X, labels, class_names=names) for plot in plots_of_classes]
    for ax in [*drawn, loss_curve(RUN), loss_curve({"a": RUN, "b": RUN}), History(RUN.rows).plot()]:
        ax.figure.draw_without_rendering()
        assert ax.get_title()
        for legend in filter(None, (one.get_legend() for one in ax.figure.axes)):
            box, frames = legend.get_window_extent(), [one.get_window_extent() for one in ax.figure.axes]
            assert not any(box.overlaps(frame) for frame in frames)
            assert box.x1 <= ax.figure.bbox.x1 + 1 and box.y0 >= -1


def test_many_classes_have_room_in_a_confusion_matrix(rng: np.random.Generator) -> None:
    names = tuple(f"a rather long name {k}" for k in range(24))
    matrix = confusion(TwoLayerNet(2, 8, 24, seed=0), rng.normal(size=(24, 2)), np.arange(24), class_names=names)
    matrix.figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in matrix.get_yticklabels()]
    assert all(below.y1 <= above.y0 + 1 for above, below in pairwise(boxes))


def test_the_curves_of_two_classes_match_scikit_learn(rng: np.random.Generator) -> None:
    X, labels, net = rng.normal(size=(60, 2)), rng.integers(0, 2, 60), TwoLayerNet(2, 8, 2, seed=0)
    probability = net.predict_proba(X)[:, 1]
    roc, precision_recall, calibration = (plot(net, X, labels, class_names=("no", "yes")) for plot in CURVES)
    np.testing.assert_array_equal(roc.lines[0].get_xdata(), metrics.roc_curve(labels, probability)[0])
    np.testing.assert_array_equal(
        precision_recall.lines[0].get_ydata(), metrics.precision_recall_curve(labels, probability)[0]
    )
    assert "yes" in [line.get_label() for line in calibration.lines]
    assert f"{metrics.roc_auc_score(labels, probability):.2f}" in legend_of(roc)[0] and "yes" in legend_of(roc)[0]
    assert len(plot_roc_curve(TwoLayerNet(2, 8, 3, seed=0), X, labels).lines) == 2  # nothing of the third class
    with pytest.raises(DataError, match="two classes"):
        plot_roc_curve(net, X, np.zeros(60, dtype=int))


def test_chinese_names_are_drawn_with_a_font_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "FONTS", ("No Such Font", "DejaVu Serif"))  # a font that every machine has
    ax = confusion(half_plane(), POINTS, [0, 0, 1, 1], class_names=("貓", "dog"))
    families = [label.get_fontfamily() for label in ax.get_yticklabels()]
    assert families[0][-1] == "DejaVu Serif" and "No Such Font" not in families[0]
    assert families[1] == ["sans-serif"]


SCRIPT = """
import sys
from tinynet import Epoch, History, TwoLayerNet, plot_decision_boundary, plot_loss_curve
from tinynet.reports.plots import save_figure
rows = [Epoch(epoch, epoch, 2 / epoch, 0.5, 3 / epoch, 0.5, 0.1, 8 * epoch, 0.1) for epoch in (1, 2, 3)]
save_figure(plot_loss_curve(History(rows)), sys.argv[1])
save_figure(plot_decision_boundary(TwoLayerNet(2, 3, 2, seed=0), [[0.0, 1.0], [1.0, 0.0]], [0, 1]), sys.argv[2])
assert "matplotlib.pyplot" not in sys.modules
"""


def test_fault_39_plots_are_written_without_a_display(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment["MPLBACKEND"] = "module://no_such_backend"
    names = [str(tmp_path / name) for name in ("curve.png", "boundary.png")]
    command = [sys.executable, "-W", "error", "-c", SCRIPT, *names]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    rows = [Epoch(epoch, epoch, 2 / epoch, 0.5, 3 / epoch, 0.5, 0.1, 8 * epoch, 0.1) for epoch in (1, 2, 3)]
    save_figure(loss_curve(History(rows)), tmp_path / "here.png")
    assert (tmp_path / "curve.png").read_bytes() == (tmp_path / "here.png").read_bytes()
    assert imread(tmp_path / "boundary.png").std() > 0.05
