"""Samples: what a network is trained on or measured with, checked once, and the only place that makes their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt

from tinynet.errors import DataError
from tinynet.losses import class_labels, regular_array
from tinynet.storage.reading import row_blocks, row_slices

Array = npt.NDArray[Any]


class Samples:
    """Samples, their labels and their weights, checked once and then passed on.

    Parameters
    ----------
    X : array, shape (n_samples, n_features), of finite real numbers
        Kept in the type and the place it comes in, a memory-mapped file included.
    y : labels from 0, shape (n_samples,), or one-hot rows
    weights : array, shape (n_samples,), at least 0, optional
    n_classes : int, optional
        Labels must be below it, and one-hot rows as wide.
    sparse : bool, default False
        Take a sparse X too; it is kept in CSR form, and made dense batch by batch.

    Attributes
    ----------
    X : array without the samples of weight 0
    labels : integer array
    weights : float64 array with a mean of 1, or None where all samples count the same

    Raises
    ------
    DataError
        When X, y or weights cannot be used, or there are no rows.

    Examples
    --------
    >>> samples = Samples([[0.0], [1.0], [2.0]], [0, 1, 1])
    >>> [batch.X.ravel().tolist() for batch in samples.batches(2, seed=0, epoch=1)]
    [[2.0, 0.0], [1.0]]
    """

    __slots__ = ("X", "labels", "weights")

    def __init__(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
        *,
        n_classes: int | None = None,
        sparse: bool = False,
    ) -> None:
        X = check_X(X, sparse=sparse)
        if not X.shape[0]:
            raise DataError("X has no rows; a loss needs at least one sample")
        self._set(*apply_sample_weight(X, class_labels(y, X.shape[0], n_classes), weights))

    def _set(self, X: Array, labels: Array, weights: Array | None) -> Self:
        self.X, self.labels, self.weights = X, labels, weights
        return self

    def __len__(self) -> int:
        """Return the number of samples that count."""
        return len(self.labels)

    def batches(self, batch_size: int, seed: int | None, epoch: int, done: int = 0) -> Iterator[Samples]:
        """Yield the batches of an epoch, every sample once, in an order that (seed, epoch) alone decides.

        Without a seed the samples keep their order.

        Parameters
        ----------
        batch_size, epoch : int
        seed : int or None
        done : int, so many batches are left out at the beginning

        Yields
        ------
        Samples
            X is float64 and overwritten by the next batch. Weights keep the unit they have here, the mean
            of all: they count in a batch of one as well.
        """
        order = np.arange(len(self)) if seed is None else np.random.default_rng([seed, epoch]).permutation(len(self))
        room = np.empty((min(batch_size, len(self)), self.X.shape[1]))
        for start in range(done * batch_size, len(self), batch_size):
            rows = order[start : start + batch_size]
            X = room[: len(rows)]
            if isinstance(self.X, np.ndarray | ScaledRows) and self.X.dtype == np.float64:
                self.X.take(rows, axis=0, out=X, mode="clip")  # of an array without a copy in between
            else:
                X[:] = dense(self.X, rows)
            weights = None if self.weights is None else self.weights[rows]
            yield Samples.__new__(Samples)._set(X, self.labels[rows], weights)


def balanced_weights(y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Array:
    """Return weights of samples with a mean of 1 that make all classes weigh the same.

    Parameters
    ----------
    y : labels of any kind, shape (n_samples,)
    sample_weight : array, shape (n_samples,), optional
        Weights that the samples of a class keep among themselves.

    Raises
    ------
    DataError
        When `y` is not a row of labels, or `sample_weight` does not fit it.

    Examples
    --------
    >>> balanced_weights(["no", "no", "no", "yes"]).round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    labels = regular_array("y", y)
    if labels.ndim != 1 or not len(labels):
        raise DataError(f"y must have shape (n_samples,), one label a sample, got {labels.shape}")
    labels = np.unique(labels, return_inverse=True)[1]
    weights = np.ones(len(labels)) if sample_weight is None else _checked_weights(sample_weight, len(labels))
    of_class = np.bincount(labels, weights)
    with np.errstate(divide="ignore"):  # a class whose samples all weigh nothing stays so
        share = np.where(of_class > 0, len(labels) / (np.count_nonzero(of_class) * of_class), 0.0)
    return np.asarray(weights * share[labels])


class ScaledRows:
    """Some rows of an array, (x − offset) / scale, which are made when they are asked for: no copy is kept.

    ``X[rows]`` and ``np.asarray(X)`` are float64 arrays.

    Parameters
    ----------
    base : array, shape (n, n_features), of any real type, which may be mapped from a file
    rows : array of integers, which rows
    offset, scale : arrays, shape (n_features,), or numbers
    """

    ndim, dtype = 2, np.dtype(np.float64)

    def __init__(self, base: Array, rows: Array, offset: Array | float = 0.0, scale: Array | float = 1.0) -> None:
        self.base, self.rows, self.offset, self.scale = base, rows, offset, scale
        self.moved = bool(np.any(offset))  # x - 0 is x, at the cost of a pass over all of them
        self.shape = len(rows), base.shape[1]
        self.nbytes = 8 * self.shape[0] * self.shape[1]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, which: Any) -> Array:
        """Return some of the rows, as indexing an array does."""
        which, *columns = which if isinstance(which, tuple) else (which,)
        rows = self.take(which)
        return np.asarray(rows[(slice(None), *columns)] if columns else rows)

    def take(self, which: Any, axis: int = 0, out: Array | None = None, mode: str = "raise") -> Array:
        """Return some of the rows, as `np.take` does."""
        rows = self.base[self.rows[which]]
        if self.moved:
            rows = out = np.subtract(rows, self.offset, out=out, dtype=np.float64)
        return np.asarray(np.divide(rows, self.scale, out=out, dtype=np.float64))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return all rows, which take `nbytes` of memory."""
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)


def column_ends(X: Array) -> Array:
    """Return the least and the largest number of every column of `X`, an array or `ScaledRows`."""
    if isinstance(X, ScaledRows):  # the order of numbers is that of scaled ones
        blocks = (X.base[X.rows[part]] for part in row_slices(X))
        return (_ends(blocks) - X.offset) / X.scale
    return _ends(row_blocks(X))


def _ends(blocks: Iterable[Array]) -> Array:
    ends = np.array([(rows.min(axis=0), rows.max(axis=0)) for rows in blocks], np.float64)
    return np.array([ends[:, 0].min(axis=0), ends[:, 1].max(axis=0)])


def dense(X: Array, rows: slice | Array = slice(None)) -> Array:
    """Return some rows of `X`, an array or a sparse matrix, as an array in their type; the same one where it can be."""
    part: Any = X[rows]
    return np.asarray(part.toarray() if hasattr(part, "toarray") else part)


def check_X(X: npt.ArrayLike, n_features: int | None = None, *, sparse: bool = False) -> Array:
    """Return `X` as a C-contiguous array of shape (n_samples, n_features), all finite, in the type it came in.

    With `sparse`, a sparse matrix is returned in CSR form.

    Raises
    ------
    DataError
        Naming the shape, or how many values are nan or inf and where the first one is.
    """
    if isinstance(X, ScaledRows) and n_features in (None, X.shape[1]):  # of an array that was checked
        return cast(Array, X)
    matrix: Any = X
    is_sparse = hasattr(X, "toarray")
    if is_sparse and not sparse:
        raise DataError(f"X is a sparse {type(X).__name__}; the network takes dense arrays: use X.toarray()")
    array: Any = matrix.tocsr() if is_sparse else regular_array("X", X)
    if array.ndim != 2:
        hint = "; for one sample use X.reshape(1, -1)" if array.ndim == 1 else ""
        raise DataError(f"X must have two dimensions (n_samples, n_features), got shape {array.shape}{hint}")
    if array.dtype.kind not in "fiub":
        raise DataError(f"X must hold real numbers, got dtype {array.dtype}")
    if array.shape[1] == 0:
        raise DataError(f"X has no columns, got shape {array.shape}")
    if n_features is not None and array.shape[1] != n_features:
        raise DataError(f"X has {array.shape[1]} features, the network was made for {n_features}")
    with np.errstate(over="ignore", invalid="ignore"):
        if not is_sparse:
            array = np.ascontiguousarray(array, np.float64 if array.dtype.itemsize > 8 else None)  # a long double
        suspicious = array.dtype.kind == "f" and not np.isfinite(array.sum(dtype=np.float64))
    finite = np.isfinite(array.data if is_sparse else array) if suspicious else np.True_
    if not finite.all():
        at = array.tocoo() if is_sparse else None
        rows, columns = np.nonzero(~finite) if at is None else (at.row[~finite], at.col[~finite])
        raise DataError(
            f"X holds {len(rows)} values that are nan or inf, the first in row {rows[0]}, column {columns[0]}"
        )
    checked: Array = array
    return checked


def apply_sample_weight(
    X: Array, labels: Array, sample_weight: npt.ArrayLike | None
) -> tuple[Array, Array, Array | None]:
    """Return the samples that count, and their weights scaled to a mean of 1; None where all count the same.

    Raises
    ------
    DataError
        When `sample_weight` is not an array of shape (n_samples,) of finite numbers of at least 0, one of them above 0.
    """
    if sample_weight is None:
        return X, labels, None
    weights = _checked_weights(sample_weight, len(labels))
    if not weights.any():
        raise DataError("sample_weight is zero for every sample; at least one must be above 0")
    weights = weights / weights.max()
    counts = weights > 0
    if not counts.all():  # a sample of weight 0 is as good as not there, whatever its loss
        X, labels, weights = X[counts], labels[counts], weights[counts]
    return X, labels, None if (weights == 1).all() else weights / weights.mean()


def _checked_weights(sample_weight: npt.ArrayLike, n_samples: int) -> Array:
    weights = regular_array("sample_weight", sample_weight)
    if weights.shape != (n_samples,):
        raise DataError(f"sample_weight must have shape ({n_samples},), one number a sample, got {weights.shape}")
    if weights.dtype.kind not in "fiub":
        raise DataError(f"sample_weight must hold real numbers, got dtype {weights.dtype}")
    with np.errstate(over="ignore"):  # a long double may be infinite as a float64, which is refused
        weights = weights.astype(np.float64)
    wrong = ~((weights >= 0) & (weights < np.inf))
    if wrong.any():
        row = wrong.argmax()
        raise DataError(f"sample_weight must be finite and at least 0, got {weights[row]} in row {row}")
    return weights
