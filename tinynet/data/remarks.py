"""What a careful colleague would remark about a table. No remark stops a training."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.data.tables import Column, Table, listed, looks_like_dates, typed_names

Array = npt.NDArray[Any]

IDENTIFIER = re.compile(r"(.*[\s_-])?id", re.IGNORECASE)
RARE = 3  # rows of a class in a part; fewer say nothing about it
IMBALANCE = 10  # largest class / smallest
TOLD, MAJORITY = 0.99, 0.9  # share of rows that one column tells, where the largest class has less than this
SAMPLE = 1000  # rows that decide which columns are looked at in full
ROWS_A_LEVEL = 3  # on average; with fewer a level tells the label by chance


def class_remarks(counts: Array, names: Sequence[str], parts: Mapping[str, Array], n_features: int) -> list[str]:
    """Return remarks on the classes: rare ones, imbalance, and more features than rows.

    Parameters
    ----------
    counts : array, shape (n_classes,)
        Of all rows.
    names : of the classes
    parts : labels of each part that has rows, by its name
    n_features : int
    """
    notes = []
    for part, labels in parts.items():
        in_part = np.bincount(labels, minlength=len(names))
        rare = [f"{names[k]!r} ({in_part[k]})" for k in np.flatnonzero(in_part < RARE).tolist()]
        if rare:
            notes.append(f"the {part} part has fewer than {RARE} rows of {listed(rare)}, which says little")
    largest, smallest = int(counts.argmax()), int(counts.argmin())
    if counts[largest] > IMBALANCE * counts[smallest]:
        notes.append(
            f"{counts[largest]:,} rows are {names[largest]!r}, {counts[smallest]:,} are {names[smallest]!r}; "
            "training.class_weight=balanced gives every class the same weight"
        )
    n_train = len(parts["training"])
    if n_features > n_train:
        notes.append(f"{n_features:,} features are more than the {n_train:,} training rows: the network may overfit")
    return notes


def column_remarks(table: Table, y: Array) -> list[str]:
    """Return remarks on columns, from the rows of a training part and their labels."""
    identifiers = [column.name for column in table.columns if _is_identifier(column)]
    telling = [one.name for one in _telling(table.columns, y) if one.name not in identifiers]
    dates = [column.name for column in table.columns if looks_like_dates(column)]
    notes = []
    for names, what in (
        (identifiers, "a different value in nearly every row: an identifier?"),
        (telling, f"tells more than {100 * TOLD:.0f} % of the labels by itself: does it give the label away?"),
        (dates, "dates, each treated as a separate category: would a column of days or months tell more?"),
    ):
        notes += [f"column {name!r}: {what} to leave it out: dataset.exclude={typed_names(name)}" for name in names[:5]]
        if len(names) > 5:
            notes.append(f"{len(names) - 5} more columns: {what}")
    return notes


def _is_identifier(column: Column) -> bool:
    values = column.values
    if column.levels is None and (np.isnan(values).any() or (values != np.floor(values)).any()):
        return False
    share = len(np.unique(values)) / len(values)
    return len(values) >= 10 and (share == 1 or (share > 0.5 and IDENTIFIER.fullmatch(column.name) is not None))


def _telling(columns: Iterable[Column], y: Array) -> list[Column]:
    """Return the columns of which a level, or one threshold, tells more than `TOLD` of the labels."""
    if np.bincount(y).max() >= MAJORITY * len(y):
        return []
    some = slice(None) if len(y) <= SAMPLE else np.random.default_rng(0).choice(len(y), SAMPLE, replace=False)
    return [one for one in columns if _told(one, y, some) > TOLD - 0.02 and _told(one, y, slice(None)) > TOLD]


def _told(column: Column, y: Array, rows: Any) -> float:
    """Return the share of `rows` that is right by the best rule of one column: a class a level, or one threshold."""
    values, labels = column.values[rows], y[rows]
    kinds, codes = np.unique(values, return_inverse=True)
    share = 0.0
    if ROWS_A_LEVEL * len(kinds) <= len(labels):
        counts = np.zeros((len(kinds), y.max() + 1))
        np.add.at(counts, (codes, labels), 1)
        share = counts.max(axis=1).sum() / len(labels)
    if column.levels is None and share <= TOLD:
        order = np.argsort(values, kind="stable")
        below = np.eye(y.max() + 1)[labels[order]].cumsum(axis=0)
        ends = np.append(np.diff(values[order]) > 0, True)  # a threshold lies between two values
        best = below[ends].max(axis=1) + (below[-1] - below[ends]).max(axis=1)
        share = max(share, best.max() / len(labels))
    return float(share)


def what_was_done(summary: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the lines that tell, one a kind, what was done with the columns of a `Dataset.summary`."""
    done_to, rows = dict[str, list[str]](), list(summary)
    text = [row for row in rows if row["kind"] == "text" and not row["done"].startswith("left out")]
    if text:
        n_features = sum(int(row["done"].split()[0]) for row in text)
        done_to[f"text, {n_features} columns of 0 and 1"] = [row["column"] for row in text]
    for row in rows:
        done, _, why = row["done"].partition(": ")
        if done == "left out":
            done_to.setdefault(f"{why}, left out", []).append(row["column"])
    lines = [": ".join(filter(None, [listed(list(filter(None, names)), 6), what])) for what, names in done_to.items()]
    gaps = [row["gaps"] for row in rows if row["gaps"] and not row["done"].startswith("left out")]
    if gaps:
        n, columns = sum(gaps), len(gaps)
        lines.append(f"{n:,} gap{'' if n == 1 else 's'} filled in {columns} column{'' if columns == 1 else 's'}")
    return lines
