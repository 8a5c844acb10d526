"""The results of a sweep: sweep.csv with one row per run, and the printed table of settings, best first."""

from __future__ import annotations

import csv
import math
import textwrap
from collections import Counter
from collections.abc import Collection, Iterable
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any

from tinynet.artifacts.model import is_formula
from tinynet.artifacts.run_folder import TRAINED, RunFolder, Status
from tinynet.artifacts.stored_runs import read_ending
from tinynet.experiments.axes import Combination, Grid, short_names
from tinynet.experiments.workers import Outcome
from tinynet.reports.comparison import grouped, spread
from tinynet.reports.text import COLUMNS, table
from tinynet.storage.writing import write_atomically

MEASURED = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
MOST_SETTINGS = 20
NOT_RUN = Outcome()

Row = dict[str, Any]


def run_row(combination: Combination, folder: Path, outcome: Outcome = NOT_RUN) -> Row:
    """Return the row of a run in the sweep's `folder`: the figures of its summary, or how the attempt ended."""
    summary = read_ending(RunFolder(folder / combination.folder))
    attempt = Status.KILLED if outcome.killed else Status.FAILED if outcome.error else Status.MISSING
    row: Row = {"run": combination.folder, **combination.values, "status": summary.status if summary else str(attempt)}
    row["epochs"] = summary.epochs if summary else None
    for when, names in (("final", MEASURED), ("best", ("epoch", *MEASURED))):
        figures = (getattr(summary, when) if summary else None) or {}
        row |= {f"{when}_{name}": figures.get(name) for name in names}
    row |= {name: getattr(summary, name) if summary else None for name in ("test_loss", "test_accuracy", "duration_s")}
    return row | {"error": "" if summary else outcome.error}


def write_table(folder: RunFolder, rows: Collection[Row]) -> None:
    """Write sweep.csv, in which no text is a formula to a spreadsheet."""
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(map(_guarded, next(iter(rows))))
    table.writerows(map(_guarded, row.values()) for row in rows)
    write_atomically(folder.sweep_table, text.getvalue().encode())


def _guarded(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    text = " ".join(cell.split())
    return f"'{text}" if is_formula(text) else text


def counts(rows: Iterable[Row]) -> str:
    """Return the number of runs by status, such as "9 completed, 1 diverged"."""
    return ", ".join(f"{number} {status}" for status, number in Counter(row["status"] for row in rows).most_common())


def results_table(grid: Grid, rows: list[Row]) -> str:
    """Return the settings, best first, in 80 columns: the median over seeds, and the lowest and highest.

    The best has the lowest median validation loss, training loss without validation, of the weights that its runs
    ended with and that were tested.
    """
    part = "train" if all(row["final_validation_loss"] is None for row in rows) else "validation"
    names, ranked, kept = short_names(grid.axes), [], set()
    for values, members in grouped(zip(grid.combinations, rows, strict=True), lambda member: member[0].values):
        words = (f"{names[key]}={'null' if value is None else value}" for key, value in values.items())
        label, group = "  ".join(words) or grid.name, [row for _, row in members]
        when = "best" if members[0][0].config.training.keeps_best else "final"
        kept.add(when)
        trained = [row for row in group if row["status"] in TRAINED]
        losses = [loss for row in trained if (loss := row[f"{when}_{part}_loss"]) is not None]
        number = f"{len(group)}" if len(trained) == len(group) else f"{len(trained)} of {len(group)}"
        accuracies = [100 * row["test_accuracy"] for row in trained if row["test_accuracy"] is not None]
        cells = [label, number, spread(losses, "{:.3g}".format, "-"), spread(accuracies, "{:.1f}".format, "-")]
        ranked.append((median(losses) if losses else math.inf, cells))
    ranked.sort(key=lambda line: line[0])
    head = ["setting", "runs", f"{part} loss", "test accuracy (%)"]
    lines = _wrapped([head, *(cells for _, cells in ranked[:MOST_SETTINGS])])
    more = len(ranked) - MOST_SETTINGS
    lines += [f"... and {more:,} more settings"] if more > 0 else []
    epoch = "each run's kept" if len(kept) > 1 else "the best" if kept == {"best"} else "the last"
    return "\n".join([*lines, f"(median, lowest to highest; loss and accuracy of the weights of {epoch} epoch)"])


def _wrapped(rows: list[list[str]]) -> list[str]:
    """Return the lines of a table in 80 columns; the first column is wrapped to leave room for the others."""
    room = COLUMNS - sum(2 + max(map(len, column)) for column in list(zip(*rows, strict=True))[1:])
    lines = []
    for first, *others in rows:
        head, *more = textwrap.wrap(first, room, subsequent_indent="  ", break_on_hyphens=False)
        lines += [[head, *others], *([rest, *("" for _ in others)] for rest in more)]
    return table(lines, str.ljust)
