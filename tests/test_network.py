"""TwoLayerNet and its difference quotients, against extended precision and backpropagation."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import backpropagation, extended_gradient, largest_error

from tinynet import TwoLayerNet

SMOOTH: dict[str, Callable[[Any, Any], Any]] = {
    "tanh": lambda a, z: 1 - z**2,
    "sigmoid": lambda a, z: z * (1 - z),
    "relu": lambda a, z: a > 0,
}
NAMES = ["tanh", "sigmoid", "relu", "silu", "sign", "quantised:4"]


def extended(net: TwoLayerNet) -> Callable[[Any], Any]:
    """Return the network's activation, kept in extended precision throughout."""
    return (lambda a: 1 / (1 + np.exp(-a))) if net.activation.name == "sigmoid" else net.activation.function


def small_problem(rng: np.random.Generator, n: int = 12) -> tuple[Any, Any]:
    return rng.standard_normal((n, 5)), rng.integers(0, 3, n)


def test_parameters_have_the_textbook_names_and_shapes() -> None:
    net = TwoLayerNet(4, 3, 2, seed=0)
    shapes = {key: param.shape for key, param in net.params.items()}
    assert shapes == {"W1": (4, 3), "b1": (3,), "W2": (3, 2), "b2": (2,)}
    assert all(param.dtype == np.float64 for param in net.params.values())
    assert net.n_parameters == 4 * 3 + 3 + 3 * 2 + 2


def test_weights_are_scaled_by_fan_in_by_default() -> None:
    net = TwoLayerNet(400, 100, 10, seed=0)
    assert net.params["W1"].std() == pytest.approx(0.05, rel=0.02)
    assert net.params["W2"].std() == pytest.approx(0.1, rel=0.05)
    assert (net.params["b1"] == 0).all()
    assert TwoLayerNet(400, 100, 10, weight_scale=2.0, seed=0).params["W1"].std() == pytest.approx(2.0, rel=0.02)


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second, other = (TwoLayerNet(4, 3, 2, seed=seed).params["W1"] for seed in (1, 1, 2))
    assert (first == second).all() and not (first == other).all()


def test_predictions_follow_the_probabilities(rng: np.random.Generator) -> None:
    X, y = small_problem(rng)
    net = TwoLayerNet(5, 4, 3, seed=0)
    p = net.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-14)
    assert (net.predict(X) == p.argmax(axis=1)).all()
    assert net.accuracy(X, y) == (net.predict(X) == y).mean()
    assert net.loss(X, y) == pytest.approx(-np.log(p[np.arange(len(y)), y]).mean(), rel=1e-13)


@pytest.mark.parametrize("method", ["loop", "exact", "auto"])
@pytest.mark.parametrize("name", SMOOTH)
def test_every_method_agrees_with_backpropagation(name: str, method: str, rng: np.random.Generator) -> None:
    X, y = small_problem(rng)
    net = TwoLayerNet(5, 4, 3, activation=name, seed=1)
    z = net.activation(X @ net.params["W1"] + net.params["b1"])
    truth = backpropagation(net.params, SMOOTH[name], z, X, y)
    assert largest_error(net.numerical_gradient(X, y, method=method), truth) < 1e-7
    broken = truth | {"W1": truth["W1"] * 1.001}
    assert largest_error(net.numerical_gradient(X, y, method=method), broken) > 1e-5


@pytest.mark.parametrize("h", [1e-4, 0.5])
@pytest.mark.parametrize("name", NAMES)
def test_exact_equals_the_quotient_in_extended_precision(name: str, h: float, rng: np.random.Generator) -> None:
    X, y = small_problem(rng)
    X[rng.random(X.shape) < 0.3] = 0.0
    net = TwoLayerNet(5, 4, 3, activation=name, seed=1)
    truth = extended_gradient(net.params, extended(net), X, y, h)
    exact = largest_error(net.numerical_gradient(X, y, h=h, method="exact"), truth)
    loop = largest_error(net.numerical_gradient(X, y, h=h, method="loop"), truth)
    assert exact < 3e-12 if h == 1e-4 else exact < 1e-14
    assert loop < 1e-9
    if name != "silu":  # its own rounding is the same in both
        assert exact < loop


@given(
    st.integers(0, 2**32),
    st.tuples(st.integers(1, 9), st.integers(1, 6), st.integers(1, 6), st.integers(2, 6)),
    st.sampled_from(["tanh", "sigmoid", "relu", "sign", "quantised:4"]),
    st.sampled_from([1e-4, 1e-2, 0.5]),
    st.sampled_from([0.0, 0.3, 1.0, 5.0, 50.0]),
    st.sampled_from([1e-3, 1.0, 30.0]),
)
def test_exact_is_accurate_for_saturated_and_scaled_networks(
    seed: int, shape: tuple[int, int, int, int], name: str, h: float, weight_scale: float, input_scale: float
) -> None:
    rng = np.random.default_rng(seed)
    n, d, m, k = shape
    X, y = rng.standard_normal((n, d)) * input_scale, rng.integers(0, k, n)
    net = TwoLayerNet(d, m, k, activation=name, weight_scale=weight_scale, seed=seed)
    truth = extended_gradient(net.params, extended(net), X, y, h)
    a = np.abs(X @ net.params["W1"]).max()
    logits = np.abs(net.logits(X)).max()
    gradient = net.numerical_gradient(X, y, h=h, method="exact")
    scale = max(np.abs(entry).max() for entry in truth.values())
    tolerance = 1e-12 + 1e-15 * max(1.0, a, logits) / h
    for key, entry in truth.items():
        assert np.abs(gradient[key] - entry).max() <= tolerance * max(scale, 1e-3), key


@pytest.mark.parametrize("shape", [(20, 784, 512, 10), (3, 10, 20000, 10), (20000, 10, 20, 10), (10, 10, 500, 500)])
def test_working_memory_stays_below_64_megabytes(shape: tuple[int, int, int, int], rng: np.random.Generator) -> None:
    n, d, m, k = shape
    X, y = rng.random((n, d)), rng.integers(0, k, n)
    net = TwoLayerNet(d, m, k, activation="sign", seed=0)
    gradient_bytes = 8 * net.n_parameters
    tracemalloc.start()
    try:
        net.numerical_gradient(X[:20], y[:20] if n >= 20 else y, h=0.5, method="exact")
        if n > 1000:
            net.numerical_gradient(X, y, h=1e-4, method="exact")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - gradient_bytes < 64 * 2**20


def test_fault_13_a_network_too_large_for_memory_is_not_allocated() -> None:
    with pytest.raises(ValueError, match="GiB of memory"):
        TwoLayerNet(64, 10**12, 10)


@pytest.mark.parametrize("sizes", [(0, 1, 2), (1, 0, 2), (1, 1, 1), (1.5, 1, 2), (True, 1, 2)])
def test_impossible_sizes_are_refused(sizes: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"n_features|hidden_units|n_classes"):
        TwoLayerNet(*sizes)


@pytest.mark.parametrize("replacement", [np.zeros((5, 4), dtype=np.float32), np.zeros((4, 5)), None])
def test_a_parameter_replaced_by_another_type_is_named(replacement: Any) -> None:
    net = TwoLayerNet(5, 4, 3)
    net.params["W1"] = replacement
    with pytest.raises((ValueError, TypeError), match=r"params\['W1'\] must"):
        net.loss(np.zeros((1, 5)), [0])
