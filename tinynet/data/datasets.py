"""Data sets, split and scaled: ``load_dataset`` by name, ``split_dataset`` for your own arrays."""

from __future__ import annotations

import codecs
import inspect
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property, partial
from os import PathLike, fspath
from os.path import expanduser, expandvars
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.data.csv_files import SEPARATORS, Style
from tinynet.data.preparation import Preparation, fit_preparation
from tinynet.data.remarks import class_remarks, column_remarks
from tinynet.data.samples import ScaledRows, check_X
from tinynet.data.sources import (
    MISSING,
    Source,
    TableOptions,
    csv_source,
    frame_source,
    has_objects,
    label_faults,
    labels_of,
    npz_source,
    python_source,
    read_rows,
    table_summary,
)
from tinynet.data.tables import MISSING_MARKS, Table, listed, python_column
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
from tinynet.storage.reading import FilePath, digest, faults_of_file, row_blocks

Array = npt.NDArray[Any]

LARGEST_COPY = 2**27  # bytes of float64: larger data stay as they came, and are scaled batch by batch
LARGEST = 1e150  # the square of anything larger overflows
LARGEST_SEED = 2**32 - 1  # scikit-learn takes no larger one
PARTS = ("training", "validation", "test")


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
        """16 hexadecimal digits that another number, label or name in any part would make others.

        Numbers count to six decimals of the largest of their column in the training part: in the last bits another
        machine may scale them otherwise.
        """
        largest = np.max([np.abs(rows).max(axis=0) for rows in row_blocks(self.X_train)], axis=0)
        largest[largest == 0.0] = 1.0
        blocks = (rows for X in (self.X_train, self.X_validation, self.X_test) for rows in row_blocks(X))
        with np.errstate(over="ignore"):
            samples = [digest(_rounded(rows / largest)) for rows in blocks]
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
    plan = _Plan(seed, validation_size, test_size, scaling)
    if hasattr(name, "columns"):
        return _split_source(frame_source(name, _table_options("a data frame", FRAME_OPTIONS, options)), "data", plan)
    if check_choice("dataset", name, (*DATASETS, *OWN)) in OWN:
        return _split_source(_own_source(name, options), name, plan)
    loader = DATASETS[name]
    _check_options(name, [key for key in inspect.signature(loader).parameters if key != "seed"], options)
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
    plan = _Plan(seed, validation_size, test_size, scaling)
    if has_objects(X):
        source = python_source(X, y, feature_names)
    else:
        source = Source(X, y, class_names, feature_names, image_shape)
    return _split_source(source, name, plan)


@dataclass(frozen=True)
class _Plan:
    """How samples are split and scaled, checked."""

    seed: int
    validation_size: float
    test_size: float
    scaling: str

    def __post_init__(self) -> None:
        check_integer("seed", self.seed, 0, LARGEST_SEED)
        sizes = [check_number(name, getattr(self, name), 0, 1) for name in ("validation_size", "test_size")]
        if sum(sizes) >= 1:
            raise InvalidValueError(f"validation_size + test_size must be below 1, got {sizes[0]:g} + {sizes[1]:g}")
        check_choice("scaling", self.scaling, ("minmax", "standard", "none"))


def _split_source(source: Source, name: str, plan: _Plan) -> Dataset:
    """Return the samples of `source`, split as `plan` has it, prepared where they are a table, and scaled."""
    if isinstance(source.X, Table):
        y, own_names = source.y, source.class_names or ()
    else:
        X = check_X(source.X)
        source = replace(source, X=X)
        if not len(X):
            raise DataError("X has no rows; there is nothing to split")
        check_magnitude(X)
        y, own_names = _classes(source.y, len(X))
    if len(own_names) < 2:
        raise DataError(f"y holds one class only ({own_names[0]}); a classifier needs two or more")
    class_names = own_names if source.class_names is None else tuple(map(str, source.class_names))
    if len(class_names) != len(own_names):
        raise DataError(f"{len(class_names)} class_names for {len(own_names)} classes")
    has_own_test = source.test is not None or source.test_path is not None
    rows = _split(y, class_names, plan.seed, plan.validation_size, 0.0 if has_own_test else plan.test_size)
    labels = [y[part] for part in rows]
    parts, feature_names, preparation = _features(source, rows)
    if len(feature_names) != parts[0].shape[1]:
        raise DataError(f"{len(feature_names)} feature_names for {parts[0].shape[1]} features")
    _check_images(source.image_shape, preparation, len(feature_names))
    if has_own_test:
        parts[2], labels[2] = _own_test_part(source, preparation, own_names)
    fitted = _fit_scaling(plan.scaling, parts[0])
    remarks = [f"{source.dropped:,} rows with gaps were left out"] if source.dropped else []
    if isinstance(source.X, Table):
        remarks += column_remarks(source.X.rows(rows[0]), labels[0])
    if name not in DATASETS:
        own = {part: one for part, one in zip(PARTS, labels, strict=True) if len(one)}
        remarks += class_remarks(np.bincount(y), class_names, own, len(feature_names))
    parts = [fitted.applied(part) for part in parts]
    return Dataset(
        name=name,
        X_train=parts[0],
        y_train=labels[0],
        X_validation=parts[1],
        y_validation=labels[1],
        X_test=parts[2],
        y_test=labels[2],
        class_names=class_names,
        feature_names=feature_names,
        scaling=fitted,
        image_shape=source.image_shape,
        preparation=preparation,
        summary=() if preparation is None else tuple(table_summary(source, preparation)),
        remarks=tuple(remarks),
    )


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
    for part in parts:
        check_magnitude(part)
    return parts, preparation.feature_names, preparation


def _check_images(image_shape: tuple[int, int] | None, preparation: Preparation | None, n_features: int) -> None:
    if image_shape is not None and preparation is not None and preparation.text:
        raise DataError(f"image_shape is given, but {listed(sorted(preparation.text))} is text, not a pixel")
    if image_shape is not None and image_shape[0] * image_shape[1] != n_features:
        raise DataError(
            f"image_shape {list(image_shape)} has {image_shape[0] * image_shape[1]} pixels, a row has {n_features}"
        )


def _own_test_part(source: Source, preparation: Preparation | None, names: tuple[str, ...]) -> tuple[Array, Array]:
    """Return the features, not yet scaled, and the labels of a test part that has arrays or a file of its own."""
    if source.test_path is not None and preparation is not None:
        table, label = read_rows(source.test_path, preparation, labelled=True)
        with faults_of_file(source.test_path):
            return preparation.transform(table), labels_of(label, names)
    X, y = source.test if source.test is not None else ((), ())
    features = check_X(X).astype(np.float64) if preparation is None else preparation.transform(preparation.table(X))
    labels = labels_of(python_column("y_test", np.asarray(y), as_text=True), names)
    if len(features) != len(labels):
        raise DataError(f"X_test has {len(features)} rows, y_test {len(labels)}")
    return features, labels


def check_magnitude(X: Array) -> None:
    """Refuse values whose squares overflow, naming the first."""
    if X.dtype == np.float64 and X.size and not -LARGEST <= X.min() <= X.max() <= LARGEST:
        huge = np.abs(X) > LARGEST
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
    if y.dtype.kind == "O" or (y.dtype.kind == "f" and np.isnan(y).any()):
        column = python_column("y", y, as_text=True, marks=())
        if faults := label_faults(Table((column,), np.arange(len(y))), column, "refuse"):
            raise DataError(faults[0])
        return column.values, column.levels or ()
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
                f"{sizes}; leave its rows out, or set one of these to 0"
            )
    return parts[0], parts[1], parts[2]


def _lend(labels: Array, training: Array, part: Array) -> None:
    """Put a row of each class that a part lacks there, where training has several, for one of its largest class."""
    there = np.bincount(labels[training], minlength=labels.max() + 1)
    own = np.bincount(labels[part], minlength=len(there))
    for k in np.flatnonzero((own == 0) & (there > 1)):
        largest = own.argmax()
        lent, taken = np.flatnonzero(labels[training] == k)[-1], np.flatnonzero(labels[part] == largest)[-1]
        training[lent], part[taken] = part[taken], training[lent]
        own[largest] -= 1


def _fit_scaling(name: str, X: Any) -> Scaling:
    """Return the scaling of `X`; a column that is constant, or so nearly that 1 / scale overflows, is only moved."""
    offset, scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
    if name != "none":
        ends = np.array([(rows.min(axis=0), rows.max(axis=0)) for rows in row_blocks(X)])
        offset = ends[:, 0].min(axis=0)
        scale = spread = ends[:, 1].max(axis=0) - offset
    if name == "standard":
        constant = spread == 0  # where rounding of the mean must not pass for a spread
        mean, deviation = _moments(X)
        offset, scale = np.where(constant, X[0], mean), np.where(constant, 0.0, deviation)
    return Scaling(name, offset, np.where(scale * LARGEST < 1, 1.0, scale))


def _rounded(rows: Array) -> Array:
    """Return `rows`, rounded in place to six decimals, without −0.0."""
    np.round(rows, 6, out=rows)
    rows += 0.0
    return rows


def _moments(X: Any) -> tuple[Array, Array]:
    """Return the mean and the standard deviation of every column."""
    if isinstance(X, np.ndarray):
        return X.mean(axis=0), X.std(axis=0)
    mean = sum(rows.sum(axis=0) for rows in row_blocks(X)) / len(X)
    return mean, np.sqrt(sum(np.square(rows - mean).sum(axis=0) for rows in row_blocks(X)) / len(X))


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


def _own_source(name: str, given: dict[str, Any]) -> Source:
    """Return the samples of a file, once all options are checked."""
    options = _table_options(name, OWN[name], given)
    path, test_path = _path(given.get("path")), given.get("test_path")
    source = csv_source(path, options) if name == "csv" else npz_source(path, options, test_path)
    return source if test_path is None or name == "npz" else replace(source, test_path=_path(test_path))


def _check_options(name: str, allowed: Collection[str], given: Mapping[str, Any]) -> None:
    for option in given:
        if option not in allowed:
            hint = did_you_mean(option, allowed) if allowed else "; it takes none"
            raise InvalidTypeError(f"{name} has no option {option!r}{hint}")


def _table_options(name: str, allowed: Collection[str], given: dict[str, Any]) -> TableOptions:
    """Return what is asked for of a table's columns, or raise naming the option that cannot be."""
    _check_options(name, allowed, given)
    label, header = given.get("label"), given.get("header")
    for option in ("label", "exclude", "categorical"):
        value = given.get(option)
        if option != "label" and not isinstance(value, list | tuple | None):
            raise InvalidTypeError(f"{option} must be a list of columns, got {value!r}")
        for one in [value] if option == "label" else value or ():
            if not isinstance(one, str | None):
                check_integer(option, one, -(2**63))
    if given.get("separator") not in (None, "space"):
        check_choice("separator", given["separator"], (*SEPARATORS, "space"))
    check_choice("decimal", given.get("decimal", "."), (".", ","))
    check_choice("missing", given.get("missing", "impute"), MISSING)
    check_encoding(given.get("encoding", "utf-8"))
    if not isinstance(header, bool | None):
        raise InvalidTypeError(f"header must be True, False or None, got {header!r}")
    if isinstance(label, str) and header is False:
        raise InvalidValueError(f"label {label!r} is a name, which a header must give, but header is False")
    marks = given.get("missing_marks", MISSING_MARKS)
    if not isinstance(marks, list | tuple) or not all(isinstance(mark, str) for mark in marks):
        raise InvalidTypeError(f"missing_marks must be a list of texts, got {marks!r}")
    shape = given.get("image_shape")
    if shape is not None and (not isinstance(shape, list | tuple) or len(shape) != 2):
        raise InvalidTypeError(f"image_shape must be [height, width], got {shape!r}")
    lists = {"exclude": (), "categorical": (), "missing_marks": MISSING_MARKS}
    taken = given | {key: tuple(given.get(key) or default) for key, default in lists.items()}
    taken["max_levels"] = check_integer("max_levels", given.get("max_levels", 50), 2)
    taken["image_shape"] = None if shape is None else tuple(check_integer("image_shape", side, 1) for side in shape)
    style = Style(**{field.name: taken[field.name] for field in fields(Style) if field.name in taken})
    chosen = {field.name: taken[field.name] for field in fields(TableOptions) if field.name in taken}
    return TableOptions(**chosen, style=style)


def check_encoding(encoding: str) -> None:
    """Raise InvalidValueError for a text encoding that Python does not know."""
    with suppress(LookupError, TypeError, ValueError):
        if codecs.lookup(encoding)._is_text_encoding:
            return
    raise InvalidValueError(f"unknown encoding {encoding!r}; any of Python's will do, such as utf-8, cp1252 or big5")


def _path(path: FilePath | None) -> str:
    if not isinstance(path, str | PathLike):
        raise InvalidTypeError(f"path must name a file, got {path!r}")
    return expandvars(expanduser(fspath(path)))


DATASETS: dict[str, Callable[..., dict[str, Any]]] = {
    "digits": partial(_bundled, "digits"),
    "moons": _moons,
    "iris": partial(_bundled, "iris"),
    "wine": partial(_bundled, "wine"),
    "breast_cancer": partial(_bundled, "breast_cancer"),
    "circles": _circles,
    "blobs": _blobs,
}
FRAME_OPTIONS = ("label", "exclude", "categorical", "missing", "missing_marks", "max_levels", "image_shape")
OWN = {
    "csv": ("path", *FRAME_OPTIONS, "separator", "header", "encoding", "decimal", "test_path"),
    "npz": ("path", *FRAME_OPTIONS[1:], "test_path"),
}
