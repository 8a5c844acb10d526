"""Labels that no classifier can be trained on, refused in words before scikit-learn sees them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.errors import DataError


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
    if gaps := [row for row, label in enumerate(labels) if _is_gap(label)]:
        raise DataError(
            f"y has no label in {len(gaps)} of its {len(labels)} rows, the first of them row {gaps[0]}, which holds "
            f"{labels[gaps[0]]!r}; leave these rows out of X and y"
        )
    rows = {isinstance(label, str): row for row, label in enumerate(labels)}
    if len(rows) == 2:
        text, other = (f"{labels[rows[is_text]]!r} in row {rows[is_text]}" for is_text in (True, False))
        raise DataError(f"y mixes text ({text}) with other types ({other}); give str(label) for each label")


def _is_gap(label: object) -> bool:
    """Return whether `label` is None, nan, or a null of pandas, whose comparison has no truth value."""
    if label is None or type(label).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(label, float | np.floating) and bool(np.isnan(label))
