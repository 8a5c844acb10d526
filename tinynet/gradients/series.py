"""The central-difference gradient of the two-layer network, by two matrix products and a few passes.

A series serves all weights at once; ``exact.py`` serves, pair by pair, what no series can.
docs/fast_gradient.md derives both, and the bounds that decide between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.activations import Activation
from tinynet.gradients import exact
from tinynet.gradients.exact import blocks

Array = npt.NDArray[Any]

WINDOW = 5 * 2.0**-12  # T: how far from a the activation is measured, and how far the series reaches
SHIFTS = WINDOW * np.array([0.0, 1.0, -1.0, 0.5, -0.5])[:, None, None]
# The polynomial through the values at a + SHIFTS: from these to c1 T, 2 c2 T², 2 c3 T³ and c4 T⁴.
FIT = np.array([[0, -1, 1, 8, -8], [-60, -2, -2, 32, 32], [0, 8, -8, -16, 16], [24, 4, 4, -16, -16]]) / 6
ROUGH_3, ROUGH_4 = 8 * WINDOW**2, WINDOW**3  # what 2 c3 T³ and c4 T⁴ may be, in units of c1 T
STEEP = 1e-2  # how far the move of one weight may shift a logit
FAINT = 1e-18  # p − Y below this has no cube in float32
THIRD = np.float32(1 / 3)
ROUNDING = 8 * float(np.finfo(np.float64).eps)  # of the polynomial, in units of the values

ROW_VALUES = 2**21  # values an array over a block of samples may hold: 16 MB
BLOCK_VALUES = 2**15  # values an array over a block of pairs may hold, to stay in cache


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


class Workspace:
    """The arrays that a gradient works in, kept for the last few shapes."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], Any] = {}

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


class _Pairs:
    """Arrays over the pairs (sample, unit) of a block of samples; the last z is 1 and belongs to b2."""

    def __init__(self, n: int, m: int, k: int) -> None:
        # the values at a + SHIFTS, the rows of FIT times these, κ1; C and the moments in float32; w and room to work
        self.shifted, self.C, self.lin = np.empty((5, n, m)), np.empty((4, n * m)), np.empty((n, m))
        self.c, self.moments = np.empty((3, n, m), np.float32), np.empty((3, n, m), np.float32)
        self.w, self.t = np.empty((2, n, m), np.float32)
        # e = p − Y and q of `_output_layer`; z and z³ in float32
        self.e, self.e32, self.q, self.r = np.empty((k, n)), *np.empty((3, k, n), np.float32)
        self.z, self.z3 = np.ones((n, m + 1), np.float32), np.empty((n, m + 1), np.float32)
        self.rows, self.ones = np.arange(n), np.ones(n)
        self.slopes, self.flat_c = self.C[0].reshape(n, m), self.c.reshape(3, -1)  # views, which take time to make
        self.each_c, self.each_moment = tuple(self.c), tuple(self.moments)
        self.flat_t, self.flat_z3 = self.t.ravel(), self.z3.ravel()
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
        self.exact1: Array | None = None  # what the exact formula adds to G1 and G2, in units of the loss
        self.exact2: Array | None = None

    def gradient(self, workspace: Workspace) -> dict[str, Array]:
        """Return the gradient; that of W1 is (Xᵀ A + (h/T)² (X³)ᵀ B) / n T."""
        X, h, (n, d), (m, k) = self.X, self.h, self.X.shape, self.D.shape
        of: _Samples = workspace.get(_Samples, n, d, m, k)
        np.dot(X, self.params["W1"], out=of.A)
        of.A += self.params["b1"]
        np.copyto(of.X[:, :-1], X, "same_kind")
        np.multiply(of.X, of.X, out=of.X3)
        self.reach = h * float(np.maximum.reduce(of.X3, axis=None)) ** 0.5
        of.X3 *= of.X
        np.copyto(of.powers[0], self.D.T, "same_kind")
        np.multiply(of.powers[0], of.powers[0], out=of.powers[1])
        self.spread = 2 * float(np.maximum.reduce(of.powers[1], axis=None)) ** 0.5
        np.multiply(of.powers[1], of.powers[0] * THIRD, out=of.powers[2])
        for rows in blocks(n, BLOCK_VALUES // m):
            self._block(rows, of, workspace.get(_Pairs, rows.stop - rows.start, m, k))
        if self.reach > WINDOW:
            of.X3[h * np.abs(X).max(axis=1) > WINDOW] = 0.0  # their B is 0, but X³ may be inf
        G1, G2 = self.G1, self.G2
        np.dot(X.T, of.A, out=G1[:-1])
        np.dot(of.ones, of.A, out=G1[-1])
        of.B *= h * h / (2 * WINDOW**3 * n)
        for features in blocks(d + 1, 8 * BLOCK_VALUES // m):
            G1[features] += np.dot(of.X3[:, features].T, of.B)
        G2 /= n
        if self.exact1 is not None:
            G1 += self.exact1 / (2 * h * n)
        if self.exact2 is not None:
            G2 += self.exact2 / (2 * h * n)
        return {"W1": G1[:-1], "b1": G1[-1], "W2": G2[:-1], "b2": G2[-1]}

    def _block(self, rows: slice, of: _Samples, at: _Pairs) -> None:
        """Put A and B of the samples `rows` into place, and add to the gradient of the output layer."""
        labels, a, B = self.labels[rows], of.A[rows], of.B[rows]
        values = self.activation(np.add(a, SHIFTS, out=at.shifted), out=at.shifted)
        values = np.ascontiguousarray(values, dtype=np.float64)
        z, C = values[0], np.dot(FIT, values.reshape(5, -1), out=at.C)
        self._errors(at, z, labels)
        np.copyto(at.z[:, :-1], z, "same_kind")
        np.multiply(at.z, at.z, out=at.z3)
        weights = None if self.weights is None else self.weights[rows]
        if weights is not None:
            at.e *= weights
        faint = self.guarded and not np.dot(at.flat_e32, at.flat_e32) > FAINT**2
        most = STEEP**4 * (len(a) if weights is None else 1)  # no mean: one sample may outweigh all others
        if faint or (self.guarded and not self.h**4 * np.dot(at.flat_z3, at.flat_z3) <= most):
            if self.exact2 is None:
                self.exact2 = np.zeros_like(self.G2)
            seen = exact.seen_from_largest(self.params, self.X[rows], labels, a, z, weights)
            exact.add_output_layer(self.exact2, seen, self.h)
        else:
            self._output_layer(at, z, weights)
        slopes4 = self._third_order(at, labels, of.powers, B)
        if weights is not None:
            B *= weights[:, None]
        if faint or (self.guarded and not self._is_served(C, slopes4, len(a))):
            left = self._unserved(rows, a, z, C.reshape(4, *a.shape)) | ~np.isfinite(B) | faint
            self._leave(rows, a, z, left)
            C[0][left.ravel()] = B[left] = 0.0
        at.e *= 1 / (WINDOW * len(self.X))
        lin = np.dot(at.e.T, self.D.T, out=at.lin)
        np.multiply(lin, at.slopes, out=a)

    def _leave(self, rows: slice, a: Array, z: Array, pairs: Array) -> None:
        """Leave the marked pairs of a block to the exact formula."""
        kept = np.flatnonzero(pairs.any(axis=1))
        if not len(kept):
            return
        if self.exact1 is None:
            self.exact1 = np.zeros_like(self.G1)
        X, labels = self.X[rows][kept], self.labels[rows][kept]
        weights = None if self.weights is None else self.weights[rows][kept]
        seen = exact.seen_from_largest(self.params, X, labels, a[kept], z[kept], weights)
        if pairs.all():
            exact.add_hidden_layer(self.exact1, seen, self.activation, self.h)
            return
        units, samples = np.nonzero(pairs[kept].T)
        exact.add_pairs(self.exact1, seen, self.activation, self.h, samples, units)

    def _is_served(self, C: Array, slopes4: float, n: int) -> bool:
        """Return whether the series serves all pairs of a block, judged by the mean slope of its pairs."""
        slopes2 = float(np.dot(C[0], C[0]))
        return bool(
            self.weights is None  # a mean over samples says nothing of one that outweighs all others
            and self.reach <= WINDOW
            and self.spread <= 1e6
            and (self.reach * self.spread) ** 4 * slopes4 <= (STEEP * WINDOW) ** 4 * n
            and max(np.maximum.reduce(C[3]), -np.minimum.reduce(C[3])) <= ROUGH_4 * (slopes2 / C[0].size) ** 0.5
            and np.dot(C[2], C[2]) <= ROUGH_3**2 * slopes2
        )

    def _unserved(self, rows: slice, a: Array, z: Array, C: Array) -> Array:
        """Return the pairs that the series does not serve: X or W2 too large, or a kink or jump in the window."""
        reach = self.h * np.maximum(np.abs(self.X[rows]).max(axis=1, keepdims=True), 1.0)
        c1, _, c3, c4 = np.abs(C)
        rounding = ROUNDING * (np.abs(z) + np.abs(a) * c1 / WINDOW)
        served = (c3 <= ROUGH_3 * c1 + rounding) & (c4 <= ROUGH_4 * c1 + rounding)
        served &= (reach <= WINDOW) & (reach * c1 * (self.D.max(axis=1) - self.D.min(axis=1)) <= STEEP * WINDOW)
        return np.asarray(~served)

    def _errors(self, at: _Pairs, z: Array, labels: Array) -> None:
        """Put p − Y into place, shape (n_classes, n), with 1 − p of the label summed, not subtracted."""
        e, own = at.e, labels * len(labels) + at.rows
        np.dot(self.params["W2"].T, z.T, out=e)
        e += self.params["b2"][:, None]
        e -= np.maximum.reduce(e)
        np.exp(e, out=e)
        e /= np.add.reduce(e)
        at.flat_e[own] = 0.0
        at.flat_e[own] = -np.add.reduce(e)
        np.copyto(at.e32, e, "same_kind")

    def _output_layer(self, at: _Pairs, z: Array, weights: Array | None = None) -> None:
        """Add zᵀ e + h²/6 (z³)ᵀ q to G2, q = e (1 − |e|) (1 − 2 |e|), each sample by its weight, as e already is."""
        q, r = at.q, at.r
        np.abs(at.e32, out=q)
        np.subtract(1.0, q, out=r)
        np.subtract(r, q, out=q)
        q *= r
        q *= at.e32
        q *= self.h * self.h / 6
        if weights is not None:
            q *= weights
        at.z3 *= at.z
        self.G2 += np.dot(at.z3.T, q.T)
        self.G2[:-1] += np.dot(z.T, at.e.T)
        self.G2[-1] += np.dot(at.e, at.ones)

    def _third_order(self, at: _Pairs, labels: Array, powers: Array, B: Array) -> float:
        """Put 2 B = 2 c3 κ1 + c1 (2 c2 κ2 + c1² κ3 / 3), in units of T⁻³, into place and return Σ (c1 T)⁴.

        The cumulants κ come from the moments μ about the label's w, so that they keep their digits
        where p is nearly one-hot. With E_r = Σ_k e_k W2[j, k]^r:
        μ1 = E1, μ2 = E2 − 2 w E1, μ3 = E3 − 3 w (E2 − w E1), κ2 = μ2 − μ1², κ3 = μ3 − μ1 (3 κ2 + μ1²).
        """
        np.copyto(at.flat_c, at.C[:3], "same_kind")
        np.matmul(at.e32.T, powers, out=at.moments)
        (c1, c2, c3), (μ1, κ2, κ3) = at.each_c, at.each_moment  # κ3 is κ3 / 3 throughout
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
        slopes4 = float(np.dot(at.flat_t, at.flat_t))
        κ2 *= c2
        κ3 *= t
        κ2 += κ3
        κ2 *= c1
        c3 *= μ1
        np.add(κ2, c3, out=B)
        return slopes4
