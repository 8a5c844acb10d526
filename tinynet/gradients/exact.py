"""Every weight's own difference of the loss, formed without cancellation: for any step, input and weight.

Moving one weight moves little of the network, so its loss difference is formed from that little:
no two nearly equal losses are subtracted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.activations import Activation
from tinynet.losses import softmax

Array = npt.NDArray[Any]

ROW_VALUES = 2**18  # values an array over a block of samples may hold: 2 MB
BLOCK_VALUES = 2**15  # values an array in the innermost loops may hold: 256 KB, to stay in cache
MAX_DEGREE = 8  # of the Taylor polynomial of expm1; above it exp itself is as cheap
MAX_EXPONENT = 600.0  # exp overflows at 709
FEW_ROWS = 8  # that are added one by one: NumPy's sums by index take as long as so many additions
MAX_LEVELS = 16  # an activation with no more values than this is taken level by level


@dataclass(frozen=True)
class Forward:
    """One forward pass over a block of samples, with softmax seen from its largest class w.

    Subtracting w's logit instead of the label's keeps every logarithm away from log 0: what is
    left of log1p's argument is at least −(1 − p_w), and 1 − p_w is summed, never subtracted.
    """

    X: Array  # (n, n_features + 1): the last column is 1 and belongs to the bias, as in z
    labels: Array  # (n,)
    a: Array  # (n, hidden_units)
    z: Array  # (n, hidden_units + 1)
    log_p: Array  # (n, n_classes)
    p: Array  # (n, n_classes), its own column w set to 0
    w: Array  # (n,)
    W2: Array  # (hidden_units, n_classes)
    weights: Array | None  # (n,): what a sample's loss is multiplied by

    @cached_property
    def levels(self) -> Array:
        """The distinct values of z when they are few and each is shared by many; else none."""
        few, z = min(MAX_LEVELS, self.z.size // 16), self.z.ravel()
        levels = np.unique(z[: 16 * MAX_LEVELS])
        if len(levels) <= few and sum(np.count_nonzero(z == level) for level in levels) < z.size:
            levels = np.unique(z)
        return levels if len(levels) <= few else levels[:0]


def exact_gradient(
    params: Mapping[str, Array], activation: Activation, X: Array, labels: Array, h: float, weights: Array | None = None
) -> dict[str, Array]:
    """Return (L(θ + h) − L(θ − h)) / 2h for every parameter θ, exact to rounding.

    Parameters and what is returned are those of `difference_quotients` in series.py.

    Notes
    -----
    2 · n · n_features · hidden_units activations are evaluated. Arrays are made for blocks of
    samples, pairs and weights, so that working memory stays below 64 MB whatever the shapes.
    """
    n, (n_features, n_units), n_classes = len(X), params["W1"].shape, params["b2"].size
    W1_b1, W2_b2 = np.zeros((n_features + 1, n_units)), np.zeros((n_units + 1, n_classes))
    with np.errstate(all="ignore"):  # nan and inf are the answer where the input holds them
        for rows in blocks(n, ROW_VALUES // max(n_features + 1, n_units + 1, n_classes)):
            a, of_rows = X[rows] @ params["W1"] + params["b1"], None if weights is None else weights[rows]
            at = seen_from_largest(params, X[rows], labels[rows], a, activation(a), of_rows)
            add_output_layer(W2_b2, at, h)
            add_hidden_layer(W1_b1, at, activation, h)
        W1_b1 /= 2 * h * n
        W2_b2 /= 2 * h * n
    return {"W1": W1_b1[:-1], "b1": W1_b1[-1], "W2": W2_b2[:-1], "b2": W2_b2[-1]}


def seen_from_largest(
    params: Mapping[str, Array], X: Array, labels: Array, a: Array, z: Array, weights: Array | None
) -> Forward:
    """Return the rest of a forward pass whose hidden layer gave `a` and `z`."""
    logits = z @ params["W2"] + params["b2"]
    rows, w = np.arange(len(X)), logits.argmax(axis=1)
    p = softmax(logits)
    below = logits - logits[rows, w, None]
    p[rows, w] = 0.0
    log_p = below + np.log1p(-p.sum(axis=1, keepdims=True))
    ones = np.ones((len(X), 1))
    return Forward(np.hstack([X, ones]), labels, a, np.hstack([z, ones]), log_p, p, w, params["W2"], weights)


def add_output_layer(total: Array, at: Forward, h: float) -> None:
    """Add L(θ + h) − L(θ − h), summed over samples, for every θ of W2 and b2.

    Moving W2[j, k] moves logit k by t = h z_j. With P = p_k, or 1 − p_w for the largest class
    w, whose move is the opposite move of all others, ΔL(t) − ΔL(−t) = ± G(P, t) + 2 t · lin.
    """
    rows = np.arange(len(at.w))
    P, sign, lin = at.p.copy(), np.ones_like(at.p), np.zeros_like(at.p)
    P[rows, at.w] = at.p.sum(axis=1)
    sign[rows, at.w] = -1.0
    lin[rows, at.w] += 1.0
    lin[rows, at.labels] -= 1.0
    if at.weights is not None:
        sign *= at.weights[:, None]
        lin *= at.weights[:, None]
    log_P = at.log_p.copy()
    log_P[rows, at.w] = -np.inf
    log_P[rows, at.w] = np.logaddexp.reduce(log_P, axis=1)  # 1 − p_w may underflow, its logarithm does not
    total += 2 * h * (at.z.T @ lin)
    for level in at.levels[at.levels != 0]:
        of_level = (at.z == level).astype(np.float64)
        total += of_level.T @ (sign * _central_log_mean(P, log_P, h * level))
    if len(at.levels):
        return
    n_units, n_classes = total.shape
    for units in blocks(n_units, BLOCK_VALUES // n_classes):
        for some in blocks(len(rows), BLOCK_VALUES // (n_classes * (units.stop - units.start))):
            G = _central_log_mean(P[some, None, :], log_P[some, None, :], h * at.z[some, units, None])
            total[units] += (sign[some, None, :] * G).sum(axis=0)


def _central_log_mean(P: Array, log_P: Array, t: Array) -> Array:
    """Return G = log(1 + P (e^t − 1)) − log(1 + P (e^−t − 1)) as one log1p of positive terms."""
    size = np.abs(t)
    odd = 2 * P * np.sinh(np.minimum(size, MAX_EXPONENT)) / (1.0 + P * np.expm1(-size))
    G = np.log1p(odd)
    if not size.max(initial=0.0) < MAX_EXPONENT:
        far = np.logaddexp(np.log1p(-P), log_P + size) - np.log1p(P * np.expm1(-size))
        G = np.where(size < MAX_EXPONENT, G, far)
    return G * np.sign(t)


def add_hidden_layer(total: Array, at: Forward, activation: Activation, h: float) -> None:
    """Add L(θ + h) − L(θ − h), summed over samples, for every θ of W1 and b1.

    Moving W1[i, j] moves a_j by h x_i, so z_j by δ and the logits by δ W2[j, :]. Inputs that
    are 0 move nothing: only the pairs (feature, sample) with an x are visited.
    """
    features, samples = np.nonzero(at.X.T)
    add_entries(total, at, activation, features, samples, h * at.X[samples, features, None])


def add_entries(
    total: Array, at: Forward, activation: Activation, features: Array, samples: Array, shift: Array
) -> None:
    """Add what `add_hidden_layer` adds for these entries of X alone, sorted by feature, which move a by `shift`."""
    tables = None
    n_units, n_classes = at.W2.shape
    for units in blocks(n_units, BLOCK_VALUES // n_classes):
        steps = _Steps(activation, at, units)
        for some in blocks(len(features), BLOCK_VALUES // (units.stop - units.start)):
            s = samples[some]
            change = steps.change(s, shift[some])
            if change is None:
                tables = tables or _Tables(activation, at, slice(None), at.a, at.z[:, :-1], at.W2.T[:, None])
                change = tables.change(s, units, shift[some])
            if at.weights is not None:
                change *= at.weights[s, None]
            add_rows(total[:, units], change, features[some])


def add_pairs(total: Array, at: Forward, activation: Activation, h: float, samples: Array, units: Array) -> None:
    """Add what `add_hidden_layer` adds for these pairs (sample, unit) alone, sorted by unit."""
    a, z = at.a[samples, units, None], at.z[samples, units, None]
    tables = _Tables(activation, at, samples, a, z, at.W2[units].T[..., None])
    for some in blocks(len(units), BLOCK_VALUES // at.X.shape[1]):
        change = tables.change(some, slice(None), h * at.X[samples[some]])
        if at.weights is not None:
            change *= at.weights[samples[some], None]
        add_rows(total.T, change, units[some])


def add_rows(total: Array, rows: Array, index: Array) -> None:
    """Add each of `rows` to the row of `total` that `index` names, sorted but for few."""
    if len(index) < FEW_ROWS:
        for row, i in zip(rows, index, strict=True):
            total[i] += row
        return
    first = np.flatnonzero(np.concatenate([[True], index[1:] != index[:-1]]))
    total[index[first]] += np.add.reduceat(rows, first, axis=0)


class _Tables:
    """ΔL when z moves by δ: log Σ_k p_k exp(δ (W2[j, k] − W2[j, w])) + δ lin, lin = W2[j, w] − W2[j, label].

    Tables of N rows and U columns hold what the moves of a pair share: rows are samples and
    columns units, or rows are pairs and there is one column. `samples` are those of the rows,
    and W2 is (n_classes, N or 1, U or 1).
    """

    def __init__(
        self, activation: Activation, at: Forward, samples: Array | slice, a: Array, z: Array, W2: Array
    ) -> None:
        self.activation, self.a, self.z, self.p, self.log_p = activation, a, z, at.p[samples], at.log_p[samples]
        self.W2, rows = np.broadcast_to(W2, (len(W2), *z.shape)), np.arange(len(z))
        self.of_w = self.W2[at.w[samples], rows]
        self.lin = self.of_w - self.W2[at.labels[samples], rows]
        self.spread = float((W2.max(axis=0) - W2.min(axis=0)).max(initial=0.0))  # of two logits for δ = 1
        self.moments: list[Array] = []

    def change(self, s: Array | slice, j: slice, shift: Array) -> Array:
        """Return ΔL(up) − ΔL(down) where a moves up and down by `shift`, for the rows s and columns j."""
        a, z = self.a[s, j], self.z[s, j]
        moved = np.empty((2, *np.broadcast_shapes(a.shape, shift.shape)))
        np.add(a, shift, out=moved[0])
        np.subtract(a, shift, out=moved[1])
        moved = self.activation(moved, out=moved)
        up, down = moved - z
        farthest = max(np.abs(up).max(), np.abs(down).max()) * self.spread
        K = self._rise(s, j, up, down, farthest)
        return np.asarray((up - down) * self.lin[s, j] + K)

    def _rise(self, s: Array | slice, j: slice, up: Array, down: Array, farthest: float) -> Array:
        """Return K(up) − K(down), the K of `_log_mean`.

        Small moves take a Taylor polynomial of Σ_k p_k expm1, of the degree that leaves nothing
        above rounding, and one logarithm for both ends.
        """
        degree = next((r for r in range(1, MAX_DEGREE + 1) if farthest**r / math.factorial(r + 1) < 1e-17), None)
        if degree is None:
            return self._log_mean(s, j, up, farthest) - self._log_mean(s, j, down, farthest)
        if len(self.moments) < degree:
            self.moments = self._moments(degree)
        local = [moment[s, j] for moment in self.moments[:degree]]
        E_up, E_down = local[-1] * up, local[-1] * down
        for moment in local[-2::-1]:
            E_up += moment
            E_up *= up
            E_down += moment
            E_down *= down
        return np.asarray(np.log1p((E_up - E_down) / (1.0 + E_down)))

    def _log_mean(self, s: Array | slice, j: slice, delta: Array, farthest: float) -> Array:
        """Return K(δ) = log Σ_k p_k exp(δ (W2[j, k] − W2[j, w])), by logarithms alone where exp may overflow."""
        if farthest >= MAX_EXPONENT:
            return reduce(np.logaddexp, (log_p + delta * D for log_p, D in self._classes(s, j, self.log_p)))
        return np.asarray(np.log1p(sum(p * np.expm1(delta * D) for p, D in self._classes(s, j, self.p))))

    def _classes(self, s: Array | slice, j: slice, p: Array) -> Iterator[tuple[Array, Array]]:
        """Yield column k of `p` and W2[j, k] − W2[j, w] for one class after the other."""
        of_w = self.of_w[s, j]
        for k in range(p.shape[1]):
            yield p[s, k, None], self.W2[k, s, j] - of_w

    def _moments(self, degree: int) -> list[Array]:
        """Return Σ_k p_k (W2[j, k] − W2[j, w])^r / r! for r from 1 to `degree`, each of shape (N, U)."""
        moments = [np.zeros_like(self.lin) for _ in range(degree)]
        for p, D in self._classes(slice(None), slice(None), self.p):
            term = p * D
            moments[0] += term
            for r in range(2, degree + 1):
                term *= D
                term /= r
                moments[r - 1] += term
        return moments


class _Steps:
    """ΔL of moves between the few levels of an activation, for a block of units.

    ΔL of the move from z to a level is log Σ_k p_k exp(δ W2[j, k]) − δ W2[j, label]. There are few
    δ, so that this is a matrix product over the classes for each. From the largest class w, that is
    log(1 + Σ_k e_k exp(δ (W2[j, k] − W2[j, w]))), where e is p less 1 for w, summed from the others.
    """

    def __init__(self, activation: Activation, at: Forward, units: slice) -> None:
        self.activation, self.levels, W2 = activation, at.levels, at.W2[units]
        if not len(at.levels) or not np.ptp(at.levels) * np.ptp(W2, axis=1).max() < MAX_EXPONENT / 2:
            self.levels = at.levels[:0]
            return
        self.a, z, logits = at.a[:, units], at.z[:, :-1][:, units], W2.T - W2.T[0]
        e, lin = at.p.copy(), logits[at.w] - logits[at.labels]
        e[np.arange(len(z)), at.w] = -at.p.sum(axis=1)
        rises = np.zeros((len(self.levels), *z.shape))
        for start in self.levels:
            stands = (z == start).astype(np.float64)
            for level, rise in zip(self.levels, rises, strict=True):
                if level != start:
                    grown = np.exp((level - start) * logits)
                    mean = np.dot(e, grown)
                    mean /= grown[at.w]
                    mean *= stands
                    rise += mean
        np.log1p(rises, out=rises)
        for level, rise in zip(self.levels, rises, strict=True):
            rise += (level - z) * lin
        self.rises = rises[1:] - rises[0]
        shape = BLOCK_VALUES // z.shape[1] + 1, z.shape[1]
        self.moved, self.is_level = np.empty((2, *shape)), np.empty((2, *shape), np.bool_)
        self.sum, self.step = np.empty(shape), np.empty(shape)

    def change(self, s: Array, shift: Array) -> Array | None:
        """Return ΔL(up) − ΔL(down) as `_Tables.change`, for the samples s; None when another value turns up."""
        if not len(self.levels):
            return None
        n = len(s)
        moved, is_level, change, step = self.moved[:, :n], self.is_level[:, :n], self.sum[:n], self.step[:n]
        np.take(self.a, s, axis=0, out=change, mode="clip")
        np.add(change, shift, out=moved[0])
        np.subtract(change, shift, out=moved[1])
        moved = self.activation(moved, out=moved)
        found = np.count_nonzero(np.equal(moved, self.levels[0], out=is_level))  # the first level rises by 0
        change[:] = 0.0
        for level, rise in zip(self.levels[1:], self.rises, strict=True):
            found += np.count_nonzero(np.equal(moved, level, out=is_level))
            np.take(rise, s, axis=0, out=step, mode="clip")
            step *= np.subtract(*is_level.view(np.int8))
            change += step
        return change if found == moved.size else None


def blocks(size: int, step: int) -> Iterator[slice]:
    """Return slices of `step` or fewer (1 at the least) that cover `size` rows."""
    step = max(1, step)
    return (slice(start, min(start + step, size)) for start in range(0, size, step))
