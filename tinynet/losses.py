"""Softmax and cross-entropy, from logits so that nothing overflows, and the check of labels."""

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
        When a label is not a class of the logits, or the lengths differ.

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


def class_labels(y: npt.ArrayLike, n_samples: int, n_classes: int | None) -> npt.NDArray[np.intp]:
    """Return `y`, integer labels, whole floats or one-hot rows, as checked integer labels below `n_classes`, if any."""
    labels = regular_array("y", y)
    if labels.ndim == 2 and n_classes in (None, labels.shape[1]):
        if not (((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise DataError("y has two dimensions but its rows are not one-hot (one 1, else 0)")
        labels = labels.argmax(axis=1)
    if labels.shape != (n_samples,):
        raise DataError(f"y must have shape ({n_samples},), one label a sample, got {labels.shape}")
    if labels.dtype.kind not in "iufb" or (labels.dtype.kind == "f" and not (labels == np.floor(labels)).all()):
        raise DataError(
            f"y must hold integer labels {_classes(n_classes)}, got {labels.dtype} values such as {labels[:3].tolist()}"
        )
    outside = (labels < 0) | (labels >= (np.iinfo(np.intp).max if n_classes is None else n_classes))
    if outside.any():
        raise DataError(f"label {labels[outside][0]} is outside the network's classes {_classes(n_classes)}")
    return labels.astype(np.intp, copy=False)


def _classes(n_classes: int | None) -> str:
    return "from 0" if n_classes is None else f"0..{n_classes - 1}"


def regular_array(name: str, values: npt.ArrayLike) -> Array:
    """Return `values` as an array, or raise DataError naming them where their rows differ in length."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name} must be a table of numbers, every row of the same length: {error}") from error


def _as_float(values: npt.ArrayLike) -> Array:
    """Return an array of float64, or of the wider float it already is."""
    array = np.asarray(values)
    return array if array.dtype == np.longdouble else array.astype(np.float64, copy=False)
