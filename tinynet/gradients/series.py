"""The central-difference gradient of the two-layer network: two matrix products for all weights at once.

Moves at kinks and of outliers are measured; exact.py forms the rest. docs/fast_gradient.md derives the bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.activations import Activation
from tinynet.gradients import exact
from tinynet.gradients.exact import blocks
from tinynet.gradients.workspace import PairArrays, SampleArrays, Workspace

Array = npt.NDArray[Any]

WINDOW = 5 * 2.0**-12  # W: how far the series reaches
NARROWEST = WINDOW / 8  # T, how far from a the activation is measured, is as far as the moves go, but no less
NODES = np.array([0.0, 1.0, -1.0, 0.5, -0.5])[:, None, None]  # where it is measured, in units of T
# The polynomial through the values at a + T NODES. The rows take these to c1 T, 2 c2 T², 2 c3 T³ and 8 c4 T⁴ / W.
FIT = np.array([[0, -1, 1, 8, -8], [-60, -2, -2, 32, 32], [0, 8, -8, -16, 16], [24, 4, 4, -16, -16]]) / 6
FIT[3] *= 8 / WINDOW
ROUGH = 8 * WINDOW**2  # what the last two may be, in units of c1 T
ROUNDING = 8 * float(np.finfo(np.float64).eps) * np.array([[1.0], [8 / WINDOW]])  # of these, in units of the values
UP_DOWN = np.array([1.0, -1.0])[:, None, None]
STEEP = 1e-2  # how far the move of one weight may shift a logit
LOPSIDED = 3.6e-9  # what |u| max(δ₊, δ₋)² R³ may be: how far the moves up and down may differ in size
MAX_SPREAD = 1e6  # between two weights of a unit, so that float32 has room for their cubes
FAINT = 1e-18  # p − Y below this has no cube in float32
THIRD = np.array(1 / 3, np.float32)

ROW_VALUES = 2**21  # values an array over a block of samples may hold: 16 MB
BLOCK_VALUES = 2**14  # values an array over a block of pairs may hold, to stay in cache
MOVED_VALUES = 2**14  # the same for measured moves
MAX_PENDING = 2**18  # pairs that are kept to be measured together: 12 MB


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
            of_rows = None if weights is None else weights[rows]
            series = _Series(params, activation, X[rows], labels[rows], h, method == "auto", of_rows)
            part = series.gradient(workspace)
        if rows.stop - rows.start == len(X):
            return part
        for key, gradient in part.items():
            total[key] = total.get(key, 0.0) + gradient * ((rows.stop - rows.start) / len(X))
    return total


def _largest(values: Array) -> float:
    """Return max |values|, nan where one is nan."""
    return max(float(np.maximum.reduce(values, axis=None)), -float(np.minimum.reduce(values, axis=None)))


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
        self.params, self.activation, self.given, self.labels, self.h = params, activation, X, labels, h
        self.X, self.guarded, self.weights, self.scale = X, guarded, weights, 1 / (2 * h * len(X))
        self.faint = False  # whether a block's p − Y are too small for its cumulants
        self.measured_gradient: Array | None = None  # of W1 and b1: what measured moves are added to
        self.outliers: tuple[Array, Array] | None = None  # features and samples
        self.pending_pairs: list[tuple[Array, Array]] = []  # pairs to be measured, and what is needed for that

    def gradient(self, workspace: Workspace) -> dict[str, Array]:
        """Return the gradient; that of W1 is (Xᵀ A + (h/T)² (X³)ᵀ B) / n T."""
        h, (n, d), (m, k) = self.h, self.X.shape, self.params["W2"].shape
        self.fallbacks, self.tally = workspace.fallbacks, workspace.tally
        self.fallbacks.gradients += 1
        self.fallbacks.samples += n
        of: SampleArrays = workspace.get(SampleArrays, n, d, m, k)
        np.dot(self.X, self.params["W1"], out=of.A)
        of.A += self.params["b1"]
        np.copyto(of.X[:, :-1], self.X, "same_kind")
        np.multiply(of.X, of.X, out=of.X3)
        self.reach = h * float(np.maximum.reduce(of.X3, axis=None)) ** 0.5  # the farthest that a weight of W1 moves a
        if self.guarded and not self.reach <= WINDOW:
            self._set_outliers_aside(of)
        of.X3 *= of.X
        self.T = max(NARROWEST, min(self.reach * (1 + 1e-6), WINDOW))  # 1e-6: reach is rounded
        # Less one class's weights: a shift of all logits changes no loss, but costs digits.
        self.D = np.subtract(self.params["W2"].T, self.params["W2"][:, 0], out=of.D)
        np.copyto(of.powers[0], self.D, "same_kind")
        np.multiply(of.powers[0], of.powers[0], out=of.powers[1])
        self.spread = 2 * float(np.maximum.reduce(of.powers[1], axis=None)) ** 0.5
        np.multiply(of.powers[0], of.powers[1], out=of.powers[2])
        of.powers[2] *= THIRD
        self.G1, self.G2 = G1, G2 = np.empty((d + 1, m)), np.zeros((m + 1, k))  # the last rows belong to the biases
        for rows in blocks(n, BLOCK_VALUES // m):
            self._block(rows, of, workspace.get(PairArrays, rows.stop - rows.start, m, k))
        np.dot(self.X.T, of.A, out=G1[:-1])
        np.dot(of.ones, of.A, out=G1[-1])
        of.B *= h * h / (2 * self.T**3 * n)
        for features in blocks(d + 1, len(of.part)):
            part = of.part[: features.stop - features.start]
            G1[features] += np.dot(of.X3[:, features].T, of.B, out=part)
        G2 /= n
        if self.measured_gradient is not None:
            G1 += self.measured_gradient
        if self.pending_pairs:
            self.measured_gradient = G1
            self._measure_pairs()
        return {"W1": G1[:-1], "b1": G1[-1], "W2": G2[:-1], "b2": G2[-1]}

    def _set_outliers_aside(self, of: SampleArrays) -> None:
        """Set the x that move a beyond the window to 0: their moves are measured one by one."""
        farthest = WINDOW / self.h
        near = of.X3[:, :-1] <= np.float32((1 - 1e-6) * farthest * farthest)  # they are rounded; b1 moves a by h alone
        samples, features = np.divmod(np.flatnonzero(~near), near.shape[1])
        by_feature = features.argsort(kind="stable")
        self.outliers = features, samples = features[by_feature], samples[by_feature]
        self.X = self.X.copy()
        self.X[samples, features] = of.X[samples, features] = of.X3[samples, features] = 0.0
        self.reach = WINDOW

    def _block(self, rows: slice, of: SampleArrays, at: PairArrays) -> None:
        """Put A and B of the samples `rows` into place, and add to the gradient of the output layer."""
        labels, a, B = self.labels[rows], of.A[rows], of.B[rows]
        weights = None if self.weights is None else self.weights[rows, None]
        values = self.activation(np.add(a, self.T * NODES, out=at.shifted), out=at.shifted)
        values = np.ascontiguousarray(values, dtype=np.float64)
        at.a, at.z = a, values[0]
        np.matmul(FIT, values.reshape(5, -1), out=at.C)
        np.copyto(at.c, at.each_C, "same_kind")
        unfit = self._unfit(rows, at) if self.guarded else None
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
            self.fallbacks.outputs += len(a)
            seen, _ = self._forward(np.arange(rows.start, rows.stop), 1 / (2 * self.h))
            exact.add_output_layer(self.G2, seen, self.h)
        else:
            self._output_layer(at, weights)
        at.e *= 1 / (self.T * len(self.X))
        np.dot(at.e.T, self.D, out=at.lin)
        if faint:  # neither have the cumulants any digits: all of it is exact
            unfit, self.faint, at.moments[1:] = np.arange(a.size), True, np.nan
        if unfit is not None:
            tables, (s, j) = at.tables(unfit), np.divmod(unfit, a.shape[1])
            W, scale = self.D[:, j] - self.D[labels[s], j], self.T * len(self.X)
            n_T = scale if weights is None else scale / weights[s, 0]
            tables[3] = np.add.reduce(at.e[:, s] * W * W) * n_T - (tables[2] * n_T) ** 2  # κ2 in full: jumps are large
            self.pending_pairs.append((unfit + rows.start * a.shape[1], tables))
            if sum(len(pairs) for pairs, _ in self.pending_pairs) > MAX_PENDING:
                self._measure_pairs()
            at.C[0][unfit] = B.reshape(-1)[unfit] = 0.0
        if self.outliers is not None:
            self._measure_outliers(rows, at, *self.outliers)
        np.multiply(at.lin, at.slopes, out=a)

    def _unfit(self, rows: slice, at: PairArrays) -> Array | None:
        """Return the pairs that the series does not fit, as flat indices, or None.

        All are judged together by the mean slope of the block, and in doubt one by one. A mean says nothing
        of one sample that outweighs all others: with weights, each pair is judged by its own slope.
        """
        if not self.spread <= MAX_SPREAD:
            return np.arange(at.lin.size)
        c1, rough, size = at.flat_c1, at.rough, at.size
        slopes2, swing = float(np.dot(c1, c1)), self.reach * self.spread / self.T  # of logits, for a slope of 1
        steep = not slopes2**0.5 * swing <= STEEP and not _largest(c1) * swing <= STEEP
        limit: Any = ROUGH * (slopes2 / c1.size) ** 0.5
        if self.weights is not None:
            limit = ROUGH * np.abs(c1)
        elif not steep and np.dot(at.flat_rough, at.flat_rough) <= limit**2:
            return None
        np.abs(rough, out=size)
        unfit = np.empty(0, np.intp)
        if self.weights is not None or not np.maximum.reduce(size, axis=None) <= limit:
            unfit = np.flatnonzero(np.logical_not(np.maximum(size[0], size[1], out=size[0]) <= limit))
        if len(unfit) > c1.size // 256:  # many: do they differ by more than rounding?
            values = np.abs(at.z.take(unfit)) + np.abs(at.a.take(unfit) * c1[unfit]) / self.T
            limit = ROUNDING * values + (limit if self.weights is None else limit[unfit])
            unfit = unfit[~(np.abs(rough[:, unfit]) <= limit).all(axis=0)]
        if steep:
            reach = self.h * np.abs(self.X[rows]).max(axis=1, keepdims=True).clip(1.0)
            far = ~(reach * np.abs(at.slopes) * np.ptp(self.D, axis=0) <= STEEP * self.T)
            unfit = np.union1d(unfit, np.flatnonzero(far))
        return unfit if len(unfit) else None

    def _measure_pairs(self) -> None:
        """Add what the weights of the pairs (sample, unit) set aside do to the loss, all features of each."""
        pairs, tables = self.pending_pairs[0]
        if len(self.pending_pairs) > 1:
            pairs, tables = (np.concatenate(parts, axis=-1) for parts in zip(*self.pending_pairs, strict=True))
        if len(pairs) >= exact.FEW_ROWS:
            by_unit = (pairs % self.D.shape[1]).argsort(kind="stable")
            pairs, tables = pairs[by_unit], tables[:, by_unit]
        self.pending_pairs, total = [], self._so_far_measured().T
        self.fallbacks.measured += len(pairs)
        (samples, units), far = np.divmod(pairs, len(total)), []
        for some in blocks(len(pairs), MOVED_VALUES // total.shape[1]):
            s, j = samples[some], units[some]
            shift = np.full((len(s), total.shape[1]), self.h)
            shift[:, :-1] *= self.X.take(s, axis=0)
            change, beyond = self._measured(s, j[:, None], shift, tables[:, some, None])
            exact.add_rows(total, change, j)
            far.append(beyond + some.start)
        if len(left := np.concatenate(far)):
            self.fallbacks.exact += len(left)
            seen, s = self._forward(samples[left], self.scale)
            exact.add_pairs(total.T, seen, self.activation, self.h, s, units[left])

    def _measure_outliers(self, rows: slice, at: PairArrays, features: Array, samples: Array) -> None:
        """Add what the weights of these entries (feature, sample) of X do to the loss, all units of each."""
        total = self._so_far_measured()
        if len(at.lin) < len(self.X):
            here = (samples >= rows.start) & (samples < rows.stop)
            features, samples = features[here], samples[here]
        self.fallbacks.outliers += len(samples)
        far = [np.empty(0, np.intp)]
        for some in blocks(len(samples), MOVED_VALUES // total.shape[1]):
            s = samples[some]
            tables = at.tables(s - rows.start, axis=0)
            change, beyond = self._measured(s, slice(None), self.h * self.given[s, features[some], None], tables)
            exact.add_rows(total, change, features[some])
            far.append(beyond + some.start)
        if len(left := np.concatenate(far)):
            self.fallbacks.exact_outliers += len(left)
            i, (seen, s) = features[left], self._forward(samples[left], self.scale)
            exact.add_entries(total, seen, self.activation, i, s, self.h * self.given[samples[left], i, None])

    def _measured(self, samples: Array, units: Any, shift: Array, tables: Array) -> tuple[Array, Array]:
        """Return s (κ1 + κ2 u/2 + κ3 (3 u² + s²)/24) / 2 h n, s and u difference and sum of the moves of z by ± shift.

        Returns also the rows that move the logits too far for that; they are set to 0. `tables` are from `PairArrays`.
        """
        a, z, κ1, κ2, κ3 = tables
        moves = a + UP_DOWN * shift
        moves = self.activation(moves, out=moves) - z  # what a function of the user's returns may be read-only
        half = 0.5 if self.weights is None else 0.5 * self.weights[samples, None]
        change = moves * (κ3 * half)
        change += κ2 * half
        change *= moves
        change += κ1 * (self.T * len(self.X))
        change *= moves
        change, far = change[0] - change[1], np.empty(0, np.intp)
        change *= self.scale
        tilt = moves[0] + moves[1]
        largest, lopsided = (float(np.dot(u, u)) ** 0.5 * self.spread for u in (moves.ravel(), tilt.ravel()))  # at most
        if not (largest <= STEEP and lopsided * (largest * largest) <= LOPSIDED):
            largest, lopsided = _largest(moves) * self.spread, _largest(tilt) * self.spread
        is_near = largest <= STEEP and lopsided * (largest * largest) <= LOPSIDED
        if self.faint or not (is_near and self.spread <= MAX_SPREAD):
            R, asymmetry = np.ptp(self.D, axis=0)[units], np.abs(tilt)
            move = np.abs(moves, out=moves).max(axis=0) * R
            near = (move <= STEEP) & (asymmetry * R * move**2 <= LOPSIDED)
            far = np.flatnonzero(~(near & np.isfinite(change)).all(axis=1))  # the moments may be nan
            change[far] = 0.0
        return change, far

    def _so_far_measured(self) -> Array:
        if self.measured_gradient is None:
            self.measured_gradient = np.zeros_like(self.G1)
        return self.measured_gradient

    def _forward(self, samples: Array, scale: float) -> tuple[exact.Forward, Array]:
        """Return what the exact formula needs of these samples to give `scale` ΔL, and where each of them is in it."""
        kept, index = np.unique(samples, return_inverse=True)
        weights = np.full(len(kept), scale) if self.weights is None else self.weights[kept] * scale
        a = self.given[kept] @ self.params["W1"] + self.params["b1"]
        z = self.activation(a)
        return exact.seen_from_largest(self.params, self.X[kept], self.labels[kept], a, z, weights), index

    def _errors(self, at: PairArrays, labels: Array, weights: Array | None = None) -> None:
        """Put p − Y into place, shape (n_classes, n), with 1 − p of the label summed, not subtracted."""
        e, flat_e, places = at.e, at.flat_e, np.multiply(labels, len(labels), out=at.places)  # of the labels in e
        places += at.rows
        np.dot(self.params["W2"].T, at.z.T, out=e)
        e += self.params["b2"][:, None]
        e -= np.maximum.reduce(e)
        below = flat_e[places] if self.tally else None  # the label's logit below the largest: 0 where the label wins
        np.exp(e, out=e)
        of_label = flat_e[places]
        flat_e[places] = 0.0
        others = np.dot(at.classes, e)
        flat_e[places] = -others
        others += of_label
        e /= others
        if self.tally and below is not None:
            self.tally.add(np.log(others) - below, below == 0.0, weights)
        np.copyto(at.e32, e, "same_kind")

    def _output_layer(self, at: PairArrays, weights: Array | None = None) -> None:
        """Add zᵀ e + h²/6 (z³)ᵀ q to G2, q = e (1 − |e|) (1 − 2 |e|), each sample by its weight, as e already is."""
        q = np.abs(at.e32, out=at.q)
        q -= 0.75
        q *= q
        q -= 0.0625  # (1 − |e|) (1 − 2 |e|) / 2
        q *= at.e32
        q *= self.h * self.h / 3
        if weights is not None:
            q *= weights.T
        at.z3 *= at.z1
        self.G2 += np.dot(at.z3.T, q.T)
        self.G2[:-1] += np.dot(at.z.T, at.e.T)
        self.G2[-1] += np.dot(at.e, at.ones)

    def _third_order(self, at: PairArrays, labels: Array, powers: Array, B: Array) -> None:
        """Put 2 B = 2 c3 κ1 + c1 (2 c2 κ2 + c1² κ3 / 3), in units of T⁻³, into place.

        The cumulants κ come from the moments μ about the label's w, so that they keep their digits
        where p is nearly one-hot. With E_r = Σ_k e_k W2[j, k]^r:
        μ1 = E1, μ2 = E2 − 2 w E1, μ3 = E3 − 3 w (E2 − w E1), κ2 = μ2 − μ1², κ3 = μ3 − μ1 (3 κ2 + μ1²).
        """
        np.matmul(at.e32.T, powers, out=at.moments)
        (c1, c2, c3, _), (μ1, κ2, κ3), (w, t) = at.each_c, at.each_moment, at.each_work  # κ3 is κ3 / 3 throughout
        powers[0].take(labels, axis=0, out=w, mode="clip")
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
