"""The report's sections that need the network: the test part by class, decision boundary, first layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.data.datasets import Dataset
from tinynet.data.tables import listed
from tinynet.losses import softmax
from tinynet.network import TwoLayerNet
from tinynet.reports.html import Cell, Html, figure, grid, image, paragraph, percent, png, section, shaded, table
from tinynet.reports.palette import N_COLOURS, REGIONS
from tinynet.reports.svg import SHAPES, Axis, Series, axis_of, chart

Array = npt.NDArray[Any]

MAX_CLASSES = 40  # of a confusion matrix that can still be read
MAX_MISTAKES = 12
MAX_UNITS = 60  # drawn as images
MAX_DOTS = 400
SIDE = 240  # pixels of a decision boundary
REGION, EDGE = 70, (90, 100, 112, 255)  # how much of a region's colour is seen, of 255; the line between regions


def prediction_sections(data: Dataset, logits: Array, scores: dict[str, Any], part: str = "test") -> list[Html]:
    """Return what `logits` of the test part of `data`, called `part`, say beyond the headline and its `scores`."""
    probabilities, predicted = softmax(logits), logits.argmax(axis=1)
    missed = [name for name, own in zip(data.class_names, scores["classes"], strict=True) if own["recall"] == 0]
    notice = [paragraph(f"Not one sample was recognised of: {listed(missed, 5)}.", "notice")] if missed else []
    by_class = grid("pair", _by_class(data, predicted, scores))
    title = "Test part" if part == "test" else part.capitalize()
    sections = [section(f"{title}, class by class", *notice, by_class)]
    if data.n_classes == 2 and np.isfinite(probabilities).all() and 0 < data.y_test.sum() < len(predicted):
        sections.append(_two_class_curves(data, probabilities[:, 1], scores))
    if data.image_shape is not None:
        sections.append(_mistakes(data, probabilities, predicted, part))
    return sections


def _by_class(data: Dataset, predicted: Array, scores: dict[str, Any]) -> list[Html]:
    """Return the confusion matrix, where it can be read, and the scores of each class, with a warning of recall 0."""
    rows = []
    for name, own in zip(data.class_names, scores["classes"], strict=True):
        precision, recall, f1 = (percent(own[key]) for key in ("precision", "recall", "f1"))
        never = Html('<span class="bad">0 %: none</span>')
        rows.append((name, f"{own['n_samples']:,}", precision, never if own["recall"] == 0 else recall, f1))
    caption = (
        "Precision: of the samples predicted as a class, the share that belong to it. "
        "Recall: of the samples of a class, the share predicted as it."
    )
    classes = table(caption, ("class", "samples", "precision", "recall", "F1"), rows)
    if data.n_classes > MAX_CLASSES:
        note = f"A confusion matrix of {data.n_classes} classes would be unreadable."
        return [classes, paragraph(note, "note")]
    return [_confusion(data, predicted), classes]


def _confusion(data: Dataset, predicted: Array) -> Html:
    matrix = np.zeros((data.n_classes, data.n_classes), dtype=int)
    np.add.at(matrix, (data.y_test, predicted), 1)
    worst = max(int((matrix - np.diag(np.diag(matrix))).max()), 1)
    rows = []
    for k, counts in enumerate(matrix.tolist()):
        cells: list[Cell] = [shaded(f"{n:,}", n / worst, "miss") if n else "·" for n in counts]
        cells[k] = shaded(f"{counts[k]:,}", counts[k] / max(sum(counts), 1), "hit")
        rows.append((data.class_names[k], *cells))
    caption = "Confusion matrix: a row for each true class, a column for each predicted class"
    return table(caption, ("true", *data.class_names), rows, "matrix")


def _two_class_curves(data: Dataset, probability: Array, scores: dict[str, Any]) -> Html:
    """Draw ROC, precision against recall, and calibration of the second class."""
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

    name, labels = data.class_names[1], data.y_test
    false, true, _ = roc_curve(labels, probability)
    precision, recall, _ = precision_recall_curve(labels, probability)
    average, share = average_precision_score(labels, probability), labels.mean()
    seen, said = calibration_curve(labels, probability, n_bins=10)
    _, numbers = np.unique(np.searchsorted(np.linspace(0, 1, 11)[1:-1], probability), return_counts=True)  # its tenths
    groups = f"Groups of {', '.join(map(str, numbers.tolist()))} samples; the dotted line is perfect."
    area = f"Area {scores['roc_auc']:.3f}; the dotted line is guessing."
    precise = f"Average precision {average:.3f}; the dotted line is guessing."
    charts = [
        _unit_chart(f"ROC curve of {name}", area, {"false positive rate": false, "true positive rate": true}),
        _unit_chart(f"Precision against recall of {name}", precise, {"recall": recall, "precision": precision}, share),
        _unit_chart(f"Calibration of {name}", groups, {"mean probability": said, f"fraction that is {name}": seen}),
    ]
    return section(f"Probabilities of class {name}", grid("charts", charts))


def _unit_chart(title: str, words: str, axes: dict[str, Array], guessing: float | None = None) -> Html:
    """Draw the second of two `axes` from 0 to 1 against the first, and what guessing gets: the diagonal, if nothing."""
    x, y = (Axis(label, 0.0, 1.0) for label in axes)
    ends, (across, height) = np.array([0.0, 1.0]), axes.values()
    dotted = Series("guessing", ends, ends if guessing is None else np.full(2, guessing), "plain c6")
    line = Series(y.label, across, height, "line c0 d0")
    return chart(title, words, [dotted, line], x, y, caption=f"{title}. {words}")


def _mistakes(data: Dataset, probabilities: Array, predicted: Array, part: str) -> Html:
    """Show the misread images whose true class got the least probability."""
    wrong = np.flatnonzero(predicted != data.y_test)
    title = "Worst mistakes"
    if not len(wrong):
        return section(title, paragraph(f"Every {part} sample was read correctly.", "note"))
    order = wrong[np.argsort(probabilities[wrong, data.y_test[wrong]], kind="stable")][:MAX_MISTAKES]
    pixels = (data.X_test[order] * data.scaling.scale + data.scaling.offset).reshape(-1, *(data.image_shape or ()))
    colours, figures = {"cmap": "gray_r", "vmin": float(pixels.min()), "vmax": float(pixels.max())}, []
    for i, picture in zip(order, pixels, strict=True):
        true, taken = data.class_names[data.y_test[i]], data.class_names[predicted[i]]
        caption = f"{true}, taken for {taken} ({100 * probabilities[i, predicted[i]]:.0f} %)"
        figures.append(figure(image(png(picture, **colours), f"{part} sample {i}, class {true}"), caption))
    misread = f"{len(wrong):,} of {len(predicted):,} {part} samples were misread"
    words = f"{misread}; these had the least probability for their own class."
    return section(title, paragraph(words, "note"), grid("images", figures))


def regions(net: TwoLayerNet, x: tuple[float, float], y: tuple[float, float], scaling: Any = None) -> Array:
    """Return the classes that `net` predicts between two values of either feature, as RGBA pixels, the top row first.

    Regions that have a border in common differ in colour, however many classes there are; `scaling` is applied to
    the features before the network sees them.
    """
    plane = np.stack(np.meshgrid(np.linspace(*x, SIDE), np.linspace(*y, SIDE)[::-1]), axis=-1).reshape(-1, 2)
    classes = net.predict(plane if scaling is None else scaling.transform(plane)).reshape(SIDE, SIDE)
    n_classes = net.shapes["b2"][0]
    edge, near = np.zeros((SIDE, SIDE), dtype=bool), np.zeros((n_classes, n_classes), dtype=bool)
    for here, there in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        edge[here] |= classes[here] != classes[there]
        near[classes[here], classes[there]] = near[classes[there], classes[here]] = True
    colour = np.arange(n_classes) % N_COLOURS
    for k in range(N_COLOURS, n_classes):  # a colour that no neighbour before it has, its own if that is free
        free = [c for c in np.roll(np.arange(N_COLOURS), -colour[k]) if c not in colour[:k][near[k, :k]]]
        colour[k] = free[0] if free else colour[k]
    pixels = np.full((SIDE, SIDE, 4), REGION, dtype=np.uint8)
    pixels[..., :3] = np.array([[*bytes.fromhex(one[1:])] for one in REGIONS])[colour[classes]]
    pixels[edge] = EDGE
    return pixels


def boundary_section(net: TwoLayerNet, data: Dataset) -> Html:
    """Draw the predicted class over the plane of the two features, in their own units, and samples on top."""
    part, X, labels = "test", data.X_test, data.y_test
    if not len(X):
        part, X, labels = "training", data.X_train, data.y_train
    raw = X * data.scaling.scale + data.scaling.offset
    x, y = (axis_of(name, [column]) for name, column in zip(data.feature_names, raw.T, strict=True))
    every = math.ceil(len(X) / MAX_DOTS)
    shown, own = raw[::every], labels[::every]
    series = []
    for k, name in enumerate(data.class_names):
        dots, style = shown[own == k], f"dot edged r{k % N_COLOURS}"
        series.append(Series(name, dots[:, 0], dots[:, 1], style, shape=k % len(SHAPES), key=f"class {name}"))
    words = f"The plane of {x.label} and {y.label}, coloured by predicted class."
    which = "The" if every == 1 else f"{len(shown)} of the"
    caption = f"{which} {len(X):,} {part} samples over the predicted classes"
    plane = png(regions(net, (x.low, x.high), (y.low, y.high), data.scaling))
    drawing = chart("Decision boundary", words, series, x, y, caption=caption, background=plane)
    return section("Decision boundary", grid("charts", [drawing]))


def first_layer_section(net: TwoLayerNet, shape: tuple[int, int]) -> Html:
    """Draw the weights of each hidden unit as an image, the units with the largest weights to the classes first."""
    W1, strength = net.params["W1"], np.linalg.norm(net.params["W2"], axis=1)
    units = np.argsort(-strength, kind="stable")[:MAX_UNITS]
    pictures = []
    for unit in units:
        own, largest = W1[:, unit].reshape(shape), np.abs(W1[:, unit]).max()
        uri = png(own / (largest or 1.0), cmap="RdBu_r", vmin=-1.0, vmax=1.0)
        words = f"hidden unit {unit}: weights up to {largest:.3g}, to the classes {strength[unit]:.3g}"
        pictures.append(image(uri, words))
    drawn = "all" if len(units) == W1.shape[1] else f"the {len(units)} strongest of"
    weights = f"The weights from the image to {drawn} {W1.shape[1]} hidden units"
    words = f"{weights}, red above 0 and blue below, each on its own scale; the strongest come first."
    return section("First layer", paragraph(words, "note"), grid("units", pictures))
