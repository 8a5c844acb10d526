"""The two-layer network: parameters, predictions, loss, and its numerical gradient."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.activations import get_activation
from tinynet.data.samples import Samples, check_X, dense
from tinynet.errors import (
    DataError,
    InvalidTypeError,
    InvalidValueError,
    check_choice,
    check_integer,
    check_memory,
    check_number,
    check_step_size,
)
from tinynet.gradients import series as differences
from tinynet.gradients.exact import blocks
from tinynet.gradients.fallbacks import LEAST_SLOWDOWN
from tinynet.gradients.numerical import textbook_gradient
from tinynet.gradients.workspace import Tally, Workspace
from tinynet.losses import mean_loss, softmax

Array = npt.NDArray[Any]

METHODS = ("auto", "loop", "exact", "series")
LOGITS_ROWS = 256  # samples whose hidden layer is computed at a time, to stay in cache


class TwoLayerNet:
    """softmax(act(X W1 + b1) W2 + b2), trained by difference quotients of its cross-entropy.

    Parameters
    ----------
    n_features, hidden_units, n_classes : int
    activation : str or callable, default "tanh"
        "tanh", "sigmoid", "relu", "silu", "identity", "sign", "quantised:LEVELS", or any elementwise callable.
    weight_scale : float of at least 0, optional
        Standard deviation of the initial weights; None means 1/√fan-in, layer by layer. Biases begin at 0.
    seed : int, optional
        The same seed gives the same weights.

    Attributes
    ----------
    params : dict of float64 arrays
        "W1": (n_features, hidden_units), "b1": (hidden_units,), "W2": (hidden_units, n_classes),
        "b2": (n_classes,). May be changed in place or replaced by arrays of the same shape.
    activation : Activation

    Raises
    ------
    InvalidValueError, InvalidTypeError
        For sizes below 1, an unknown or unusable activation, or more weights than memory holds.

    Examples
    --------
    >>> net = TwoLayerNet(2, 3, 2, seed=0)
    >>> net.numerical_gradient([[1.0, -1.0]], [1])["b2"].round(4)
    array([ 0.5046, -0.5046])
    """

    def __init__(
        self,
        n_features: int,
        hidden_units: int,
        n_classes: int,
        *,
        activation: str | Callable[[Array], Any] = "tanh",
        weight_scale: float | None = None,
        seed: int | None = None,
    ) -> None:
        d = check_integer("n_features", n_features, 1)
        m = check_integer("hidden_units", hidden_units, 1)
        k = check_integer("n_classes", n_classes, 2)
        check_memory(f"training a network of {d}-{m}-{k} (weights, gradients, momentum)", 4 * (d * m + m * k))
        scale = None if weight_scale is None else check_number("weight_scale", weight_scale, 0.0)
        rng = np.random.default_rng(None if seed is None else check_integer("seed", seed, 0))
        self.activation = get_activation(activation)
        self.shapes = {"W1": (d, m), "b1": (m,), "W2": (m, k), "b2": (k,)}
        self.params: dict[str, Array] = {
            "W1": rng.standard_normal((d, m)) * (d**-0.5 if scale is None else scale),
            "b1": np.zeros(m),
            "W2": rng.standard_normal((m, k)) * (m**-0.5 if scale is None else scale),
            "b2": np.zeros(k),
        }
        self._workspace: Workspace | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the working arrays behind when the network is copied or pickled."""
        return self.__dict__ | {"_workspace": None}

    def __repr__(self) -> str:
        """Return the sizes and the activation."""
        sizes = *self.shapes["W1"], self.shapes["b2"][0]
        return f"TwoLayerNet({', '.join(map(str, sizes))}, activation={self.activation.name!r})"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file that `load_model` reads.

        There its classes are called "0", "1", ... and its features "x0", "x1", ..., and nothing is scaled.

        Raises
        ------
        OSError
            When it cannot be written; what was there stays.
        """
        from tinynet.artifacts.model import plain_model

        plain_model(self).save(path)

    @property
    def n_parameters(self) -> int:
        """The number of weights and biases; weight by weight, a gradient takes twice as many loss evaluations."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def samples(
        self, X: npt.ArrayLike | Samples, y: npt.ArrayLike | None = None, sample_weight: npt.ArrayLike | None = None
    ) -> Samples:
        """Return `X`, `y` and `sample_weight` as checked `Samples` that fit the network; `X` may be such already."""
        self._check_params()
        d, n_classes = self.shapes["W1"][0], self.shapes["b2"][0]
        if isinstance(X, Samples):
            if y is not None or sample_weight is not None:
                raise InvalidTypeError("Samples hold labels and weights already; leave y and sample_weight out")
        elif y is None:
            raise DataError("X needs y, the labels of its samples")
        else:
            X = Samples(X, y, sample_weight, n_classes=n_classes)
        if X.X.shape[1] != d:
            raise DataError(f"X has {X.X.shape[1]} features, the network was made for {d}")
        if (largest := X.labels.max()) >= n_classes:
            raise DataError(f"label {largest} is outside the network's classes 0..{n_classes - 1}")
        return X

    def logits(self, X: npt.ArrayLike, *, sparse: bool = False) -> Array:
        """Return the logits of `X`, shape (n_samples, n_features), as (n_samples, n_classes).

        With `sparse`, X may be a sparse matrix.
        """
        self._check_params()
        return self._logits(check_X(X, self.shapes["W1"][0], sparse=sparse))

    def predict_proba(self, X: npt.ArrayLike) -> Array:
        """Return the class probabilities of `X`, shape (n_samples, n_classes)."""
        return softmax(self.logits(X))

    def predict(self, X: npt.ArrayLike) -> Array:
        """Return the most probable class of each row of `X`, integers of shape (n_samples,)."""
        return np.asarray(self.logits(X).argmax(axis=1))

    def evaluate(self, samples: Samples) -> tuple[float, float]:
        """Return (loss in nats a sample, accuracy) on `samples`, both weighted as they are, in one forward pass."""
        logits, labels, weights = self._logits(samples.X), samples.labels, samples.weights
        correct = logits.argmax(axis=1) == labels
        return mean_loss(logits, labels, weights), float(np.average(correct, weights=weights))

    def loss(self, X: npt.ArrayLike, y: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None) -> float:
        """Return the mean cross-entropy in nats a sample, weighted by `sample_weight`; `y` as labels or one-hot."""
        return self.evaluate(self.samples(X, y, sample_weight))[0]

    def accuracy(self, X: npt.ArrayLike, y: npt.ArrayLike) -> float:
        """Return the fraction of rows of `X` whose most probable class is the label in `y`."""
        return self.evaluate(self.samples(X, y))[1]

    def numerical_gradient(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        h: float = 1e-4,
        method: str = "auto",
        sample_weight: npt.ArrayLike | None = None,
    ) -> dict[str, Array]:
        """Return the central difference of the loss over 2h for every parameter.

        Parameters
        ----------
        X : array, shape (n_samples, n_features)
        y : labels, shape (n_samples,), or one-hot rows
        h : float above 0
        method : "auto", "loop", "exact" or "series"
            "loop" perturbs one weight after the other, as in the classroom. "exact" forms the
            same quotients without cancellation. "series" expands all of them in h, by two
            matrix products, good or bad. "auto" takes the series where its error is bounded,
            pair by pair of sample and unit, and the exact formula elsewhere.
        sample_weight : array, shape (n_samples,), at least 0, optional
            The loss is Σ w_i L_i / Σ w_i: a weight of 2 is the sample twice, one of 0 leaves it out.

        Returns
        -------
        dict of arrays, keys and shapes of `params`

        Raises
        ------
        DataError
            When X, y or sample_weight do not fit the network or hold nan or inf.
        InvalidValueError
            For an unknown method or a bad h.
        """
        samples = self.samples(X, y, sample_weight)
        return self.quotients(samples, check_step_size(h), check_choice("method", method, METHODS))

    def quotients(self, samples: Samples, h: float, method: str, tally: Tally | None = None) -> dict[str, Array]:
        """Return `numerical_gradient` for arguments that are checked: samples that fit, a step and a method.

        The losses and the hits of the samples are added to `tally`, at no extra cost where the gradient computes them.
        """
        X, labels, weights = np.asarray(dense(samples.X), np.float64), samples.labels, samples.weights
        if tally is not None and not (method in ("auto", "series") and h <= differences.WINDOW):
            loss, accuracy = self.evaluate(samples)
            tally.loss += loss * len(samples)
            tally.correct += accuracy * float(len(samples) if weights is None else weights.sum())
            tally = None
        if method == "loop":
            return {
                key: textbook_gradient(lambda _: mean_loss(self._logits(X), labels, weights), param, h)
                for key, param in self.params.items()
            }
        workspace, self._workspace = self._workspace or Workspace(), None  # another thread makes its own
        workspace.tally = tally
        try:
            return differences.difference_quotients(
                self.params, self.activation, X, labels, h, method, workspace, weights
            )
        finally:
            self._workspace, workspace.tally = workspace, None

    def slowdown_remarks(self, least: float = LEAST_SLOWDOWN) -> list[str]:
        """Return in a sentence why gradients so far took more than `least` times as long as they could, if they did."""
        workspace = self._workspace or Workspace()
        (n_features, hidden_units), (n_classes,) = self.params["W1"].shape, self.params["b2"].shape
        return workspace.fallbacks.remarks(n_features, hidden_units, n_classes, least)

    def _logits(self, X: Array) -> Array:
        """Return the logits, made and kept classes first: BLAS and the sums over classes are faster so."""
        params, logits = self.params, np.empty((self.shapes["b2"][0], X.shape[0]))
        with np.errstate(over="ignore", invalid="ignore"):  # train names a loss that is not finite
            for rows in blocks(X.shape[0], LOGITS_ROWS):
                a = np.dot(params["W1"].T, dense(X, rows).astype(np.float64, copy=False).T)
                a += params["b1"][:, None]
                logits[:, rows] = np.dot(params["W2"].T, self.activation(a, out=a))
            logits += params["b2"][:, None]
        return logits.T

    def _check_params(self) -> None:
        for key, shape in self.shapes.items():
            param = self.params.get(key)
            if not isinstance(param, np.ndarray) or param.dtype != np.float64:
                got = f"dtype {param.dtype}" if isinstance(param, np.ndarray) else type(param).__name__
                raise InvalidTypeError(f"params[{key!r}] must be a float64 array, got {got}")
            if param.shape != shape:
                raise InvalidValueError(f"params[{key!r}] must have shape {shape}, got {param.shape}")
