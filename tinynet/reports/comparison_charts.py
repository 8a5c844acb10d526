"""Charts of many runs: curves of the settings, training beside validation, and what each swept key does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.artifacts.stored_runs import StoredRun
from tinynet.reports.comparison import Setting, exploded, grouped, loss_of, part_of, test_accuracy_of
from tinynet.reports.curves import PARTS, times_of
from tinynet.reports.html import Html, grid, paragraph, value_of
from tinynet.reports.svg import Axis, Series, axis_of, chart, key, line_style, spans_decades

Array = npt.NDArray[Any]

NOWHERE = np.zeros(0), np.zeros(0)
MAX_TOGETHER = 8  # settings in one chart; with more, each of the best has a chart of its own
MAX_PANELS = 12
MAX_BANDS = 4  # settings whose spread is drawn; more bands would hide one another
LABELS = {"loss": "loss (nats a sample)", "accuracy": "accuracy (%)"}


def curve_charts(settings: Sequence[Setting], data: str = "") -> list[Html]:
    """Return the medians of settings by epoch, best first: of all in a few charts, or of each of the best in its own.

    `data` is put in front of the names of the charts.
    """
    drawn = [setting for setting in settings if setting.finished]
    return (_one_by_one if len(drawn) > MAX_TOGETHER else _together)(drawn, data)


def _together(drawn: Sequence[Setting], data: str) -> list[Html]:
    """Draw all settings in charts of training and of validation loss and accuracy."""
    charts, left, names = [], list[str](), [f"{setting.label} (n = {len(setting.finished)})" for setting in drawn]
    for what in LABELS:
        parts = {part: [_median(one, part, what, place) for place, one in enumerate(drawn)] for part in PARTS}
        parts = {part: own for part, own in parts.items() if any(np.isfinite(line.y).any() for line in own)}
        y, above = _axis(what, [line for own in parts.values() for line in own])
        left += above
        charts += [_chart(f"{data}{part.capitalize()} {what} by epoch", own, y) for part, own in parts.items()]
    words = (
        f"Lines are medians over the runs of a setting; bands, of the best {MAX_BANDS}, span their lowest and highest."
    )
    entries = key([Series("", *NOWHERE, line_style(place), key=name) for place, name in enumerate(names)])
    return [paragraph(words, "note"), *_leaving(left), grid("charts", charts), entries]


def _one_by_one(drawn: Sequence[Setting], data: str) -> list[Html]:
    """Draw training and validation loss of each of the best settings in a chart of its own, all on one scale."""
    panels = {}
    for place, setting in enumerate(drawn[:MAX_PANELS], 1):
        lines = [_median(setting, part, "loss", number, banded=False) for number, part in enumerate(PARTS)]
        panels[f"{data}{place}. {setting.label} (n = {len(setting.finished)})"] = lines
    y, above = _axis("loss", [line for lines in panels.values() for line in lines])
    charts = []
    for title, lines in panels.items():
        named = [replace(line, label=part) for part, line in zip(PARTS, lines, strict=True)]
        charts.append(_chart(title, [line for line in named if np.isfinite(line.y).any()], y))
    words = "Training and validation loss of the best settings, medians over their runs, all on one scale."
    if len(drawn) > MAX_PANELS:
        words += f" The other {len(drawn) - MAX_PANELS} settings are in the table above."
    entries = key([Series("", *NOWHERE, line_style(number), key=part) for number, part in enumerate(PARTS)])
    return [paragraph(words, "note"), *_leaving(above), entries, grid("charts", charts)]


def _leaving(labels: Sequence[str]) -> list[Html]:
    words = f"Leaves the frame of the charts: {'; '.join(dict.fromkeys(labels))}."
    return [paragraph(words, "notice")] if labels else []


def _axis(what: str, lines: Sequence[Series]) -> tuple[Axis, list[str]]:
    """Return an axis on which no line that exploded flattens the others, and the labels of those that leave it.

    That of a loss is logarithmic where the others span more than a decade.
    """
    if what != "loss":
        return axis_of(LABELS[what], [values for line in lines for values in (line.y, *(line.band or ()))]), []
    out = exploded(np.array([line.y[-1] if len(line.y) else np.nan for line in lines]))
    kept = [line.y for line, is_out in zip(lines, out, strict=True) if not is_out and np.isfinite(line.y).any()]
    usual = max((float(np.nanquantile(line, 0.9, method="lower")) for line in kept), default=0.0)
    values = [np.minimum(line, 5 * usual or np.inf) for line in kept]  # a peak of a few epochs
    log = len(values) > 0 and spans_decades(values)
    axis = axis_of(LABELS[what] + (", logarithmic" if log else ""), values, log=log, from_zero=True)
    return axis, [line.label for line, is_out in zip(lines, out, strict=True) if is_out]


def _chart(title: str, lines: Sequence[Series], y: Axis) -> Html:
    ends = " ".join(f"{line.label}: {line.y[-1]:.4g} at the end." for line in lines if len(line.y))
    x = axis_of("epoch", [line.x for line in lines], whole=True)
    return chart(title, ends or "Nothing to draw.", lines[::-1], x, y)


def _median(setting: Setting, part: str, what: str, number: int, *, banded: bool = True) -> Series:
    """Return the median over the finished runs as far as all go; an accuracy is in percent."""
    columns = [run.history[f"{PARTS[part]}_{what}"] for run in setting.finished]
    length = min(map(len, columns))
    values = times_of(what) * np.array([own[:length] for own in columns])
    epochs = np.arange(1, length + 1, dtype=np.float64)
    band = (values.min(axis=0), values.max(axis=0)) if banded and number < MAX_BANDS and len(columns) > 1 else None
    return Series(setting.label, epochs, np.median(values, axis=0), line_style(number), band=band)


def effect_charts(runs: Sequence[StoredRun], keys: Sequence[str], data: str = "") -> list[Html]:
    """Return charts of loss and test accuracy against the values of each key in `keys`."""
    finished = [run for run in runs if run.finished]
    metrics = ((f"{part_of(runs)} loss", loss_of), ("test accuracy (%)", test_accuracy_of))
    drawn = (_effect(finished, name, f"{data}{label}", measure) for name in keys for label, measure in metrics)
    charts = [one for one in drawn if one is not None]
    if not charts:
        return []
    words = "A dot is a run, the line joins the medians; the other keys vary among the dots."
    dot = Series("", *NOWHERE, "dot c0", shape=0, key="one run")
    entries = key([dot, Series("", *NOWHERE, "line c1 d0", key="median")])
    return [paragraph(words, "note"), grid("charts", charts), entries]


def _effect(finished: Sequence[StoredRun], name: str, label: str, measure: Callable[[StoredRun], float]) -> Html | None:
    """Draw `measure` against the values of the key `name`, unless it was not measured or there is but one value."""
    groups = [(values[name], own) for values, own in grouped(finished, lambda run: {name: run.settings.get(name)})]
    groups.sort(key=lambda one: _order(one[0]))
    found = [times_of(label) * np.array([measure(run) for run in own]) for _, own in groups]
    every = np.concatenate(found)
    if len(groups) < 2 or not np.isfinite(every).any():
        return None
    medians = np.array([np.median(own[np.isfinite(own)]) if np.isfinite(own).any() else np.nan for own in found])
    x, places = _value_axis(name, [value for value, _ in groups])
    labels = [run.label for _, own in groups for run in own]
    notes = [f"{run}: {value:.4g}" for run, value in zip(labels, every, strict=True)]
    dots = Series("runs", np.repeat(places, [len(own) for own in found]), every, "dot c0", shape=0, notes=notes)
    words = "; ".join(f"{value_of(value)}: {median:.4g}" for (value, _), median in zip(groups, medians, strict=True))
    title = f"{label.removesuffix(' (%)')} against {name}"
    inside = every[~exploded(every)] if "loss" in label else every
    y = axis_of(label, [inside], log="loss" in label and spans_decades([inside]))
    series = [Series("median", places, medians, "line c1 d0"), dots]
    return chart(title, f"Medians: {words}.", series, x, y, caption=title[0].upper() + title[1:])


def _value_axis(name: str, values: Sequence[Any]) -> tuple[Axis, Array]:
    """Return the axis of a key's values and where they lie: numbers by size, all else side by side."""
    places = np.arange(len(values), dtype=np.float64)
    axis = Axis(name, -0.5, len(values) - 0.5)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        places = np.array(values, dtype=np.float64)
        axis = axis_of(name, [places], log=bool(places.min() > 0 and places.max() >= 10 * places.min()))
    return replace(axis, marks=tuple(zip(places.tolist(), map(value_of, values), strict=True))), places


def _order(value: Any) -> tuple[int, Any]:
    """Put numbers by size before words, and a missing value first."""
    if value is None:
        return 0, 0
    return (1, value) if isinstance(value, int | float) else (2, str(value))
