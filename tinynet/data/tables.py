"""A table before anything is fitted to it: columns of numbers, and columns of text as codes of its levels."""

from __future__ import annotations

import difflib
import json
import math
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.errors import DataError

Array = npt.NDArray[Any]

MISSING_MARKS = ("", "NA", "N/A", "NaN", "nan", "null", "?")
MAX_NAME = 200  # characters of a column's or a class's name; an array of text is as wide as its longest
MOST_NUMBERS = 0.95  # a column with a larger share of numbers is meant to hold numbers
MOST_NAMES = 30  # of columns that a message lists
LARGEST = 1e150  # the square of anything larger overflows
SHOWN = 3  # cells of a faulty column that its message names
COMMA_NUMBER = re.compile(r"[+-]?(?=.*\d)(\d{1,3}(\.\d{3})+|\d*)(,\d+)?")
COMMAS = {
    re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?"): (
        'has commas between thousands; take them out (if they are decimal commas: dataset.decimal=",")'
    ),
    re.compile(r"[+-]?\d{1,3}(\.\d{3}){2,}"): (
        'has points between thousands; take them out (if decimals have commas: dataset.decimal=",")'
    ),
    COMMA_NUMBER: 'has a decimal comma; set dataset.decimal=","',
}
DATE = re.compile(r"(\d{4}([-/.])\d{1,2}\2\d{1,2}|\d{1,2}([-/.])\d{1,2}\3\d{2,4})([ T]\d.*)?")


@dataclass(frozen=True, eq=False)
class Column:
    """One column: numbers with nan for a gap, or codes of text with −1 for a gap.

    Attributes
    ----------
    name : str
    values : array, shape (n_rows,)
        float64, or integers that number `levels`.
    levels : tuple of str, or None
        The distinct texts in their order; None for a column of numbers.
    """

    name: str
    values: Array
    levels: tuple[str, ...] | None = None

    @property
    def gaps(self) -> Array:
        """Whether each row has a gap here, shape (n_rows,)."""
        return np.isnan(self.values) if self.levels is None else self.values < 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing but gaps."""
        return bool(self.gaps.all())


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of one length.

    Attributes
    ----------
    columns : tuple of Column
    lines : integer array, shape (n_rows,)
        The line of the file that each row begins on, or the row's index in Python's data.
    place : "line" or "row"
    """

    columns: tuple[Column, ...]
    lines: Array
    place: str = "row"

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    def rows(self, chosen: Array) -> Table:
        """Return the table of the `chosen` rows, given by index or by truth value."""
        columns = tuple(replace(column, values=column.values[chosen]) for column in self.columns)
        return replace(self, columns=columns, lines=self.lines[chosen])

    def where(self, chosen: Array) -> str:
        """Return a few of the `chosen` rows for a message: "line 3", "lines 3, 7, 8 and 2 more"."""
        lines = self.lines[chosen]
        more = f" and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
        return f"{self.place}{'' if len(lines) == 1 else 's'} {', '.join(map(str, lines[:SHOWN]))}{more}"


def column_places(names: Sequence[str], wanted: Iterable[str | int], what: str) -> list[int]:
    """Return the places of columns that are named, or numbered from 1 (−1 is the last); `what` asks for them.

    Raises
    ------
    DataError
        For a column that is not there, naming those that are.
    """
    places, absent = list[int](), list[str | int]()
    for column in wanted:
        if isinstance(column, str) and column in names:
            places.append(names.index(column))
        elif not isinstance(column, str) and 0 < abs(column) <= len(names):
            places.append(column - 1 if column > 0 else len(names) + column)
        else:
            absent.append(column)
    if absent:
        near = difflib.get_close_matches(str(absent[0]), names, n=1)
        guess = f"did you mean {near[0]!r}? " if near else ""
        guess = guess if isinstance(absent[0], str) else f"there are {len(names)}, counted from 1, or −1 the last; "
        raise DataError(f"{what}: no column {some(absent)}; {guess}the columns are {some(names, MOST_NAMES)}")
    return places


def is_number(text: str, decimal: str = ".") -> bool:
    """Return whether `text` is a finite number; 1_0, which Python takes for 10, is none."""
    with suppress(ValueError):
        return math.isfinite(float(with_a_point(text) if decimal == "," else text)) and "_" not in text
    return False


def with_a_point(text: str) -> str:
    """Return a number with a decimal comma as Python writes it; other text with a point gets a comma: float() fails."""
    if COMMA_NUMBER.fullmatch(text.strip()):
        return text.replace(".", "").replace(",", ".")
    return f"{text}," if "." in text else text


def level_order(level: str) -> tuple[int, float, str]:
    """Return the sort key of a level: numbers come first, by size, with 01 beside 1."""
    return (0, float(level), level) if is_number(level) else (1, 0.0, level)


def text_column(name: str, texts: Sequence[str], codes: Array, marks: Collection[str]) -> Column:
    """Return the column in which row i holds `texts`[`codes`[i]]; blanks around a text are not part of it."""
    stripped = [text.strip() for text in texts]
    levels = sorted(set(stripped).difference(marks), key=level_order)
    places = {level: place for place, level in enumerate(levels)}
    index = np.array([places.get(text, -1) for text in stripped] + [-1], dtype=np.intp)
    return Column(name, index[codes], tuple(levels))


def python_table(
    X: Any, names: Sequence[str] | None, as_text: Callable[[list[str]], Iterable[int]], marks: Collection[str]
) -> Table:
    """Return a table of a data frame, by its own names, or of rows.

    Of a data frame no more is used than ``columns`` and ``frame[name]``, which NumPy takes as an array.

    Parameters
    ----------
    X : data frame, or array of two dimensions, or rows
    names : of the columns; None for those of the data frame, or x0, x1, ...
    as_text : callable
        Takes the names and returns the places of columns that are text even if all are numbers.
    marks : texts that are gaps

    Raises
    ------
    DataError
        When X has no two dimensions, another number of columns than `names`, or lacks one of them.
    """
    if hasattr(X, "columns"):
        own, keys, n_rows = [str(name) for name in X.columns], list(X.columns), len(X)
        names = own if names is None else list(names)
        columns = [np.asarray(X[keys[place]]) for place in column_places(own, names, "the model")]
    else:
        try:
            rows = np.asarray(X)
            rows = np.array(X, dtype=object) if rows.dtype.kind == "U" else rows  # numbers beside text stay numbers
        except ValueError as error:
            raise DataError("X must have rows of one length") from error
        if rows.ndim != 2:
            raise DataError(f"X must have two dimensions, a row a sample, got shape {rows.shape}")
        columns, n_rows = list(rows.T), len(rows)
        names = [f"x{place}" for place in range(len(columns))] if names is None else list(names)
        if len(names) != len(columns):
            raise DataError(f"X has {len(columns)} columns, the model was trained on {len(names)}: {some(names)}")
    if any(column.shape != (n_rows,) for column in columns):
        raise DataError(f"two columns of one name, or one of several dimensions, among {some(names)}")
    text = {*as_text(names)}
    made = [python_column(name, columns[place], place in text, marks) for place, name in enumerate(names)]
    return Table(tuple(made), np.arange(n_rows))


def python_column(name: str, values: Array, as_text: bool, marks: Collection[str]) -> Column:
    """Return a column of Python's objects; None, nan and the nulls of pandas and polars are gaps."""
    if values.dtype.kind in "biuf" and not as_text:
        with np.errstate(over="ignore"):  # a long double may be infinite as a float64, which is refused
            return Column(name, values.astype(np.float64))
    cells = [None if is_gap(value) else value for value in values.tolist()]
    if not as_text and all(issubclass(kind, Real | type(None)) for kind in set(map(type, cells))):
        return Column(name, np.array([*map(_as_float, cells)], dtype=np.float64))
    texts: dict[str, int] = {}
    codes = [-1 if cell is None else texts.setdefault(_as_text(cell), len(texts)) for cell in cells]
    return text_column(name, list(texts), np.array(codes, dtype=np.intp), marks)


def is_gap(value: object) -> bool:
    """Return whether a value is None, nan, or a null of pandas, whose comparison has no truth value."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and value != value


def _as_float(number: Any) -> float:
    try:
        return math.nan if number is None else float(number)
    except OverflowError:  # infinite numbers are refused with their column's name
        return math.inf


def _as_text(value: Any) -> str:
    """Return a value as text: 1.0 is "1"."""
    return str(int(value)) if isinstance(value, float | np.floating) and value.is_integer() else str(value)


def column_faults(
    table: Table, column: Column, max_levels: int | None, decimal: str = ".", marks: Sequence[str] = MISSING_MARKS
) -> list[str]:
    """Return what is wrong with a column of features, and what to type.

    `max_levels` is None for later rows where training had numbers: every cell must be one, and no key helps.
    """
    name, levels = f"column {column.name!r}", column.levels
    if levels is None:
        huge = np.abs(column.values) > LARGEST
        what = "an infinite number" if np.isinf(column.values[huge]).all() else f"a number beyond ±{LARGEST:g}"
        return [f"{name}: {what} in {table.where(huge)}"] if huge.any() else []
    other = np.isin(column.values, [code for code, level in enumerate(levels) if not is_number(level, decimal)])
    found = dict.fromkeys(levels[code] for code in column.values[other][:1000].tolist())
    cells = f"{name}: {some(found, SHOWN)} in {table.where(other)}"
    if max_levels is None:
        is_written_otherwise = any(is_number(re.sub("[.,]", "", cell)) for cell in found)
        advice = f"; write numbers as the training table has them, such as 1234{decimal}5" * is_written_otherwise
        return [f"{cells}, where numbers belong{advice}"] if found else []
    for pattern, remedy in COMMAS.items() if decimal == "." and found else ():
        if all(pattern.fullmatch(level) or is_number(level) for level in levels):
            return [f"{cells} {remedy}"]
    if found and other[~column.gaps].mean() <= 1 - MOST_NUMBERS:
        if_gaps = f", or if it means a gap: dataset.missing_marks={typed_names(*marks, *found)}" * (len(found) <= SHOWN)
        return [f"{cells}, where numbers belong; correct this{if_gaps}"]
    if len(levels) <= max_levels:
        return []
    exclude = f"to leave it out: dataset.exclude={typed_names(column.name)}"
    if looks_like_dates(column):
        days = "or put a column of days (or of months) in its place"
        return [f"{name}: {len(levels):,} dates, such as {levels[0]!r}; {exclude}; {days}"]
    return [
        f"{name}: text with {len(levels):,} levels, more than max_levels {max_levels}, such as {some(levels, SHOWN)}; "
        f"{exclude}; to keep it: dataset.max_levels={len(levels)}"
    ]


def label_faults(table: Table, label: Column, remedy: str | None = "") -> list[str]:
    """Return what is wrong with the labels of a table, a text column.

    `remedy` is the end of the message about gaps; None where their rows are dropped.
    """
    name, levels = f"label column {label.name!r}", label.levels or ()
    if label.is_empty:
        return [f"{name} holds nothing but gaps"]
    if remedy is not None and label.gaps.any():
        return gap_faults(table, [label], remedy, what="label")
    long = [code for code, level in enumerate(levels) if len(level) > MAX_NAME]
    if long:
        rows = table.where(label.values == long[0])
        return [f"{name}: more than {MAX_NAME} characters in {rows}: {levels[long[0]][:40]!r}..."]
    fractions = [level for level in levels if is_number(level) and not float(level).is_integer()]
    if fractions and all(map(is_number, levels)):
        rows = table.where(label.values == levels.index(fractions[0]))
        return [
            f"{name} must hold whole numbers or words, one a class, got {fractions[0]!r} in {rows}; "
            f"the columns are {some(table.names)}"
        ]
    return []


def gap_faults(table: Table, columns: Sequence[Column], remedy: str = "", *, what: str = "value") -> list[str]:
    """Return the message about gaps in `columns` of a table, where they have any."""
    columns = [column for column in columns if column.gaps.any()]
    if not columns:
        return []
    gaps: Array = np.column_stack([column.gaps for column in columns])
    n, rows = int(gaps.sum()), table.where(np.flatnonzero(gaps.any(axis=1)))
    names = ", ".join(repr(column.name) for column in columns)
    return [f"{n:,} {what}{' is' if n == 1 else 's are'} missing in {names}: {rows}{remedy}"]


def looks_like_dates(column: Column) -> bool:
    """Return whether every level of a text column is a date."""
    return bool(column.levels) and all(map(DATE.fullmatch, column.levels or ()))


def typed_names(*names: str) -> str:
    """Return a list of names as it is typed on the command line."""
    is_word = len(names) == 1 and names != ("null",) and re.fullmatch(r"[A-Za-z_]\w*", names[0])
    return names[0] if is_word else shlex.quote(json.dumps(names, ensure_ascii=not "".join(names).isprintable()))


def some(names: Iterable[object], most: int = 8) -> str:
    """Return a few of many names for a message."""
    return listed([repr(name) for name in names], most)


def listed(words: Sequence[str], most: int = 8) -> str:
    """Return a few of many words for a message, as they are."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
