"""numerical_diff, numerical_gradient and gradient_descent, against analytic values."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.slopes import tasks
from tinynet import DataError, NumericalWarning, TwoLayerNet, gradient_descent, numerical_diff, numerical_gradient


def parabola(x: Any) -> Any:
    return 0.01 * x**2 + 0.1 * x


def sum_of_squares(x: Any) -> Any:
    return np.sum(x**2)


class Asked:
    """A function that keeps the points at which it was asked."""

    def __init__(self, f: Callable[[Any], Any]) -> None:
        self.f, self.points = f, list[Any]()

    def __call__(self, x: Any) -> Any:
        self.points.append(np.copy(x))
        return self.f(x)


@pytest.mark.parametrize(("x", "slope"), [(5, 0.2), (10, 0.3)])
def test_the_textbook_parabola_has_the_slopes_in_the_book(x: float, slope: float) -> None:
    assert numerical_diff(parabola, x) == pytest.approx(slope, abs=1e-11)
    assert numerical_diff(parabola, x, scheme="forward") == pytest.approx(slope + 0.01 * 1e-4, abs=1e-11)


def test_a_ragged_x_is_named() -> None:
    with pytest.raises(DataError, match="x must be a table of numbers, every row of the same length"):
        numerical_gradient(np.sum, [[1, 2], [3]])


def test_an_automatic_step_beside_a_narrow_peak_finds_the_slope_0() -> None:
    assert numerical_diff(lambda x: float(np.exp(-((x / 1e-5) ** 2))), 0.0, h="auto") == 0.0


@pytest.mark.parametrize("differentiate", [numerical_diff, numerical_gradient, gradient_descent])
def test_a_step_of_10e_50_gives_zero_and_one_warning_at_the_caller(differentiate: Callable[..., Any]) -> None:
    with pytest.warns(NumericalWarning, match=r"h=1e-49 is too small at x = 5: x \+ h rounds to x") as caught:
        assert differentiate(parabola, 5.0, h=10e-50) == (5.0 if differentiate is gradient_descent else 0.0)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_function_of_a_plain_number_may_use_the_math_module() -> None:
    result = numerical_diff(math.sin, 0)
    assert type(result) is float
    assert result == pytest.approx(1.0, abs=1e-8)


def test_bool_and_uint8_values_do_not_wrap_around() -> None:
    for step in (lambda x: x < 1, lambda x: (x < 1).astype(np.uint8)):
        with pytest.warns(NumericalWarning, match="varies within"):
            assert numerical_diff(step, np.array([1.0, 2.0]), h=0.25).tolist() == [-2.0, 0.0]


def test_longdouble_values_keep_their_precision() -> None:
    tiny = np.finfo(np.longdouble).eps
    slopes = numerical_diff(lambda x: 1 + tiny * np.sign(x).astype(np.longdouble), np.zeros(2), h=0.5)
    assert slopes.dtype == np.longdouble and (slopes == 2 * tiny).all()
    slopes = numerical_gradient(lambda x: 1 + tiny * np.sign(x[0]), np.zeros(1, np.longdouble), h=0.5)
    assert slopes.dtype == np.longdouble and slopes[0] == 2 * tiny
    assert numerical_gradient(lambda x: float(x[0]), np.zeros(1, np.longdouble)).dtype == np.longdouble


@pytest.mark.filterwarnings("ignore::tinynet.NumericalWarning")
def test_central_differences_are_second_order_and_forward_first() -> None:
    def error(h: float, scheme: str) -> float:
        return abs(float(numerical_diff(np.exp, 1.0, h, scheme)) - math.e)

    assert error(1e-2, "central") / error(1e-3, "central") == pytest.approx(100, rel=0.01)
    assert error(1e-2, "forward") / error(1e-3, "forward") == pytest.approx(10, rel=0.01)
    assert error(1e-2, "backward") / error(1e-3, "backward") == pytest.approx(10, rel=0.01)
    assert numerical_diff(np.exp, 1.0, scheme="backward") < math.e < numerical_diff(np.exp, 1.0, scheme="forward")


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6), st.sampled_from(["central", "forward", "backward"]))
def test_the_gradient_of_a_linear_function_is_its_coefficients(coefficients: list[float], scheme: str) -> None:
    w = np.array(coefficients)
    gradient = numerical_gradient(lambda x: w @ x, np.ones(len(w)), scheme=scheme)
    np.testing.assert_allclose(gradient, w, atol=1e-13 / 1e-4 * np.abs(w).sum() + 1e-12)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 1, 3), (0,)])
def test_a_gradient_has_the_shape_of_its_argument(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x = np.asarray(rng.standard_normal(shape))
    gradient = numerical_gradient(sum_of_squares, x)
    assert gradient.shape == shape and gradient.dtype == np.float64
    np.testing.assert_allclose(gradient, 2 * x, atol=1e-10)


@pytest.mark.parametrize("order", ["C", "F"])
def test_transposed_and_sliced_arrays_keep_their_order(order: Any, rng: np.random.Generator) -> None:
    x = np.array(rng.standard_normal((4, 6)), order=order)[::2, 1::3]
    weights = np.arange(4).reshape(2, 2)
    np.testing.assert_allclose(numerical_gradient(lambda a: np.sum(weights * a), x), weights, atol=1e-10)


@given(st.integers(0, 11), st.integers(0, 2**32))
def test_the_array_is_restored_exactly_even_after_an_exception(fatal_call: int, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((2, 3)) * 1e3
    before, calls = x.tobytes(), iter(range(100))

    def fails_once(_: Any) -> float:
        if next(calls) == fatal_call:
            raise KeyError("on purpose")
        return 1.0

    with pytest.raises(KeyError):
        numerical_gradient(fails_once, x)
    assert x.tobytes() == before
    numerical_gradient(sum_of_squares, x)
    assert x.tobytes() == before


def test_a_float64_array_is_moved_in_place_so_f_may_ignore_x() -> None:
    x = np.array([3.0, 4.0])
    np.testing.assert_allclose(numerical_gradient(lambda _: x[0] * x[1], x), [4.0, 3.0], atol=1e-10)


@pytest.mark.parametrize("x", [[3, 4], (3.0, 4.0), np.array([3, 4], np.int8), np.broadcast_to([3.0, 4.0], 2)])
def test_integers_lists_and_read_only_arrays_are_copied_to_float64(x: Any) -> None:
    np.testing.assert_allclose(numerical_gradient(sum_of_squares, x), [6.0, 8.0], atol=1e-9)


def test_x_must_be_real_numbers_of_float64_or_more() -> None:
    for dtype in (np.float16, np.float32):
        with pytest.raises(TypeError, match=f"x is {np.dtype(dtype)}: .* drowns in its rounding.*astype"):
            numerical_gradient(sum_of_squares, np.ones(2, dtype))
    for x in (np.ones(2, complex), np.array(["a"]), np.array([None])):
        with pytest.raises(TypeError, match="real numbers"):
            numerical_gradient(sum_of_squares, x)


@pytest.mark.parametrize("value", [np.ones(2), None, "1.0", 1j, []])
def test_f_must_return_one_real_number(value: Any) -> None:
    x = np.ones(2)
    with pytest.raises(TypeError, match=f"f must return one real number, got .*{type(value).__name__}"):
        numerical_gradient(lambda _: value, x)
    assert (x == 1.0).all()


def test_a_step_beyond_the_largest_float_goes_to_infinity() -> None:
    zero = Asked(lambda x: 0.0)
    numerical_diff(zero, 1.7e308, h=1e308)
    numerical_gradient(zero, 1.7e308, h=1e308)
    whole, second = [math.inf, 1.7e308 - 1e308], [math.inf, 1.7e308 - 0.382e308]
    assert zero.points == [*whole, *second, *whole]


def test_a_difference_beyond_the_largest_float_is_infinite() -> None:
    assert np.isposinf(numerical_gradient(lambda x: 1.7e308 * np.sign(x[0]), np.zeros(1)))


def test_numerical_diff_refuses_an_f_that_changes_the_shape() -> None:
    with pytest.raises(TypeError, match="of shape"):
        numerical_diff(lambda x: np.sum(x), np.ones(3))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_function_that_is_not_finite_gives_nan_silently(value: float) -> None:
    assert np.isnan(numerical_gradient(lambda _: value, np.ones(2))).all()


@pytest.mark.parametrize("h", [0, -1e-4, math.nan, math.inf, "1e-4", True])
def test_fault_06_a_step_must_be_a_positive_number(h: Any) -> None:
    for call in (numerical_diff, numerical_gradient, gradient_descent):
        with pytest.raises((ValueError, TypeError), match="h must be a"):
            call(sum_of_squares, 1.0, h=h)


def test_an_unknown_scheme_is_answered_with_the_nearest_name() -> None:
    for call in (numerical_diff, numerical_gradient):
        with pytest.raises(ValueError, match=r"^unknown scheme 'centra'; did you mean 'central'"):
            call(sum_of_squares, 1.0, scheme="centra")


def test_the_default_step_is_one_ten_thousandth() -> None:
    assert numerical_gradient(lambda x: np.sum(x**3), [0.0]) == pytest.approx([1e-8])  # of a cube: h²


def test_every_entry_costs_two_evaluations() -> None:
    counted = Asked(sum_of_squares)
    numerical_gradient(counted, np.ones((2, 3)))
    assert len(counted.points) == 12
    gradient_descent(counted, np.ones(3), step_num=5)
    assert len(counted.points) == 12 + 30


@pytest.mark.parametrize("workers", [2, -1, map])
def test_workers_give_the_bits_of_the_serial_result(workers: Any, rng: np.random.Generator) -> None:
    x = rng.standard_normal((5, 7))
    before = x.tobytes()
    serial = numerical_gradient(lambda a: np.sum(np.sin(a) ** 3), x)
    assert numerical_gradient(lambda a: np.sum(np.sin(a) ** 3), x, workers=workers).tobytes() == serial.tobytes()
    assert x.tobytes() == before


def test_workers_run_in_other_processes() -> None:
    here = os.getpid()
    slopes = numerical_gradient(lambda x: (1 if os.getpid() == here else 2) * np.sum(x), np.ones(3), workers=2)
    np.testing.assert_allclose(slopes, 2.0, atol=1e-10)


def test_f_may_write_into_its_own_large_array_in_a_worker() -> None:
    def doubled(buffer: Any, x: Any) -> Any:
        buffer[: len(x)] = 2 * x
        return buffer.sum()

    own = np.zeros(2**18)  # 2 MB, which joblib would share read-only
    np.testing.assert_allclose(numerical_gradient(partial(doubled, own), np.ones(2), workers=2), 2.0, atol=1e-10)


def test_the_futures_of_a_cluster_are_waited_for() -> None:
    with ThreadPoolExecutor(2) as pool:

        def client_map(task: Callable[[Any], Any], chunks: Iterable[Any]) -> list[Future[Any]]:
            return [pool.submit(task, chunk) for chunk in chunks]

        gradient = numerical_gradient(sum_of_squares, [1.0, 2.0], workers=client_map)
        np.testing.assert_allclose(gradient, [2, 4], atol=1e-9)


def test_workers_refuse_a_function_that_ignores_its_argument() -> None:
    x = np.ones(3)
    with pytest.raises(ValueError, match=r"f ignores its argument.*leave workers=1"):
        numerical_gradient(lambda _: np.sum(x**2), x, workers=2)
    assert (x == 1.0).all()
    assert numerical_gradient(lambda _: 1.0, x, workers=map).tolist() == [0.0, 0.0, 0.0]  # of a constant


@pytest.mark.parametrize("workers", [0, -2, 1.5, "two"])
def test_a_wrong_number_of_workers_is_refused(workers: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"^workers \(an int, -1 for all cores, or a map-like callable\)"):
        numerical_gradient(sum_of_squares, [1.0], workers=workers)


def test_gradient_descent_defaults_to_100_steps_at_a_rate_of_0_01() -> None:
    x, expected = gradient_descent(lambda x: np.sum(x**3), [2.0]), 2.0
    for _ in range(100):
        expected -= 0.01 * (3 * expected**2 + 1e-4**2)  # the central difference of a cube is off by h²
    assert x == pytest.approx([expected], abs=1e-9)


@pytest.mark.parametrize(("name", "value"), [("lr", math.nan), ("step_num", -1)])
def test_a_wrong_rate_or_number_of_steps_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be"):
        gradient_descent(sum_of_squares, [1.0], **{name: value})


def test_a_lost_step_is_warned_of_even_when_nan_follows() -> None:
    with pytest.warns(NumericalWarning, match="is too small"):
        assert np.isnan(gradient_descent(lambda _: math.inf, [1e20], step_num=3)).all()


def test_gradient_descent_keeps_its_start_and_returns_the_path() -> None:
    start = np.array([-3.0, 4.0])
    x, path = gradient_descent(sum_of_squares, start, lr=0.1, step_num=5, return_path=True)
    assert start.tolist() == [-3.0, 4.0] and path.shape == (6, 2)
    np.testing.assert_allclose(path, [start * 0.8**k for k in range(6)], atol=1e-10)
    assert (path[-1] == x).all()
    assert (gradient_descent(sum_of_squares, start, step_num=0) == start).all()


def test_fault_62_a_lost_step_is_named_and_never_a_silent_zero() -> None:
    for x, named in (
        ([1e20, -3.0, 3e11], r"x\[0\] = 1e\+20: x \+ h rounds to x.*x\[2\] = 3e\+11: rounding moves x by"),
        ([1, 1e20], r"x\[1\]"),
    ):
        with pytest.warns(NumericalWarning, match=named):
            numerical_gradient(np.sum, x)
    with pytest.warns(NumericalWarning, match=r"x = 3e\+11"):
        assert numerical_diff(lambda x: x, 3e11) == 1.0  # divided by 2h it is 1.22
    with pytest.warns(NumericalWarning, match=r"x = 9.0072e\+15"):
        assert numerical_diff(lambda x: x, 2.0**53, h=1.0) == 1.0  # x + 1 rounds to x, x − 1 does not
    for scheme in ("forward", "backward"):
        with pytest.warns(NumericalWarning, match="rounding"):
            assert numerical_diff(lambda x: x, 3e11, scheme=scheme) == 1.0


def test_fault_62_the_rounding_of_f_is_named_where_it_matters() -> None:
    with pytest.warns(NumericalWarning, match=r"x\[0\] = 1e\+10: the rounding of f, which is about 1e\+20"):
        numerical_gradient(sum_of_squares, [1e10])
    with pytest.warns(NumericalWarning, match="rounding of f"):
        numerical_diff(lambda x: x**2, 1e10)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("x", [1e-6, 1.0, 1e4, 1e8])
def test_fault_62_harmless_rounding_gives_no_warning(x: float) -> None:
    for f in (np.sin, np.cos, np.tanh, lambda x: 3.0 + 0 * x):
        numerical_diff(f, x)
        numerical_gradient(f, x)
    numerical_diff(np.cos, 0.0)
    gradient_descent(lambda x: 1 + sum_of_squares(x), [-3.0, 4.0], lr=0.1)


def test_fault_63_two_steps_that_disagree_give_a_warning() -> None:
    for f, x in (
        (np.log, 2e-4),
        (lambda x: np.sin(1e4 * x), 0.3),
        (lambda x: np.sin(2e4 * math.pi * x), 0.1),
        (np.cbrt, 1e-5),
    ):
        for differentiate in (numerical_diff, partial(numerical_gradient, full_output=True)):
            with pytest.warns(NumericalWarning, match="h=0.0001 is too large at x"):
                differentiate(f, x)
    with np.errstate(all="ignore"), pytest.warns(NumericalWarning, match="too large at x.*finite"):
        numerical_diff(np.log, 5e-5)


def test_fault_64_float32_values_are_detected() -> None:
    def single(x: Any) -> Any:
        return np.float32(np.sum(np.sin(x)))

    for f in (single, lambda x: float(single(x))):
        for differentiate, x in ((numerical_gradient, [1.3, 0.2]), (numerical_diff, 1.3)):
            with pytest.warns(NumericalWarning, match="the rounding of f"):
                differentiate(f, x)
        slopes, errors = numerical_gradient(f, [1.3, 0.2], h="auto", full_output=True)
        assert (np.abs(slopes - np.cos([1.3, 0.2])) <= errors).all() and (errors < 1e-4).all()


def test_fault_64_a_value_of_the_wrong_type_is_named() -> None:
    with pytest.raises(TypeError, match=r"\(loss, gradient\)"):
        numerical_gradient(lambda x: (np.sum(x), x), [1.0, 2.0])
    for x in ([np.ones(2), np.ones(3)], (np.ones(2), np.ones(2))):
        with pytest.raises(TypeError, match="of arrays"):
            numerical_gradient(sum_of_squares, x)
    assert numerical_diff(lambda x: x.astype(np.int64), np.array([0.5])).tolist() == [0.0]


def test_fault_64_an_f_that_overwrites_its_argument_is_refused() -> None:
    def doubling(x: Any) -> Any:
        x *= 2
        return np.sum(x)

    for call in (numerical_gradient, lambda f, x: numerical_diff(lambda x: f(x) + 0 * x, x), gradient_descent):
        x = np.array([1.0, 2.0])
        with pytest.raises(ValueError, match="changes its argument"):
            call(doubling, x)
        assert x.tolist() == [1.0, 2.0]


def test_fault_64_the_slope_is_measured_on_the_side_where_f_exists() -> None:
    for f, x, slope in (
        (math.log, 1e-5, 1e5),
        (math.asin, 0.9999, 1 / math.sqrt(1 - 0.9999**2)),
        (lambda x: math.sqrt(1 - x) ** 3 + math.exp(x), 0.9, math.exp(0.9) - 1.5 * math.sqrt(0.1)),
        (lambda x: math.exp(x) if x <= 1 else math.nan, 1.0, math.e),
        (lambda x: math.exp(x) if x >= 1 else math.sqrt(x - 1), 1.0, math.e),
    ):
        counted = Asked(f)
        found, error = numerical_diff(counted, x, h="auto", full_output=True)
        assert abs(found - slope) <= error <= 1e-6 * slope and len(counted.points) <= 20
    # no slope, a kink, and a slope whose error falls with no whole power of h
    for f in (math.sqrt, lambda x: max(x, 0.0), lambda x: x**1.5 if x >= 0 else math.nan):
        with pytest.warns(NumericalWarning, match="rough"):
            numerical_diff(f, 0.0, h="auto")


@pytest.mark.filterwarnings("ignore::tinynet.NumericalWarning")
def test_the_automatic_step_keeps_its_error_estimate_at_any_scale() -> None:
    found = [(task, *numerical_diff(task.f, task.x, "auto", full_output=True)) for task in tasks()]
    errors = np.array([abs(slope - task.slope) for task, slope, _ in found])
    relative = errors / np.abs([task.slope for task, _, _ in found])
    assert len({task.name for task, _, _ in found}) >= 100
    assert np.median(relative) < 1e-13
    assert np.mean(errors <= [error for _, _, error in found]) >= 0.95


def test_a_fixed_step_is_never_silently_wrong_at_any_scale() -> None:
    for task in tasks():
        with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
            warnings.simplefilter("always")
            slope = numerical_diff(task.f, task.x)
        scale = max(abs(task.slope), abs(task.f(np.float64(task.x))) / max(task.x, 1.0))
        assert caught or abs(slope - task.slope) <= 1e-3 * scale, task.name


def test_the_automatic_step_takes_few_evaluations_and_any_shape() -> None:
    counted = Asked(lambda x: np.sum(np.sin(x)))
    x = np.array([[1e-9, 1.3], [1e8, 0.0]])
    slopes, errors = numerical_gradient(counted, x, h="auto", full_output=True)
    assert len(counted.points) == 1 + 18 * 4 and slopes.shape == errors.shape == (2, 2)
    assert (np.abs(slopes - np.cos(x)) <= errors).all()
    np.testing.assert_array_equal(numerical_gradient(counted, x, h="auto", workers=map), slopes)
    np.testing.assert_allclose(numerical_diff(np.sin, x, h="auto"), np.cos(x), atol=1e-9)
    for scheme in ("forward", "backward"):
        assert numerical_gradient(np.exp, 1.0, "auto", scheme) == pytest.approx(math.e, rel=1e-11)
    assert numerical_gradient(counted, np.zeros((0, 3)), h="auto").shape == (0, 3)
    assert numerical_diff(np.sin, 5e-324, h="auto") == 1.0
    assert numerical_gradient(lambda x: np.sin(x[0]), np.zeros(1, np.longdouble), h="auto").dtype == np.longdouble


def test_a_descent_that_does_not_move_says_why() -> None:
    with pytest.warns(NumericalWarning, match="has not moved"):
        assert gradient_descent(sum_of_squares, [1e20]).tolist() == [1e20]
    with pytest.warns(NumericalWarning, match="in step 1, h=0.0001 is too small") as caught:
        assert gradient_descent(np.sum, [1e20, 1.0], step_num=3)[0] == 1e20
    assert "rounding of f" in str(caught[0].message)
    assert gradient_descent(sum_of_squares, [1e20], lr=0.5, step_num=3, h="auto") == pytest.approx([0.0], abs=1.0)


def test_the_loop_of_a_network_warns_of_a_lost_step() -> None:
    with pytest.warns(NumericalWarning, match="rounds to x"):
        TwoLayerNet(2, 3, 2, seed=0).numerical_gradient([[1.0, -1.0]], [1], h=1e-30, method="loop")
