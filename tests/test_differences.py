"""The fast gradient against extended precision, its guards, and the bounds it relies on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference import extended_gradient

from tinynet import TwoLayerNet

EPS = float(np.finfo(np.float64).eps)


def gelu(a: Any) -> Any:
    return a / 2 * (1 + np.tanh(0.7978845608028654 * (a + 0.044715 * a**3)))


def leaky(a: Any) -> Any:
    return np.where(a > 0, a, a / 16)


def softsign(a: Any) -> Any:
    return a / (1 + np.abs(a))


def bent(a: Any) -> Any:
    return np.maximum(a - 0.3125, 0) - np.maximum(-a - 0.75, 0)


def extended_sigmoid(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


ACTIVATIONS: list[str | Callable[[Any], Any]] = [
    "tanh", "sigmoid", "relu", "silu", "sign", "quantised:4", "quantised:16", gelu, leaky, softsign, bent,
]  # fmt: skip

problems = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32),
        "shape": st.tuples(st.integers(1, 40), st.integers(1, 30), st.integers(1, 30), st.integers(2, 12)),
        "activation": st.sampled_from(ACTIVATIONS),
        "h": st.sampled_from([1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1.2e-3, 1e-2, 0.1, 0.5, 1.0]),
        "input_scale": st.sampled_from([1e-3, 1e-2, 1.0, 10.0, 1e3]),
        "weight_scale": st.sampled_from([0.0, 1e-3, 0.1, 1.0, 5.0, 50.0]),
        "oddity": st.sampled_from(["none", "zero columns", "zero rows", "duplicates", "outlier", "binary"]),
    }
)


def build(problem: dict[str, Any]) -> tuple[TwoLayerNet, Any, Any, float]:
    rng = np.random.default_rng(problem["seed"])
    n, d, m, k = problem["shape"]
    X, y = rng.standard_normal((n, d)) * problem["input_scale"], rng.integers(0, k, n)
    match problem["oddity"]:
        case "zero columns":
            X[:, rng.random(d) < 0.5] = 0.0
        case "zero rows":
            X[rng.random(n) < 0.5] = 0.0
        case "duplicates":
            X = X[rng.integers(0, max(1, n // 4), n)]
        case "outlier":
            X[rng.integers(n), rng.integers(d)] *= 1e3
        case "binary":
            X = np.where(X > 0, problem["input_scale"], 0.0)
    net = TwoLayerNet(
        d, m, k, activation=problem["activation"], weight_scale=problem["weight_scale"], seed=problem["seed"]
    )
    net.params["b1"] += rng.standard_normal(m) * problem["weight_scale"]
    return net, X, y, problem["h"]


def check(problem: dict[str, Any]) -> None:
    """Hold "auto" to 1e-9 of the largest entry, plus the rounding of a shifted activation in each sample."""
    net, X, y, h = build(problem)
    activation = extended_sigmoid if net.activation.name == "sigmoid" else net.activation.function
    truth = extended_gradient(net.params, activation, X, y, h)
    gradient = net.numerical_gradient(X, y, h=h)
    largest = max(float(np.abs(entry).max()) for entry in truth.values())
    a = max(1.0, float(np.abs(X @ net.params["W1"] + net.params["b1"]).max()))
    terms = np.exp(net.logits(X) - net.logits(X).max(axis=1, keepdims=True))
    surprise = 1.0 - terms[np.arange(len(y)), y] / terms.sum(axis=1)
    unit = float(surprise.mean()) * max(1.0, float(np.ptp(net.params["W2"], axis=1).max()))
    tolerance = 1e-9 * largest + 4 * EPS * a / h * unit
    error = max(float(np.abs(gradient[key] - truth[key]).max()) for key in truth)
    assert error <= tolerance, (error / tolerance, error / largest)


@given(problems)
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_auto_is_the_difference_quotient_whatever_the_inputs(problem: dict[str, Any]) -> None:
    check(problem)


@pytest.mark.soak
@given(problems)
@settings(max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
def test_auto_is_the_difference_quotient_in_two_thousand_cases(problem: dict[str, Any]) -> None:
    check(problem)
