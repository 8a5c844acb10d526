"""The networks and batches that are measured, and the true difference quotients of their weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.datasets import images
from tinynet import TwoLayerNet, load_dataset

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Shape:
    """A network n_features-hidden_units-n_classes on a batch of a data set."""

    dataset: str  # "moons", "digits" or "images"
    n_features: int
    hidden_units: int
    n_classes: int
    batch_size: int
    sample: int | None = None  # how many weights are visited where all would take too long
    scaling: str = "minmax"

    @property
    def name(self) -> str:
        """The data set, the sizes and the batch, as a table's heading."""
        sizes = f"{self.n_features}-{self.hidden_units}-{self.n_classes}"
        label = "MNIST-shaped" if self.dataset == "images" else self.dataset
        standardised = ", standardised" if self.scaling == "standard" else ""
        return f"{label} {sizes}, batch {self.batch_size}{standardised}"


class Problem:
    """A network at its start, a batch, and the weights whose quotients are wanted.

    Attributes
    ----------
    theta : array of all weights, W1, b1, W2, b2 one after the other
        The arrays of ``net.params`` are views of it.
    entries : slice of `theta`
        All, or about ``shape.sample`` evenly spaced ones from a seeded start.
    """

    def __init__(self, shape: Shape, *, activation: str = "tanh", h: float = 1e-4, seed: int = 0) -> None:
        self.shape, self.h, self.seed = shape, h, seed
        self.net = TwoLayerNet(shape.n_features, shape.hidden_units, shape.n_classes, activation=activation, seed=seed)
        self.theta = np.concatenate([param.reshape(-1) for param in self.net.params.values()])
        start = 0
        for key, param in self.net.params.items():
            self.net.params[key] = self.theta[start : start + param.size].reshape(param.shape)
            start += param.size
        self.entries = _spread(len(self.theta), shape, np.random.default_rng(seed))
        self.X, self.labels = batches(shape)[0]

    @property
    def n_entries(self) -> int:
        """The number of weights whose quotients are wanted."""
        return len(self.theta[self.entries])

    def copy(self) -> Problem:
        """Return the same problem with weights of its own."""
        return Problem(self.shape, activation=self.net.activation.name, h=self.h, seed=self.seed)


def batches(shape: Shape, most: int = 1) -> list[tuple[Array, Array]]:
    """Return the first whole batches of a data set, `most` at most, as rows and labels."""
    if shape.dataset == "images":
        X, labels, _, _ = images(0, n_train=most * shape.batch_size, n_test=1)
        if shape.scaling == "standard":
            spread = X.std(axis=0)
            X = (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    else:
        data = load_dataset(shape.dataset, scaling=shape.scaling)
        X, labels = data.X_train, data.y_train
    starts = range(0, len(X) - shape.batch_size + 1, shape.batch_size)[:most]
    return [(X[i : i + shape.batch_size].copy(), labels[i : i + shape.batch_size].copy()) for i in starts]


def _spread(size: int, shape: Shape, rng: np.random.Generator) -> slice:
    """Return evenly spaced entries; the stride shares no factor with the rows, to visit every unit."""
    if shape.sample is None or size <= shape.sample:
        return slice(None)
    stride = max(1, size // shape.sample)
    while math.gcd(stride, shape.hidden_units) > 1:
        stride += 1
    return slice(int(rng.integers(stride)), None, stride)


def extended_quotients(problem: Problem) -> Array:
    """Return (L(θ + h) − L(θ − h)) / 2h of the wanted entries in np.longdouble.

    What a weight does not reach is computed once: moving W1[i, j] changes a unit, W2[j, k] a logit.
    The difference is taken sample by sample, before the mean rounds.
    """
    wide = {key: param.astype(np.longdouble) for key, param in problem.net.params.items()}
    activation, h, W2 = problem.net.activation, np.longdouble(problem.h), wide["W2"]
    ones = np.ones((len(problem.X), 1), dtype=np.longdouble)
    inputs = np.hstack([problem.X.astype(np.longdouble), ones])
    a = inputs[:, :-1] @ wide["W1"] + wide["b1"]
    z = activation(a)
    hidden, logits = np.hstack([z, ones]), z @ W2 + wide["b2"]

    def losses(position: int, step: Any) -> Array:
        moved = logits.copy()
        if position < inputs.shape[1] * len(W2):
            i, j = divmod(position, len(W2))
            moved += (activation(a[:, j] + step * inputs[:, i]) - z[:, j])[:, None] * W2[j]
        else:
            j, k = divmod(position - inputs.shape[1] * len(W2), W2.shape[1])
            moved[:, k] += step * hidden[:, j]
        return _losses(moved, problem.labels)

    positions = range(len(problem.theta))[problem.entries]
    return np.array([(losses(position, h) - losses(position, -h)).mean() / (2 * h) for position in positions])


def _losses(logits: Array, labels: Array) -> Array:
    excess = logits - logits[np.arange(len(labels)), labels, None]
    largest = excess.max(axis=1)
    return np.asarray(largest + np.log(np.exp(excess - largest[:, None]).sum(axis=1)))
