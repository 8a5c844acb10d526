"""The report's page about one run: figures, curves, the test part, what the network looks like, how to repeat it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.artifacts.run_folder import Status
from tinynet.artifacts.stored_runs import StoredRun as Record
from tinynet.config.building import Run
from tinynet.config.loading import flat
from tinynet.data.datasets import Dataset
from tinynet.losses import softmax
from tinynet.network import TwoLayerNet
from tinynet.reports.html import (
    Html,
    document,
    figure,
    grid,
    image,
    paragraph,
    png,
    section,
    shaded,
    table,
    text,
    tiles,
)
from tinynet.reports.svg import SHAPES, Axis, Series, axis_of, chart, key, spans_decades
from tinynet.training.history import History

Array = npt.NDArray[Any]

MOST_CLASSES = 40  # of a confusion matrix that can still be read
MOST_MISTAKES = 12
MOST_UNITS = 60  # drawn as images
MOST_DOTS = 400
SIDE = 240  # pixels of a decision boundary
TINTS = np.array(  # the colours of the style sheet, halfway between light and dark
    [[43, 147, 206], [220, 108, 34], [23, 160, 123], [189, 107, 167], [189, 142, 22], [102, 155, 227], [124, 138, 152]]
)
REFRESH_S = 5
ENDINGS: dict[str, str] = {
    Status.RUNNING: f"The run is under way. This page is written anew every {REFRESH_S} seconds or more.",
    Status.UNFINISHED: "The run has not ended: it is still going, or it was killed. "
    "This is what it has written so far.",
    Status.DIVERGED: "The loss or its gradient stopped being finite; the weights are those after the last whole epoch.",
    Status.INTERRUPTED: "The run was interrupted; the figures end with the last whole epoch.",
    Status.FAILED: "The run failed before its end; the figures end with the last whole epoch.",
}


def run_page(record: Record, run: Run | str) -> bytes:
    """Return the page about `record`; `run` is what was trained, or a sentence that says why it is not at hand."""
    parts = [Html(f"<h1>{text(record.config.name)}</h1>"), paragraph(_lead(record), "lead")]
    if record.status in ENDINGS:
        parts.append(paragraph(ENDINGS[record.status], "notice"))
    parts.append(_headline(record))
    parts.append(section("Curves", *_curves(record.history)))
    if isinstance(run, str):
        parts.append(section("Predictions", paragraph(run, "note")))
    else:
        parts += _test_sections(record, run) + _pictures(run)
    parts.append(_repeat(record))
    refresh_s = REFRESH_S if record.running else None
    return document(f"{record.config.name}: tinynet report", parts, refresh_s=refresh_s)


def duration(seconds: float) -> str:
    """Return a duration for the eye."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def percent(fraction: float) -> str:
    """Return a fraction in percent."""
    return f"{100 * fraction:.1f} %"


def value_of(setting: object) -> str:
    """Return a setting as a config file has it, strings without their quotes."""
    if isinstance(setting, bool):
        return str(setting).lower()
    return f"{setting:.10g}" if isinstance(setting, float) else str(setting)


def _lead(record: Record) -> str:
    config, summary = record.config, record.summary
    sentence = f"{config.dataset.name} data, {config.network.hidden_units} {config.network.activation} units"
    if summary is None:
        return f"{sentence}; run folder {record.label}"
    parts = [
        f"{n:,} {part}"
        for part, n in (("training", summary.n_train), ("validation", summary.n_validation), ("test", summary.n_test))
    ]
    return f"{sentence}; {', '.join(parts[:-1])} and {parts[-1]} samples; run folder {record.label}"


def _headline(record: Record) -> Html:
    summary, history = record.summary, record.history
    figures: list[tuple[str, object, object]] = []
    if summary is not None and summary.test_accuracy is not None and summary.test_loss is not None:
        right = round(summary.test_accuracy * summary.n_test)
        figures.append(("Test accuracy", percent(summary.test_accuracy), f"{right:,} of {summary.n_test:,} right"))
        figures.append(("Test loss", f"{summary.test_loss:#.4g}", "nats a sample"))
    if len(history):
        best = history.best
        part = "training" if math.isnan(best.validation_loss) else "validation"
        loss = best.train_loss if part == "training" else best.validation_loss
        figures.append(("Best epoch", best.epoch, f"of {len(history)}; {part} loss {loss:#.4g}"))
    steps = f"{history.rows[-1].step:,} steps" if len(history) else "no epoch ended"
    seconds = sum(history["duration_s"]) if summary is None else summary.duration_s
    figures.append(("Time", duration(seconds), steps))
    if summary is not None:
        figures.append(("Parameters", f"{summary.n_parameters:,}", "weights and biases"))
    good = record.finished
    status = Html(f'<span class="{"good" if good else "bad"}">{text(record.status)}</span>')
    figures.append(("Status", status, f"seed {record.config.seed}"))
    return tiles(figures)


def _curves(history: History) -> list[Html]:
    if not len(history):
        return [paragraph("No epoch has ended, so there is nothing to draw.", "note")]
    charts = [_curve(history, "loss", "loss (nats a sample)", log=False)]
    if spans_decades([np.array(history["train_loss"] + history["validation_loss"])]):
        charts.append(_curve(history, "loss", "loss, powers of ten", log=True))
    charts.append(_curve(history, "accuracy", "accuracy (%)", log=False))
    rates = np.array(history["learning_rate"])
    if len(set(rates.tolist())) > 1 and np.isfinite(rates).all():
        series = [Series("learning rate", np.array(history["epoch"]), rates, "line c2 d0")]
        rate = axis_of("learning rate", [rates], from_zero=True)
        words = f"From {rates[0]:.4g} in epoch 1 to {rates[-1]:.4g} in epoch {len(rates)}."
        charts.append(figure(chart("Learning rate by epoch", words, series, _epochs(history), rate), "Learning rate"))
    return [grid("charts", charts)]


def _curve(history: History, what: str, label: str, *, log: bool) -> Html:
    times, unit = (100.0, " %") if what == "accuracy" else (1.0, "")
    epochs, best = np.array(history["epoch"], dtype=np.float64), history.best
    series, sentences, entries = [], [], list[tuple[str, str, int | None]]()
    for number, (part, word) in enumerate((("train", "training"), ("validation", "validation"))):
        values = times * np.array(history[f"{part}_{what}"])
        if np.isfinite(values).any():
            series.append(Series(word, epochs, values, f"line c{number} d{number}"))
            entries.append((f"{word}, {values[-1]:.4g}{unit} at the end", series[-1].style, None))
            sentences.append(
                f"{word.capitalize()}: {values[0]:.4g}{unit} after epoch 1, {values[-1]:.4g}{unit} at the end."
            )
    at = times * (getattr(best, f"validation_{what}" if len(series) > 1 else f"train_{what}"))
    y = axis_of(label, [one.y for one in series], log=log, from_zero=what == "loss")
    if math.isfinite(at):
        sentences.append(f"Best epoch: {best.epoch}, {at:.4g}{unit}.")
        entries.append((f"best epoch: {best.epoch}, {at:.4g}{unit}", "ring", 0))
        series.append(Series("best", np.array([best.epoch]), np.array([at]), "ring", shape=0))
    title = f"{what.capitalize()} by epoch" + (" on a logarithmic scale" if log else "")
    return figure(chart(title, " ".join(sentences), series, _epochs(history), y), title, key(entries))


def _epochs(history: History) -> Axis:
    return axis_of("epoch", [np.array(history["epoch"])], whole=True)


def _test_sections(record: Record, run: Run) -> list[Html]:
    data, summary = run.dataset, record.summary
    if not len(data.X_test):
        return [section("Test part", paragraph("There is none: dataset.test_size is 0.", "note"))]
    if summary is None or summary.test_loss is None:
        sentence = "The test part is measured once, at the end of a run that comes to its end; this one did not."
        return [section("Test part", paragraph(sentence, "note"))]
    probabilities = softmax(run.net.logits(data.X_test))
    predicted = probabilities.argmax(axis=1)
    sections = [section("Test part, class by class", grid("pair", _confusion(data, predicted)))]
    if data.image_shape is not None:
        sections.append(_mistakes(data, probabilities, predicted))
    return sections


def _confusion(data: Dataset, predicted: Array) -> list[Html]:
    from sklearn.metrics import confusion_matrix

    matrix = confusion_matrix(data.y_test, predicted, labels=np.arange(data.n_classes))
    hits, actual, said = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    rows = [
        (name, f"{n:,}", _ratio(hit, as_this), _ratio(hit, n))
        for name, n, hit, as_this in zip(data.class_names, actual, hits, said, strict=True)
    ]
    tables = [
        table(
            "Precision: how many of those called so are. Recall: how many of those that are so were called so.",
            ("class", "samples", "precision", "recall"),
            rows,
        )
    ]
    if data.n_classes <= MOST_CLASSES:
        worst = max(int((matrix - np.diag(hits)).max()), 1)
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
        tables.insert(0, table(caption, ("true", *data.class_names), cells, "matrix"))
    else:
        tables.append(paragraph(f"A confusion matrix of {data.n_classes} classes would be unreadable.", "note"))
    return tables


def _ratio(part: int, whole: int) -> str:
    return percent(part / whole) if whole else "—"


def _mistakes(data: Dataset, probabilities: Array, predicted: Array) -> Html:
    """Show the misread images whose true class got the least probability."""
    wrong = np.flatnonzero(predicted != data.y_test)
    title = "Worst mistakes"
    if not len(wrong):
        return section(title, paragraph("Every test sample was read correctly.", "note"))
    given = probabilities[wrong, data.y_test[wrong]]
    order = wrong[np.argsort(given, kind="stable")][:MOST_MISTAKES]
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


def _pictures(run: Run) -> list[Html]:
    sections = []
    if run.dataset.n_features == 2:
        sections.append(section("Decision boundary", grid("charts", [_boundary(run.net, run.dataset)])))
    if run.dataset.image_shape is not None:
        sections.append(section("First layer", _weights(run.net, run.dataset.image_shape)))
    return sections


def _boundary(net: TwoLayerNet, data: Dataset) -> Html:
    """Draw the predicted class over the plane of the two features, in their own units, and samples on top."""
    X, labels, part = data.X_test, data.y_test, "test"
    if not len(X):
        X, labels, part = data.X_train, data.y_train, "training"
    raw = X * data.scaling.scale + data.scaling.offset
    axes = [axis_of(name, [column]) for name, column in zip(data.feature_names, raw.T, strict=True)]
    x0, x1 = (np.linspace(axis.low, axis.high, SIDE) for axis in axes)
    plane = np.stack(np.meshgrid(x0, x1[::-1]), axis=-1).reshape(-1, 2)
    classes = net.predict(data.scaling.transform(plane)).reshape(SIDE, SIDE)
    edge = np.zeros_like(classes, dtype=bool)
    edge[:-1] |= classes[:-1] != classes[1:]
    edge[:, :-1] |= classes[:, :-1] != classes[:, 1:]
    pixels = np.full((SIDE, SIDE, 4), 70, dtype=np.uint8)  # the last is how much of the tint is seen
    pixels[..., :3] = TINTS[classes % len(TINTS)]
    pixels[edge] = (90, 100, 112, 255)
    shown, series, entries = np.arange(len(X))[:: math.ceil(len(X) / MOST_DOTS)], [], []
    for k, name in enumerate(data.class_names):
        own = raw[shown][labels[shown] == k]
        style, shape = f"dot c{k % len(TINTS)}", k % len(SHAPES)
        series.append(Series(name, own[:, 0], own[:, 1], style, shape=shape))
        entries.append((f"class {name}", style, shape))
    words = f"The plane of {data.feature_names[0]} and {data.feature_names[1]}, coloured by predicted class."
    drawing = chart("Decision boundary", words, series, axes[0], axes[1], png(pixels))
    which = "The" if len(shown) == len(X) else f"{len(shown)} of the"
    return figure(drawing, f"{which} {len(X):,} {part} samples over the predicted classes", key(entries))


def _weights(net: TwoLayerNet, shape: tuple[int, int]) -> Html:
    """Draw what each hidden unit weighs, the units with the strongest say first, as one image."""
    W1, say = net.params["W1"], np.linalg.norm(net.params["W2"], axis=1)
    units = np.argsort(-say, kind="stable")[:MOST_UNITS]
    across = 10
    down = math.ceil(len(units) / across)
    sheet = np.full((down * (shape[0] + 1) + 1, across * (shape[1] + 1) + 1), np.nan)
    for place, unit in enumerate(units):
        top, left = place // across * (shape[0] + 1) + 1, place % across * (shape[1] + 1) + 1
        weights = W1[:, unit].reshape(shape)
        sheet[top : top + shape[0], left : left + shape[1]] = weights / (np.abs(weights).max() or 1.0)
    uri = png(np.ma.masked_invalid(sheet), cmap="RdBu_r", vmin=-1.0, vmax=1.0)
    drawn = "all" if len(units) == W1.shape[1] else f"the {len(units)} strongest of"
    words = (
        f"The weights from the image to {drawn} {W1.shape[1]} hidden units, red above 0 and blue below, each unit on "
        "its own scale; first come the units with the largest weights to the classes."
    )
    return Html(f'<div class="sheet">{figure(image(uri, words), words)}</div>')


def _repeat(record: Record) -> Html:
    return section(
        "Repeat it",
        paragraph(f"In the run folder, {record.label}; the same versions on the same machine give the same bits:"),
        Html("<pre><code>tinynet train config.json</code></pre>"),
        grid(
            "pair",
            [
                table("config.json", ("key", "value"), _cells(record.written), "words"),
                table("environment.json", ("what", "value"), _cells(flat(record.environment)), "words"),
            ],
        ),
    )


def _cells(values: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for name, value in values.items():
        if isinstance(value, list):
            inner = [" ".join(map(str, one.values())) if isinstance(one, dict) else str(one) for one in value]
            value = "; ".join(inner)
        rows.append((name, "—" if value is None else value_of(value)))
    return rows
