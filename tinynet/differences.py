"""The central-difference gradient of the two-layer network, every weight's own, without a loop.

Moving one weight moves little of the network, so its loss difference is formed from that little:
no two nearly equal losses are subtracted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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


def exact_gradient(
    params: Mapping[str, Array], activation: Activation, X: Array, labels: Array, h: float
) -> dict[str, Array]:
    """Return (L(θ + h) − L(θ − h)) / 2h for every parameter θ, exact to rounding.

    Parameters
    ----------
    params : {"W1": (n_features, hidden_units), "b1", "W2": (hidden_units, n_classes), "b2"}
    activation : elementwise function of the hidden layer; only its values are used
    X : float64 array, shape (n_samples, n_features)
    labels : integer array, shape (n_samples,), values below n_classes
    h : float above 0

    Returns
    -------
    dict of arrays, keys and shapes of `params`
        In nats a sample per unit of the parameter; nan where inputs or parameters are not finite.

    Notes
    -----
    n · n_features · hidden_units activations are evaluated, twice. Arrays are made for blocks of
    samples, units and weights, so that working memory stays below 64 MB whatever the shapes.
    """
    n, (n_features, n_units), n_classes = len(X), params["W1"].shape, params["b2"].size
    W1_b1, W2_b2 = np.zeros((n_features + 1, n_units)), np.zeros((n_units + 1, n_classes))
    with np.errstate(all="ignore"):  # nan and inf are the answer where the input holds them
        for rows in _blocks(n, ROW_VALUES // max(n_features + 1, n_units + 1, n_classes)):
            at = _forward(params, activation, X[rows], labels[rows])
            _add_output_layer(W2_b2, at, h)
            _add_hidden_layer(W1_b1, at, activation, h)
        W1_b1 /= 2 * h * n
        W2_b2 /= 2 * h * n
    return {"W1": W1_b1[:-1], "b1": W1_b1[-1], "W2": W2_b2[:-1], "b2": W2_b2[-1]}


def _forward(params: Mapping[str, Array], activation: Activation, X: Array, labels: Array) -> Forward:
    a = X @ params["W1"] + params["b1"]
    z = activation(a)
    logits = z @ params["W2"] + params["b2"]
    rows, w = np.arange(len(X)), logits.argmax(axis=1)
    p = softmax(logits)
    below = logits - logits[rows, w, None]
    p[rows, w] = 0.0
    log_p = below + np.log1p(-p.sum(axis=1, keepdims=True))
    ones = np.ones((len(X), 1))
    return Forward(np.hstack([X, ones]), labels, a, np.hstack([z, ones]), log_p, p, w, params["W2"])


def _add_output_layer(total: Array, at: Forward, h: float) -> None:
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
    log_P = at.log_p.copy()
    log_P[rows, at.w] = np.log(P[rows, at.w])
    t = h * at.z
    total += 2 * (t.T @ lin)
    n_units, n_classes = total.shape
    for units in _blocks(n_units, BLOCK_VALUES // n_classes):
        for some in _blocks(len(rows), BLOCK_VALUES // (n_classes * (units.stop - units.start))):
            G = _central_log_mean(P[some, None, :], log_P[some, None, :], t[some, units, None])
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


def _add_hidden_layer(total: Array, at: Forward, activation: Activation, h: float) -> None:
    """Add L(θ + h) − L(θ − h), summed over samples, for every θ of W1 and b1.

    Moving W1[i, j] moves a_j by h x_i, so z_j by δ and the logits by δ W2[j, :]. Inputs that
    are 0 move nothing: only the pairs (feature, sample) with an x are visited.
    """
    n_units, n_classes = at.W2.shape
    features, samples = np.nonzero(at.X.T)
    x = at.X[samples, features]
    rows = np.arange(len(at.w))
    for units in _blocks(n_units, BLOCK_VALUES // n_classes):
        W2 = at.W2[units]
        lin = W2.T[at.w] - W2.T[at.labels]
        z, a = at.z[rows, units], at.a[rows, units]
        moments: list[Array] = []
        for pairs in _blocks(len(x), BLOCK_VALUES // (units.stop - units.start)):
            s, shift = samples[pairs], h * x[pairs, None]
            up = activation(a[s] + shift) - z[s]
            down = activation(a[s] - shift) - z[s]
            change = (up - down) * lin[s] + _central_log_mean_exp(at, W2, moments, s, up, down)
            first = np.flatnonzero(np.diff(features[pairs], prepend=-1))
            total[features[pairs][first], units] += np.add.reduceat(change, first, axis=0)


def _central_log_mean_exp(at: Forward, W2: Array, moments: list[Array], s: Array, up: Array, down: Array) -> Array:
    """Return K(up) − K(down) with K(δ) = log Σ_k p_k exp(δ (W2[j, k] − W2[j, w])), pair by pair.

    Small moves take Σ_k p_k expm1 as a Taylor polynomial whose coefficients, the `moments`, all
    features share; its degree is the one that leaves nothing above rounding.
    """
    reach = max(abs(up).max(), abs(down).max()) * np.ptp(W2, axis=1).max()
    degree = next((r for r in range(1, MAX_DEGREE + 1) if reach**r / math.factorial(r + 1) < 1e-17), None)
    if degree is None:
        return _log_mean_exp(at, W2, s, up) - _log_mean_exp(at, W2, s, down)
    while len(moments) < degree:
        moments.append(_moment(at, W2, len(moments) + 1))
    local = [moment[s] for moment in moments[:degree]]
    E_up, E_down = local[-1] * up, local[-1] * down
    for moment in local[-2::-1]:
        E_up += moment
        E_up *= up
        E_down += moment
        E_down *= down
    return np.asarray(np.log1p((E_up - E_down) / (1.0 + E_down)))


def _moment(at: Forward, W2: Array, r: int) -> Array:
    """Return Σ_k p_k (W2[j, k] − W2[j, w])^r / r!, shape (n, units)."""
    moment = np.empty((len(at.w), len(W2)))
    for w in np.unique(at.w):
        of_w = at.w == w
        moment[of_w] = at.p[of_w] @ ((W2 - W2[:, [w]]) ** r).T
    moment /= math.factorial(r)
    return moment


def _log_mean_exp(at: Forward, W2: Array, s: Array, delta: Array) -> Array:
    """Return K(δ) by exp itself, for the units that moved at all."""
    K = np.zeros_like(delta)
    pair, unit = np.nonzero(delta)
    for some in _blocks(len(pair), BLOCK_VALUES // W2.shape[1]):
        of, j = s[pair[some]], unit[some]
        t = delta[pair[some], j, None] * (W2[j] - W2[j, at.w[of], None])
        if t.max() < MAX_EXPONENT:
            K[pair[some], j] = np.log1p((at.p[of] * np.expm1(t)).sum(axis=1))
        else:
            K[pair[some], j] = np.logaddexp.reduce(at.log_p[of] + t, axis=1)
    return K


def _blocks(size: int, step: int) -> Iterator[slice]:
    step = max(1, step)
    return (slice(start, min(start + step, size)) for start in range(0, size, step))
