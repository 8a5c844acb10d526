"""The loss of a network when one weight moves, in extended precision: what every gradient is checked against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.gradients.exact import blocks
from tinynet.gradients.extrapolation import extrapolate
from tinynet.network import TwoLayerNet

Array = npt.NDArray[Any]
Weight = tuple[str, tuple[int, ...]]  # ("W1", (3, 7))

EPS = float(np.finfo(np.longdouble).eps)  # 1.1e-19 on x86-64; as wide as float64 on some machines
STEPS = 2.0 ** -np.arange(6.0, 26.0, 2.0)  # of the extrapolation to h = 0
BLOCK_VALUES = 2**20


class Extended:
    """A network at its weights and a batch, every operation in ``np.longdouble``.

    What a moved weight does not touch is kept: moving W1[i, j] or b1[j] changes column j of the hidden layer,
    moving W2[j, k] or b2[k] column k of the logits. Losses are subtracted as in the classroom.
    """

    def __init__(self, net: TwoLayerNet, X: Array, labels: Array) -> None:
        self.activation, self.labels, self.rows = net.activation, labels, np.arange(len(X))
        self.X = X.astype(np.longdouble)
        W1, b1, self.W2, b2 = (net.params[key] for key in ("W1", "b1", "W2", "b2"))
        self.a = np.empty((len(X), len(b1)), np.longdouble)
        self.logits = np.tile(b2.astype(np.longdouble), (len(X), 1))
        for units in blocks(len(b1), BLOCK_VALUES // len(W1)):
            self.a[:, units] = self.X @ W1[:, units].astype(np.longdouble) + b1[units]
            self.logits += self.activation(self.a[:, units]) @ self.W2[units].astype(np.longdouble)

    def quotients(self, weights: Sequence[Weight], h: float) -> Array:
        """Return (L(θ + h) − L(θ − h)) / 2h for each of the `weights`, in ``np.longdouble``."""
        step = np.longdouble(h)
        return np.array([(self._losses(w, step) - self._losses(w, -step)).mean() / (2 * step) for w in weights])

    def slopes(self, weights: Sequence[Weight]) -> tuple[Array, Array]:
        """Return dL/dθ for each of the `weights`, extrapolated from quotients, and an estimate of its error.

        Where a kink lies exactly at a, it is the mean of both slopes.
        """
        quotients = np.array([self.quotients(weights, h) for h in STEPS])
        found = [extrapolate(STEPS.tolist(), list(column), (EPS / STEPS).tolist()) for column in quotients.T]
        slopes, errors = np.array(found, np.longdouble).reshape(-1, 2).T
        return slopes, errors

    def truth(self, weights: Sequence[Weight], h: float) -> Array:
        """Return the quotients over h, or the slope where they differ from it by less than their rounding."""
        quotients, (slopes, errors) = self.quotients(weights, h), self.slopes(weights)
        rounding = 4 * EPS * max(1.0, float(np.abs(self.logits).max())) / h
        known = (errors < rounding) & (np.abs(quotients - slopes) <= rounding + errors)
        return np.where(known, slopes, quotients)

    def _losses(self, weight: Weight, step: Any) -> Array:
        """Return the loss of every sample with one weight moved by `step`."""
        key, index = weight
        logits = self.logits.copy()
        if key in ("W1", "b1"):
            a = self.a[:, index[-1]]
            moved = self.activation(a + (step * self.X[:, index[0]] if key == "W1" else step))
            logits += (moved - self.activation(a))[:, None] * self.W2[index[-1]]
        else:
            logits[:, index[-1]] += step * self.activation(self.a[:, index[0]]) if key == "W2" else step
        top = logits.argmax(axis=1)
        excess = logits - logits[self.rows, top, None]
        terms = np.exp(excess)
        terms[self.rows, top] = 0
        return np.asarray(np.log1p(terms.sum(axis=1)) - excess[self.rows, self.labels])
