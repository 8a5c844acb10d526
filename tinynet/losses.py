"""Softmax and cross-entropy, from logits so that nothing overflows, and the checks of samples and labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.errors import DataError

Array = npt.NDArray[Any]


def softmax(logits: npt.ArrayLike) -> Array:
    """Return probabilities, shape as `logits`, each last axis summing to 1.

    The largest logit is subtracted first, which changes no probability and keeps ``exp``
    from overflowing (Goodfellow et al., *Deep Learning*, 2016, section 4.1).

    Examples
    --------
    >>> softmax([1e4, 1e4])
    array([0.5, 0.5])
    """
    values = _as_float(logits)
    with np.errstate(invalid="ignore"):  # inf - inf is nan: that is the answer, not a surprise
        shifted = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def cross_entropy(logits: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Return the mean cross-entropy of softmax(`logits`) against the labels `y`.

    Parameters
    ----------
    logits : array, shape (n_samples, n_classes)
    y : integer labels, shape (n_samples,), or one-hot rows, shape (n_samples, n_classes)

    Returns
    -------
    float
        Nats a sample, mean over the batch: log Σ exp(logits) − logit of the label.

    Raises
    ------
    DataError
        When a label is no class of the logits, or the lengths differ.

    Examples
    --------
    >>> cross_entropy([[0.0, 0.0]], [1])  # log 2
    0.6931471805599453
    >>> cross_entropy([[1e4, -1e4]], [0]), cross_entropy([[1e4, -1e4]], [1])
    (0.0, 20000.0)
    """
    values = _as_float(logits)
    if values.ndim != 2:
        raise DataError(f"logits must have shape (n_samples, n_classes), got {values.shape}")
    return mean_loss(values, class_labels(y, *values.shape))


def mean_loss(logits: Array, labels: Array, weights: Array | None = None) -> float:
    """Return the mean cross-entropy of checked integer `labels`, shape (n_samples,), times `weights` of mean 1."""
    rows = np.arange(len(labels))
    with np.errstate(over="ignore", invalid="ignore"):  # a loss that is inf or nan is the caller's to name
        excess = logits - logits[rows, labels, None]
        top = excess.argmax(axis=1)
        largest = excess[rows, top]
        terms = np.exp(excess - largest[:, None])
        terms[rows, top] = 0.0  # log1p of the others keeps a loss of 1e-20 from rounding to 0
        losses = largest + np.log1p(terms.sum(axis=1))
        return float((losses if weights is None else losses * weights).mean())


def check_X(X: npt.ArrayLike, n_features: int | None = None) -> Array:
    """Return `X` as a C-contiguous float64 array of shape (n_samples, n_features), all finite.

    Raises
    ------
    DataError
        Naming the shape, or how many values are nan or inf and where the first one is.
    """
    if hasattr(X, "toarray"):
        raise DataError(f"X is a sparse {type(X).__name__}; the network takes dense arrays: use X.toarray()")
    array = _regular("X", X)
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
        array = np.ascontiguousarray(array, dtype=np.float64)
        suspicious = not np.isfinite(array.sum())
    if suspicious and not np.isfinite(array).all():
        rows, columns = np.nonzero(~np.isfinite(array))
        raise DataError(
            f"X holds {len(rows)} values that are nan or inf, the first in row {rows[0]}, column {columns[0]}"
        )
    return array


def class_labels(y: npt.ArrayLike, n_samples: int, n_classes: int) -> npt.NDArray[np.intp]:
    """Return `y`, integer labels, whole floats or one-hot rows, as checked integer labels."""
    labels = _regular("y", y)
    if labels.ndim == 2 and labels.shape[1] == n_classes:
        if not (((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise DataError("y has two dimensions but its rows are not one-hot (one 1, else 0)")
        labels = labels.argmax(axis=1)
    if labels.shape != (n_samples,):
        raise DataError(f"y must have shape ({n_samples},), one label a sample, got {labels.shape}")
    if labels.dtype.kind not in "iufb" or (labels.dtype.kind == "f" and not (labels == np.floor(labels)).all()):
        raise DataError(
            f"y must hold integer labels 0..{n_classes - 1}, got {labels.dtype} values such as {labels[:3].tolist()}"
        )
    outside = (labels < 0) | (labels >= n_classes)
    if outside.any():
        raise DataError(f"label {labels[outside][0]} is outside the network's classes 0..{n_classes - 1}")
    return labels.astype(np.intp, copy=False)


def weighted(X: Array, labels: Array, sample_weight: npt.ArrayLike | None) -> tuple[Array, Array, Array | None]:
    """Return the samples that count, and their weights scaled to a mean of 1; None where all count the same.

    Raises
    ------
    DataError
        When `sample_weight` is no array of shape (n_samples,) of finite numbers of at least 0, one of them above 0.
    """
    if sample_weight is None:
        return X, labels, None
    weights = _regular("sample_weight", sample_weight)
    if weights.shape != (len(X),):
        raise DataError(f"sample_weight must have shape ({len(X)},), one number a sample, got {weights.shape}")
    if weights.dtype.kind not in "fiub":
        raise DataError(f"sample_weight must hold real numbers, got dtype {weights.dtype}")
    weights = weights.astype(np.float64)
    wrong = ~((weights >= 0) & (weights < np.inf))
    if wrong.any():
        row = wrong.argmax()
        raise DataError(f"sample_weight must be finite and at least 0, got {weights[row]} in row {row}")
    if not weights.any():
        raise DataError("sample_weight is zero for every sample; at least one must be above 0")
    weights = weights / weights.max()
    counts = weights > 0
    if not counts.all():  # a sample of weight 0 is as good as not there, whatever its loss
        X, labels, weights = X[counts], labels[counts], weights[counts]
    return X, labels, None if (weights == 1).all() else weights / weights.mean()


def _regular(name: str, values: npt.ArrayLike) -> Array:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name} must be a table of numbers, every row of the same length: {error}") from error


def _as_float(values: npt.ArrayLike) -> Array:
    """Return an array of float64, or of the wider float it already is."""
    array = np.asarray(values)
    return array if array.dtype == np.longdouble else array.astype(np.float64, copy=False)
