"""The curves of a run: which parts a history has, which epoch is the best, and their charts for a page."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.reports.html import Html, grid, paragraph
from tinynet.reports.svg import Series, axis_of, chart, spans_decades
from tinynet.training.history import History

Array = npt.NDArray[Any]

PARTS = {"training": "train", "validation": "validation"}  # the first word of their columns

FEW_EPOCHS = 2  # no curve: the loss is drawn by step


def parts_of(history: History, what: str) -> dict[str, Array]:
    """Return the curves of "loss" or of "accuracy" in percent, by the name of the part, where it has values."""
    curves = {part: times_of(what) * np.array(history[f"{column}_{what}"]) for part, column in PARTS.items()}
    return {part: values for part, values in curves.items() if np.isfinite(values).any()}


def best_of(history: History, what: str) -> tuple[int, float] | None:
    """Return the epoch that `History.best` names and its loss, or accuracy in percent, on the part that decided."""
    if not len(history):
        return None
    best = history.best
    value = times_of(what) * getattr(best, f"{best.monitored_part}_{what}")
    return (best.epoch, value) if math.isfinite(value) else None


def times_of(what: str) -> float:
    """Return what a column is multiplied by to be shown: an accuracy is in percent."""
    return 100.0 if "accuracy" in what else 1.0


def curve_charts(history: History) -> Html:
    """Return the charts of a run: loss, accuracy, and what else changed from epoch to epoch."""
    if not len(history):
        return paragraph("No epoch has ended, so there is nothing to draw.", "note")
    losses, label, charts = parts_of(history, "loss"), "loss (nats a sample)", list[Html]()
    if len(history) <= FEW_EPOCHS and history.step_losses:
        charts.append(_by_step(history, label, losses))
    else:
        charts.append(_by_epoch(history, "Loss by epoch", label, losses, best_of(history, "loss")))
        if spans_decades(list(losses.values())):
            title = "Loss by epoch on a logarithmic scale"
            charts.append(_by_epoch(history, title, f"{label}, logarithmic", losses, best_of(history, "loss")))
    accuracies = parts_of(history, "accuracy")
    charts.append(_by_epoch(history, "Accuracy by epoch", "accuracy (%)", accuracies, best_of(history, "accuracy")))
    rates = np.array(history["learning_rate"])
    if len(np.unique(rates)) > 1:
        charts.append(_by_epoch(history, "Learning rate by epoch", "learning rate", {"learning rate": rates}))
    norms = {word: np.array(history[f"{word}_norm"]) for word in ("gradient", "update")}
    if np.isfinite([*norms.values()]).any():  # a run of an older version has none
        title, label = "Norm of the gradient and of the update by epoch", "norm, logarithmic"
        charts.append(_by_epoch(history, title, label, norms))
    return grid("charts", charts)


def _by_epoch(
    history: History, title: str, label: str, curves: dict[str, Array], best: tuple[int, float] | None = None
) -> Html:
    """Draw curves by epoch, with the epoch marked that is the best; the label says unit and scale."""
    epochs, unit = np.array(history["epoch"], dtype=np.float64), " %" if "%" in label else ""
    words, series = [], []
    for number, (name, values) in enumerate(curves.items(), 0 if best else 2):
        end = f"{values[-1]:.4g}{unit} at the end"
        series.append(Series(name, epochs, values, f"line c{number} d{number % 2}", key=f"{name}, {end}"))
        words.append(f"{name.capitalize()}: {values[0]:.4g}{unit} after epoch 1, {end}.")
    if best:
        said = f"best epoch: {best[0]}, {best[1]:.4g}{unit}"
        series.append(Series("best", np.array(best[:1]), np.array(best[1:]), "ring", shape=0, key=said))
        words.append(f"{said.capitalize()}.")
    y = axis_of(label, list(curves.values()), log="logarithmic" in label, from_zero=not unit)
    return chart(title, " ".join(words), series, axis_of("epoch", [epochs], whole=True), y)


def _by_step(history: History, label: str, losses: dict[str, Array]) -> Html:
    """Draw the loss of each step's batch, and those of the parts after each epoch."""
    steps, own = np.arange(1.0, len(history.step_losses) + 1), np.array(history.step_losses)
    ends = np.array(history["step"], dtype=np.float64)
    series = [Series("batch", steps, own, "line c0 d0", key="batch of the step, before it")]
    for number, (part, values) in enumerate(losses.items(), 1):
        notes = [f"{part} after epoch {epoch}: {loss:.4g}" for epoch, loss in enumerate(values, 1)]
        dots = f"{part} after an epoch, {values[-1]:.4g} at the end"
        series.append(Series(part, ends, values, f"dot c{number}", shape=number, notes=notes, key=dots))
    words = f"From {own[0]:.4g} in the first step to {own[-1]:.4g} in the last."
    y = axis_of(label, [own, *losses.values()], from_zero=True)
    return chart("Loss by step", words, series, axis_of("step", [steps], whole=True), y)
