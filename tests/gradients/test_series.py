"""The fast gradient against extended precision, its guards, and the bounds it relies on."""

from __future__ import annotations

import pickle
import threading
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference import extended_gradient, largest_error

from tinynet import TwoLayerNet, load_dataset
from tinynet.activations import get_activation
from tinynet.gradients import exact
from tinynet.gradients import series as differences
from tinynet.gradients.fallbacks import Fallbacks
from tinynet.gradients.series import FIT, NODES, STEEP, WINDOW
from tinynet.gradients.workspace import Workspace

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
        "shape": st.tuples(st.integers(1, 16), st.integers(1, 12), st.integers(1, 12), st.integers(2, 12)),
        "activation": st.sampled_from(ACTIVATIONS),
        "h": st.sampled_from([1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1.2e-3, 1e-2, 0.1, 0.5, 1.0]),
        "input_scale": st.sampled_from([1e-3, 1e-2, 1.0, 10.0, 1e3]),
        "weight_scale": st.sampled_from([0.0, 1e-3, 0.1, 1.0, 5.0, 50.0]),
        "oddity": st.sampled_from(
            ["none", "zero columns", "zero rows", "duplicates", "outliers", "binary", "at a kink"]
        ),
        "heaviest": st.sampled_from([1.0, 1.0, 30.0, 1e9]),  # sample, in units of the lightest
    }
)


def build(problem: dict[str, Any]) -> tuple[TwoLayerNet, Any, Any, float, Any]:
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
        case "outliers":
            X[rng.integers(0, n, 3), rng.integers(0, d, 3)] *= 10 ** rng.uniform(0, 3, 3)
        case "binary":
            X = np.where(X > 0, problem["input_scale"], 0.0)
    net = TwoLayerNet(
        d, m, k, activation=problem["activation"], weight_scale=problem["weight_scale"], seed=problem["seed"]
    )
    net.params["b1"] += rng.standard_normal(m) * problem["weight_scale"]
    if problem["oddity"] == "at a kink":
        net.params["b1"] -= (X @ net.params["W1"] + net.params["b1"])[0] - 0.3 * problem["h"]  # in the first sample
    weights = problem["heaviest"] ** rng.random(n) if problem["heaviest"] > 1 else None
    return net, X, y, problem["h"], None if weights is None else weights / weights.mean()


def check(problem: dict[str, Any]) -> None:
    """Check that "auto" is within 1e-9 of the largest entry, plus the rounding of a shifted activation."""
    net, X, y, h, weights = build(problem)
    activation = extended_sigmoid if net.activation.name == "sigmoid" else net.activation.function
    with np.errstate(over="ignore"):  # only in the oracle
        truth = extended_gradient(net.params, activation, X, y, h, weights)
    workspace = Workspace()
    gradient = differences.difference_quotients(net.params, net.activation, X, y, h, "auto", workspace, weights)
    largest = max(float(np.abs(entry).max()) for entry in truth.values())
    a = X @ net.params["W1"] + net.params["b1"]
    terms = np.exp(net.logits(X) - net.logits(X).max(axis=1, keepdims=True))
    others = terms.copy()
    others[np.arange(len(y)), y] = 0.0
    surprise = float(np.average(others.sum(axis=1) / terms.sum(axis=1), weights=weights))  # 1 − p of the label
    unit = surprise * max(1.0, float(np.ptp(net.params["W2"], axis=1).max()))
    tolerance = 1e-300 + 1e-9 * largest + 4 * EPS * max(1.0, float(np.abs(a).max())) / h * unit
    error = max(float(np.abs(gradient[key] - truth[key]).max()) for key in truth)
    assert error <= tolerance, (error / tolerance, error / largest)
    if h <= WINDOW:
        check_fallbacks(problem, np.abs(X) * h, np.abs(a), workspace.fallbacks)


def check_fallbacks(problem: dict[str, Any], moves: Any, a: Any, found: Fallbacks) -> None:
    """Check that pairs were measured where the problem needs it, and that a tame problem needs none."""
    beyond = moves > WINDOW
    assert found.outliers == beyond.sum()
    if problem["activation"] in ("relu", "sign", leaky):  # a kink or jump at 0
        reach = np.where(beyond, 0.0, moves).max(axis=1, keepdims=True).clip(problem["h"])
        assert found.measured >= (a < 0.999 * reach).sum()
    elif problem["activation"] == "tanh" and not beyond.any() and 0.1 <= problem["weight_scale"] <= 1.0:
        assert found.measured == 0 or moves.max() > 1e-3


@given(problems)
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_auto_gives_the_difference_quotient_for_any_input(problem: dict[str, Any]) -> None:
    check(problem)


def test_jumps_whose_leading_terms_cancel_keep_the_rest() -> None:
    problem = {"seed": 1, "shape": (6, 1, 12, 2), "activation": "quantised:4", "h": 1e-05, "input_scale": 0.01}
    check(problem | {"weight_scale": 0.001, "oddity": "outliers", "heaviest": 1.0})


@pytest.mark.soak
@given(problems, st.tuples(st.integers(1, 40), st.integers(1, 30), st.integers(1, 30), st.integers(2, 12)))
@settings(max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
def test_auto_gives_the_difference_quotient_in_two_thousand_cases(problem: dict[str, Any], shape: Any) -> None:
    check(problem | {"shape": shape})


def error_of(net: TwoLayerNet, X: Any, y: Any, h: float = 1e-4, **options: Any) -> float:
    """Return the error of a network's gradient, in units of the largest entry of the quotients."""
    function = extended_sigmoid if net.activation.name == "sigmoid" else net.activation.function
    truth = extended_gradient(net.params, function, X, y, h)
    return largest_error(net.numerical_gradient(X, y, h=h, **options), truth)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "silu", "relu", gelu, softsign, bent])
def test_ordinary_scaling_gives_twelve_correct_digits(activation: Any) -> None:
    data = load_dataset("digits")
    net = TwoLayerNet(64, 5, 10, activation=activation, seed=0)
    assert error_of(net, data.X_train[:30], data.y_train[:30]) < 1e-12


def one_pair(activation: Callable[[Any], Any], h: float) -> float:
    """Return the error for one sample and one unit at a = 0.25, in units of the largest entry."""
    net = TwoLayerNet(3, 1, 3, activation=activation, seed=1)
    net.params["W1"][:] = [[0.5], [0.25], [-0.5]]
    return error_of(net, np.array([[0.5, 1.0, 0.5]]), np.array([2]), h)


@pytest.mark.parametrize("jump", [0.0, 1.0], ids=["kink", "jump"])
@pytest.mark.parametrize("size", [1.0, 1e-3, -1e-3])
@pytest.mark.parametrize(
    "place", [0.0, 1e-9, 0.01, 0.3, 1 / 3, 0.4, 0.5, 0.7, 0.99, 1 - 1e-6, 1 - 1e-9, 1.0, 1.001, 1.5]
)
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_kink_or_jump_anywhere_in_the_window_is_found(jump: float, size: float, place: float, side: float) -> None:
    at = 0.25 + side * place * WINDOW

    def broken(a: Any) -> Any:
        return np.tanh(a) + size * np.where(a > at, jump + a - at, 0)

    for h in (1e-4, 1e-3):
        assert one_pair(broken, h) < 1e-9 + 4 * EPS / h


def test_the_guard_uses_the_whole_range_of_the_output_weights() -> None:
    params = {"W1": np.zeros((1, 2)), "b1": np.zeros(2), "W2": np.array([[0, 1e4, -3e4], [0, 2, 1]]), "b2": np.zeros(3)}
    X, labels, tanh = np.array([[1.0], [0.5]]), np.array([1, 2]), TwoLayerNet(1, 2, 3, activation="tanh").activation
    by = {
        method: differences.difference_quotients(params, tanh, X, labels, 1e-4, method)["W1"]
        for method in ("auto", "exact", "series")
    }
    scale = np.abs(by["exact"]).max()
    assert np.abs(by["auto"] - by["exact"]).max() < 1e-9 * scale
    assert np.abs(by["series"] - by["exact"]).max() > 1e-7 * scale  # so that the guard is needed
    default = differences.difference_quotients(params, tanh, X, labels, 1e-4)
    assert default["W1"].tobytes() == by["auto"].tobytes()


def test_without_guards_a_kink_goes_unnoticed() -> None:
    net = TwoLayerNet(3, 4, 3, activation="relu", seed=0)
    net.params["W1"][:] = 0.0  # every unit is at its kink
    X, y = np.ones((2, 3)), np.array([0, 1])
    assert error_of(net, X, y, 1e-3) < 1e-10 and error_of(net, X, y, 1e-3, method="series") > 1e-6


@given(st.sampled_from([np.tanh, np.sin, np.arctan, gelu]), st.floats(-4, 4))
def test_the_measured_slope_is_within_its_bound(f: Callable[[Any], Any], a: float) -> None:
    """c1 is off by at most max |f⁗'| T⁴ / 480 and the rounding of five values; |f⁗'| is below 25 for all of these."""
    measured = (FIT[0] @ f(a + WINDOW * NODES[:, 0, 0])) / WINDOW
    step = np.longdouble(1e-4)
    wide = [f(np.longdouble(a) + r * step) for r in (-3, -2, -1, 1, 2, 3)]
    slope = (wide[5] - wide[0] - 9 * (wide[4] - wide[1]) + 45 * (wide[3] - wide[2])) / (60 * step)
    assert abs(measured - slope) <= 25 * WINDOW**4 / 480 + 3 * EPS * (1 + abs(a)) / WINDOW


@given(st.integers(0, 2**32), st.integers(2, 12), st.floats(-30, 30), st.sampled_from([1e-3, 1e-2]), st.floats(-1, 1))
def test_the_neglected_cumulants_are_within_their_bound(
    seed: int, k: int, bias: float, shift: float, ratio: float
) -> None:
    """S |s| R (|u| (u² + s²) R³ / 24 + 0.29 ρ⁴) at most, S = 1 − p of the label, R the range of W2[j, :]."""
    rng = np.random.default_rng(seed)
    D, logits = rng.standard_normal(k).astype(np.longdouble), rng.standard_normal(k).astype(np.longdouble)
    logits[0] += bias
    D -= D[0]
    p = np.exp(logits - logits.max())
    p /= p.sum()
    up, down = shift / np.ptp(D), ratio * shift / np.ptp(D)
    s, u, m1, m2, m3 = up - down, up + down, *(p @ D**r for r in (1, 2, 3))
    K_up, K_down = (np.log1p(p[1:] @ np.expm1(t * D[1:])) for t in (up, down))
    k2, k3 = m2 - m1**2, m3 - 3 * m1 * m2 + 2 * m1**3
    left_out = K_up - K_down - s * (m1 + k2 * u / 2 + k3 * (3 * u**2 + s**2) / 24)
    R = np.ptp(D)
    bound = abs(u) * (u**2 + s**2) * R**3 / 24 + 0.29 * shift**4
    assert shift <= STEEP
    assert abs(left_out) <= p[1:].sum() * (abs(s) * R * bound + 1e-18)


def fallbacks(net: TwoLayerNet, X: Any, y: Any, h: float = 1e-4, weights: Any = None) -> Fallbacks:
    """Return what the series alone did not give, after comparing the gradient with the exact one."""
    workspace = Workspace()
    arguments = (net.params, net.activation, X, y, h)
    gradient = differences.difference_quotients(*arguments, workspace=workspace, weights=weights)
    truth = differences.difference_quotients(*arguments, method="exact", weights=weights)
    assert largest_error(gradient, truth) < 1e-9
    return workspace.fallbacks


def flat(activation: Any, X: Any, W2: Any, h: float) -> Fallbacks:
    """Return the fallbacks of a network whose units are all at a = 0."""
    W2 = np.array(W2, float)
    net = TwoLayerNet(X.shape[1], len(W2), W2.shape[1], activation=activation, seed=0)
    net.params["W1"][:], net.params["W2"][:] = 0.0, W2
    return fallbacks(net, X, np.zeros(len(X), int), h)


@pytest.mark.parametrize(("part", "fails"), [(0.99, 0), (1.01, 7)])
def test_each_bound_of_the_series_is_checked(part: float, fails: int) -> None:
    X = np.full((7, 2), 1.0)
    assert flat(lambda a: a, X, [[0.0, 100 * part]], 1e-4).exact == fails  # moves a logit by STEEP
    assert flat(lambda a: a, 3 * X, [[0.0, 100 / 3 * part]], 1e-4).exact == fails
    lopsided = flat(lambda a: np.maximum(a, 0), X, [[0.0, 15.33 * part]], 1e-4)  # δ₋ is 0
    assert (lopsided.measured, lopsided.exact) == (7, fails)
    assert flat(lambda a: a, 0.01 * X, [[0.0, 5e5 * part]], 1e-8).measured == fails  # float32 has no room for more
    for m in (1, 3):
        for degree, most in ((3, 256), (4, 512)):
            bent = flat(lambda a, d=degree, c=most * part: a + c * a**d, X, np.eye(3)[:m], 1e-4)
            assert bent.measured == fails * m


def test_a_function_may_return_what_cannot_be_written_to() -> None:
    def read_only(a: Any) -> Any:
        z = np.abs(a)
        z.flags.writeable = False
        return z

    assert flat(read_only, np.ones((7, 2)), np.eye(3)[:2], 1e-4).measured == 14


def test_only_pairs_near_a_kink_are_measured() -> None:
    data = load_dataset("digits")
    X, y = data.X_train[:300], data.y_train[:300]
    net = TwoLayerNet(64, 50, 10, activation="relu", seed=0)
    for h in (1e-4, 1e-6):  # as far as the moves go, but not so near that rounding counts
        beside = int((np.abs(X @ net.params["W1"]) < max(h * X.max(), WINDOW / 8)).sum())
        assert 0 < beside < 10
        assert fallbacks(net, X, y, h) == Fallbacks(gradients=1, samples=300, measured=beside)


def test_an_outlier_costs_the_other_features_nothing(rng: np.random.Generator) -> None:
    X, y = rng.random((20, 5)), rng.integers(0, 3, 20)
    X[[3, 7, 7], [1, 2, 4]] = 13.0, -50.0, 1e13  # the cube of the last is too large for float32
    for activation, kinks in (("tanh", 0), ("relu", 1)):
        net = TwoLayerNet(5, 4, 3, activation=activation, seed=0)
        net.params["b1"][:] -= (X @ net.params["W1"])[0] * (np.arange(4) < kinks)  # a kink in the first sample
        found = fallbacks(net, X, y)
        assert (found.measured, found.exact, found.outliers, found.exact_outliers) == (kinks, 0, 3, kinks)
        assert error_of(net, X, y) < 1e-9


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "silu"])
@pytest.mark.parametrize("scaling", ["minmax", "standard"])
def test_smooth_units_need_nothing_but_the_series(activation: str, scaling: str) -> None:
    data = load_dataset("digits", scaling=scaling)
    found = fallbacks(TwoLayerNet(64, 50, 10, activation=activation, seed=0), data.X_train[:100], data.y_train[:100])
    assert found == Fallbacks(gradients=1, samples=100, outliers=found.outliers)
    assert found.outliers == (np.abs(data.X_train[:100]) > WINDOW / 1e-4).sum()


def test_sample_weights_do_not_disable_the_series(rng: np.random.Generator) -> None:
    X, y, weights = rng.random((30, 5)), rng.integers(0, 3, 30), 10 ** rng.uniform(-6, 6, 30)
    for activation in ("tanh", "silu"):
        net = TwoLayerNet(5, 4, 3, activation=activation, seed=0)
        found = fallbacks(net, X, y, weights=weights / weights.mean())
        assert found == Fallbacks(gradients=1, samples=30)


def test_a_slow_gradient_is_explained_with_its_cause(rng: np.random.Generator) -> None:
    X, y = rng.random((40, 5)), rng.integers(0, 3, 40)
    net = TwoLayerNet(5, 4, 3, activation="relu", seed=0)
    assert net.slowdown_remarks() == []
    net.numerical_gradient(X, y)
    assert net.slowdown_remarks(least=1.1) == []
    for cause, value, change in (("kink", 0.0, X), ("outliers", 1.0, X * 20), ("large values", 1.0, X)):
        slow = TwoLayerNet(5, 4, 3, activation="relu", seed=0)
        slow.params["W1"] *= value
        slow.params["b1"] += 1e4 if cause == "large values" else 0.0
        slow.numerical_gradient(change, y)
        (remark,) = slow.slowdown_remarks(least=1.1)
        assert cause in remark


def many_problems(rng: np.random.Generator) -> list[tuple[TwoLayerNet, Any, Any, float]]:
    X, y = rng.standard_normal((40, 5)), rng.integers(0, 3, 40)
    cases = [("tanh", 1e-4), ("relu", 1e-3), ("sign", 1e-4), ("sign", 0.5), ("quantised:4", 0.5), ("tanh", 0.5)]
    problems = [(TwoLayerNet(5, 4, 3, activation=name, seed=1), X, y, h) for name, h in cases]
    outlier = X * np.where(np.arange(40) == 3, 1e4, 1.0)[:, None]  # z is too large for the output layer's series
    return [*problems, (TwoLayerNet(5, 4, 3, activation="relu", weight_scale=0.5, seed=1), outlier, y, 1e-4)]


def test_blocks_do_not_change_the_gradient(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    for net, X, y, h in many_problems(rng):
        whole = net.numerical_gradient(X, y, h=h)
        with monkeypatch.context() as small:
            for module in (exact, differences):
                small.setattr(module, "ROW_VALUES", 50)
                small.setattr(module, "BLOCK_VALUES", 9)
            for limit in ("series.MAX_PENDING", "series.MOVED_VALUES", "workspace.PART_VALUES"):
                small.setattr(f"tinynet.gradients.{limit}", 9)
            assert largest_error(net.numerical_gradient(X, y, h=h), whole) < 1e-12
            three = net.numerical_gradient(X[:30], y[:30], h=h)  # blocks of ROW_VALUES
        assert largest_error(three, net.numerical_gradient(X[:30], y[:30], h=h)) < 1e-12


def test_the_widest_step_of_the_series_moves_no_bias_as_an_outlier(rng: np.random.Generator) -> None:
    net = TwoLayerNet(3, 4, 2, seed=0)
    X, y = 5 * rng.standard_normal((6, 3)), rng.integers(0, 2, 6)
    auto, whole = (net.numerical_gradient(X, y, h=WINDOW, method=method) for method in ("auto", "exact"))
    assert largest_error(auto, whole) < 1e-9


def test_a_block_without_loss_leaves_other_blocks_to_the_series(rng: np.random.Generator) -> None:
    X = 0.01 * rng.standard_normal((1024, 2))
    X[:256] = 12.0  # the first block, whose loss is 0 in float64
    params = {"W1": np.full((2, 64), 0.1), "b1": np.zeros(64), "W2": np.tile([1.0, -1.0], (64, 1)), "b2": np.zeros(2)}
    labels, workspace, identity = np.zeros(1024, int), Workspace(), get_activation("identity")
    quick = differences.difference_quotients(params, identity, X, labels, 1e-4, "auto", workspace)
    assert largest_error(quick, exact.exact_gradient(params, identity, X, labels, 1e-4)) < 1e-9
    assert workspace.fallbacks.measured == 256 * 64


def test_method_series_uses_the_series_at_any_h(rng: np.random.Generator) -> None:
    net, X, y, _ = many_problems(rng)[0]
    series, whole = (net.numerical_gradient(X, y, h=0.5, method=method) for method in ("series", "exact"))
    assert 1e-6 < largest_error(series, whole) < 1


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_loss_beyond_float32_has_all_its_cumulants(activation: str) -> None:
    X, y, net = np.array([[0.5]]), np.array([0]), TwoLayerNet(1, 1, 2, activation=activation, seed=0)
    net.params = {"W1": np.ones((1, 1)), "b1": np.ones(1), "W2": np.array([[0.0, -20.0]]), "b2": np.array([120.0, 0.0])}
    assert error_of(net, X, y) < 1e-9


@pytest.mark.parametrize("margin", [30, 45, 60, 95, 102, 250])
def test_confident_predictions_still_have_a_gradient(margin: int, rng: np.random.Generator) -> None:
    X, y = 0.1 * rng.standard_normal((12, 5)), np.arange(12) % 3
    X[:, :3], net = np.eye(3)[y], TwoLayerNet(5, 4, 3, seed=1)
    net.params["W1"][:3, :3] = np.eye(3)
    net.params["W2"][:3] += margin / np.tanh(1) * np.eye(3)
    truth = extended_gradient(net.params, np.tanh, X, y, 1e-4)
    assert 0 < max(np.abs(entry).max() for entry in truth.values()) < np.exp(-0.7 * margin)
    assert largest_error(net.numerical_gradient(X, y), truth) < 1e-10


def test_a_used_workspace_gives_the_bits_of_a_new_one(rng: np.random.Generator) -> None:
    for net, X, y, h in many_problems(rng):
        sizes = (40, 7, 40, 1, 13, 40, 22, 3, 40)
        used = [net.numerical_gradient(X[:n], y[:n], h=h) for n in sizes]  # the caller owns them all
        for n, gradient in zip(sizes, used, strict=True):
            new = pickle.loads(pickle.dumps(net)).numerical_gradient(X[:n], y[:n], h=h)
            assert all(gradient[key].tobytes() == new[key].tobytes() for key in new)


def test_threads_may_share_a_network(rng: np.random.Generator) -> None:
    net, X, y, h = many_problems(rng)[0]
    expected, wrong = net.numerical_gradient(X, y, h=h)["W1"].tobytes(), []

    def work() -> None:
        for _ in range(200):
            if net.numerical_gradient(X, y, h=h)["W1"].tobytes() != expected:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_working_memory_of_a_wide_network_stays_below_64_megabytes(activation: str, rng: np.random.Generator) -> None:
    X, y = rng.random((1024, 784)), rng.integers(0, 10, 1024)
    net = TwoLayerNet(784, 2048, 10, activation=activation, seed=0)
    tracemalloc.start()
    try:
        net.numerical_gradient(X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - 8 * net.n_parameters < 64 * 2**20


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("key", ["W1", "b1", "W2", "b2"])
@pytest.mark.parametrize("h", [1e-4, 0.5])
def test_a_gradient_is_right_or_nan_but_never_wrong(value: float, key: str, h: float) -> None:
    for activation in ("tanh", "relu", "sign", "quantised:4"):
        rng = np.random.default_rng(3)
        X, y = rng.standard_normal((9, 5)), rng.integers(0, 3, 9)
        net = TwoLayerNet(5, 4, 3, activation=activation, seed=0)
        net.params[key].flat[1] = value
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            gradient = net.numerical_gradient(X, y, h=h)
            warnings.simplefilter("ignore")
            truth = extended_gradient(net.params, net.activation.function, X, y, h)
        for name, entry in gradient.items():
            wrong = np.isfinite(entry) & ~(np.abs(entry - truth[name]) <= 1e-12)
            assert not wrong.any(), (activation, name, entry[wrong], truth[name][wrong])


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("scale", [1e8, 1e13, 1e16, 1e30, 1e100])
def test_weights_whose_cubes_overflow_float32_give_finite_gradients(activation: str, scale: float) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((16, 4)), rng.integers(0, 3, 16)
    net = TwoLayerNet(4, 10, 3, activation=activation, seed=0)
    net.params = {key: param * scale for key, param in net.params.items()}
    exact = net.numerical_gradient(X, y, method="exact")
    for key, gradient in net.numerical_gradient(X, y).items():
        np.testing.assert_allclose(gradient, exact[key], rtol=1e-6, atol=1e-9 * np.abs(exact[key]).max())
