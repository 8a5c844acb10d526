"""Your own tables, from a CSV or NPZ file or a data frame: which columns are features, and what is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.data.csv_files import read_csv
from tinynet.data.npz_files import read_npz, read_npz_samples
from tinynet.data.options import DEFAULT_OPTIONS, DROP, IMPUTE, REFUSE, TableOptions
from tinynet.data.preparation import Preparation
from tinynet.data.tables import (
    MISSING_MARKS,
    Column,
    Table,
    column_faults,
    column_places,
    gap_faults,
    label_faults,
    python_column,
    python_table,
    some,
)
from tinynet.errors import DataError
from tinynet.losses import regular_array
from tinynet.storage.reading import FilePath, faults_of_file

Array = npt.NDArray[Any]

DROPS = 'dataset.missing="drop" leaves such rows out'


@dataclass(frozen=True, eq=False)
class Source:
    """Samples before they are split.

    Attributes
    ----------
    X : array or Table
        Rows of numbers, or columns that have yet to be prepared.
    y : array
        Labels, or those of a table numbered as `class_names`.
    class_names, feature_names : tuples of str, or None for what the labels and numbers say
    image_shape : (height, width), when every row is an image
    label : str
        The name of the label's column.
    options : TableOptions
    left_out : dict
        Why a column of the table is not a feature, by its name.
    dropped : int
        Rows that were left out for their gaps.
    test_path : path of the file that has the test part, when it is not part of these samples
    """

    X: Any
    y: Any
    class_names: tuple[str, ...] | None = None
    feature_names: tuple[str, ...] | None = None
    image_shape: tuple[int, int] | None = None
    label: str = "y"
    options: TableOptions = DEFAULT_OPTIONS
    left_out: dict[str, str] = field(default_factory=dict)
    dropped: int = 0
    test_path: FilePath | None = None


def csv_source(path: FilePath, options: TableOptions) -> Source:
    """Return the samples of a CSV file, each class named as its label is spelled.

    Raises
    ------
    DataError
        With a line for each column that cannot be used: the file, the column, and the key that helps.
    """
    style, named = options.style, (options.label, *options.exclude, *options.categorical)
    if style.header is None and any(isinstance(one, str) for one in named):
        style = replace(style, header=True)
    table = read_csv(path, style, options.as_text)
    with faults_of_file(path):
        return table_source(table, options)


def table_source(table: Table, options: TableOptions) -> Source:
    """Return the samples of a table, whose columns of labels and codes are text already.

    Raises
    ------
    DataError
        With a line for each column that cannot be used.
    """
    names, faults = table.names, list[str]()
    [at] = column_places(names, [options.label], "label")
    excluded = column_places(names, options.exclude, "exclude")
    if at in excluded:
        raise DataError(f"exclude: column {names[at]!r} is the label; name another label, or take it out of exclude")
    left_out = {names[place]: "excluded" for place in excluded}
    codes = {names[place] for place in column_places(names, options.categorical, "categorical")}
    if names[0] == "":
        left_out[""] = "row numbers (a first column without a name)"
    left_out |= {one.name: "nothing but gaps" for one in table.columns if one.is_empty and one.name not in left_out}
    label = table.columns[at]
    features = [column for column in table.columns if column.name not in left_out and column is not label]
    for column in features:
        most = len(column.levels or ()) if column.name in codes else options.max_levels
        faults += column_faults(table, column, most, options.style.decimal, options.style.missing_marks)
    faults += label_faults(table, label, None if options.missing == DROP else f"; {DROPS}")
    if not features:
        faults.append(f"no column is left for the features; left out are {', '.join(map(repr, left_out)) or 'none'}")
    if options.missing == REFUSE and not faults:
        faults += gap_faults(table, features, f'; dataset.missing="impute" fills them, {DROPS}')
    if faults:
        raise DataError("\n".join(faults))
    kept = np.ones(len(table.lines), dtype=bool)
    if options.missing == DROP:
        kept = ~np.any([column.gaps for column in [*features, label]], axis=0)
    if not kept.any():
        raise DataError('every row has a gap, and dataset.missing="drop" leaves nothing')
    present, y = np.unique(label.values[kept], return_inverse=True)
    return Source(
        replace(table, columns=tuple(features)).rows(kept),
        y,
        tuple((label.levels or ())[code] for code in present),
        image_shape=options.image_shape,
        label=label.name,
        options=options,
        left_out={name: why for name, why in left_out.items() if name != label.name},
        dropped=int((~kept).sum()),
    )


def python_source(X: Any, y: Any, names: Sequence[str] | None, options: TableOptions = DEFAULT_OPTIONS) -> Source:
    """Return the samples of a data frame or an array, which has text or gaps, and labels beside it.

    Raises
    ------
    DataError
        With a line for each column that cannot be used.
    """
    marks = options.style.missing_marks
    table = python_table(X, names, lambda own: column_places(own, options.categorical, "categorical"), marks)
    y = regular_array("y", y)
    if y.shape != (len(table.lines),):
        raise DataError(f"y must have one label for each of the {len(table.lines)} rows of X, got shape {y.shape}")
    label = python_column("y", y, as_text=True, marks=marks)
    return table_source(replace(table, columns=(*table.columns, label)), replace(options, label=-1))


def npz_source(path: FilePath, options: TableOptions) -> Source:
    """Return the samples of an NPZ archive; X becomes a table where it has gaps, or an option asks for one.

    Raises
    ------
    DataError
        As `csv_source` does.
    """
    found = read_npz_samples(path)
    test_path = path if "X_test" in found else None
    with faults_of_file(path):
        X, image_shape = flat_images(found["X"])
        y, image_shape = one_label_a_row(found["y"]), options.image_shape or image_shape
        is_asked = X.dtype.kind == "U" or len(options.exclude + options.categorical) > 0
        is_table = is_asked or _has_gaps(X, options) or _has_gaps(y, options)
        is_refused = X.ndim != 2 or y.shape[:1] != X.shape[:1] or "c" in (X.dtype.kind, y.dtype.kind)  # and named later
        if is_refused or not is_table:
            return Source(X, y, image_shape=image_shape, options=options, test_path=test_path)
        return replace(python_source(X, y, None, replace(options, image_shape=image_shape)), test_path=test_path)


def _has_gaps(values: Array, options: TableOptions) -> bool:
    if values.dtype.kind == "U":
        return not {text.strip() for text in np.unique(values).tolist()}.isdisjoint(options.style.missing_marks)
    return values.dtype.kind == "f" and values.size > 0 and bool(np.isnan(values.min()))


def flat_images(X: Array) -> tuple[Array, tuple[int, int] | None]:
    """Return images (n, h, w) or (n, h, w, 1) as rows, with their shape; other arrays as they are."""
    if X.ndim == 4 and X.shape[-1] == 1:
        X = X[..., 0]
    if X.ndim != 3 or not X.size:
        return X, None
    return X.reshape(len(X), -1), (int(X.shape[1]), int(X.shape[2]))


def one_label_a_row(y: Array) -> Array:
    """Return labels of one column, or rows with a single 1, as one label a row; other arrays as they are."""
    if y.ndim == 2 and y.shape[1] == 1:
        return y[:, 0]
    if y.ndim == 2 and y.size and y.dtype.kind in "biuf" and ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all():
        return np.asarray(y.argmax(axis=1))
    return y


def has_objects(X: Any) -> bool:
    """Return whether X is a data frame, or holds text or other objects beside numbers."""
    if hasattr(X, "columns") or isinstance(X, np.ndarray):
        return hasattr(X, "columns") or X.dtype.kind == "O"
    with suppress(ValueError):  # rows of several lengths, which are refused elsewhere
        return np.asarray(X).dtype.kind in "OU"
    return False


def read_rows(
    path: FilePath, preparation: Preparation, class_names: Collection[str] | None = None
) -> tuple[Table, Array]:
    """Return raw rows in a file for what was prepared, and their labels numbered as `class_names`; none without them.

    In CSV the columns are found by the names in the header, and others are left out; without a header there must
    be as many columns as the model has. Of an .npz file it is X, and y.

    Raises
    ------
    DataError
        Naming the file, with a line for each column that cannot be used, and for a label that is missing or no class.
    """
    features, labelled, style = list(preparation.columns), class_names is not None, preparation.style
    if os.fspath(path).lower().endswith(".npz"):
        X, y = npz_rows(path, class_names, style.missing_marks)
        rows = preparation.table(X)
        with faults_of_file(path):
            if faults := preparation.faults(rows):
                raise DataError("\n".join(faults))
        return rows, y
    own_label = [preparation.label] if labelled and preparation.label else []
    table = read_csv(path, style, preparation.as_text, [*features, *own_label])
    with faults_of_file(path):
        if labelled and not own_label:
            own_label = [name for name in table.names if name not in features]
            if len(own_label) != 1:
                raise DataError(f"one column beside the features must hold the labels, got {some(own_label) or 'none'}")
        places = column_places(table.names, [*features, *own_label], "the model")
        columns = [table.columns[place] for place in places]
        label = columns.pop() if labelled else None
        rows = replace(table, columns=tuple(columns))
        faults = preparation.faults(rows) + ([] if label is None else _class_faults(rows, label, class_names or ()))
        if faults:
            raise DataError("\n".join(faults))
        return rows, np.zeros(0, int) if label is None else labels_of(rows, label, class_names or ())


def npz_rows(
    path: FilePath, class_names: Collection[str] | None = None, marks: Collection[str] = MISSING_MARKS
) -> tuple[Array, Array]:
    """Return X of an NPZ archive, images as rows, and the labels as `read_rows` does; of a test part before others."""
    if class_names is None:
        return flat_images(read_npz(path, ["X"])["X"])[0], np.zeros(0, int)
    found = read_npz_samples(path)
    end = "_test" if "X_test" in found else ""
    X, y = flat_images(found[f"X{end}"])[0], one_label_a_row(found[f"y{end}"])
    with faults_of_file(path):
        if X.ndim != 2 or y.shape != X.shape[:1]:
            raise DataError(f"X{end} has shape {X.shape} and y{end} {y.shape}; there must be a label for each row of X")
        label = python_column(f"y{end}", y, as_text=True, marks=marks)
        return X, labels_of(Table((), np.arange(len(y))), label, class_names)


def labels_of(rows: Table, label: Column, class_names: Collection[str]) -> Array:
    """Return the labels of later `rows` numbered as `class_names`.

    Raises
    ------
    DataError
        For a label that is missing, or no class of the training part.
    """
    if faults := _class_faults(rows, label, class_names):
        raise DataError("\n".join(faults))
    places = {name: place for place, name in enumerate(class_names)}
    return np.array([places[level] for level in label.levels or ()], dtype=np.intp)[label.values]


def _class_faults(rows: Table, label: Column, class_names: Collection[str]) -> list[str]:
    strange = [level for level in label.levels or () if level not in class_names]
    classes = f"is not one of the classes {', '.join(class_names)}"
    return gap_faults(rows, [label], what="label") + [
        f"label {level!r} in column {label.name!r} {classes}" for level in strange[:1]
    ]


def table_summary(source: Source, preparation: Preparation) -> list[dict[str, Any]]:
    """Return a row for each column of a table: its name, kind, levels, gaps, and what was done with it."""
    rows, is_filled = list[dict[str, Any]](), source.options.missing == IMPUTE
    levels, fills = (
        dict(zip(preparation.columns, own, strict=True)) for own in (preparation.levels, preparation.fills)
    )
    for column in source.X.columns:
        n_gaps, done = int(column.gaps.sum()), "as it is"
        if column.name not in levels:
            done = "left out: constant in the training part"
        elif column.levels is not None:
            done = f"{len(levels[column.name])} columns of 0 and 1"
        elif n_gaps and is_filled:
            done = f"gaps filled with the median {fills[column.name]:g}"
        kind, n_levels = ("numbers", None) if column.levels is None else ("text", len(column.levels))
        rows.append({"column": column.name, "kind": kind, "levels": n_levels, "gaps": n_gaps, "done": done})
    for name, why in source.left_out.items():
        rows.append({"column": name, "kind": None, "levels": None, "gaps": None, "done": f"left out: {why}"})
    return rows
