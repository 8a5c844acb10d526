"""Slow, simple oracles: the loop in extended precision, and backpropagation by the chain rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def extended_loss(
    params: dict[str, Array], activation: Callable[[Array], Array], X: Array, labels: Array, weights: Any = None
) -> Any:
    """Return the mean cross-entropy, weighted if there are weights, with every operation in np.longdouble."""
    z = activation(X @ params["W1"] + params["b1"])
    logits = z @ params["W2"] + params["b2"]
    rows, top = np.arange(len(X)), logits.argmax(axis=1)
    terms = np.exp(logits - logits[rows, top, None])
    terms[rows, top] = 0
    return np.average(logits[rows, top] - logits[rows, labels] + np.log1p(terms.sum(axis=1)), weights=weights)


def extended_gradient(
    params: dict[str, Array],
    activation: Callable[[Array], Array],
    X: Array,
    labels: Array,
    h: float,
    weights: Any = None,
) -> dict[str, Array]:
    """Return (L(θ + h) − L(θ − h)) / 2h, one weight after the other, in np.longdouble."""
    wide = {key: param.astype(np.longdouble) for key, param in params.items()}
    wide_X, step = X.astype(np.longdouble), np.longdouble(h)
    gradient = {key: np.zeros_like(param) for key, param in wide.items()}
    for key, param in wide.items():
        for index in np.ndindex(param.shape):
            original = param[index]
            param[index] = original + step
            upper = extended_loss(wide, activation, wide_X, labels, weights)
            param[index] = original - step
            lower = extended_loss(wide, activation, wide_X, labels, weights)
            param[index] = original
            gradient[key][index] = (upper - lower) / (2 * step)
    return gradient


def backpropagation(
    params: dict[str, Array], derivative: Callable[[Array, Array], Array], z: Array, X: Array, labels: Array
) -> dict[str, Array]:
    """Return the derivative of the mean cross-entropy; `derivative(a, z)` is that of the activation."""
    logits = z @ params["W2"] + params["b2"]
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(X)), labels] -= 1.0
    p /= len(X)
    back = (p @ params["W2"].T) * derivative(X @ params["W1"] + params["b1"], z)
    return {"W1": X.T @ back, "b1": back.sum(axis=0), "W2": z.T @ p, "b2": p.sum(axis=0)}


def largest_error(gradient: dict[str, Array], truth: dict[str, Array]) -> float:
    """Return the largest difference between two gradients, in units of the largest entry of `truth`."""
    scale = max(np.abs(entry).max() for entry in truth.values())
    return float(max(np.abs(gradient[key] - truth[key]).max() for key in truth) / scale)
