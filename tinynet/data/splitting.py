"""Which rows train, validate and test: every class in every part, by its share."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.data.tables import Table, is_number, label_faults, python_column
from tinynet.errors import DataError, InvalidValueError, check_choice, check_integer, check_number
from tinynet.losses import regular_array

Array = npt.NDArray[Any]

LARGEST_SEED = 2**32 - 1  # scikit-learn takes no larger one
PARTS = ("training", "validation", "test")


@dataclass(frozen=True)
class Plan:
    """How samples are split and scaled, checked."""

    seed: int
    validation_size: float
    test_size: float
    scaling: str

    def __post_init__(self) -> None:
        """Raise naming the value that cannot be."""
        check_integer("seed", self.seed, 0, LARGEST_SEED)
        sizes = [check_number(name, getattr(self, name), 0, 1) for name in ("validation_size", "test_size")]
        if sum(sizes) >= 1:
            raise InvalidValueError(f"validation_size + test_size must be below 1, got {sizes[0]:g} + {sizes[1]:g}")
        check_choice("scaling", self.scaling, ("minmax", "standard", "none"))


def classes_of(y: npt.ArrayLike, n_samples: int) -> tuple[Array, tuple[str, ...]]:
    """Return labels 0 .. n_classes − 1 and the names of the classes."""
    y = regular_array("y", y)
    if y.shape != (n_samples,):
        raise DataError(f"y must have one label for each of the {n_samples} rows of X, got shape {y.shape}")
    if y.dtype.kind == "O" or (y.dtype.kind == "f" and np.isnan(y).any()):
        column = python_column("y", y, as_text=True, marks=())
        if faults := label_faults(Table((column,), np.arange(len(y))), column):
            raise DataError(faults[0])
        return column.values, column.levels or ()
    if y.dtype.kind == "f":
        broken = y[~(np.abs(y) <= np.longdouble(np.finfo(np.float64).max)) | (y != np.floor(y))]
        if len(broken):
            raise DataError(f"y must hold whole numbers or strings, got values such as {broken[:3].tolist()}")
    if y.dtype.kind not in "iubfU":
        raise DataError(f"y must hold whole numbers or strings, got dtype {y.dtype}")
    values, labels = np.unique(y, return_inverse=True)
    return labels.astype(np.intp), tuple(str(int(value) if y.dtype.kind == "f" else value) for value in values)


def split_rows(
    labels: Array, names: tuple[str, ...], seed: int, validation_size: float, test_size: float
) -> tuple[Array, Array, Array]:
    """Return the rows of the training, validation and test parts, every class in every part."""
    from sklearn.model_selection import train_test_split

    n_samples, sizes = len(labels), f"(validation_size={validation_size:g}, test_size={test_size:g})"
    n_validation, n_test = round(validation_size * n_samples), round(test_size * n_samples)
    amounts = "; each number among the labels is a class, not an amount" * all(map(is_number, names))
    asked = (True, validation_size > 0, test_size > 0)
    n_rows = (n_samples - n_validation - n_test, n_validation, n_test)
    for part, wanted, n in zip(PARTS, asked, n_rows, strict=True):
        if wanted and n < len(names):
            few = f"too few for {len(names)} classes {sizes}{amounts}"
            raise DataError(f"the {part} part would have {n} of {n_samples} samples, {few}")
    rest, rows = np.arange(n_samples), []
    for n in (n_test, n_validation):
        part_rows = rest[:0]
        if n:
            with suppress(ValueError):  # a class with one sample left: named below
                rest, part_rows = train_test_split(rest, test_size=n, random_state=seed, stratify=labels[rest])
        rows.append(part_rows)
    parts = [rest, rows[1], rows[0]]
    counts = np.bincount(labels)
    for own in parts[1:]:
        if len(own):
            _lend(labels, rest, own)
    for part, wanted, own in zip(PARTS, asked, parts, strict=True):
        missing = np.flatnonzero(np.bincount(labels[own], minlength=len(counts)) == 0)
        if wanted and len(missing):
            k = missing[np.argmin(counts[missing])]
            raise DataError(
                f"class {names[k]!r} has {counts[k]} of {n_samples} samples: too few to put one into the {part} part "
                f"{sizes}; leave its rows out, or set {'both' if counts[k] == 1 else 'one'} of these to 0{amounts}"
            )
    return parts[0], parts[1], parts[2]


def _lend(labels: Array, training: Array, part: Array) -> None:
    """For each class missing from `part`, swap one of its training rows with a row of the part's largest class."""
    in_training = np.bincount(labels[training], minlength=labels.max() + 1)
    in_part = np.bincount(labels[part], minlength=len(in_training))
    for k in np.flatnonzero((in_part == 0) & (in_training > 1)):
        largest = in_part.argmax()
        lent, taken = np.flatnonzero(labels[training] == k)[-1], np.flatnonzero(labels[part] == largest)[-1]
        training[lent], part[taken] = part[taken], training[lent]
        in_part[largest] -= 1
