"""Curves by epoch: which parts a history has, which epoch is the best, and their charts for a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.reports.html import Html, figure, grid, paragraph
from tinynet.reports.svg import Axis, Series, axis_of, chart, key, spans_decades
from tinynet.training.history import COLUMNS, History

Array = npt.NDArray[Any]

PARTS = {"train": "training", "validation": "validation"}
NORMS = {"gradient_norm": "gradient", "update_norm": "update"}


def parts_of(history: History, what: str) -> dict[str, Array]:
    """Return the curves of "loss" or of "accuracy" in percent, by the name of the part, where it has values."""
    times = 100.0 if what == "accuracy" else 1.0
    curves = {part: times * np.array(history[f"{part}_{what}"], dtype=np.float64) for part in PARTS}
    return {part: values for part, values in curves.items() if np.isfinite(values).any()}


def best_of(history: History, what: str) -> tuple[int, float] | None:
    """Return the epoch that `History.best` names and its loss, or accuracy in percent, on the part that decided."""
    if not len(history):
        return None
    best = history.best
    part = "train" if math.isnan(best.validation_loss) else "validation"
    value = getattr(best, f"{part}_{what}") * (100.0 if what == "accuracy" else 1.0)
    return (best.epoch, value) if math.isfinite(value) else None


def curve_charts(history: History) -> Html:
    """Return the charts of a run: loss, accuracy, and what else changed from epoch to epoch."""
    if not len(history):
        return paragraph("No epoch has ended, so there is nothing to draw.", "note")
    charts = [_loss_or_accuracy(history, "loss", "loss (nats a sample)", log=False)]
    if spans_decades(list(parts_of(history, "loss").values())):
        charts.append(_loss_or_accuracy(history, "loss", "loss (nats a sample), logarithmic", log=True))
    charts.append(_loss_or_accuracy(history, "accuracy", "accuracy (%)", log=False))
    rates = np.array(history["learning_rate"])
    if len(set(rates.tolist())) > 1:
        charts.append(_columns(history, {"learning_rate": "learning rate"}, "learning rate", log=False))
    if set(NORMS) <= set(COLUMNS) and any(np.isfinite(history[name]).any() for name in NORMS):
        charts.append(_columns(history, NORMS, "norm of the gradient and of the update", log=True))
    return grid("charts", charts)


def _loss_or_accuracy(history: History, what: str, label: str, *, log: bool) -> Html:
    curves, best, unit = parts_of(history, what), best_of(history, what), " %" if what == "accuracy" else ""
    series = [_line(history, PARTS[part], values, number) for number, (part, values) in enumerate(curves.items())]
    entries: list[tuple[str, str, int | None]] = [
        (f"{one.label}, {one.y[-1]:.4g}{unit} at the end", one.style, None) for one in series
    ]
    y = axis_of(label, list(curves.values()), log=log, from_zero=what == "loss")
    marks = []
    if best is not None:
        marks = [Series("best", np.array(best[:1]), np.array(best[1:]), "ring", shape=0)]
        entries.append((f"best epoch: {best[0]}, {best[1]:.4g}{unit}", "ring", 0))
    title = f"{what.capitalize()} by epoch" + (" on a logarithmic scale" if log else "")
    words = f"{_ends(series, unit)} {f'Best epoch: {best[0]}, {best[1]:.4g}{unit}.' if best else ''}"
    return figure(chart(title, words, series + marks, _epochs(history), y), title, key(entries))


def _columns(history: History, names: dict[str, str], label: str, *, log: bool) -> Html:
    """Draw columns of metrics.csv that need no part and no best epoch."""
    found = {word: np.array(history[name], dtype=np.float64) for name, word in names.items()}
    series = [_line(history, word, values, 2 + number) for number, (word, values) in enumerate(found.items())]
    y = axis_of(label, list(found.values()), log=log, from_zero=True)
    title = f"{label.capitalize()} by epoch"
    drawing = chart(title, _ends(series, ""), series, _epochs(history), y)
    return figure(drawing, title, key([(one.label, one.style, None) for one in series]) if len(series) > 1 else None)


def _line(history: History, word: str, values: Array, number: int) -> Series:
    return Series(word, np.array(history["epoch"], dtype=np.float64), values, f"line c{number} d{number % 2}")


def _ends(series: Sequence[Series], unit: str) -> str:
    return " ".join(
        f"{one.label.capitalize()}: {one.y[0]:.4g}{unit} after epoch 1, {one.y[-1]:.4g}{unit} at the end."
        for one in series
    )


def _epochs(history: History) -> Axis:
    return axis_of("epoch", [np.array(history["epoch"])], whole=True)
