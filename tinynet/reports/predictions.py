"""The report's sections about the test part: classes, confusion, curves of two classes, the worst mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.data.datasets import Dataset
from tinynet.losses import softmax
from tinynet.reports.html import Html, figure, grid, image, paragraph, percent, png, section, shaded, table
from tinynet.reports.svg import Axis, Series, chart

Array = npt.NDArray[Any]

MAX_CLASSES = 40  # of a confusion matrix that can still be read
MAX_MISTAKES = 12
CALIBRATION_BINS = 10


def prediction_sections(data: Dataset, logits: Array, scores: dict[str, Any]) -> list[Html]:
    """Return what `logits` of the test part of `data` say beyond the headline; `scores` are those of `score`."""
    probabilities, predicted = softmax(logits), logits.argmax(axis=1)
    tables = [_class_table(data.class_names, scores)]
    if data.n_classes <= MAX_CLASSES:
        tables.insert(0, _confusion(data, predicted))
    else:
        tables.append(paragraph(f"A confusion matrix of {data.n_classes} classes would be unreadable.", "note"))
    sections = [section("Test part, class by class", *_never_found(data.class_names, scores), grid("pair", tables))]
    if data.n_classes == 2 and np.isfinite(probabilities).all() and 0 < data.y_test.sum() < len(predicted):
        sections.append(_two_class_curves(data, probabilities[:, 1], scores))
    if data.image_shape is not None:
        sections.append(_mistakes(data, probabilities, predicted))
    return sections


def _never_found(names: tuple[str, ...], scores: dict[str, Any]) -> list[Html]:
    missed = [name for name, own in zip(names, scores["classes"], strict=True) if own["recall"] == 0]
    if not missed:
        return []
    shown = ", ".join(missed[:5]) + (f" and {len(missed) - 5} more" if len(missed) > 5 else "")
    return [paragraph(f"Not one sample was recognised of: {shown}.", "notice")]


def _class_table(names: tuple[str, ...], scores: dict[str, Any]) -> Html:
    rows = []
    for name, own in zip(names, scores["classes"], strict=True):
        recall = Html('<span class="bad">0 %: none</span>') if own["recall"] == 0 else _percent(own["recall"])
        rows.append((name, f"{own['n_samples']:,}", _percent(own["precision"]), recall, _percent(own["f1"])))
    return table(
        "Precision: how many of those called so are. Recall: how many of those that are so were called so. "
        "F1: the harmonic mean of the two.",
        ("class", "samples", "precision", "recall", "F1"),
        rows,
    )


def _percent(fraction: float | None) -> str:
    return "—" if fraction is None else percent(fraction)


def _confusion(data: Dataset, predicted: Array) -> Html:
    from sklearn.metrics import confusion_matrix

    matrix = confusion_matrix(data.y_test, predicted, labels=np.arange(data.n_classes))
    actual = matrix.sum(axis=1)
    worst = max(int((matrix - np.diag(np.diag(matrix))).max()), 1)
    cells = [
        (
            data.class_names[k],
            *(
                shaded(f"{n:,}", n / max(actual[k], 1), "hit") if j == k else shaded(n or "·", n / worst, "miss")
                for j, n in enumerate(row.tolist())
            ),
        )
        for k, row in enumerate(matrix)
    ]
    caption = "Confusion matrix: a row for each true class, a column for each predicted class"
    return table(caption, ("true", *data.class_names), cells, "matrix")


def _two_class_curves(data: Dataset, probability: Array, scores: dict[str, Any]) -> Html:
    """Draw ROC, precision against recall, and calibration of the second class."""
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

    name, labels = data.class_names[1], data.y_test
    false, true, _ = roc_curve(labels, probability)
    precision, recall, _ = precision_recall_curve(labels, probability)
    area, average, share = scores["roc_auc"], average_precision_score(labels, probability), labels.mean()
    said, seen, numbers = calibration(labels, probability)
    charts = [
        _unit_chart(
            (f"ROC curve of {name}", f"Area {area:.3f}; the dotted line is guessing."),
            ("false positive rate", "true positive rate"),
            [_plain([0, 1], [0, 1]), Series("true positive rate", false, true, "line c0 d0")],
        ),
        _unit_chart(
            (f"Precision against recall of {name}", f"Average precision {average:.3f}; the dotted line is guessing."),
            ("recall", "precision"),
            [_plain([0, 1], [share, share]), Series("precision", recall[::-1], precision[::-1], "line c0 d0")],
        ),
        _unit_chart(
            (f"Calibration of {name}", f"Samples in {len(said)} groups by probability; the dotted line is perfect."),
            ("mean probability", f"fraction that is {name}"),
            [
                _plain([0, 1], [0, 1]),
                Series("fraction", said, seen, "line c0 d0"),
                Series("groups", said, seen, "dot c0", shape=0, notes=[f"{n} samples" for n in numbers]),
            ],
        ),
    ]
    return section(f"Probabilities of class {name}", grid("charts", charts))


def calibration(labels: Array, probability: Array) -> tuple[Array, Array, Array]:
    """Return mean probability, share of label 1 and number of samples in each tenth of the probability that has any."""
    group = np.minimum((CALIBRATION_BINS * probability).astype(int), CALIBRATION_BINS - 1)
    numbers, sums, ones = (
        np.bincount(group, weights, minlength=CALIBRATION_BINS) for weights in (None, probability, labels)
    )
    kept = numbers > 0
    return sums[kept] / numbers[kept], ones[kept] / numbers[kept], numbers[kept]


def _unit_chart(what: tuple[str, str], labels: tuple[str, str], series: list[Series]) -> Html:
    x, y = (Axis(label, 0.0, 1.0) for label in labels)
    return figure(chart(what[0], what[1], series, x, y), f"{what[0]}. {what[1]}")


def _plain(x: list[float], y: list[float]) -> Series:
    return Series("guessing", np.array(x, dtype=float), np.array(y, dtype=float), "plain c6", shape=None)


def _mistakes(data: Dataset, probabilities: Array, predicted: Array) -> Html:
    """Show the misread images whose true class got the least probability."""
    wrong = np.flatnonzero(predicted != data.y_test)
    title = "Worst mistakes"
    if not len(wrong):
        return section(title, paragraph("Every test sample was read correctly.", "note"))
    given = probabilities[wrong, data.y_test[wrong]]
    order = wrong[np.argsort(given, kind="stable")][:MAX_MISTAKES]
    pixels = (data.X_test[order] * data.scaling.scale + data.scaling.offset).reshape(-1, *(data.image_shape or ()))
    figures = []
    for i, picture in zip(order, pixels, strict=True):
        true, taken = data.class_names[data.y_test[i]], data.class_names[predicted[i]]
        uri = png(picture, cmap="gray_r", vmin=float(pixels.min()), vmax=float(pixels.max()))
        caption = f"{true}, taken for {taken} ({100 * probabilities[i, predicted[i]]:.0f} %)"
        figures.append(figure(image(uri, f"test sample {i}, class {true}"), caption))
    words = (
        f"{len(wrong):,} of {len(predicted):,} test samples were misread; "
        "these had the least probability for their own class."
    )
    return section(title, paragraph(words, "note"), grid("images", figures))
