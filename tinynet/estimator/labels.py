"""What comes in beside X: labels that no classifier can take, weights of samples and classes, what is set aside."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_class_weight

from tinynet.data.samples import Samples, balanced_weights
from tinynet.data.tables import is_gap
from tinynet.errors import DataError, check_number

Array = npt.NDArray[Any]


def check_labels(y: Any) -> None:
    """Refuse several columns, gaps, and text beside numbers; all else is left to scikit-learn.

    Raises
    ------
    DataError
        With the number of columns, of gaps and the row of the first, or both types and where they occur.
    """
    shape: tuple[int, ...] = getattr(y, "shape", ())
    if len(shape) == 2 and shape[1] > 1:
        raise DataError(
            f"y has {shape[1]} columns (multilabel); the classifier takes one label a sample, shape (n_samples,): "
            "for one-hot rows give y.argmax(axis=1)"
        )
    kind = y.dtype.kind if isinstance(y, np.ndarray) else "O"
    if y is None or np.isscalar(y) or kind in "biuU" or (kind == "f" and not np.isnan(y).any()):
        return
    labels = y if isinstance(y, list | tuple) else np.asarray(y).ravel().tolist()
    if gaps := [row for row, label in enumerate(labels) if is_gap(label)]:
        raise DataError(
            f"y has no label in {len(gaps)} of its {len(labels)} rows, the first of them row {gaps[0]}, which holds "
            f"{labels[gaps[0]]!r}; leave these rows out of X and y"
        )
    rows = {isinstance(label, str): row for row, label in enumerate(labels)}
    if len(rows) == 2:
        text, other = (f"{labels[rows[is_text]]!r} in row {rows[is_text]}" for is_text in (True, False))
        raise DataError(f"y mixes text ({text}) with other types ({other}); give str(label) for each label")


def apply_weights(
    X: Array,
    labels: Array,
    sample_weight: npt.ArrayLike | None,
    classes: Array,
    class_weight: Mapping[Any, float] | str | None,
) -> Samples:
    """Return the samples that count, with the weights of each times those of its class."""
    samples = Samples(X, labels, sample_weight, sparse=True)
    if class_weight is None:
        return samples
    labels, weights = samples.labels, samples.weights
    if class_weight == "balanced":
        weights = balanced_weights(labels, weights)
    else:
        of_class = compute_class_weight(class_weight, classes=classes, y=classes[labels])
        for label, weight in zip(classes.tolist(), of_class.tolist(), strict=True):
            check_number(f"class_weight of {label!r}", weight, 0.0)
        weights = of_class[labels] * (1.0 if weights is None else weights)
    return Samples(samples.X, labels, weights, sparse=True)


def set_aside(samples: Samples, classes: Array, fraction: float, rng: np.random.RandomState) -> tuple[Samples, Samples]:
    """Return what is to be trained on and what to be validated on, drawn class by class where there are enough.

    Of a small table the part to be validated on has at least as many samples as there are classes.

    Warns
    -----
    UserWarning
        When there are more than two classes and too few samples to draw from each.

    Raises
    ------
    DataError
        When there are too few samples otherwise; the fraction is named.
    """
    X, labels, weights = samples.X, samples.labels, samples.weights
    size = max(math.ceil(fraction * len(labels)), len(np.unique(labels)))
    split = partial(train_test_split, np.arange(len(labels)), test_size=size, random_state=rng)
    part = f"validation_fraction = {fraction} of {len(labels)} samples"
    try:
        rows = split(stratify=classes[labels])
    except ValueError as error:
        if len(classes) == 2 or size >= len(labels):
            raise DataError(f"early_stopping cannot set {part} aside: {error}") from error
        rows = split()
        warnings.warn(f"{part} is drawn without regard to the classes: {error}", stacklevel=3)
    training, validation = (
        Samples(X[some], labels[some], None if weights is None else weights[some], sparse=True) for some in rows
    )
    return training, validation
