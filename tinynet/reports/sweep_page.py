"""The report's page about many runs: which setting is best, by how much, how they trained, and which failed."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np

from tinynet.artifacts.run_folder import TRAINED
from tinynet.artifacts.stored_runs import MissingRun, StoredRun
from tinynet.reports.html import Cell, Html, document, duration, paragraph, percent, section, table, text, tiles
from tinynet.reports.settings import (
    NONE,
    Setting,
    accuracy_of,
    by_data,
    differing_keys,
    exploded,
    group,
    loss_of,
    part_of,
    rank,
    shown_loss,
    shown_value,
    spread,
    test_accuracy_of,
    weights_of,
)
from tinynet.reports.sweep_charts import curve_charts, effect_charts


def comparison_page(
    runs: Sequence[StoredRun],
    missing: Sequence[MissingRun],
    name: str,
    *,
    beside: Path | None = None,
    left_out: Sequence[str] = (),
) -> bytes:
    """Return the page about `runs`, which lie in the folder `name` if they have one in common.

    Parameters
    ----------
    runs : sequence of StoredRun
    missing : runs of the same sweep that left no folder
    name : str
    beside : folder in which the page will be; with it a row links to the page of its run, where there is one
    left_out : labels of run folders in the sweep's folder that are not the sweep's
    """
    groups = by_data(runs)
    failed = [run for run in runs if not run.finished]
    title = name or f"{len(runs)} runs"
    parts = [Html(f"<h1>{text(title)}</h1>"), paragraph(_lead(runs, groups), "lead")]
    if len(groups) > 1:
        words = f"The runs were trained on {len(groups)} different data sets, which are kept apart: " + "; ".join(
            groups
        )
        parts.append(paragraph(words, "notice"))
    if left_out:
        words = f"Left out, since sweep.csv does not name them: {', '.join(left_out)}"
        parts.append(paragraph(words, "notice"))
    parts += _remarks(runs)
    for data, own in groups.items():
        parts += _comparison(own, f"{data}: " if len(groups) > 1 else "", len(failed) + len(missing), beside)
    if not runs:
        parts.append(_headline([], [], len(missing)))
    if failed or missing:
        keys = differing_keys([run.settings for run in runs])
        parts.append(section("Runs that did not come to their end", *_failures(failed, missing, keys)))
    return document(f"{title}: tinynet report", parts)


def _comparison(runs: Sequence[StoredRun], data: str, n_failed: int, beside: Path | None) -> list[Html]:
    """Return the sections about runs of the same data, whose name is in front of the headings."""
    keys = differing_keys([run.settings for run in runs])
    settings = group(runs, keys)
    n_failed = sum(not run.finished for run in runs) if data else n_failed
    parts = [section(f"{data}{len(runs)} runs", _headline(runs, settings, n_failed))] if data else []
    parts = parts or [_headline(runs, settings, n_failed)]
    if any(run.finished for run in runs):
        order = paragraph(_order_sentence(runs), "note")
        parts.append(section(f"{data}Settings, best first", order, _settings_table(settings, keys)))
        parts.append(section(f"{data}Curves", *curve_charts(settings, data)))
        effects = effect_charts(runs, keys, data)
        parts += [section(f"{data}What each key does", *effects)] if effects else []
    parts.append(section(f"{data}Runs, best first", _runs_table(runs, keys, beside)))
    return parts


def _lead(runs: Sequence[StoredRun], groups: dict[str, list[StoredRun]]) -> str:
    keys = differing_keys([run.settings for run in runs])
    n_settings = sum(len(group(own, keys)) for own in groups.values())
    numbers = (len(runs), "run"), (n_settings, "setting")
    what = " of ".join(f"{number} {word}{'s' if number > 1 else ''}" for number, word in numbers)
    differ = ", ".join(keys) or "nothing but the seed"
    return what if len(runs) == 1 else f"{what}; they differ in {differ}"


def _remarks(runs: Sequence[StoredRun]) -> list[Html]:
    """Name the runs whose loss exploded and those whose own page has remarks."""
    finished = [run for run in runs if run.finished]
    out = [
        run.label for run, is_out in zip(finished, exploded(np.array([*map(loss_of, finished)])), strict=True) if is_out
    ]
    remarked = [
        run.label for run in finished if run.summary is not None and run.summary.remarks and run.label not in out
    ]
    found = (
        (out, "ended with a loss far above the others; medians and axes are made so that they hide nothing"),
        (remarked, "came to their end with remarks, which their own pages have"),
    )
    return [paragraph(f"{_some(labels)} {words}.", "notice") for labels, words in found if labels]


def _some(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
    return f"{len(labels)} run{'s' if len(labels) > 1 else ''} ({', '.join(labels[:5])}{more})"


def _order_sentence(runs: Sequence[StoredRun]) -> str:
    part = part_of(runs)
    return (
        f"In the order of the {part} loss, the median over the runs of a setting, with the lowest and the highest in "
        f"brackets. All columns, the test accuracy too, are about the weights of {weights_of(runs)}; the test figures "
        "have no part in the order."
    )


def _headline(runs: Sequence[StoredRun], settings: Sequence[Setting], n_failed: int) -> Html:
    n_finished = sum(run.finished for run in runs)
    figures: list[tuple[str, Cell, Cell]] = [
        ("Runs", n_finished + n_failed, f"{n_finished} came to their end"),
        ("Settings", len(settings), "apart from the seed"),
    ]
    if n_finished:
        best = settings[0]
        loss = f"{part_of(runs)} loss {spread(best.measured(loss_of), shown_loss)}"
        figures.append(("Best setting", best.label, loss))
        accuracies = best.measured(test_accuracy_of)
        if len(accuracies):
            figures.append(("Its test accuracy", spread(accuracies, percent), f"n = {len(accuracies)}"))
    seconds = sum(run.summary.duration_s for run in runs if run.summary is not None)
    figures.append(("Time", duration(seconds), "all runs together"))
    if n_failed:
        figures.append(("Not ended", Html(f'<span class="bad">{n_failed}</span>'), "listed below"))
    return tiles(figures)


def _settings_table(settings: Sequence[Setting], keys: Sequence[str]) -> Html:
    part = part_of([run for setting in settings for run in setting.runs])
    head = ("", *keys, "runs", f"{part} loss", f"{part} accuracy", "test accuracy", "time a run")
    rows = []
    for place, setting in enumerate(settings, 1):
        n, n_finished = len(setting.runs), len(setting.finished)
        seconds = [run.summary.duration_s for run in setting.finished if run.summary is not None]
        rows.append(
            (
                f"{place}.",
                *map(shown_value, setting.values.values()),
                str(n) if n == n_finished else f"{n_finished} of {n}",
                spread(setting.measured(loss_of), shown_loss),
                spread(setting.measured(accuracy_of), percent),
                spread(setting.measured(test_accuracy_of), percent),
                duration(float(np.median(seconds))) if seconds else NONE,
            )
        )
    return table("Settings: median (lowest to highest) over their runs", head, rows, "wide")


def _runs_table(runs: Sequence[StoredRun], keys: Sequence[str], beside: Path | None) -> Html:
    part = part_of(runs)
    head = ("run", *keys, "seed", "best epoch", f"{part} loss", "test accuracy", "time", "status")
    rows = []
    for run in sorted(runs, key=lambda run: rank([run] if run.finished else [])):
        has_epochs = len(run.history) > 0
        accuracy = test_accuracy_of(run)
        rows.append(
            (
                _link(run, beside),
                *(shown_value(run.settings.get(name)) for name in keys),
                run.config.seed,
                f"{run.history.best.epoch} of {len(run.history)}" if has_epochs else NONE,
                shown_loss(loss_of(run)) if has_epochs else NONE,
                NONE if math.isnan(accuracy) else percent(accuracy),
                NONE if run.summary is None else duration(run.summary.duration_s),
                _status(run.status, bool(run.summary and run.summary.remarks)),
            )
        )
    return table("All runs", head, rows, "wide runs")


def _link(run: StoredRun, beside: Path | None) -> Cell:
    """Return the name of a run as a link to its page, as seen from the folder `beside`."""
    if beside is None or not run.folder.report.is_file():
        return run.label
    address = quote(
        os.path.relpath(run.folder.report.resolve(), beside.resolve()).replace(os.sep, "/"), errors="replace"
    )
    return Html(f'<a href="{address}">{text(run.label)}</a>')


def _failures(failed: Sequence[StoredRun], missing: Sequence[MissingRun], keys: Sequence[str]) -> list[Html]:
    rows = [
        (
            run.label,
            _status(run.status, bool(run.summary and run.summary.remarks)),
            len(run.history),
            shown_loss(run.history.rows[-1].train_loss) if len(run.history) else NONE,
            *(shown_value(run.settings.get(name)) for name in keys),
            run.config.seed,
        )
        for run in failed
    ]
    head = ("run", "status", "epochs", "last training loss", *keys, "seed")
    tables = [table("Left out of the figures above", head, rows, "wide runs")] if rows else []
    if missing:
        lines = [(one.label, _status(one.status), one.error or NONE) for one in missing]
        tables.append(table("Runs of sweep.csv that left no folder", ("run", "status", "error"), lines, "words"))
    return tables


def _status(status: str, remarked: bool = False) -> Html:
    return Html(f'<span class="{"bad" if status not in TRAINED else "" if remarked else "good"}">{text(status)}</span>')
