"""The data of whole trainings: X_train, y_train, X_test, y_test for a seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet import load_dataset

Array = npt.NDArray[Any]
Data = tuple[Array, Array, Array, Array]

LARGEST_SHIFT = 2  # pixels, of a 20 × 20 image in the middle of 28 × 28


def bundled(name: str, seed: int, *, scaling: str = "minmax") -> Data:
    """Return training and test part of a data set that comes with scikit-learn, split by `seed`."""
    data = load_dataset(name, seed=seed, scaling=scaling)
    return data.X_train, data.y_train, data.X_test, data.y_test


def digits(seed: int) -> Data:
    """Return training and test part of scikit-learn's digits, in [0, 1], split by `seed`."""
    return bundled("digits", seed)


def images(seed: int, *, n_train: int = 5_000, n_test: int = 1_000) -> Data:
    """Return X_train, y_train, X_test, y_test: images of 28 × 28 made from scikit-learn's 8 × 8 digits.

    A digit is drawn, enlarged to 20 × 20 by linear interpolation, shifted by up to 2 pixels and
    its ink made noisy. Training and test images come from different digits.
    """
    source = load_dataset("digits", seed=seed, validation_size=0.0, scaling="none")
    rng = np.random.default_rng(seed)
    X_train, y_train = _enlarge(rng, source.X_train, source.y_train, n_train)
    X_test, y_test = _enlarge(rng, source.X_test, source.y_test, n_test)
    return X_train, y_train, X_test, y_test


def _enlarge(rng: np.random.Generator, X: Array, y: Array, n: int) -> tuple[Array, Array]:
    drawn = rng.integers(len(X), size=n)
    interpolate = np.array([np.interp(np.linspace(0, 7, 20), np.arange(8), unit) for unit in np.eye(8)]).T
    enlarged = interpolate @ (X[drawn].reshape(n, 8, 8) / 16.0) @ interpolate.T
    enlarged = np.clip(enlarged * (1.0 + 0.3 * rng.standard_normal(enlarged.shape)), 0.0, 1.0)
    canvas = np.zeros((n, 28, 28))
    shifts = 4 + rng.integers(-LARGEST_SHIFT, LARGEST_SHIFT + 1, size=(n, 2))
    for image, place, (down, right) in zip(enlarged, canvas, shifts, strict=True):
        place[down : down + 20, right : right + 20] = image
    return canvas.reshape(n, 784), y[drawn]
