"""From the columns of a table to features: fitted to the training part, and applied to every later row."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.data.csv_files import DEFAULT_STYLE, Style
from tinynet.data.tables import Column, Table, column_faults, column_places, gap_faults, python_table
from tinynet.errors import DataError

Array = npt.NDArray[Any]
Levels = tuple[str | None, ...]  # None is the level of the gaps

ARRAYS = ("columns", "fills", "levels", "n_levels", "gap_levels", "label", "style")  # of model.npz


@dataclass(frozen=True, eq=False)
class Preparation:
    """What turns raw columns into features, fitted on the training part.

    Attributes
    ----------
    columns : tuple of str
        The raw columns, in the order in which rows have them.
    fills : array, shape (n_columns,)
        What fills a gap among numbers; nan where gaps are refused.
    levels : tuple
        For each column its levels, of which each becomes a feature of 0 and 1; None for a column of numbers.
    label : str
        The name of the label's column, which a labelled file has; "" for the one that is not a feature.
    style : Style
        How the files are written.
    """

    columns: tuple[str, ...]
    fills: Array
    levels: tuple[Levels | None, ...]
    label: str = ""
    style: Style = DEFAULT_STYLE

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features: a column of numbers keeps its own."""
        names = []
        for column, levels in zip(self.columns, self.levels, strict=True):
            own = levels if levels is not None else ("",)
            names += [column if levels is None else f"{column}={'(gap)' if level is None else level}" for level in own]
        return tuple(names)

    @property
    def text(self) -> frozenset[str]:
        """The names of the columns that are read as text."""
        return frozenset(name for name, levels in zip(self.columns, self.levels, strict=True) if levels is not None)

    def as_text(self, names: list[str]) -> list[int]:
        """Return the places of the columns to read as text: those with levels, and those that are not features."""
        return [place for place, name in enumerate(names) if name in self.text or name not in self.columns]

    def faults(self, table: Table) -> list[str]:
        """Return what is wrong with the numbers of rows, or with their gaps, where gaps are refused."""
        columns = self._of(table)
        numbers = [column for column in columns if column.name not in self.text]
        refused = [column for column, fill in zip(columns, self.fills, strict=True) if np.isnan(fill)]
        found = [fault for column in numbers for fault in column_faults(table, column, None, self.style.decimal)]
        return found or gap_faults(table, refused)

    def transform(self, table: Table) -> Array:
        """Return the features of rows, shape (n_rows, n_features), not yet scaled; a new level is 0 in all of its own.

        Raises
        ------
        DataError
            For what is not a number, or a gap where gaps are refused, naming its row.
        """
        if faults := self.faults(table):
            raise DataError("\n".join(faults))
        features = np.zeros((len(table.lines), len(self.feature_names)))
        place = 0
        for column, fill, levels in zip(self._of(table), self.fills, self.levels, strict=True):
            if levels is None:
                features[:, place] = np.where(np.isnan(column.values), fill, column.values)
                place += 1
                continue
            known = _places(levels, column)[column.values]
            rows = np.flatnonzero(known >= 0)
            features[rows, place + known[rows]] = 1.0
            place += len(levels)
        return features

    def table(self, X: Any) -> Table:
        """Return raw rows of Python as a table: a data frame, or rows in the order of `columns`.

        If columns were excluded in training, X may still contain them; they are found by x0, x1, ...

        Raises
        ------
        DataError
            For rows of another length.
        """
        names: Sequence[str] = self.columns
        width = np.shape(X)[1] if isinstance(X, np.ndarray) and X.ndim == 2 else 0
        if width > len(names) and all(re.fullmatch(r"x\d+", name) for name in names):
            names = [f"x{place}" for place in range(width)]
        return python_table(X, names, self.as_text, self.style.missing_marks)

    def unknown_levels(self, table: Table) -> dict[str, int]:
        """Return, for each column that has any, how many rows hold a level that training never saw."""
        counts = {
            column.name: int((_places(levels, column)[column.values] < 0).sum())
            for column, levels in zip(self._of(table), self.levels, strict=True)
            if levels is not None
        }
        return {name: n for name, n in counts.items() if n}

    def _of(self, table: Table) -> list[Column]:
        return [table.columns[place] for place in column_places(table.names, self.columns, "the model")]

    def arrays(self) -> dict[str, Array]:
        """Return what was fitted, as plain arrays."""
        flat = [level for levels in self.levels for level in levels or ()]
        return {
            "columns": np.array(self.columns),
            "fills": self.fills,
            "levels": np.array([level or "" for level in flat], dtype=str),
            "gap_levels": np.array([level is None for level in flat], dtype=bool),
            "n_levels": np.array([-1 if levels is None else len(levels) for levels in self.levels]),
            "label": np.array(self.label),
            "style": np.array(json.dumps(asdict(self.style))),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Preparation:
        """Return the preparation that `arrays`, named as in `ARRAYS`, hold.

        Raises
        ------
        DataError
            Where they do not belong together.
        """
        for name, kind in zip(ARRAYS, "UfUibUU", strict=True):
            if arrays[name].dtype.kind != kind or arrays[name].ndim != (name not in ("label", "style")):
                raise DataError(f"{name} must be an array of kind {kind}, got {arrays[name].dtype}")
        fills, sizes = arrays["fills"], arrays["n_levels"]
        flat, is_gap = arrays["levels"].tolist(), arrays["gap_levels"].tolist()
        whole = len(flat) == len(is_gap) == np.maximum(sizes, 0).sum() and (sizes >= -1).all()
        if not whole or not len(fills) == len(sizes) == len(arrays["columns"]) or np.isinf(fills).any():
            raise DataError("columns, fills, levels and n_levels do not belong together")
        ends = np.maximum(sizes, 0).cumsum().tolist()
        named = [None if gap else level for level, gap in zip(flat, is_gap, strict=True)]
        levels = tuple(
            None if size < 0 else tuple(named[end - size : end]) for size, end in zip(sizes.tolist(), ends, strict=True)
        )
        try:
            style = json.loads(str(arrays["style"]))
            style = Style(**style | {"missing_marks": tuple(map(str, style["missing_marks"]))})
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"style is damaged: {error}") from error
        return cls(tuple(arrays["columns"].tolist()), fills, levels, str(arrays["label"]), style)


def _places(levels: Levels, column: Column) -> Array:
    """Return the place among `levels` of each level of a column, and last that of a gap; −1 where it has none."""
    places = {level: place for place, level in enumerate(levels)}
    return np.array([places.get(level, -1) for level in (*(column.levels or ()), None)], dtype=np.intp)


def fit_preparation(table: Table, missing: str, *, keep_constant: bool = False) -> Preparation:
    """Learn from the rows of a training part; columns that are constant there are left out.

    Parameters
    ----------
    table : Table
    missing : "impute", or anything else to refuse gaps in later rows
    keep_constant : bool
        For images, whose pixels all have their place.

    Raises
    ------
    DataError
        When no column is left.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder

    numbers = [column.values for column in table.columns if column.levels is None]
    codes = [column.values for column in table.columns if column.levels is not None]
    medians, categories = iter(list[float]()), iter(list[Array]())
    if numbers:
        imputer = SimpleImputer(strategy="median", keep_empty_features=True)
        medians = iter(imputer.fit(np.column_stack(numbers)).statistics_.tolist())
    if codes:
        encoder = OneHotEncoder(handle_unknown="ignore")
        categories = iter(encoder.fit(np.column_stack(codes)).categories_)
    columns, fills, levels = list[str](), list[float](), list[Levels | None]()
    for column in table.columns:
        own: Levels | None = None
        fill = 0.0
        if column.levels is None:
            fill = next(medians)
            filled = np.where(np.isnan(column.values), fill, column.values)
            constant = bool((filled == filled[0]).all())
        else:
            present: list[int] = next(categories).tolist()
            own = tuple(column.levels[code] for code in present if code >= 0) + ((None,) if present[0] < 0 else ())
            constant = len(own) == 1
        if keep_constant or not constant:
            columns.append(column.name)
            fills.append(fill if missing == "impute" else np.nan)
            levels.append(own)
    if not columns:
        raise DataError("no column is left to learn from: in the training part all of them are constant")
    return Preparation(tuple(columns), np.array(fills), tuple(levels))


def plain_preparation(names: Sequence[str]) -> Preparation:
    """Return what leaves columns of numbers as they are, and refuses gaps."""
    return Preparation(tuple(names), np.full(len(names), np.nan), (None,) * len(names))
