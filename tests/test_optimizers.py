"""SGD against its formula, calculated by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinynet import SGD


def trace(optimizer: SGD, gradients: list[float], start: float = 1.0) -> list[float]:
    params, values = {"w": np.array([start])}, []
    for gradient in gradients:
        optimizer.update(params, {"w": np.array([gradient])})
        values.append(float(params["w"][0]))
    return values


def test_plain_descent_subtracts_rate_times_gradient() -> None:
    assert trace(SGD(0.5), [1.0, -2.0]) == [0.5, 1.5]


def test_momentum_follows_the_published_recursion() -> None:
    # v = 1; 0.5·1 + 1 = 1.5; 0.5·1.5 − 2 = −1.25, and w loses 0.1 v each time
    assert trace(SGD(0.1, momentum=0.5), [1.0, 1.0, -2.0]) == pytest.approx([0.9, 0.75, 0.875], abs=1e-15)


def test_nesterov_looks_one_velocity_ahead() -> None:
    # v = 1, 1.5, −1.25; steps g + 0.5 v = 1.5, 1.75, −2.625
    assert trace(SGD(0.1, momentum=0.5, nesterov=True), [1.0, 1.0, -2.0]) == pytest.approx(
        [0.85, 0.675, 0.9375], abs=1e-15
    )


def test_weight_decay_adds_to_the_gradient_before_the_velocity() -> None:
    # g = 1 + 0.1·1 = 1.1, v = 1.1, w = 0.89; g = 1 + 0.089 = 1.089, v = 1.639, w = 0.7261
    assert trace(SGD(0.1, momentum=0.5, weight_decay=0.1), [1.0, 1.0]) == pytest.approx([0.89, 0.7261], abs=1e-15)


def test_parameters_change_in_place_and_gradients_do_not() -> None:
    w, g = np.ones(2), np.ones(2)
    optimizer = SGD(0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(3):
        optimizer.update({"w": w}, {"w": g})
    assert (w < 1).all() and (g == 1).all()


def test_the_default_is_plain_descent_at_a_rate_of_0_01() -> None:
    assert trace(SGD(), [1.0, -2.0]) == pytest.approx([0.99, 1.01], abs=1e-15)


@pytest.mark.parametrize(
    ("name", "values"),
    [("learning_rate", [0, -1.0, np.nan, np.inf]), ("momentum", [1.0, -0.1]), ("weight_decay", [-1e-9])],
)
def test_fault_06_a_hyper_parameter_out_of_range_is_refused(name: Any, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ValueError, match=f"^{name} must be a.* 0"):
            SGD(**{name: value})
    with pytest.raises(ValueError, match=r"^nesterov needs a momentum above 0, got.* 0"):
        SGD(nesterov=True)


@pytest.mark.parametrize("value", ["0.1", True, None])
def test_fault_05_a_learning_rate_of_the_wrong_type_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="learning_rate must be a number"):
        SGD(value)


@pytest.mark.parametrize(
    "grads", [{"a": np.ones(2)}, {"a": np.ones(2), "c": np.ones(3)}, {"a": np.ones(2), "b": np.ones(2)}]
)
def test_mismatched_keys_or_shapes_change_nothing(grads: dict[str, Any]) -> None:
    params = {"a": np.ones(2), "b": np.ones(3)}
    with pytest.raises(ValueError, match="differ"):
        SGD(0.1, momentum=0.9).update(params, grads)
    assert all((param == 1.0).all() for param in params.values())


def test_an_optimizer_used_with_another_network_is_refused() -> None:
    optimizer = SGD(0.1, momentum=0.9)
    optimizer.update({"a": np.ones(2)}, {"a": np.ones(2)})
    with pytest.raises(ValueError, match=r"^shapes of 'a' differ: params \(3,\), grads \(4,\), velocity \(2,\)$"):
        optimizer.update({"a": np.ones(3)}, {"a": np.ones(4)})
