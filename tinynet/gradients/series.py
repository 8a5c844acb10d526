"""The central-difference gradient of the two-layer network: two matrix products for all weights at once.

Moves at kinks and of outliers are measured; exact.py forms the rest. docs/fast_gradient.md derives the bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.activations import Activation
from tinynet.gradients import exact
from tinynet.gradients.exact import blocks
from tinynet.gradients.fallbacks import Fallbacks

Array = npt.NDArray[Any]

WINDOW = 5 * 2.0**-12  # T: how far from a the activation is measured, and how far the series reaches
NODES = np.array([0.0, 1.0, -1.0, 0.5, -0.5])[:, None]  # where it is measured, in units of T
SHIFTS = WINDOW * NODES[:, :, None]
# The polynomial through the values at a + SHIFTS: from these to c1 T, 2 c2 T², 2 c3 T³ and c4 T⁴.
FIT = np.array([[0, -1, 1, 8, -8], [-60, -2, -2, 32, 32], [0, 8, -8, -16, 16], [24, 4, 4, -16, -16]]) / 6
ROUGH_3, ROUGH_4 = 8 * WINDOW**2, WINDOW**3  # what 2 c3 T³ and c4 T⁴ may be, in units of c1 T
POWERS = np.arange(1, 5)[:, None]
UP_DOWN = np.array([1.0, -1.0])[:, None, None]
HALF = np.array([0.5])
STEEP = 1e-2  # how far the move of one weight may shift a logit
LOPSIDED = 3.6e-9  # what |u| max(δ₊, δ₋)² R³ may be: how far the moves up and down may differ in size
MAX_SPREAD = 1e6  # between two weights of a unit, so that float32 has room for their cubes
FAINT = 1e-18  # p − Y below this has no cube in float32
THIRD = np.float32(1 / 3)
ROUNDING = 8 * float(np.finfo(np.float64).eps)  # of the polynomial, in units of the values

ROW_VALUES = 2**21  # values an array over a block of samples may hold: 16 MB
BLOCK_VALUES = 2**15  # values an array over a block of pairs may hold, to stay in cache
MOVED_VALUES = 2**13  # the same for measured moves, whose arrays are made anew


def difference_quotients(
    params: Mapping[str, Array],
    activation: Activation,
    X: Array,
    labels: Array,
    h: float,
    method: str = "auto",
    workspace: Workspace | None = None,
    weights: Array | None = None,
) -> dict[str, Array]:
    """Return (L(θ + h) − L(θ − h)) / 2h for every parameter θ.

    Parameters
    ----------
    params : {"W1": (n_features, hidden_units), "b1", "W2": (hidden_units, n_classes), "b2"}
    activation : elementwise function of the hidden layer; only its values are used
    X : float64 array, shape (n_samples, n_features)
    labels : integer array, shape (n_samples,), values below n_classes
    h : float above 0
    method : "auto", "exact" or "series"
        "exact" forms every weight's own difference. "series" expands all of them in h, good or
        bad. "auto" expands where the error is bounded, and is exact elsewhere.
    workspace : Workspace, optional
        Kept by a caller who calls again, so that nothing is allocated twice.
    weights : float64 array, shape (n_samples,), values above 0, optional
        L is the mean over the samples of weight · loss.

    Returns
    -------
    dict of new arrays, keys and shapes of `params`
        In nats a sample per unit of the parameter; nan where inputs or parameters are not finite.

    Notes
    -----
    The error of "auto" is below 1e-9 of the largest entry, plus the rounding of a shifted
    activation, 4 eps max(1, |a|) / h. Working memory beyond inputs, parameters and gradients
    stays below 64 MB, but for one float32 copy of three powers of W2.
    """
    if not np.isfinite(params["b2"]).all():  # a class of probability 0: its label's loss is inf, inf - inf is nan
        return {key: np.full_like(param, np.nan) for key, param in params.items()}
    if method == "exact" or (method == "auto" and not h <= WINDOW):
        return exact.exact_gradient(params, activation, X, labels, h, weights)
    workspace = Workspace() if workspace is None else workspace
    total: dict[str, Array] = {}
    for rows in blocks(len(X), ROW_VALUES // max(params["W1"].shape)):
        with np.errstate(all="ignore"):  # nan and inf are the answer where the input holds them
            some = None if weights is None else weights[rows]
            series = _Series(params, activation, X[rows], labels[rows], h, method == "auto", some)
            part = series.gradient(workspace)
        if rows.stop - rows.start == len(X):
            return part
        for key, gradient in part.items():
            total[key] = total.get(key, 0.0) + gradient * ((rows.stop - rows.start) / len(X))
    return total


def _largest(values: Array) -> float:
    """Return max |values|, nan where one is nan."""
    return max(float(np.maximum.reduce(values, axis=None)), -float(np.minimum.reduce(values, axis=None)))


def _too_far(move: Any, sum_of_moves: Any) -> Any:
    """Return where moves of a logit are too large for the series of the loss."""
    return np.logical_not((move <= STEEP) & (sum_of_moves * (move * move) <= LOPSIDED))


@dataclass
class Tally:
    """What a gradient saw of its samples on the way: the sums of weight · loss, and of the weights of the hits."""

    loss: float = 0.0
    correct: float = 0.0
    n: int = 0

    def add(self, losses: Array, hits: Array, weights: Array | None) -> None:
        """Count some samples."""
        self.n += len(losses)
        self.loss += float(losses.sum() if weights is None else np.dot(losses, weights.ravel()))
        self.correct += float(np.count_nonzero(hits) if weights is None else weights.ravel()[hits].sum())


class Workspace:
    """The arrays that a gradient works in, kept for the last few shapes."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], Any] = {}
        self.fallbacks = Fallbacks()
        self.tally: Tally | None = None

    def get(self, kind: type[Any], *shape: int) -> Any:
        """Return the `kind` of arrays made for `shape`, the same ones at the next call."""
        key = (kind, *shape)
        if key not in self._kept:
            while len(self._kept) >= 6:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = kind(*shape)
        return self._kept[key]


class _Samples:
    """Arrays over the samples; the last x is 1 and belongs to b1."""

    def __init__(self, n: int, d: int, m: int, k: int) -> None:
        self.A, self.B = np.empty((n, m)), np.empty((n, m), np.float32)
        self.X, self.X3 = np.ones((n, d + 1), np.float32), np.empty((n, d + 1), np.float32)
        self.powers, self.ones = np.empty((3, k, m), np.float32), np.ones(n)
        self.squares = np.empty(n, np.float32)  # the largest x² of each sample


class _Pairs:
    """Arrays over the pairs (sample, unit) of a block of samples; the last z is 1 and belongs to b2."""

    def __init__(self, n: int, m: int, k: int) -> None:
        # the values at a + SHIFTS, the rows of FIT times these, κ1; C and the moments in float32; w and room to work
        self.shifted, self.C, self.lin = np.empty((5, n, m)), np.empty((4, n * m)), np.empty((n, m))
        self.c, self.moments = np.empty((4, n, m), np.float32), np.empty((3, n, m), np.float32)
        self.w, self.t = np.empty((2, n, m), np.float32)
        # e = p − Y and q of `_output_layer`; z and z³ in float32
        self.e, self.e32, self.q, self.r = np.empty((k, n)), *np.empty((3, k, n), np.float32)
        self.z1, self.z3 = np.ones((n, m + 1), np.float32), np.empty((n, m + 1), np.float32)
        self.a = self.z = np.empty((0, m))  # set for each block
        self.rows, self.ones = np.arange(n), np.ones(n)
        self.slopes, self.flat_c = self.C[0].reshape(n, m), self.c.reshape(4, -1)  # views, which take time to make
        self.each_c, self.each_moment = tuple(self.c), tuple(self.moments)
        self.flat_z3 = self.z3.ravel()
        self.flat_e, self.flat_e32 = self.e.ravel(), self.e32.ravel()


class _Series:
    """The expansion in h of the gradient of one batch, with the guards that hand pairs to the exact formula."""

    def __init__(
        self,
        params: Mapping[str, Array],
        activation: Activation,
        X: Array,
        labels: Array,
        h: float,
        guarded: bool,
        weights: Array | None = None,
    ) -> None:
        self.params, self.activation, self.X, self.labels, self.h = params, activation, X, labels, h
        self.guarded, self.weights = guarded, weights
        self.D = params["W2"] - params["W2"][:, :1]  # a shift of all logits changes no loss, but costs digits
        d, (m, k) = X.shape[1], self.D.shape
        self.G1, self.G2 = np.empty((d + 1, m)), np.zeros((m + 1, k))  # the last rows belong to the biases
        self.beside1: Array | None = None  # Σ ΔL(up) − ΔL(down) that the series does not give, shape of G1.T
        self.beside2: Array | None = None  # the same for G2
        self.outliers: tuple[Array, Array, Array] | None = None  # features, samples and values
        self.fallbacks = Fallbacks()

    def gradient(self, workspace: Workspace) -> dict[str, Array]:
        """Return the gradient; that of W1 is (Xᵀ A + (h/T)² (X³)ᵀ B) / n T."""
        h, (n, d), (m, k) = self.h, self.X.shape, self.D.shape
        self.fallbacks, self.tally = workspace.fallbacks, workspace.tally
        self.fallbacks.samples += n
        of: _Samples = workspace.get(_Samples, n, d, m, k)
        np.dot(self.X, self.params["W1"], out=of.A)
        of.A += self.params["b1"]
        np.copyto(of.X[:, :-1], self.X, "same_kind")
        np.multiply(of.X, of.X, out=of.X3)
        np.maximum.reduce(of.X3, axis=1, out=of.squares)
        of.X3 *= of.X
        self.reach = h * float(np.maximum.reduce(of.squares)) ** 0.5  # the farthest that a weight of W1 moves a
        if self.guarded and not self.reach <= WINDOW:
            self._set_outliers_aside(of)
        np.copyto(of.powers[0], self.D.T, "same_kind")
        np.multiply(of.powers[0], of.powers[0], out=of.powers[1])
        self.spread = 2 * float(np.maximum.reduce(of.powers[1], axis=None)) ** 0.5
        np.multiply(of.powers[0], of.powers[1], out=of.powers[2])
        of.powers[2] *= THIRD
        for rows in blocks(n, BLOCK_VALUES // m):
            self._block(rows, of, workspace.get(_Pairs, rows.stop - rows.start, m, k))
        G1, G2 = self.G1, self.G2
        np.dot(self.X.T, of.A, out=G1[:-1])
        np.dot(of.ones, of.A, out=G1[-1])
        of.B *= h * h / (2 * WINDOW**3 * n)
        for features in blocks(d + 1, 8 * BLOCK_VALUES // m):
            G1[features] += np.dot(of.X3[:, features].T, of.B)
        G2 /= n
        if self.beside1 is not None:
            G1 += self.beside1.T / (2 * h * n)
        if self.beside2 is not None:
            G2 += self.beside2 / (2 * h * n)
        return {"W1": G1[:-1], "b1": G1[-1], "W2": G2[:-1], "b2": G2[-1]}

    def _set_outliers_aside(self, of: _Samples) -> None:
        """Set the x that move a beyond the window to 0: their moves are measured one by one."""
        farthest = WINDOW / self.h
        suspects = np.flatnonzero(~(of.squares <= (1 - 1e-6) * farthest**2))  # they are rounded to float32
        rows, features = np.nonzero(np.abs(self.X[suspects]) > farthest)
        by_feature = features.argsort(kind="stable")
        features, samples = features[by_feature], suspects[rows[by_feature]]
        self.outliers = features, samples, self.X[samples, features]
        self.X = self.X.copy()
        self.X[samples, features] = of.X3[samples, features] = 0.0
        of.squares[samples] = farthest**2  # at most
        self.reach = WINDOW

    def _block(self, rows: slice, of: _Samples, at: _Pairs) -> None:
        """Put A and B of the samples `rows` into place, and add to the gradient of the output layer."""
        labels, a, B = self.labels[rows], of.A[rows], of.B[rows]
        weights = None if self.weights is None else self.weights[rows, None]
        values = self.activation(np.add(a, SHIFTS, out=at.shifted), out=at.shifted)
        values = np.ascontiguousarray(values, dtype=np.float64)
        at.a, at.z = a, values[0]
        np.dot(FIT, values.reshape(5, -1), out=at.C)
        np.copyto(at.flat_c, at.C, "same_kind")
        unfit = self._unfit(at, of.squares[rows]) if self.guarded else None
        self._errors(at, labels, weights)
        np.copyto(at.z1[:, :-1], at.z, "same_kind")
        np.multiply(at.z1, at.z1, out=at.z3)
        self._third_order(at, labels, of.powers, B)
        if weights is not None:
            at.e *= weights.T
            B *= weights
        faint = self.guarded and not np.dot(at.flat_e32, at.flat_e32) > FAINT**2
        most = STEEP**4 * (len(a) if weights is None else 1)  # no mean: one sample may outweigh all others
        if faint or (self.guarded and not self.h**4 * np.dot(at.flat_z3, at.flat_z3) <= most):
            if self.beside2 is None:
                self.beside2 = np.zeros_like(self.G2)
            self.fallbacks.outputs += len(a)
            exact.add_output_layer(self.beside2, self._forward(rows, at, np.arange(len(a)))[0], self.h)
        else:
            self._output_layer(at, weights)
        at.e *= 1 / (WINDOW * len(self.X))
        np.dot(at.e.T, self.D.T, out=at.lin)
        if faint:
            unfit = np.arange(a.size)
        if unfit is not None:
            self._measure_pairs(rows, at, unfit)
            at.C[0][unfit] = B.reshape(-1)[unfit] = 0.0
        if self.outliers is not None:
            self._measure_outliers(rows, at, self.outliers)
        np.multiply(at.lin, at.slopes, out=a)

    def _unfit(self, at: _Pairs, squares: Array) -> Array | None:
        """Return the pairs that the series does not fit, as flat indices, or None.

        All are judged together by the mean slope of the block. A mean says nothing of one sample that
        outweighs all others: with weights, and in doubt, each pair is judged by its own slope.
        """
        if not self.spread <= MAX_SPREAD:
            return np.arange(at.lin.size)
        c1, _, c3, c4 = at.flat_c
        slopes2, swing = float(np.dot(c1, c1)), self.reach * self.spread / WINDOW  # of the logits, for a slope of 1
        steep = not slopes2**0.5 * swing <= STEEP and not _largest(c1) * swing <= STEEP
        slope = (slopes2 / c1.size) ** 0.5
        if self.weights is not None:
            slope = np.abs(c1)
        elif not steep and np.dot(c3, c3) <= ROUGH_3**2 * slopes2 and _largest(c4) <= ROUGH_4 * slope:
            return None
        fits = np.abs(c3) <= ROUGH_3 * slope
        fits &= np.abs(c4) <= ROUGH_4 * slope
        reach = np.sqrt(squares, dtype=np.float64) * (self.h * (1 + 1e-6))  # they are rounded to float32
        if len(doubtful := np.flatnonzero(~fits)):
            self.fallbacks.closer += len(doubtful)
            fits[doubtful] = self._look_closer(at, doubtful, reach[doubtful // at.lin.shape[1]])
        if steep:
            fits &= (reach[:, None] * np.abs(at.slopes) * np.ptp(self.D, axis=1) <= STEEP * WINDOW).ravel()
        unfit = np.flatnonzero(~fits)
        return unfit if len(unfit) else None

    def _look_closer(self, at: _Pairs, pairs: Array, reach: Array) -> Array:
        """Expand the activation of these pairs in a window as wide as their own moves; return where that fits."""
        a = at.a.take(pairs)
        values = np.asarray(self.activation(a + NODES * reach), dtype=np.float64)
        C = FIT @ values
        c1, _, c3, c4 = np.abs(C)
        rounding = ROUNDING * (np.abs(values[0]) + np.abs(a) * c1 / reach)
        at.C[:, pairs] = at.flat_c[:, pairs] = C * (WINDOW / reach) ** POWERS
        return np.asarray((c3 <= ROUGH_3 * c1 + rounding) & (c4 <= ROUGH_4 * c1 + rounding))

    def _measure_pairs(self, rows: slice, at: _Pairs, pairs: Array) -> None:
        """Add what the weights of these pairs (sample, unit) do to the loss, all features of each."""
        samples, units = np.divmod(pairs, at.lin.shape[1])
        by_unit = units.argsort(kind="stable")
        self.fallbacks.measured += len(pairs)
        samples, units, X, total = samples[by_unit], units[by_unit], self.X[rows], self._beside1()
        for some in blocks(len(pairs), MOVED_VALUES // total.shape[1]):
            s, j = samples[some], units[some]
            shift = np.empty((len(s), total.shape[1]))
            np.multiply(X[s], self.h, out=shift[:, :-1])
            shift[:, -1] = self.h
            change, far = self._measured(rows, at, (s[:, None], j[:, None]), shift)
            exact.add_rows(total, change, j)
            if len(far):
                self.fallbacks.exact += len(far)
                seen, s = self._forward(rows, at, s[far])
                exact.add_pairs(total.T, seen, self.activation, self.h, s, j[far])

    def _measure_outliers(self, rows: slice, at: _Pairs, outliers: tuple[Array, Array, Array]) -> None:
        """Add what the weights of these entries (feature, sample) of X do to the loss, all units of each."""
        here = (outliers[1] >= rows.start) & (outliers[1] < rows.stop)
        features, samples, x = (part[here] for part in outliers)
        total = self._beside1()
        self.fallbacks.outliers += len(x)
        for some in blocks(len(x), MOVED_VALUES // len(total)):
            i, s, shift = features[some], samples[some] - rows.start, self.h * x[some, None]
            change, far = self._measured(rows, at, (s,), shift)
            exact.add_rows(total.T, change, i)
            if len(far):
                self.fallbacks.exact_outliers += len(far)
                seen, s = self._forward(rows, at, s[far])
                exact.add_entries(total.T, seen, self.activation, i[far], s, shift[far])

    def _measured(self, rows: slice, at: _Pairs, where: tuple[Any, ...], shift: Array) -> tuple[Array, Array]:
        """Return s (κ1 + κ2 u/2 + κ3 (3 u² + s²)/24), s and u difference and sum of the moves of z by ± shift.

        Returns also the rows that move the logits too far for that; they are set to 0.
        """
        a, z, κ1 = at.a[where], at.z[where], at.lin[where] * (WINDOW * len(self.X))
        κ2, κ3 = at.moments[(slice(1, None), *where)] * HALF  # moments[2] is κ3 / 3
        if self.weights is not None:
            weight = self.weights[rows][where[0]].reshape(-1, 1)
            κ2, κ3 = κ2 * weight, κ3 * weight
        moves = a + UP_DOWN * shift
        moves = self.activation(moves, out=moves)
        moves -= z
        change = moves * κ3
        change += κ2
        change *= moves
        change += κ1
        change *= moves
        change, far = change[0] - change[1], np.empty(0, np.intp)
        largest = _largest(moves) * self.spread
        in_doubt = not self.spread <= MAX_SPREAD  # the moments may be nan
        in_doubt |= _too_far(largest, 2 * largest) and _too_far(largest, _largest(moves[0] + moves[1]) * self.spread)
        if in_doubt:
            R = np.ptp(self.D, axis=1)[where[1:]]
            bad = _too_far(np.abs(moves).max(axis=0) * R, np.abs(moves[0] + moves[1]) * R)
            far = np.flatnonzero((bad | ~np.isfinite(change)).any(axis=1))
            change[far] = 0.0
        return change, far

    def _beside1(self) -> Array:
        if self.beside1 is None:
            self.beside1 = np.zeros(self.G1.shape[::-1])
        return self.beside1

    def _forward(self, rows: slice, at: _Pairs, samples: Array) -> tuple[exact.Forward, Array]:
        """Return what the exact formula needs of these samples of a block, and where each of them is in it."""
        kept, index = np.unique(samples, return_inverse=True)
        weights = None if self.weights is None else self.weights[rows][kept]
        X, labels = self.X[rows][kept], self.labels[rows][kept]
        return exact.seen_from_largest(self.params, X, labels, at.a[kept], at.z[kept], weights), index

    def _errors(self, at: _Pairs, labels: Array, weights: Array | None = None) -> None:
        """Put p − Y into place, shape (n_classes, n), with 1 − p of the label summed, not subtracted."""
        e, own = at.e, labels * len(labels) + at.rows
        np.dot(self.params["W2"].T, at.z.T, out=e)
        e += self.params["b2"][:, None]
        e -= np.maximum.reduce(e)
        below = at.flat_e[own] if self.tally else None  # the most probable class
        np.exp(e, out=e)
        total = np.add.reduce(e)
        e /= total
        if self.tally and below is not None:
            self.tally.add(np.log(total) - below, below == 0.0, weights)
        at.flat_e[own] = 0.0
        at.flat_e[own] = -np.add.reduce(e)
        np.copyto(at.e32, e, "same_kind")

    def _output_layer(self, at: _Pairs, weights: Array | None = None) -> None:
        """Add zᵀ e + h²/6 (z³)ᵀ q to G2, q = e (1 − |e|) (1 − 2 |e|), each sample by its weight, as e already is."""
        q, r = at.q, at.r
        np.abs(at.e32, out=q)
        np.subtract(1.0, q, out=r)
        np.subtract(r, q, out=q)
        q *= r
        q *= at.e32
        q *= self.h * self.h / 6
        if weights is not None:
            q *= weights.T
        at.z3 *= at.z1
        self.G2 += np.dot(at.z3.T, q.T)
        self.G2[:-1] += np.dot(at.z.T, at.e.T)
        self.G2[-1] += np.dot(at.e, at.ones)

    def _third_order(self, at: _Pairs, labels: Array, powers: Array, B: Array) -> None:
        """Put 2 B = 2 c3 κ1 + c1 (2 c2 κ2 + c1² κ3 / 3), in units of T⁻³, into place.

        The cumulants κ come from the moments μ about the label's w, so that they keep their digits
        where p is nearly one-hot. With E_r = Σ_k e_k W2[j, k]^r:
        μ1 = E1, μ2 = E2 − 2 w E1, μ3 = E3 − 3 w (E2 − w E1), κ2 = μ2 − μ1², κ3 = μ3 − μ1 (3 κ2 + μ1²).
        """
        np.matmul(at.e32.T, powers, out=at.moments)
        (c1, c2, c3, _), (μ1, κ2, κ3) = at.each_c, at.each_moment  # κ3 is κ3 / 3 throughout
        w, t = powers[0].take(labels, axis=0, out=at.w, mode="clip"), at.t
        np.multiply(w, μ1, out=t)
        κ2 -= t
        w *= κ2
        κ3 -= w
        κ2 -= t
        np.multiply(μ1, μ1, out=t)
        κ2 -= t
        t *= THIRD
        t += κ2
        t *= μ1
        κ3 -= t
        np.multiply(c1, c1, out=t)
        np.multiply(κ2, c2, out=B)
        t *= κ3
        B += t
        B *= c1
        np.multiply(c3, μ1, out=t)
        B += t
