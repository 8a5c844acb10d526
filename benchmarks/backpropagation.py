"""Backpropagation, to be measured against: tinynet itself never uses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet import TwoLayerNet, softmax

Array = npt.NDArray[Any]


class Backpropagation:
    """The gradient of the mean cross-entropy of a two-layer network by the chain rule, in reused buffers.

    Classes come first in the softmax, so that its maxima and sums run along contiguous memory;
    sums over samples are products with ones, which BLAS does faster. Each call overwrites the
    gradients that the call before returned.
    """

    def __init__(
        self, n_samples: int, n_features: int, hidden_units: int, n_classes: int, activation: str = "tanh"
    ) -> None:
        self.activation = activation
        self.z, self.back, self.sigmoid = np.empty((3, n_samples, hidden_units))
        self.active = np.empty((n_samples, hidden_units), np.bool_)
        self.p, self.column = np.empty((n_classes, n_samples)), np.empty(n_samples)
        self.ones, self.columns = np.ones(n_samples), np.arange(n_samples)
        self.gradients = {
            "W1": np.empty((n_features, hidden_units)),
            "b1": np.empty(hidden_units),
            "W2": np.empty((hidden_units, n_classes)),
            "b2": np.empty(n_classes),
        }

    def __call__(self, params: Mapping[str, Array], X: Array, labels: Array) -> dict[str, Array]:
        """Return the gradient; `labels` are integers, `X` has the number of rows of the buffers."""
        z, back, p, column, gradients = self.z, self.back, self.p, self.column, self.gradients
        n = len(X)
        np.dot(X, params["W1"], out=z)
        np.add(z, params["b1"], out=z)
        self._activate(z)
        np.dot(params["W2"].T, z.T, out=p)
        np.add(p, params["b2"][:, None], out=p)

        np.maximum.reduce(p, axis=0, out=column)
        np.subtract(p, column, out=p)
        np.exp(p, out=p)
        np.add.reduce(p, axis=0, out=column)
        np.multiply(column, n, out=column)
        np.divide(p, column, out=p)
        p.reshape(-1)[labels * n + self.columns] -= 1.0 / n

        np.dot(z.T, p.T, out=gradients["W2"])
        np.dot(p, self.ones, out=gradients["b2"])
        np.dot(p.T, params["W2"].T, out=back)
        self._multiply_by_slope(back, z)
        np.dot(X.T, back, out=gradients["W1"])
        np.dot(self.ones, back, out=gradients["b1"])
        return gradients

    def _activate(self, a: Array) -> None:
        """Turn `a` into z in place."""
        if self.activation == "tanh":
            np.tanh(a, out=a)
        elif self.activation == "relu":
            np.maximum(a, 0.0, out=a)
        else:
            np.negative(a, out=self.sigmoid)
            np.exp(self.sigmoid, out=self.sigmoid)
            np.add(self.sigmoid, 1.0, out=self.sigmoid)
            np.divide(1.0 if self.activation == "sigmoid" else a, self.sigmoid, out=a)

    def _multiply_by_slope(self, back: Array, z: Array) -> None:
        """Multiply `back` by the slope of the activation where it gave `z`, which is used up."""
        if self.activation == "relu":
            np.multiply(back, np.greater(z, 0.0, out=self.active), out=back)
            return
        if self.activation == "tanh":
            np.multiply(z, z, out=z)
            np.subtract(1.0, z, out=z)
        elif self.activation == "sigmoid":
            np.multiply(z, np.subtract(1.0, z, out=self.sigmoid), out=z)
        else:  # silu: s + z (1 − s) = z + s (1 − z), s = 1 / what is kept
            np.add(z, np.divide(1.0 - z, self.sigmoid, out=self.sigmoid), out=z)
        np.multiply(back, z, out=back)


def straight_through(net: TwoLayerNet, slope: Callable[[Array], Array], X: Array, labels: Array) -> dict[str, Array]:
    """Return the chain rule's gradient with `slope(a)` in the place of the activation's derivative.

    For sign units this is the straight-through estimator of Bengio, Léonard and Courville (2013).
    """
    params = net.params
    a = X @ params["W1"] + params["b1"]
    z = net.activation(a)
    p = softmax(z @ params["W2"] + params["b2"])
    p[np.arange(len(X)), labels] -= 1.0
    p /= len(X)
    back = (p @ params["W2"].T) * slope(a)
    return {"W1": X.T @ back, "b1": back.sum(axis=0), "W2": z.T @ p, "b2": p.sum(axis=0)}
