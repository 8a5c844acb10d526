"""The report's page about many runs: which setting is best, by how much, how they trained, and which failed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np

from tinynet.artifacts.run_folder import TRAINED
from tinynet.artifacts.stored_runs import MissingRun, StoredRun
from tinynet.data.tables import listed
from tinynet.reports import comparison, html
from tinynet.reports.comparison import Setting, accuracy_of, loss_of, part_of, spread, test_accuracy_of
from tinynet.reports.comparison_charts import curve_charts, effect_charts
from tinynet.reports.html import Cell, Html
from tinynet.reports.remarks import kept_epoch


def comparison_page(
    runs: Sequence[StoredRun], missing: Sequence[MissingRun], name: str, beside: Path, left_out: Sequence[str]
) -> bytes:
    """Return the page about `runs`, which lie in the folder `name` if they have one in common.

    Parameters
    ----------
    runs : sequence of StoredRun
    missing : runs of the same sweep that left no folder
    name : str
    beside : folder in which the page will be, from which a row links to the page of its run, where there is one
    left_out : labels of run folders in the sweep's folder that are not the sweep's
    """
    groups = comparison.by_data(runs) or {"": []}
    title, keys = name or f"{len(runs)} runs", comparison.differing_keys([run.settings for run in runs])
    differ = f"{len(runs)} runs, which differ in {', '.join(keys) or 'nothing but the seed'}."
    if len(runs) < 2:
        differ = "One run." if runs else "No run left a folder."
    parts = list[Html]()
    for data, own in groups.items():
        several = len(groups) > 1
        parts += _comparison(own, f"{data}: " if several else "", 0 if several else len(missing), beside)
    if missing:
        rows = [(one.label, _status(one.status), one.error or html.NONE) for one in missing]
        lost = html.table("Runs of sweep.csv that left no folder", ("run", "status", "error"), rows, "words")
        parts.append(html.section("Runs that are not there", lost))
    return html.document(title, differ, _notices(runs, list(groups), left_out), parts)


def _comparison(runs: Sequence[StoredRun], data: str, n_missing: int, beside: Path) -> list[Html]:
    """Return the sections about runs of the same data, whose name is in front of the headings."""
    keys = comparison.differing_keys([run.settings for run in runs])
    settings = comparison.group(runs, keys)
    headline = _headline(runs, settings, n_missing)
    parts = [html.section(f"{data}{len(runs)} runs", headline) if data else headline]
    if any(run.finished for run in runs):
        parts.append(html.section(f"{data}Settings, best first", _settings_table(settings, keys)))
        parts.append(html.section(f"{data}Curves", *curve_charts(settings, data)))
        effects = effect_charts(runs, keys, data)
        parts += [html.section(f"{data}What each key does", *effects)] if effects else []
    return [*parts, html.section(f"{data}Runs, best first", _runs_table(runs, keys, beside))] if runs else parts


def _notices(runs: Sequence[StoredRun], data: Sequence[str], left_out: Sequence[str]) -> list[str]:
    """Say what is kept apart and left out, whose loss exploded, and which other runs have remarks."""
    finished = [run for run in runs if run.finished]
    out = comparison.exploded(np.array([loss_of(run) for run in finished]))
    exploded = [run.label for run, is_out in zip(finished, out, strict=True) if is_out]
    remarked = [run.label for run in finished if run.summary and run.summary.remarks and run.label not in exploded]
    notices = [f"{len(data)} different data sets, which are kept apart: {'; '.join(data)}"] if len(data) > 1 else []
    if left_out:
        notices.append(f"Left out, since sweep.csv does not name them: {listed(left_out, 5)}")
    if exploded:
        notices.append(f"Loss far above the others; medians and axes are not distorted by it: {listed(exploded, 5)}")
    if remarked:
        notices.append(f"Ended with remarks, which their own pages have: {listed(remarked, 5)}")
    return notices


def _headline(runs: Sequence[StoredRun], settings: Sequence[Setting], n_missing: int) -> Html:
    n, n_finished = len(runs) + n_missing, sum(run.finished for run in runs)
    figures: list[tuple[str, Cell, Cell]] = [
        ("Runs", n, f"{n_finished} finished"),
        ("Settings", len(settings), "apart from the seed"),
    ]
    if n_finished:
        best = settings[0]
        loss = f"{part_of(runs)} loss {spread(best.measured(loss_of), html.shown_loss)}"
        figures.append(("Best setting", best.label, loss))
        if len(measured := best.measured(test_accuracy_of)):
            figures.append(("Its test accuracy", spread(measured, html.percent), f"n = {len(measured)}"))
    seconds = sum(run.summary.duration_s for run in runs if run.summary is not None)
    figures.append(("Time", html.duration(seconds), "all runs together"))
    if n_finished < n:
        figures.append(("Not ended", Html(f'<span class="bad">{n - n_finished}</span>'), "listed below"))
    return html.tiles(figures)


def _settings_table(settings: Sequence[Setting], keys: Sequence[str]) -> Html:
    runs = [run for setting in settings for run in setting.runs]
    part = part_of(runs)
    last = {kept_epoch(run.config.training, run.history) is run.history.rows[-1] for run in runs if run.finished}
    weights = "the last epoch" if last == {True} else "the best epoch"
    weights = "the epoch that each run kept" if len(last) > 1 else weights
    measured = f"Medians (lowest to highest) with the weights of {weights}, in the order of the {part} loss"
    head = ("", *keys, "runs", f"{part} loss", f"{part} accuracy", "test accuracy", "time a run")
    rows = []
    for place, setting in enumerate(settings, 1):
        n, n_finished = len(setting.runs), len(setting.finished)
        rows.append(
            (
                f"{place}.",
                *map(html.value_of, setting.values.values()),
                str(n) if n == n_finished else f"{n_finished} of {n}",
                spread(setting.measured(loss_of), html.shown_loss),
                spread(setting.measured(accuracy_of), html.percent),
                spread(setting.measured(test_accuracy_of), html.percent),
                spread(setting.measured(_seconds_of), html.duration).partition(" (")[0],
            )
        )
    return html.table(f"{measured}; test figures are not used for the ranking", head, rows, "wide")


def _seconds_of(run: StoredRun) -> float:
    return np.nan if run.summary is None else run.summary.duration_s


def _runs_table(runs: Sequence[StoredRun], keys: Sequence[str], beside: Path) -> Html:
    head = ("run", *keys, "seed", "best epoch", f"{part_of(runs)} loss", "test accuracy", "time", "status")
    rows = []
    for run in sorted(runs, key=lambda run: comparison.rank([run] if run.finished else [])):
        has_epochs = len(run.history) > 0
        rows.append(
            (
                _link(run, beside),
                *(html.value_of(run.settings.get(name)) for name in keys),
                run.config.seed,
                f"{run.history.best.epoch} of {len(run.history)}" if has_epochs else html.NONE,
                html.shown_loss(loss_of(run)) if has_epochs else html.NONE,
                html.percent(test_accuracy_of(run)),
                html.NONE if run.summary is None else html.duration(run.summary.duration_s),
                _status(run.status, remarked=bool(run.finished and run.summary and run.summary.remarks)),
            )
        )
    out = "" if all(run.finished for run in runs) else "; those that did not finish are not included above"
    return html.table(f"All runs{out}", head, rows, "wide runs")


def _link(run: StoredRun, beside: Path) -> Cell:
    """Return the name of a run as a link to its page, as seen from the folder `beside`."""
    if not run.folder.report.is_file():
        return run.label
    path = os.path.relpath(run.folder.report.resolve(), beside.resolve()).replace(os.sep, "/")
    return Html(f'<a href="{quote(path, errors="replace")}">{html.text(run.label)}</a>')


def _status(status: str, *, remarked: bool = False) -> Html:
    kind = "bad" if status not in TRAINED else "" if remarked else "good"
    return Html(f'<span class="{kind}">{html.text(status)}{", remarks" if remarked else ""}</span>')
