"""Data sets, split and scaled: ``load_dataset`` by name, ``split_dataset`` for your own arrays."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.data.bundled import DATASETS
from tinynet.data.options import FRAME_OPTIONS, OWN, TableOptions, check_options, data_path, table_options
from tinynet.data.preparation import Preparation, fit_preparation
from tinynet.data.remarks import class_remarks, column_remarks
from tinynet.data.samples import ScaledRows, check_X, column_ends
from tinynet.data.sources import (
    Source,
    csv_source,
    has_objects,
    npz_rows,
    npz_source,
    python_source,
    read_rows,
    table_source,
    table_summary,
)
from tinynet.data.splitting import PARTS, Plan, classes_of, split_rows
from tinynet.data.tables import LARGEST, Table, listed, python_table
from tinynet.errors import DataError, check_choice
from tinynet.storage.reading import (
    CACHED,
    FilePath,
    digest,
    digest_of_blocks,
    faults_of_file,
    row_blocks,
    row_slices,
)

Array = npt.NDArray[Any]

LARGEST_COPY = 2**27  # bytes of float64: larger data stay as they came, and are scaled batch by batch


@dataclass(frozen=True, eq=False)
class Scaling:
    """An affine map of every feature, fitted on the training part: (X − offset) / scale."""

    name: str
    offset: Array  # shape (n_features,)
    scale: Array  # shape (n_features,), never 0

    def applied(self, X: Any) -> Any:
        """Return `X`, a copy of rows, scaled in place, or `ScaledRows` that will be."""
        if isinstance(X, ScaledRows):
            return ScaledRows(X.base, X.rows, self.offset, self.scale)
        return np.divide(np.subtract(X, self.offset, out=X), self.scale, out=X)

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
    preparation : Preparation of a table's raw columns, None where the features are the columns
    summary : list of a dict for each column of a table: column, kind, levels, gaps, done
    remarks : tuple of str, what somebody careful would say about the table
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
    preparation: Preparation | None = None
    summary: tuple[dict[str, Any], ...] = ()
    remarks: tuple[str, ...] = ()

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

    @property
    def class_counts(self) -> Array:
        """How many samples of each class the training part has, shape (n_classes,)."""
        return np.bincount(self.y_train, minlength=self.n_classes)

    @cached_property
    def digest(self) -> str:
        """A 16-digit hash of all numbers, labels and names.

        Numbers count to six decimals of the largest of their column in the training part: in the last bits another
        machine may scale them otherwise.
        """
        largest = np.abs(column_ends(self.X_train)).max(axis=0)
        largest[largest == 0.0] = 1.0
        with np.errstate(over="ignore"):
            samples = [
                digest_of_blocks([((block.stop - block.start, self.n_features), _rounded(X, block, largest))])
                for X in (self.X_train, self.X_validation, self.X_test)
                for block in row_slices(X)
            ]
        labels = digest(self.y_train, self.y_validation, self.y_test)
        text = json.dumps([digest(np.round(np.log(largest), 6)), samples, labels, self.feature_names, self.class_names])
        return digest(np.frombuffer(text.encode(), np.uint8))


def load_dataset(
    name: Any,
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
    name : "digits", "moons", "iris", "wine", "breast_cancer", "circles", "blobs", "csv", "npz", or a data frame
    seed : int in [0, 2**32)
        Decides the split, and the points of moons, circles and blobs.
    validation_size, test_size : float in [0, 1)
        Fractions of all samples; 0 leaves the part empty.
    scaling : "minmax", "standard" or "none"
        To [0, 1], or to mean 0 and standard deviation 1, on the training part.
    **options
        moons: n_samples, noise. circles: n_samples, noise, factor.
        blobs: n_samples, n_features, centers, cluster_std.
        csv: path, and what docs/config.md lists for a table: label, exclude, categorical, missing,
        missing_marks, max_levels, separator, header, encoding, decimal, image_shape, test_path.
        npz: path, with arrays X and y; memory-mapped where it is not compressed. Nothing is unpickled.
        Data frames of pandas or polars: label, exclude, categorical, missing, missing_marks, max_levels.

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
    plan = Plan(seed, validation_size, test_size, scaling)
    if hasattr(name, "columns"):
        own = table_options("a data frame", FRAME_OPTIONS, options)
        table = python_table(name, None, own.as_text, own.style.missing_marks)
        return _split_source(table_source(table, own), "data", plan)
    if check_choice("dataset", name, (*DATASETS, *OWN)) in OWN:
        return _split_source(_own_source(name, options), name, plan)
    loader = DATASETS[name]
    check_options(name, [key for key in inspect.signature(loader).parameters if key != "seed"], options)
    return _split_source(Source(**loader(plan.seed, **options)), name, plan)


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
    plan = Plan(seed, validation_size, test_size, scaling)
    if has_objects(X):
        source = python_source(X, y, feature_names)
    else:
        source = Source(X, y, class_names, feature_names, image_shape)
    return _split_source(source, name, plan)


def _split_source(source: Source, name: str, plan: Plan) -> Dataset:
    """Return the samples of `source`, split as `plan` has it, prepared where they are a table, and scaled."""
    if isinstance(source.X, Table):
        y, own_names = source.y, source.class_names or ()
    else:
        X = check_X(source.X)
        source = replace(source, X=X)
        if not len(X):
            raise DataError("X has no rows; there is nothing to split")
        check_magnitude(X)
        y, own_names = classes_of(source.y, len(X))
    if len(own_names) < 2:
        raise DataError(f"y holds one class only ({own_names[0]}); a classifier needs two or more")
    class_names = own_names if source.class_names is None else tuple(map(str, source.class_names))
    if len(class_names) != len(own_names):
        raise DataError(f"{len(class_names)} class_names for {len(own_names)} classes")
    test_size = plan.test_size if source.test_path is None else 0.0
    rows = split_rows(y, class_names, plan.seed, plan.validation_size, test_size)
    labels = [y[part] for part in rows]
    parts, feature_names, preparation = _features(source, rows)
    if len(feature_names) != parts[0].shape[1]:
        raise DataError(f"{len(feature_names)} feature_names for {parts[0].shape[1]} features")
    _check_images(source.image_shape, preparation, len(feature_names))
    if source.test_path is not None:
        parts[2], labels[2] = _own_test_part(source.test_path, source.options, preparation, own_names)
    fitted = _fit_scaling(plan.scaling, parts[0])
    remarks = [f"{source.dropped:,} rows with gaps were left out"] if source.dropped else []
    if isinstance(source.X, Table):
        remarks += column_remarks(source.X.rows(rows[0]), labels[0])
    if name not in DATASETS:
        own = {part: one for part, one in zip(PARTS, labels, strict=True) if len(one)}
        remarks += class_remarks(np.bincount(y), class_names, own, len(feature_names))
    parts = [fitted.applied(part) for part in parts]
    samples = parts[0], labels[0], parts[1], labels[1], parts[2], labels[2]
    summary = () if preparation is None else tuple(table_summary(source, preparation))
    names = class_names, feature_names
    return Dataset(name, *samples, *names, fitted, source.image_shape, preparation, summary, tuple(remarks))


def _features(source: Source, rows: Sequence[Array]) -> tuple[list[Any], tuple[str, ...], Preparation | None]:
    """Return the features of each part, not yet scaled, their names, and the preparation that was fitted."""
    if not isinstance(source.X, Table):
        own = source.feature_names
        names = [f"x{i}" for i in range(source.X.shape[1])] if own is None else own
        X: Any = source.X
        if 8 * X.size > LARGEST_COPY:
            return [ScaledRows(X, part) for part in rows], tuple(map(str, names)), None
        return [X[part].astype(np.float64, copy=False) for part in rows], tuple(map(str, names)), None
    table = source.X
    fitted = fit_preparation(table.rows(rows[0]), source.options.missing, keep_constant=source.image_shape is not None)
    preparation = replace(fitted, label=source.label, style=source.options.style)
    parts = [preparation.transform(table.rows(part)) for part in rows]
    return parts, preparation.feature_names, preparation


def _check_images(image_shape: tuple[int, int] | None, preparation: Preparation | None, n_features: int) -> None:
    if image_shape is not None and preparation is not None and preparation.text:
        raise DataError(f"image_shape is given, but {listed(sorted(preparation.text))} is text, not a pixel")
    if image_shape is not None and image_shape[0] * image_shape[1] != n_features:
        raise DataError(
            f"image_shape {list(image_shape)} has {image_shape[0] * image_shape[1]} pixels, a row has {n_features}"
        )


def _own_test_part(
    path: FilePath, options: TableOptions, preparation: Preparation | None, names: tuple[str, ...]
) -> tuple[Array, Array]:
    """Return the features, not yet scaled, and the labels of a test part that has a file, or arrays, of its own."""
    if preparation is None:
        X, labels = npz_rows(path, names, options.style.missing_marks)
    else:
        table, labels = read_rows(path, preparation, names)
    with faults_of_file(path):
        X = check_X(X).astype(np.float64) if preparation is None else preparation.transform(table)
        check_magnitude(X)
    return X, labels


def check_magnitude(X: Array) -> None:
    """Refuse values whose squares overflow, naming the first."""
    if X.dtype == np.float64 and X.size and not -LARGEST <= X.min() <= X.max() <= LARGEST:
        huge = np.abs(X) > LARGEST
        row, column = np.argwhere(huge)[0]
        raise DataError(
            f"X holds {huge.sum()} values beyond ±{LARGEST:g}, whose squares overflow, "
            f"the first in row {row}, column {column}: {X[row, column]:g}"
        )


def _fit_scaling(name: str, X: Any) -> Scaling:
    """Return the scaling of `X`; a column that is constant, or so nearly that 1 / scale overflows, is only moved."""
    offset, scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
    if name != "none":
        offset, largest = column_ends(X)
        scale = spread = largest - offset
    if name == "standard":
        constant = spread == 0  # the rounding of its mean must not count as a spread
        mean, deviation = _moments(X)
        offset, scale = np.where(constant, X[0], mean), np.where(constant, 0.0, deviation)
    return Scaling(name, offset, np.where(scale * LARGEST < 1, 1.0, scale))


def _rounded(X: Array, block: slice, largest: Array) -> Iterator[Array]:
    """Yield the rows of a block, in units of `largest`, to six decimals, without −0.0."""
    for rows in row_blocks(X, CACHED, block.start, block.stop):
        rows = rows / largest
        np.round(rows, 6, out=rows)
        rows += 0.0
        yield rows


def _moments(X: Any) -> tuple[Array, Array]:
    """Return the mean and the standard deviation of every column."""
    if isinstance(X, np.ndarray):
        return X.mean(axis=0), X.std(axis=0)
    mean = sum(rows.sum(axis=0) for rows in row_blocks(X)) / len(X)
    return mean, np.sqrt(sum(np.square(rows - mean).sum(axis=0) for rows in row_blocks(X)) / len(X))


def _own_source(name: str, given: dict[str, Any]) -> Source:
    """Return the samples of a file, once all options are checked."""
    options = table_options(name, OWN[name], given)
    path, test_path = data_path(given.get("path")), given.get("test_path")
    source = csv_source(path, options) if name == "csv" else npz_source(path, options)
    return source if test_path is None else replace(source, test_path=data_path(test_path))
