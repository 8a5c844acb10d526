"""Charts of many runs: curves of the settings, training beside validation, and what each swept key does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.artifacts.stored_runs import StoredRun
from tinynet.reports.curves import PARTS
from tinynet.reports.html import Html, figure, grid, paragraph
from tinynet.reports.settings import Setting, exploded, loss_of, part_of, shown_value, test_accuracy_of
from tinynet.reports.svg import Axis, Series, axis_of, chart, key, line_style, spans_decades

Array = npt.NDArray[Any]

MAX_TOGETHER = 8  # settings in one chart; with more, each of the best has a chart of its own
MAX_PANELS = 12
MAX_BANDS = 4  # settings whose spread is drawn; more bands would hide one another
UNITS = {"loss": "nats a sample", "accuracy": "%"}


def curve_charts(settings: Sequence[Setting], data: str = "") -> list[Html]:
    """Return the curves of settings, best first: of all in a few charts, or of each of the best in its own.

    `data` is put in front of the names of the charts.
    """
    drawn = [setting for setting in settings if setting.finished]
    parts = [part for part in PARTS if any(np.isfinite(_median(one, f"{part}_loss").y).any() for one in drawn)]
    if len(drawn) > MAX_TOGETHER:
        return _panels(drawn, parts, data)
    parts = parts[::-1]  # validation first: it decides
    lines = {
        (part, what): [
            _median(setting, f"{part}_{what}", line_style(place), banded=place < MAX_BANDS)
            for place, setting in enumerate(drawn)
        ]
        for what in ("loss", "accuracy")
        for part in parts
    }
    charts, left = [], list[str]()
    for what in ("loss", "accuracy"):
        together = [line for part in parts for line in lines[part, what]]
        y, above = _axis(f"{what} ({UNITS[what]})", what, together)
        left += above
        charts += [_chart(f"{data}{PARTS[part].capitalize()} {what} by epoch", lines[part, what], y) for part in parts]
        if what == "loss" and spans_decades([line.y for line in together if line.label not in above]):
            y, _ = _axis("loss (nats a sample), logarithmic", "logarithmic loss", together)
            title = f"{data}{PARTS[parts[0]].capitalize()} loss by epoch, on a logarithmic scale"
            charts.append(_chart(title, lines[parts[0], what], y))
    notes = [paragraph(f"Leaves the frame of the charts: {'; '.join(left)}.", "notice")] if left else []
    entries = [
        (f"{setting.label} (n = {len(setting.finished)})", line_style(place), None)
        for place, setting in enumerate(drawn)
    ]
    words = (
        f"Lines are medians over the finished runs of a setting, bands (of the best {MAX_BANDS}) go from their lowest "
        "to their highest; a line ends where the shortest of its runs does. All charts of the loss have one scale, "
        "but for the logarithmic one."
    )
    return [paragraph(words, "note"), *notes, grid("charts", charts), key(entries)]


def _panels(drawn: Sequence[Setting], parts: Sequence[str], data: str) -> list[Html]:
    """Draw training and validation loss of each of the best settings in a chart of its own, all on one scale."""
    shown = drawn[:MAX_PANELS]
    lines = [
        [
            replace(_median(setting, f"{part}_loss"), label=PARTS[part], style=f"line c{k} d{k}")
            for k, part in enumerate(parts)
        ]
        for setting in shown
    ]
    together = [replace(line, label=setting.label) for setting, own in zip(shown, lines, strict=True) for line in own]
    logarithmic = spans_decades([line.y for line in together])
    label = f"loss (nats a sample{', logarithmic' if logarithmic else ''})"
    y, above = _axis(label, "logarithmic loss" if logarithmic else "loss", together)
    charts = [
        _chart(f"{data}{place}. {setting.label} (n = {len(setting.finished)})", own, y)
        for place, (setting, own) in enumerate(zip(shown, lines, strict=True), 1)
    ]
    more = len(drawn) - len(shown)
    words = "Training and validation loss of the best settings, medians over their runs, all on one scale."
    words += f" The other {more} settings are in the table above." if more else ""
    notes = [paragraph(f"Leaves the frame of its chart: {'; '.join(above)}.", "notice")] if above else []
    entries = [(PARTS[part], f"line c{k} d{k}", None) for k, part in enumerate(parts)]
    return [paragraph(words, "note"), *notes, key(entries), grid("charts", charts)]


def _axis(label: str, what: str, lines: Sequence[Series]) -> tuple[Axis, list[str]]:
    """Return an axis on which no line that exploded flattens the others, and the labels of those that leave it."""
    loss = "loss" in what
    ends = np.array([line.y[-1] if len(line.y) else np.nan for line in lines])
    out = exploded(ends) if loss else np.zeros(len(lines), dtype=bool)
    kept = [line for line, is_out in zip(lines, out, strict=True) if not is_out and np.isfinite(line.y).any()]
    values = [line.y for line in kept]
    if loss and kept:
        usual = max(float(np.nanquantile(line.y, 0.9, method="lower")) for line in kept)
        values = [np.minimum(line, 5 * usual or np.inf) for line in values]  # a peak of a few epochs
    edges = [edge for line in kept for edge in line.band or ()]
    if edges and not loss:
        values += edges
    axis = axis_of(label, values, log="logarithmic" in what, from_zero=loss)
    return axis, list(dict.fromkeys(line.label for line, is_out in zip(lines, out, strict=True) if is_out))


def _chart(title: str, lines: Sequence[Series], y: Axis) -> Html:
    ends = " ".join(f"{line.label}: {line.y[-1]:.4g} at the end." for line in lines if len(line.y))
    x = axis_of("epoch", [line.x for line in lines], whole=True)
    return figure(chart(title, ends or "Nothing to draw.", lines[::-1], x, y), title)


def _median(setting: Setting, column: str, style: str = "line c0 d0", *, banded: bool = False) -> Series:
    """Return the median of a column over the finished runs as far as all go; an accuracy is in percent."""
    columns = [run.history[column] for run in setting.finished]
    length, times = min(map(len, columns)), 100.0 if "accuracy" in column else 1.0
    values = times * np.array([own[:length] for own in columns], dtype=np.float64)
    epochs = np.arange(1, length + 1, dtype=np.float64)
    band = (values.min(axis=0), values.max(axis=0)) if banded and len(columns) > 1 else None
    return Series(setting.label, epochs, np.median(values, axis=0), style, band)


def effect_charts(runs: Sequence[StoredRun], keys: Sequence[str], data: str = "") -> list[Html]:
    """Return charts of loss and test accuracy against the values of each key in `keys`."""
    finished = [run for run in runs if run.finished]
    metrics = ((f"{part_of(runs)} loss", loss_of), ("test accuracy (%)", test_accuracy_of))
    drawn = [_effect(finished, name, f"{data}{label}", measure) for name in keys for label, measure in metrics]
    charts = [one for one in drawn if one is not None]
    if not charts:
        return []
    words = "A dot is a run, the line joins the medians; the other keys vary among the dots."
    entries: list[tuple[str, str, int | None]] = [("one run", "dot c0", 0), ("median", "line c1 d0", None)]
    return [paragraph(words, "note"), grid("charts", charts), key(entries)]


def _effect(finished: Sequence[StoredRun], name: str, label: str, measure: Callable[[StoredRun], float]) -> Html | None:
    """Draw `measure` against the values of the key `name`, unless it was not measured or there is but one value."""
    values = sorted({repr(value): value for value in (one.settings.get(name) for one in finished)}.values(), key=_order)
    x, places = _value_axis(name, values)
    of_value = {repr(value): place for value, place in zip(values, places, strict=True)}
    across = np.array([of_value[repr(run.settings.get(name))] for run in finished])
    every = (100.0 if "%" in label else 1.0) * np.array([measure(run) for run in finished])
    if len(values) < 2 or not np.isfinite(every).any():
        return None
    chosen = [every[(across == place) & np.isfinite(every)] for place in places]
    medians = np.array([np.median(own) if len(own) else np.nan for own in chosen])
    notes = [f"{run.label}: {value:.4g}" for run, value in zip(finished, every, strict=True)]
    series = [
        Series("median", places, medians, "line c1 d0"),
        Series("runs", across, every, "dot c0", shape=0, notes=notes),
    ]
    words = "; ".join(f"{shown_value(value)}: {median:.4g}" for value, median in zip(values, medians, strict=True))
    title = f"{label.removesuffix(' (%)')} against {name}"
    inside = every[~exploded(every)] if "loss" in label else every
    y = axis_of(label, [inside], log="loss" in label and spans_decades([inside]))
    return figure(chart(title, f"Medians: {words}.", series, x, y), title[0].upper() + title[1:])


def _value_axis(name: str, values: Sequence[Any]) -> tuple[Axis, Array]:
    """Return the axis of a key's values and where they lie: numbers by size, all else side by side."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        places = np.array(values, dtype=np.float64)
        log = bool(len(places) and places.min() > 0 and places.max() >= 10 * places.min())
        return replace(axis_of(name, [places], log=log), marks=tuple(values)), places
    places = np.arange(len(values), dtype=np.float64)
    return Axis(name, -0.5, len(values) - 0.5, names=tuple(map(shown_value, values))), places


def _order(value: Any) -> tuple[int, Any]:
    """Put numbers by size before words, and a missing value first."""
    if value is None:
        return 0, 0
    return (1, value) if isinstance(value, int | float) else (2, str(value))
