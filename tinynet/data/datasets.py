"""Data sets, split and scaled: ``load_dataset`` by name, ``split_dataset`` for your own arrays."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property, partial
from os import PathLike, fspath
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.data.samples import check_X
from tinynet.data.tables import SEPARATORS, read_csv, read_npz
from tinynet.errors import (
    DataError,
    InvalidTypeError,
    InvalidValueError,
    check_choice,
    check_integer,
    check_memory,
    check_number,
    did_you_mean,
)
from tinynet.storage.reading import FilePath, digest

Array = npt.NDArray[Any]

LARGEST = 1e150  # the square of anything larger overflows
LARGEST_SEED = 2**32 - 1  # scikit-learn takes no larger one
PARTS = ("training", "validation", "test")


@dataclass(frozen=True, eq=False)
class Scaling:
    """An affine map of every feature, fitted on the training part: (X − offset) / scale."""

    name: str
    offset: Array  # shape (n_features,)
    scale: Array  # shape (n_features,), never 0

    def transform(self, X: Array) -> Array:
        """Return `X`, shape (n_samples, n_features), scaled."""
        return (X - self.offset) / self.scale


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three parts of one data set, scaled; X are float64 rows, y labels 0 .. n_classes − 1.

    Attributes
    ----------
    X_train, X_validation, X_test : arrays, shape (n_samples, n_features)
    y_train, y_validation, y_test : integer arrays, shape (n_samples,)
    class_names, feature_names : tuples of str
    scaling : Scaling, for rows that come later
    image_shape : (height, width) when every row is an image, else None
    """

    name: str
    X_train: Array
    y_train: Array
    X_validation: Array
    y_validation: Array
    X_test: Array
    y_test: Array
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    scaling: Scaling
    image_shape: tuple[int, int] | None = None

    def __repr__(self) -> str:
        """Return the name and the sizes."""
        parts = ", ".join(f"{len(getattr(self, f'X_{part}')):,} {part}" for part in ("train", "validation", "test"))
        return f"Dataset({self.name!r}: {parts}; {self.n_features:,} features, {self.n_classes:,} classes)"

    @property
    def n_features(self) -> int:
        """The number of columns of X."""
        return len(self.feature_names)

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that another number, label or name in any part would make others.

        Numbers count to six decimals of the largest of their column in the training part: in the last bits another
        machine may scale them otherwise.
        """
        largest = np.abs(self.X_train).max(axis=0)
        largest[largest == 0.0] = 1.0
        parts = (self.X_train, self.X_validation, self.X_test)
        blocks = (rows for X in parts for rows in np.array_split(X, 1 + X.nbytes // 2**24))
        with np.errstate(over="ignore"):
            samples = [digest(np.round(rows / largest, 6) + 0.0) for rows in blocks]  # no -0.0
        labels = digest(self.y_train, self.y_validation, self.y_test)
        text = json.dumps([digest(np.round(np.log(largest), 6)), samples, labels, self.feature_names, self.class_names])
        return digest(np.frombuffer(text.encode(), np.uint8))


def load_dataset(
    name: str,
    *,
    seed: int = 0,
    validation_size: float = 0.1,
    test_size: float = 0.2,
    scaling: str = "minmax",
    **options: Any,
) -> Dataset:
    """Return a data set of scikit-learn's or of your own, split by class proportions and scaled.

    Parameters
    ----------
    name : "digits", "moons", "iris", "wine", "breast_cancer", "circles", "blobs", "csv" or "npz"
    seed : int in [0, 2**32)
        Decides the split, and the points of moons, circles and blobs.
    validation_size, test_size : float in [0, 1)
        Fractions of all samples; 0 leaves the part empty.
    scaling : "minmax", "standard" or "none"
        To [0, 1], or to mean 0 and standard deviation 1, on the training part.
    **options
        moons: n_samples, noise. circles: n_samples, noise, factor.
        blobs: n_samples, n_features, centers, cluster_std.
        csv: path; label, the column of the classes by name or number (from 1; default −1, the last);
        separator, one of , ; tab and | (default: the one that makes most columns of the first line);
        header, whether the first line names the columns (default: when none of its cells is a number, or
        label is a name). All other columns must be numbers.
        npz: path, with arrays X and y; memory-mapped where it is not compressed. Nothing is unpickled.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        For an unknown name, scaling or option, or a value out of range.
    DataError
        When a class has too few samples for the parts, or a file cannot be used, naming line and column.

    Examples
    --------
    >>> data = load_dataset("iris")
    >>> data.X_train.shape, data.X_validation.shape, data.X_test.shape
    ((105, 4), (15, 4), (30, 4))
    >>> data.class_names
    ('setosa', 'versicolor', 'virginica')
    """
    loader = DATASETS[check_choice("dataset", name, DATASETS)]
    allowed = [parameter for parameter in inspect.signature(loader).parameters if parameter != "seed"]
    for option in options:
        if option not in allowed:
            hint = did_you_mean(option, allowed) if allowed else "; it takes none"
            raise InvalidTypeError(f"{name} has no option {option!r}{hint}")
    source = loader(check_integer("seed", seed, 0, LARGEST_SEED), **options)
    return split_dataset(
        **source, name=name, seed=seed, validation_size=validation_size, test_size=test_size, scaling=scaling
    )


def split_dataset(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    name: str = "data",
    seed: int = 0,
    validation_size: float = 0.1,
    test_size: float = 0.2,
    scaling: str = "minmax",
    class_names: tuple[str, ...] | None = None,
    feature_names: tuple[str, ...] | None = None,
    image_shape: tuple[int, int] | None = None,
) -> Dataset:
    """Split and scale your own samples.

    Parameters
    ----------
    X : array, shape (n_samples, n_features)
        Any real dtype and layout; the result is the same as that of plain float64.
    y : labels, shape (n_samples,)
        Integers, whole floats or strings; their sorted distinct values become the classes.
    seed, validation_size, test_size, scaling
        As for `load_dataset`.
    class_names, feature_names : tuples of str, optional
        Default: the labels themselves, and x0, x1, ...
    image_shape : (height, width), optional

    Raises
    ------
    DataError
        For nan, inf or huge values (naming the first), another number of labels, fractional
        labels, one class only, or a class with too few samples to be in every part.
    InvalidValueError, InvalidTypeError
        For a bad seed, size or scaling.

    Examples
    --------
    >>> data = split_dataset([[1.0], [2.0], [3.0], [4.0]], ["no", "no", "yes", "yes"], validation_size=0, test_size=0.5)
    >>> data.class_names, data.X_train.tolist()
    (('no', 'yes'), [[0.0], [1.0]])
    """
    X = check_X(X).astype(np.float64, copy=False)
    if not len(X):
        raise DataError("X has no rows; there is nothing to split")
    check_magnitude(X)
    labels, names = _classes(y, len(X))
    sizes = (check_number("validation_size", validation_size, 0, 1), check_number("test_size", test_size, 0, 1))
    if sum(sizes) >= 1:
        raise InvalidValueError(f"validation_size + test_size must be below 1, got {sizes[0]:g} + {sizes[1]:g}")
    check_choice("scaling", scaling, ("minmax", "standard", "none"))
    class_names = names if class_names is None else tuple(map(str, class_names))
    feature_names = (
        tuple(f"x{i}" for i in range(X.shape[1])) if feature_names is None else tuple(map(str, feature_names))
    )
    if len(class_names) != len(names):
        raise DataError(f"{len(class_names)} class_names for {len(names)} classes")
    if len(feature_names) != X.shape[1]:
        raise DataError(f"{len(feature_names)} feature_names for {X.shape[1]} features")
    seed = check_integer("seed", seed, 0, LARGEST_SEED)
    train, validation, test = _split(labels, class_names, seed, *sizes)
    fitted = _fit_scaling(scaling, X[train])
    return Dataset(
        name=name,
        X_train=fitted.transform(X[train]),
        y_train=labels[train],
        X_validation=fitted.transform(X[validation]),
        y_validation=labels[validation],
        X_test=fitted.transform(X[test]),
        y_test=labels[test],
        class_names=class_names,
        feature_names=feature_names,
        scaling=fitted,
        image_shape=image_shape,
    )


def check_magnitude(X: Array) -> None:
    """Refuse values whose squares overflow, naming the first."""
    huge = np.abs(X) > LARGEST
    if huge.any():
        row, column = np.argwhere(huge)[0]
        raise DataError(
            f"X holds {huge.sum()} values beyond ±{LARGEST:g}, whose squares overflow, "
            f"the first in row {row}, column {column}: {X[row, column]:g}"
        )


def _classes(y: npt.ArrayLike, n_samples: int) -> tuple[Array, tuple[str, ...]]:
    """Return labels 0 .. n_classes − 1 and the names of the classes."""
    y = np.asarray(y)
    if y.shape != (n_samples,):
        raise DataError(f"y must have one label for each of the {n_samples} rows of X, got shape {y.shape}")
    if y.dtype.kind == "O" and all(isinstance(label, str) for label in y):
        y = y.astype(str)
    if y.dtype.kind == "f":
        broken = y[~(np.abs(y) <= np.longdouble(np.finfo(np.float64).max)) | (y != np.floor(y))]
        if len(broken):
            raise DataError(f"y must hold whole numbers or strings, got values such as {broken[:3].tolist()}")
    if y.dtype.kind not in "iubfU":
        raise DataError(f"y must hold whole numbers or strings, got dtype {y.dtype}")
    values, labels = np.unique(y, return_inverse=True)
    names = tuple(str(int(value) if y.dtype.kind == "f" else value) for value in values)
    if len(names) < 2:
        raise DataError(f"y holds one class only ({names[0]}); a classifier needs two or more")
    return labels.astype(np.intp), names


def _split(
    labels: Array, names: tuple[str, ...], seed: int, validation_size: float, test_size: float
) -> tuple[Array, Array, Array]:
    """Return the rows of the training, validation and test parts, every class in every part."""
    from sklearn.model_selection import train_test_split

    n_samples, sizes = len(labels), f"(validation_size={validation_size:g}, test_size={test_size:g})"
    n_validation, n_test = round(validation_size * n_samples), round(test_size * n_samples)
    asked = (True, validation_size > 0, test_size > 0)
    n_rows = (n_samples - n_validation - n_test, n_validation, n_test)
    for part, wanted, n in zip(PARTS, asked, n_rows, strict=True):
        if wanted and n < len(names):
            raise DataError(
                f"the {part} part would have {n} of {n_samples} samples, too few for {len(names)} classes {sizes}"
            )
    rest, rows = np.arange(n_samples), []
    for n in (n_test, n_validation):
        part_rows = rest[:0]
        if n:
            with suppress(ValueError):  # a class with one sample left: told below in our words
                rest, part_rows = train_test_split(rest, test_size=n, random_state=seed, stratify=labels[rest])
        rows.append(part_rows)
    test, validation = rows
    counts = np.bincount(labels)
    for part, wanted, own in zip(PARTS, asked, (rest, validation, test), strict=True):
        missing = np.flatnonzero(np.bincount(labels[own], minlength=len(counts)) == 0)
        if wanted and len(missing):
            k = missing[np.argmin(counts[missing])]
            raise DataError(
                f"class {names[k]!r} has {counts[k]} of {n_samples} samples: "
                f"too few to put one into the {part} part {sizes}"
            )
    return rest, validation, test


def _fit_scaling(name: str, X: Array) -> Scaling:
    """Return the scaling of `X`; a column that is constant, or so nearly that 1 / scale overflows, is only moved."""
    offset, scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
    if name == "minmax":
        offset, scale = X.min(axis=0), np.ptp(X, axis=0)
    elif name == "standard":
        constant = np.ptp(X, axis=0) == 0  # where rounding of the mean must not pass for a spread
        offset, scale = np.where(constant, X[0], X.mean(axis=0)), np.where(constant, 0.0, X.std(axis=0))
    return Scaling(name, offset, np.where(scale * LARGEST < 1, 1.0, scale))


@cache
def _bunch(name: str) -> Any:
    """Read one of scikit-learn's files once: a sweep asks for the same again and again."""
    from sklearn import datasets

    return getattr(datasets, f"load_{name}")()


def _bundled(name: str, seed: int) -> dict[str, Any]:
    bunch = _bunch(name)
    return {
        "X": bunch.data,
        "y": bunch.target,
        "class_names": tuple(map(str, bunch.target_names)),
        "feature_names": tuple(map(str, bunch.feature_names)),
        "image_shape": bunch.images.shape[1:] if "images" in bunch else None,
    }


def _moons(seed: int, n_samples: int = 1000, noise: float = 0.2) -> dict[str, Any]:
    from sklearn.datasets import make_moons

    X, y = make_moons(_n_samples(n_samples, 2), noise=check_number("noise", noise, 0), random_state=seed)
    return {"X": X, "y": y}


def _circles(seed: int, n_samples: int = 1000, noise: float = 0.1, factor: float = 0.5) -> dict[str, Any]:
    from sklearn.datasets import make_circles

    n_samples, noise = _n_samples(n_samples, 2), check_number("noise", noise, 0)
    factor = check_number("factor", factor, 0, 1, closed=False)
    X, y = make_circles(n_samples, noise=noise, factor=factor, random_state=seed)
    return {"X": X, "y": y}


def _blobs(
    seed: int, n_samples: int = 1000, n_features: int = 2, centers: int = 3, cluster_std: float = 1.0
) -> dict[str, Any]:
    from sklearn.datasets import make_blobs

    n_features, centers = check_integer("n_features", n_features, 1), check_integer("centers", centers, 2)
    n_samples = _n_samples(n_samples, n_features)
    if centers > n_samples:  # a list of all centers is made, however few samples there are
        raise InvalidValueError(f"centers must be at most n_samples, got {centers} centers for {n_samples} samples")
    X, y = make_blobs(
        n_samples,
        n_features,
        centers=centers,
        cluster_std=check_number("cluster_std", cluster_std, 0),
        random_state=seed,
    )
    return {"X": X, "y": y}


def _n_samples(n_samples: int, n_features: int) -> int:
    n_samples = check_integer("n_samples", n_samples, 10)
    check_memory(f"{n_samples:,} samples of {n_features} features, twice over,", 2 * n_samples * n_features)
    return n_samples


def _csv(
    seed: int,
    path: FilePath | None = None,
    label: str | int | None = None,
    separator: str | None = None,
    header: bool | None = None,
) -> dict[str, Any]:
    if not isinstance(label, str | None):
        label = check_integer("label", label, -(2**63))
    if separator is not None:
        check_choice("separator", separator, SEPARATORS)
    if not isinstance(header, bool | None):
        raise InvalidTypeError(f"header must be True, False or None, got {header!r}")
    if isinstance(label, str) and header is False:
        raise InvalidValueError(f"label {label!r} is a name, which a header must give, but header is False")
    return read_csv(_path(path), label=label, separator=separator, header=header)


def _npz(seed: int, path: FilePath | None = None) -> dict[str, Any]:
    return dict(read_npz(_path(path), ("X", "y")))


def _path(path: FilePath | None) -> str:
    if not isinstance(path, str | PathLike):
        raise InvalidTypeError(f"path must name a file, got {path!r}")
    return fspath(path)


DATASETS: dict[str, Callable[..., dict[str, Any]]] = {
    "digits": partial(_bundled, "digits"),
    "moons": _moons,
    "iris": partial(_bundled, "iris"),
    "wine": partial(_bundled, "wine"),
    "breast_cancer": partial(_bundled, "breast_cancer"),
    "circles": _circles,
    "blobs": _blobs,
    "csv": _csv,
    "npz": _npz,
}
