"""Your own tables, from a CSV or NPZ file or a data frame: which columns are features, and what is wrong with any."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.data.csv_files import read_csv
from tinynet.data.npz_files import read_npz, read_npz_samples
from tinynet.data.options import DEFAULT_OPTIONS, DROP, IMPUTE, REFUSE, TableOptions
from tinynet.data.preparation import Preparation, refuse_gaps
from tinynet.data.tables import (
    MAX_NAME,
    Column,
    Table,
    column_fault,
    column_places,
    is_number,
    python_column,
    python_table,
    some,
)
from tinynet.errors import DataError
from tinynet.storage.reading import FilePath, faults_of_file

Array = npt.NDArray[Any]


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
        Why a column of the table is no feature, by its name.
    dropped : int
        Rows that were left out for their gaps.
    test : (X, y), when the test part has arrays of its own
    test_path : path, when it has a file of its own
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
    test: tuple[Any, Any] | None = None
    test_path: FilePath | None = None


def csv_source(path: FilePath, options: TableOptions) -> Source:
    """Return the samples of a CSV file, each class named as its label is spelled.

    Raises
    ------
    DataError
        With a line for each column that cannot be used: the file, the column, and the key that helps.
    """
    label = -1 if options.label is None else options.label

    def as_text(names: list[str]) -> list[int]:
        return column_places(names, [label], "label") + column_places(names, options.categorical, "categorical")

    style = options.style
    if style.header is None and any(isinstance(one, str) for one in (label, *options.exclude, *options.categorical)):
        style = replace(style, header=True)
    table = read_csv(path, style, as_text)
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
    [at] = column_places(names, [-1 if options.label is None else options.label], "label")
    left_out = {names[place]: "excluded" for place in column_places(names, options.exclude, "exclude")}
    codes = {names[place] for place in column_places(names, options.categorical, "categorical")}
    if names[0] == "":
        left_out[""] = "row numbers (a first column without a name)"
    left_out |= {one.name: "nothing but gaps" for one in table.columns if one.is_empty and one.name not in left_out}
    label = table.columns[at]
    features = [one for one in table.columns if one.name not in left_out and one is not label]
    for column in features:
        most = len(column.levels or ()) if column.name in codes else options.max_levels
        fault = column_fault(table, column, most, options.style.decimal)
        faults += [fault] if fault is not None else []
    faults += label_faults(table, label, options.missing)
    if not features:
        faults.append(f"no column is left for the features; left out are {', '.join(map(repr, left_out)) or 'none'}")
    gaps = np.any([column.gaps for column in [*features, label]], axis=0)
    if options.missing == REFUSE and not faults:
        refuse_gaps(table, features, '; dataset.missing="impute" fills them, "drop" leaves such rows out')
    if faults:
        raise DataError("\n".join(faults))
    kept = ~gaps if options.missing == DROP else np.ones(len(gaps), dtype=bool)
    if not kept.any():
        raise DataError('every row has a gap, and dataset.missing="drop" leaves nothing')
    y, class_names = _classes_of(label, kept)
    table = replace(table, columns=tuple(features)).rows(kept)
    left_out = {name: why for name, why in left_out.items() if name != label.name}
    return Source(
        table,
        y,
        class_names,
        image_shape=options.image_shape,
        label=label.name,
        options=options,
        left_out=left_out,
        dropped=int((~kept).sum()),
    )


def _classes_of(label: Column, kept: Array) -> tuple[Array, tuple[str, ...]]:
    present, y = np.unique(label.values[kept], return_inverse=True)
    return y, tuple((label.levels or ())[code] for code in present)


def label_faults(table: Table, label: Column, missing: str) -> list[str]:
    """Return what is wrong with the labels of a table, a text column; `missing` is what is done with gaps."""
    name, levels = f"label column {label.name!r}", label.levels or ()
    if label.is_empty:
        return [f"{name} holds nothing but gaps"]
    if label.gaps.any() and missing != DROP:
        n = int(label.gaps.sum())
        rows = f"{n:,} label{' is' if n == 1 else 's are'} missing in column {label.name!r}: {table.where(label.gaps)}"
        return [f'{rows}; dataset.missing="drop" leaves such rows out']
    long = [code for code, level in enumerate(levels) if len(level) > MAX_NAME]
    if long:
        shown = levels[long[0]][:40]
        return [f"{name}: more than {MAX_NAME} characters in {table.where(label.values == long[0])}: {shown!r}..."]
    fractions = [level for level in levels if is_number(level) and not float(level).is_integer()]
    if fractions and all(map(is_number, levels)):
        return [
            f"{name} must hold whole numbers or words, one a class, got {fractions[0]!r} in "
            f"{table.where(label.values == levels.index(fractions[0]))}; the columns are {', '.join(table.names[:8])}"
        ]
    return []


def npz_source(path: FilePath, options: TableOptions, test_path: FilePath | None = None) -> Source:
    """Return the samples of an NPZ archive: X and y, images too, and a test part where it or `test_path` has one.

    Raises
    ------
    DataError
        As `csv_source` does.
    """
    found = read_npz_samples(path)
    with faults_of_file(path):
        X, image_shape = flat_images(found["X"])
        source = array_source(X, one_label_a_row(found["y"]), options, image_shape)
    if test_path is not None or "X_test" in found:
        return replace(source, test=npz_rows(path if test_path is None else test_path, labelled=True))
    return source


def array_source(X: Array, y: Array, options: TableOptions, image_shape: tuple[int, int] | None = None) -> Source:
    """Return the samples of arrays; X becomes a table where it has gaps, or an option asks for one."""
    image_shape = options.image_shape or image_shape
    gaps = X.dtype.kind == "f" and X.ndim == 2 and bool(np.isnan(X.sum()) and np.isnan(X).any())
    is_plain = X.dtype.kind in "biufc" and not (gaps or options.exclude or options.categorical)
    if y.dtype.kind == "U":
        is_plain &= not {label.strip() for label in np.unique(y).tolist()} & set(options.style.missing_marks)
    elif y.dtype.kind == "f":
        is_plain &= not np.isnan(y).any()
    if is_plain or X.ndim != 2 or len(X) != len(y):
        return Source(X, y, image_shape=image_shape, options=options)
    names = [f"x{place}" for place in range(X.shape[1])]
    as_text = [names[place] for place in column_places(names, options.categorical, "categorical")]
    table = python_table(X, names, as_text, options.style.missing_marks)
    label = python_column("y", y, as_text=True, marks=options.style.missing_marks)
    table = replace(table, columns=(*table.columns, label))
    return table_source(table, replace(options, label="y", image_shape=image_shape))


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
    if y.ndim == 2 and y.dtype.kind in "biuf" and ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all():
        return np.asarray(y.argmax(axis=1))
    return y


def frame_source(frame: Any, options: TableOptions) -> Source:
    """Return the samples of a data frame, by the names of its columns.

    Raises
    ------
    DataError
        With a line for each column that cannot be used.
    """
    names = [str(name) for name in frame.columns]
    label = -1 if options.label is None else options.label
    places = column_places(names, [label], "label") + column_places(names, options.categorical, "categorical")
    as_text = {names[place] for place in places}
    return table_source(python_table(frame, None, as_text, options.style.missing_marks), options)


def python_source(X: Any, y: Any, names: Sequence[str] | None) -> Source:
    """Return the samples of a data frame, or of an array of objects, and labels beside it.

    Raises
    ------
    DataError
        With a line for each column that cannot be used.
    """
    table, options = python_table(X, names), TableOptions(label=-1)
    if np.shape(y) != (len(table.lines),):
        raise DataError(f"y must have one label for each of the {len(table.lines)} rows of X, got shape {np.shape(y)}")
    label = python_column("y", np.asarray(y), as_text=True, marks=options.style.missing_marks)
    return table_source(replace(table, columns=(*table.columns, label)), options)


def has_objects(X: Any) -> bool:
    """Return whether X is a data frame, or holds text or other objects beside numbers."""
    if hasattr(X, "columns") or isinstance(X, np.ndarray):
        return hasattr(X, "columns") or X.dtype.kind == "O"
    with suppress(ValueError):  # rows of several lengths, which are told of elsewhere
        return np.asarray(X).dtype.kind in "OU"
    return False


def read_rows(path: FilePath, preparation: Preparation, *, labelled: bool = False) -> tuple[Table, Column | None]:
    """Return raw rows in a file for what was prepared, and their labels when they are `labelled`.

    In CSV the columns are found by the names in the header, and others are left out; without a header there must
    be as many columns as the model has. Of an .npz file it is X, and y.

    Raises
    ------
    DataError
        Naming the file, with a line for each column that cannot be used.
    """
    features = list(preparation.columns)
    if os.fspath(path).lower().endswith(".npz"):
        X, y = npz_rows(path, labelled)
        label = None if y is None else python_column("y", y, as_text=True, marks=preparation.style.missing_marks)
        return preparation.table(X), label
    own_label = [preparation.label] if labelled and preparation.label else []

    def as_text(names: list[str]) -> list[int]:
        return [place for place, name in enumerate(names) if name in preparation.text or name not in features]

    table = read_csv(path, preparation.style, as_text, [*features, *own_label])
    with faults_of_file(path):
        if labelled and not own_label:
            own_label = [name for name in table.names if name not in features]
            if len(own_label) != 1:
                raise DataError(f"one column beside the features must hold the labels, got {some(own_label) or 'none'}")
        places = column_places(table.names, [*features, *own_label], "the model")
        columns = [table.columns[place] for place in places]
        label = columns.pop() if labelled else None
        decimal = preparation.style.decimal
        numbers = [one for one in columns if one.name not in preparation.text]
        faults = [column_fault(table, one, None, decimal) for one in numbers]
        faults += [] if label is None else label_faults(table, label, REFUSE)
        if found := [fault for fault in faults if fault is not None]:
            raise DataError("\n".join(found))
        refused = [one for one, fill in zip(columns, preparation.fills, strict=True) if np.isnan(fill)]
        if refused:
            refuse_gaps(table, refused)
    return replace(table, columns=tuple(columns)), label


def npz_rows(path: FilePath, labelled: bool) -> tuple[Array, Array | None]:
    """Return X of an NPZ archive, images as rows, and y when they are `labelled`; of a test part before others."""
    if not labelled:
        return flat_images(read_npz(path, ["X"])["X"])[0], None
    found = read_npz_samples(path)
    end = "_test" if "X_test" in found else ""
    return flat_images(found[f"X{end}"])[0], one_label_a_row(found[f"y{end}"])


def labels_of(label: Column | None, class_names: Iterable[str]) -> Array:
    """Return the labels of later rows numbered as `class_names`.

    Raises
    ------
    DataError
        For a label that is missing, or no class of the training part.
    """
    places = {name: place for place, name in enumerate(class_names)}
    if label is None:
        raise DataError("there are no labels")
    if label.gaps.any():
        raise DataError(label_faults(Table((label,), np.arange(len(label.values))), label, REFUSE)[0])
    levels = label.levels or ()
    strange = [level for level in levels if level not in places]
    if strange:
        raise DataError(f"label {strange[0]!r} in column {label.name!r} is no class; they are {', '.join(places)}")
    return np.array([places[level] for level in levels], dtype=np.intp)[label.values]


def table_summary(source: Source, preparation: Preparation) -> list[dict[str, Any]]:
    """Return a row for each column of a table: its name, kind, levels, gaps, and what was done with it."""
    rows: list[dict[str, Any]] = []
    prepared = dict(zip(preparation.columns, preparation.levels, strict=True))
    for column in source.X.columns:
        n_gaps, levels = int(column.gaps.sum()), prepared.get(column.name, ())
        kind = "numbers" if column.levels is None else "text"
        if column.name not in prepared:
            done = "left out: constant in the training part"
        elif levels is None:
            done = f"gaps filled with the median {preparation.fills[preparation.columns.index(column.name)]:g}"
            done = done if n_gaps and source.options.missing == IMPUTE else "as it is"
        else:
            done = f"{len(levels)} columns of 0 and 1"
        n_levels = None if column.levels is None else len(column.levels)
        rows.append({"column": column.name, "kind": kind, "levels": n_levels, "gaps": n_gaps, "done": done})
    for name, why in source.left_out.items():
        rows.append({"column": name, "kind": None, "levels": None, "gaps": None, "done": f"left out: {why}"})
    return rows
