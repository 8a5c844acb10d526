"""Sample weights in the loss, its differences and training: an integer weight repeats the sample."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference import extended_gradient, largest_error

from tinynet import SGD, Checkpoints, DataError, RunFolderError, TwoLayerNet, train
from tinynet.data.samples import apply_sample_weight


def problem(rng: np.random.Generator, n: int = 20) -> tuple[Any, Any]:
    return rng.standard_normal((n, 5)), rng.integers(0, 3, n)


def network(activation: str = "tanh") -> TwoLayerNet:
    net = TwoLayerNet(5, 4, 3, activation=activation, seed=1)
    net.params["W1"][:, 0] = 0.0  # with relu this unit is at its kink in every sample
    return net


def counts(rng: np.random.Generator, n: int = 20) -> Any:
    weights = rng.integers(0, 4, n)
    assert {0, 1, 2, 3} <= set(weights.tolist())
    return weights


def bits(arrays: dict[str, Any]) -> list[bytes]:
    return [array.tobytes() for array in arrays.values()]


@pytest.mark.parametrize("h", [1e-4, 0.5])
@pytest.mark.parametrize("activation", ["tanh", "relu", "sign", "quantised:4"])
@pytest.mark.parametrize("method", ["loop", "exact", "series", "auto"])
def test_integer_weights_equal_repeated_samples(
    method: str, activation: str, h: float, rng: np.random.Generator
) -> None:
    (X, y), weights, net = problem(rng), counts(rng), network(activation)
    repeated = X.repeat(weights, axis=0), y.repeat(weights)
    assert net.loss(X, y, sample_weight=weights) == pytest.approx(net.loss(*repeated), rel=1e-14)
    gradient = net.numerical_gradient(X, y, h=h, method=method, sample_weight=weights)
    rounding = 4 * float(np.finfo(float).eps) / h if method == "loop" else 1e-13
    if method == "series" and (activation, h) != ("tanh", 1e-4):
        rounding = 1e-6  # the precision of float32: the series is not meant for these
    assert largest_error(gradient, net.numerical_gradient(*repeated, h=h, method=method)) < rounding
    assert largest_error(gradient, net.numerical_gradient(X, y, h=h, method=method)) > 1e-3


def bent(a: Any) -> Any:
    return np.where(a > 1, a, 2e-9 * np.maximum(a, 0))


@pytest.mark.parametrize(
    ("activation", "value", "size"), [(bent, 3.7e-4, 1.0), ("relu", 300.0, 0.01)], ids=["small kink", "large z"]
)
def test_one_heavy_sample_beyond_the_series_is_noticed(
    activation: Any, value: float, size: float, rng: np.random.Generator
) -> None:
    X, y = rng.standard_normal((100, 5)), rng.integers(0, 3, 100)
    net = TwoLayerNet(5, 1, 3, activation=activation, seed=0)
    net.params["b1"][:], net.params["W2"][:] = 4.0, [[size, -2 * size, 3 * size]]
    direction = net.params["W1"][:, 0]
    X[7] = direction * (value - 4.0) / (direction @ direction)  # a is `value` here, and near 4 in all other samples
    weights = np.ones(100)
    weights[7] = 1e12
    truth = extended_gradient(net.params, net.activation.function, X, y, 1e-4, weights)
    assert largest_error(net.numerical_gradient(X, y, sample_weight=weights), truth) < 1e-9


@pytest.mark.parametrize("method", ["loop", "exact", "series", "auto"])
def test_equal_weights_give_the_same_bits_as_no_weights(method: str, rng: np.random.Generator) -> None:
    (X, y), net = problem(rng), network()
    for weight in (1, 0.1, 1e300, 5e-324):
        same = np.full(20, weight)
        assert apply_sample_weight(X, y, same)[2] is None  # and they cost nothing
        assert net.loss(X, y, sample_weight=same) == net.loss(X, y)
        gradient = net.numerical_gradient(X, y, method=method, sample_weight=same)
        assert bits(gradient) == bits(net.numerical_gradient(X, y, method=method))


@pytest.mark.parametrize("method", ["loop", "auto"])
def test_a_sample_of_weight_0_has_no_effect_even_at_infinite_loss(method: str, rng: np.random.Generator) -> None:
    (X, y), net, weights = problem(rng), network("relu"), rng.random(20)
    X[3], weights[[3, 8]] = 1e308, 0.0
    kept = weights > 0
    assert net.loss(X, y, sample_weight=weights) == net.loss(X[kept], y[kept], sample_weight=weights[kept])
    gradient = net.numerical_gradient(X, y, method=method, sample_weight=weights)
    alone = net.numerical_gradient(X[kept], y[kept], method=method, sample_weight=weights[kept])
    assert bits(gradient) == bits(alone)
    nets = network(), network()
    train(nets[0], X, y, SGD(0.1), epochs=2, batch_size=7, seed=0, sample_weight=weights)
    train(nets[1], X[kept], y[kept], SGD(0.1), epochs=2, batch_size=7, seed=0, sample_weight=weights[kept])
    assert bits(nets[0].params) == bits(nets[1].params)


def test_training_with_weights_equals_training_on_repeated_samples(rng: np.random.Generator) -> None:
    (X, y), (X_val, y_val), weights, weights_val = problem(rng), problem(rng), counts(rng), counts(rng)
    light = [X, y, X_val, y_val, weights, weights_val]
    repeated = [part.repeat(weights, axis=0) for part in (X, y)]
    repeated += [*(part.repeat(weights_val, axis=0) for part in (X_val, y_val)), None, None]
    nets, histories = (network(), network()), []
    for net, (X, y, X_val, y_val, weights, weights_val) in zip(nets, (light, repeated), strict=True):
        data = {"validation": (X_val, y_val, weights_val), "sample_weight": weights}
        counted = len(X) if weights is None else int((weights > 0).sum())
        histories.append(train(net, X, y, SGD(0.1, momentum=0.9), epochs=10, batch_size=counted, seed=0, **data))
    assert largest_error(nets[0].params, nets[1].params) < 1e-12
    for column in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
        np.testing.assert_allclose(histories[0][column], histories[1][column], rtol=1e-12, err_msg=column)
    assert histories[0]["validation_loss"] != histories[0]["train_loss"]


def test_a_weight_counts_in_a_batch_of_one() -> None:
    X, y = np.array([[1.0] * 5, [-1.0] * 5]), np.array([0, 1])
    weights = [3.0, 1.0]
    steps = {key: np.zeros_like(param) for key, param in network().params.items()}

    class Recorder:
        def update(self, params: dict[str, Any], grads: dict[str, Any]) -> None:
            for key, grad in grads.items():
                steps[key] += grad / 2

    train(network(), X, y, Recorder(), epochs=1, batch_size=1, seed=0, sample_weight=weights)
    assert largest_error(steps, network().numerical_gradient(X, y, sample_weight=weights)) < 1e-13


def test_a_perfect_weighted_accuracy_is_exactly_one(rng: np.random.Generator) -> None:
    X, net = problem(rng)[0], network()
    history = train(net, X, net.predict(X), SGD(1e-9), epochs=1, batch_size=20, seed=0, sample_weight=rng.random(20))
    assert history["train_accuracy"] == [1.0]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0] * 19, r"sample_weight must have shape \(20,\), one number a sample, got \(19,\)"),
        (2.0, r"got \(\)"),
        ([1.0] * 19 + [[1.0]], "sample_weight must be a table of numbers, every row of the same length"),
        (["1"] * 20, "sample_weight must hold real numbers, got dtype <U1"),
        ([1.0] * 4 + [-0.5] * 16, "sample_weight must be finite and at least 0, got -0.5 in row 4"),
        ([1.0] * 19 + [math.inf], "got inf in row 19"),
        ([0] * 20, "sample_weight is zero for every sample; at least one must be above 0"),
    ],
)
def test_an_invalid_weight_is_refused(weights: Any, message: str, rng: np.random.Generator) -> None:
    (X, y), net = problem(rng), network()
    with pytest.raises(DataError, match=message):
        net.loss(X, y, sample_weight=weights)
    with pytest.raises(DataError, match=message):
        train(net, X, y, SGD(0.1), epochs=1, batch_size=7, seed=0, sample_weight=weights)


@pytest.mark.parametrize("kind", ["float16", "float32", "longdouble", "uint8", "int64", "bool", "list"])
def test_the_type_of_the_weights_does_not_change_the_gradient(kind: str, rng: np.random.Generator) -> None:
    (X, y), net, weights = problem(rng), network(), np.arange(20) % 2 if kind == "bool" else np.arange(20) % 7
    stored = weights.tolist() if kind == "list" else weights.astype(kind)
    plain = net.numerical_gradient(X, y, sample_weight=weights.astype(np.float64))
    assert bits(net.numerical_gradient(X, y, sample_weight=stored)) == bits(plain)


def test_a_training_resumes_only_with_the_weights_it_began_with(rng: np.random.Generator, tmp_path: Path) -> None:
    (X, y), weights, nets = problem(rng), rng.random(20), [network(), network()]
    weights.flags.writeable = False
    settings: dict[str, Any] = {"batch_size": 7, "seed": 0, "sample_weight": weights}
    train(nets[0], X, y, SGD(0.1), epochs=2, checkpoints=Checkpoints(tmp_path), **settings)
    train(nets[0], X, y, SGD(0.1), epochs=4, checkpoints=Checkpoints(tmp_path, resume=True), **settings)
    train(nets[1], X, y, SGD(0.1), epochs=4, **settings)
    assert bits(nets[0].params) == bits(nets[1].params)
    with pytest.raises(RunFolderError, match="training data"):
        train(network(), X, y, SGD(0.1), epochs=4, checkpoints=Checkpoints(tmp_path, resume=True), batch_size=7, seed=0)
