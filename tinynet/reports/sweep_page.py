"""The report's page about many runs: which setting is best, by how much, how they trained, and which failed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.artifacts.run_folder import TRAINED
from tinynet.artifacts.stored_runs import MissingRun as Absent
from tinynet.artifacts.stored_runs import StoredRun as Record
from tinynet.reports.html import (
    Html,
    document,
    duration,
    figure,
    grid,
    paragraph,
    percent,
    section,
    table,
    text,
    tiles,
    value_of,
)
from tinynet.reports.svg import Axis, Series, axis_of, chart, key, line_style, spans_decades

Array = npt.NDArray[Any]

LABELS = ("name", "seed")  # of a config: they make no setting of their own
MOST_COLOURED = 8  # settings that have a colour; those behind them are drawn faintly
MOST_BANDED = 4  # settings whose deviation is drawn; more bands would hide one another
FAINT = "line c6 faint"
PARTS = {"training": "train", "validation": "validation"}
NONE = "—"


@dataclass(frozen=True)
class Setting:
    """Runs that differ in their seeds alone, and what sets them apart from the others."""

    values: dict[str, Any]
    records: tuple[Record, ...]

    @property
    def finished(self) -> list[Record]:
        """The runs that came to their end."""
        return [record for record in self.records if record.finished]

    @property
    def label(self) -> str:
        """The values, each under the last word of its key."""
        words = [f"{name.rpartition('.')[2]} = {shown_value(value)}" for name, value in self.values.items()]
        return ", ".join(words) or "all runs"

    def measured(self, measure: Callable[[Record], float]) -> Array:
        """Return `measure` of every finished run that has it."""
        values = np.array([measure(record) for record in self.finished], dtype=np.float64)
        return values[np.isfinite(values)]


def comparison_page(records: Sequence[Record], absent: Sequence[Absent], name: str) -> bytes:
    """Return the page about `records`, which lie in the folder `name` if they have one in common.

    `absent` are runs of the same sweep that left no folder.
    """
    keys = swept_keys(records)
    settings = sorted(group(records, keys), key=lambda setting: _rank(setting.finished))
    failed = [record for record in records if not record.finished]
    title = name or f"{len(records)} runs"
    parts = [Html(f"<h1>{text(title)}</h1>"), paragraph(_lead(records, settings, keys), "lead")]
    parts.append(_headline(records, settings, len(failed) + len(absent)))
    if len(failed) < len(records):
        order = paragraph(_order_sentence(records), "note")
        parts.append(section("Settings, best first", order, _settings_table(settings, keys)))
        parts.append(section("Curves", *_curves(settings)))
        effects = _effects(records, keys)
        parts += [section("What each key does", *effects)] if effects else []
    if failed or absent:
        parts.append(section("Runs that did not come to their end", *_failures(failed, absent, keys)))
    if records:
        parts.append(section("Runs, best first", _runs_table(records, keys)))
    return document(f"{title}: tinynet report", parts)


def swept_keys(records: Sequence[Record]) -> list[str]:
    """Return the keys in which the configs differ, the labels of a run left out."""
    every = [record.settings for record in records]
    names = list(dict.fromkeys(name for settings in every for name in settings))
    return [name for name in names if name not in LABELS and len({repr(settings.get(name)) for settings in every}) > 1]


def group(records: Sequence[Record], keys: Sequence[str]) -> list[Setting]:
    """Return the settings among `records`, each with its runs, in the order they come."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(repr([record.settings.get(name) for name in keys]), []).append(record)
    return [Setting({name: found[0].settings.get(name) for name in keys}, tuple(found)) for found in groups.values()]


def shown_value(value: object) -> str:
    """Return the value of a key, a dash for a config that does not have it."""
    return NONE if value is None else value_of(value)


def best_loss(record: Record) -> float:
    """Return the loss of the best epoch, in nats a sample: of the validation part, where there is one."""
    best = record.history.best
    return best.train_loss if math.isnan(best.validation_loss) else best.validation_loss


def best_accuracy(record: Record) -> float:
    """Return the accuracy of the best epoch on the part that `best_loss` is about."""
    best = record.history.best
    return best.train_accuracy if math.isnan(best.validation_accuracy) else best.validation_accuracy


def test_accuracy(record: Record) -> float:
    """Return the test accuracy, nan without one."""
    measured = None if record.summary is None else record.summary.test_accuracy
    return math.nan if measured is None else measured


def _rank(finished: Sequence[Record]) -> tuple[bool, float]:
    """Return what orders settings, and runs: the loss, but without a validation part it is no match for the others."""
    losses = [best_loss(record) for record in finished]
    kept = [loss for loss in losses if math.isfinite(loss)]
    unlike = not kept or any(math.isnan(record.history.best.validation_loss) for record in finished)
    return unlike, float(np.mean(kept)) if kept else math.inf


def _part(records: Sequence[Record]) -> str:
    finished = [record for record in records if record.finished]
    has = [not math.isnan(record.history.best.validation_loss) for record in finished]
    return "validation" if all(has) else "training" if not any(has) else "validation or training"


def _lead(records: Sequence[Record], settings: Sequence[Setting], keys: Sequence[str]) -> str:
    numbers = (len(records), "run"), (len(settings), "setting")
    what = " of ".join(f"{number} {word}{'s' if number > 1 else ''}" for number, word in numbers)
    differ = ", ".join(keys) or "nothing but the seed"
    return what if len(records) == 1 else f"{what}; they differ in {differ}"


def _order_sentence(records: Sequence[Record]) -> str:
    return (
        f"In the order of the {_part(records)} loss at the best epoch, mean over the runs of a setting; the test "
        "figures have no part in it. ± is the standard deviation over the runs (n − 1)."
    )


def _headline(records: Sequence[Record], settings: Sequence[Setting], n_failed: int) -> Html:
    n_finished = sum(record.finished for record in records)
    figures: list[tuple[str, object, object]] = [
        ("Runs", n_finished + n_failed, f"{n_finished} came to their end"),
        ("Settings", len(settings), "apart from the seed"),
    ]
    if n_finished:
        best = settings[0]
        loss = f"{_part(records)} loss {_spread(best.measured(best_loss), _loss)}"
        figures.append(("Best setting", best.label, loss))
        accuracies = best.measured(test_accuracy)
        if len(accuracies):
            figures.append(("Its test accuracy", _spread(accuracies, percent), f"n = {len(accuracies)}"))
    seconds = sum(record.summary.duration_s for record in records if record.summary is not None)
    figures.append(("Time", duration(seconds), "all runs together"))
    if n_failed:
        figures.append(("Not ended", Html(f'<span class="bad">{n_failed}</span>'), "listed below"))
    return tiles(figures)


def _settings_table(settings: Sequence[Setting], keys: Sequence[str]) -> Html:
    part = _part([record for setting in settings for record in setting.records])
    head = ("", *keys, "runs", f"{part} loss", f"{part} accuracy", "test accuracy", "time a run")
    rows = []
    for place, setting in enumerate(settings, 1):
        n, n_finished = len(setting.records), len(setting.finished)
        seconds = [record.summary.duration_s for record in setting.finished if record.summary is not None]
        rows.append(
            (
                f"{place}.",
                *map(shown_value, setting.values.values()),
                str(n) if n == n_finished else f"{n_finished} of {n}",
                _spread(setting.measured(best_loss), _loss),
                _spread(setting.measured(best_accuracy), percent),
                _spread(setting.measured(test_accuracy), percent),
                duration(float(np.mean(seconds))) if seconds else NONE,
            )
        )
    return table("Settings: mean ± standard deviation over their runs", head, rows, "wide")


def _runs_table(records: Sequence[Record], keys: Sequence[str]) -> Html:
    part = _part(records)
    head = ("run", *keys, "seed", "best epoch", f"{part} loss", "test accuracy", "time", "status")
    rows = []
    for record in sorted(records, key=lambda record: _rank([record] if record.finished else [])):
        has_epochs = len(record.history) > 0
        accuracy = test_accuracy(record)
        rows.append(
            (
                record.label,
                *(shown_value(record.settings.get(name)) for name in keys),
                record.config.seed,
                f"{record.history.best.epoch} of {len(record.history)}" if has_epochs else NONE,
                _loss(best_loss(record)) if has_epochs else NONE,
                NONE if math.isnan(accuracy) else percent(accuracy),
                NONE if record.summary is None else duration(record.summary.duration_s),
                _status(record.status),
            )
        )
    return table("All runs", head, rows, "wide")


def _failures(failed: Sequence[Record], absent: Sequence[Absent], keys: Sequence[str]) -> list[Html]:
    rows = [
        (
            record.label,
            _status(record.status),
            len(record.history),
            _loss(record.history.rows[-1].train_loss) if len(record.history) else NONE,
            *(shown_value(record.settings.get(name)) for name in keys),
            record.config.seed,
        )
        for record in failed
    ]
    head = ("run", "status", "epochs", "last training loss", *keys, "seed")
    tables = [table("Left out of the figures above", head, rows, "wide")] if rows else []
    if absent:
        lines = [(one.label, _status(one.status), one.error or NONE) for one in absent]
        tables.append(table("Runs of sweep.csv that left no folder", ("run", "status", "error"), lines, "words"))
    return tables


def _status(status: str) -> Html:
    return Html(f'<span class="{"good" if status in TRAINED else "bad"}">{text(status)}</span>')


def _curves(settings: Sequence[Setting]) -> list[Html]:
    """Draw the mean over the runs of each setting, ± a standard deviation, as far as all of its runs go."""
    drawn = [setting for setting in settings if setting.finished]
    word = (
        "training" if _part([record for setting in drawn for record in setting.records]) == "training" else "validation"
    )
    has = [[getattr(record.history.best, f"{PARTS[word]}_loss") for record in setting.finished] for setting in drawn]
    drawn = [setting for setting, losses in zip(drawn, has, strict=True) if np.isfinite(losses).any()]
    styles = [line_style(place) if place < MOST_COLOURED else FAINT for place in range(len(drawn))]
    entries: list[tuple[str, str, int | None]] = [
        (f"{setting.label} (n = {len(setting.finished)})", style, None)
        for setting, style in zip(drawn[:MOST_COLOURED], styles, strict=False)
    ]
    if (more := len(drawn) - MOST_COLOURED) > 0:
        entries.append((f"{more} setting{'s' if more > 1 else ''} behind them", FAINT, None))
    losses, accuracies = (
        [
            _mean_line(setting, f"{PARTS[word]}_{what}", most, style, banded=place < MOST_BANDED)
            for place, (setting, style) in enumerate(zip(drawn, styles, strict=True))
        ]
        for what, most in (("loss", math.inf), ("accuracy", 1.0))
    )
    ends = [float(np.max(line.y)) for line in losses]
    charts = [_curve(f"{word} loss", "(nats a sample)", losses)] if max(ends) < 20 * np.median(ends) else []
    if spans_decades([line.y for line in losses]) or not charts:
        charts.append(_curve(f"{word} loss", "on a logarithmic scale", losses))
    charts.append(_curve(f"{word} accuracy", "(%)", accuracies))
    words = (
        f"Lines are means over the finished runs of a setting, bands (of the best {MOST_BANDED}) one standard "
        "deviation to either side; a line ends where the shortest of its runs does."
    )
    return [paragraph(words, "note"), grid("charts", charts), key(entries)]


def _curve(what: str, unit: str, lines: Sequence[Series]) -> Html:
    log = "logarithmic" in unit
    edges = [edge for line in lines for edge in (() if log else line.band or ())]
    y = axis_of(f"{what} {unit}", [*(line.y for line in lines), *edges], log=log, from_zero="loss" in what)
    title = f"{what.capitalize()} by epoch{', ' + unit if log else ''}"
    ends = " ".join(f"{line.label}: {line.y[-1]:.4g} at the end." for line in lines[:MOST_COLOURED])
    return figure(chart(title, ends, lines[::-1], axis_of("epoch", [line.x for line in lines], whole=True), y), title)


def _mean_line(setting: Setting, column: str, most: float, style: str, *, banded: bool) -> Series:
    """Return the mean of a column that has no value below 0 or above `most`; what ends at 1 is in percent."""
    columns = [record.history[column] for record in setting.finished]
    length, times = min(map(len, columns)), 100.0 if most == 1 else 1.0
    values = np.array([own[:length] for own in columns], dtype=np.float64)
    epochs, (mean, sd) = np.arange(1, length + 1, dtype=np.float64), _mean_and_sd(values)
    band = (times * np.maximum(mean - sd, 0.0), times * np.minimum(mean + sd, most))
    return Series(setting.label, epochs, times * mean, style, band if banded and len(columns) > 1 else None)


def _effects(records: Sequence[Record], keys: Sequence[str]) -> list[Html]:
    finished = [record for record in records if record.finished]
    metrics = ((f"{_part(records)} loss at the best epoch", best_loss), ("test accuracy (%)", test_accuracy))
    drawn = [_effect(finished, name, label, measure) for name in keys for label, measure in metrics]
    charts = [one for one in drawn if one is not None]
    if not charts:
        return []
    words = "A dot is a run, the line joins the means; the other keys vary among the dots."
    entries: list[tuple[str, str, int | None]] = [("one run", "dot c0", 0), ("mean", "line c1 d0", None)]
    return [paragraph(words, "note"), grid("charts", charts), key(entries)]


def _effect(finished: Sequence[Record], name: str, label: str, measure: Callable[[Record], float]) -> Html | None:
    """Draw `measure` against the values of the key `name`, unless it was not measured or there is but one value."""
    values = sorted({repr(value): value for value in (one.settings.get(name) for one in finished)}.values(), key=_order)
    x, places = _value_axis(name, values)
    of_value = {repr(value): place for value, place in zip(values, places, strict=True)}
    across = np.array([of_value[repr(record.settings.get(name))] for record in finished])
    every = (100.0 if "%" in label else 1.0) * np.array([measure(record) for record in finished])
    if len(values) < 2 or not np.isfinite(every).any():
        return None
    means = np.array([_mean_and_sd(every[(across == place) & np.isfinite(every)])[0] for place in places])
    series = [Series("runs", across, every, "dot c0", shape=0), Series("mean", places, means, "line c1 d0")]
    words = "; ".join(f"{shown_value(value)}: {mean:.4g}" for value, mean in zip(values, means, strict=True))
    title = f"{label.partition(' (')[0]} against {name}"
    y = axis_of(label, [every], log="loss" in label and spans_decades([every]))
    return figure(chart(title, f"Means: {words}.", series, x, y), title[0].upper() + title[1:])


def _value_axis(name: str, values: Sequence[Any]) -> tuple[Axis, Array]:
    """Return the axis of a key's values and where they lie: numbers by size, all else side by side."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        places = np.array(values, dtype=np.float64)
        log = bool(places.min() > 0 and places.max() >= 10 * places.min())
        return replace(axis_of(name, [places], log=log), marks=tuple(values)), places
    places = np.arange(len(values), dtype=np.float64)
    return Axis(name, -0.5, len(values) - 0.5, names=tuple(map(shown_value, values))), places


def _order(value: Any) -> tuple[int, Any]:
    """Put numbers by size before words, and a missing value first."""
    if value is None:
        return 0, 0
    return (1, value) if isinstance(value, int | float) else (2, str(value))


def _mean_and_sd(values: Array) -> tuple[Array, Array]:
    """Return both over the first axis, nan where there are too few values; of huge ones either may be inf."""
    if not len(values):
        return np.array(np.nan), np.array(np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = values.mean(axis=0)
        return mean, values.std(axis=0, ddof=1) if len(values) > 1 else np.full_like(mean, np.nan)


def _spread(values: Array, shown: Callable[[float], str]) -> str:
    """Return mean ± standard deviation, in the words of `shown`."""
    if not len(values):
        return NONE
    if len(values) == 1:
        return shown(float(values[0]))
    mean, sd = map(float, _mean_and_sd(values))
    if shown is percent:
        return f"{100 * mean:.1f} ± {100 * sd:.1f} %"
    return f"{shown(mean)} ± {sd:.2g}"


def _loss(value: float) -> str:
    return f"{value:#.3g}"
