"""Named activations, and what a user's own must satisfy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinynet import TwoLayerNet, get_activation


def fails(a: Any) -> Any:
    raise RuntimeError("on purpose")


def in_place(a: Any) -> Any:
    a[a < 0] = 0.0
    return a


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tanh", [-np.tanh(2), 0, np.tanh(2)]),
        ("sigmoid", [1 / (1 + np.exp(2)), 0.5, 1 / (1 + np.exp(-2))]),
        ("relu", [0, 0, 2]),
        ("silu", [-2 / (1 + np.exp(2)), 0, 2 / (1 + np.exp(-2))]),
        ("sign", [-1, 0, 1]),
        ("quantised:3", [-1, 0, 1]),
        ("quantised:2", [-1, -1, 1]),
    ],
)
def test_named_activations_have_their_textbook_values(name: str, expected: list[float]) -> None:
    np.testing.assert_allclose(get_activation(name)(np.array([-2.0, 0.0, 2.0])), expected, rtol=1e-14)


@pytest.mark.parametrize("levels", [2, 3, 4, 16])
def test_a_quantised_unit_has_equally_spaced_levels(levels: int) -> None:
    z = np.unique(get_activation(f"quantised:{levels}")(np.linspace(-2, 2, 10001)).round(12))
    np.testing.assert_allclose(z, np.linspace(-1, 1, levels), atol=1e-12)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "relu", "silu", "sign", "quantised:4"])
def test_extremes_do_not_overflow_and_nan_stays_nan(name: str) -> None:
    activation = get_activation(name)
    assert np.isfinite(activation(np.array([-1e300, 1e300]))).all()
    assert np.isnan(activation(np.array([np.nan]))).all()


def test_sign_equals_numpys_sign(rng: np.random.Generator) -> None:
    edges = [0.0, 5e-324, 2.3e-308, 1e-300, 1e308, math.inf, math.nan, *rng.standard_normal(50)]
    for values in (np.array(edges), -np.array(edges)):
        np.testing.assert_array_equal(get_activation("sign")(values.copy()), np.sign(values))


def test_a_callable_may_return_booleans_or_integers() -> None:
    z = get_activation(lambda a: a > 0)(np.array([-1.0, 1.0]))
    assert z.dtype == np.float64 and z.tolist() == [0.0, 1.0]


def test_a_ufunc_of_python_objects_is_called_like_any_function() -> None:
    X, objects = [[1.0, 2.0]], np.frompyfunc(math.tanh, 1, 1)
    nets = [TwoLayerNet(2, 3, 2, activation=tanh, seed=0) for tanh in (objects, np.tanh)]
    np.testing.assert_allclose(nets[0].logits(X), nets[1].logits(X), rtol=1e-15)


def test_fault_07_an_unknown_activation_names_the_nearest() -> None:
    for name, message in (("quantised", "quantised:4"), ("quantised:x", "unknown activation")):
        with pytest.raises(ValueError, match=message):
            get_activation(name)
    with pytest.raises(TypeError, match="a name or an elementwise callable"):
        get_activation(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("activation", "message"),
    [
        (lambda a: a[:1], "returned shape"),
        (fails, "'fails' raised RuntimeError: on purpose"),
        (np.log, "returned"),
        (lambda a: a * np.nan, "returned nan at -3"),
        (lambda a: np.exp(a) / np.exp(a).sum(), "not elementwise"),
        (np.sort, "not elementwise"),
        (in_place, "changes its argument"),
        (lambda a: [["x"] * 7] * 2, "raised"),
        (lambda a: np.sqrt(a + 0j), "returned complex numbers; it must return real ones"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_fault_29_an_unusable_callable_is_refused_with_the_reason(
    activation: Callable[[Any], Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        TwoLayerNet(2, 3, 2, activation=activation)


def test_fault_29_a_callable_that_breaks_later_is_named() -> None:
    net = TwoLayerNet(2, 3, 2, activation=lambda a: a if a.size < 20 else a.ravel())
    with pytest.raises(ValueError, match="returned shape"):
        net.loss(np.zeros((9, 2)), np.zeros(9, dtype=int))
