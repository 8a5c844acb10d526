"""Differentiation of any function by differences of its values, and gradient descent on top.

Nothing here knows what a network is: see ``differences.py`` for the fast way through one.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.errors import (
    InvalidTypeError,
    InvalidValueError,
    NumericalWarning,
    check_choice,
    check_integer,
    check_number,
    check_step_size,
)

Array = npt.NDArray[Any]
Function = Callable[[Array], Any]
MapLike = Callable[..., Iterable[Any]]

SCHEMES = ("central", "forward")
CHUNKS_PER_WORKER = 8  # enough to level out uneven work, few enough that f and x are seldom sent


def numerical_diff(f: Callable[[Any], Any], x: Any, h: float = 1e-4, scheme: str = "central") -> Any:
    """Return the derivative of `f` at `x` as a difference quotient.

    Central: (f(x + h) − f(x − h)) / 2h, error O(h²). Forward: (f(x + h) − f(x)) / h, error O(h).

    Parameters
    ----------
    f : callable
        A function of one number, applied elementwise when `x` is an array.
    x : number or array
        Where to differentiate; integers are taken as float64.
    h : float above 0
        The step, in units of x. 1e-4 balances the error of the formula against rounding.
    scheme : "central" or "forward"

    Returns
    -------
    float or array of float64
        Shape of `x`.

    Warns
    -----
    NumericalWarning
        When h is so small that x + h rounds to x everywhere: the difference is then exactly 0.

    Raises
    ------
    InvalidTypeError
        For a float16, float32, complex or non-numeric `x`.
    InvalidValueError
        For an h that is not finite and above 0, or an unknown scheme.

    References
    ----------
    Press et al., *Numerical Recipes*, 3rd ed. (2007), section 5.7.

    Examples
    --------
    >>> round(numerical_diff(lambda x: 0.01 * x**2 + 0.1 * x, 5), 9)
    0.2
    """
    h, scheme = check_step_size(h), check_choice("scheme", scheme, SCHEMES)
    x = _as_float64(x)
    point = x[()]  # a number when x is 0-d, so that f may use math.sin
    upper, lower, width = _ends(point, h, scheme)
    _warn_if_lost(bool(np.any(upper != lower)) or x.size == 0, h)
    quotient = (_checked_values(f(upper), x.shape) - _checked_values(f(lower), x.shape)) / width
    return quotient if x.ndim else float(quotient)


def numerical_gradient(
    f: Function, x: npt.ArrayLike, h: float = 1e-4, scheme: str = "central", workers: int | MapLike = 1
) -> Array:
    """Return the gradient of `f` at `x`, one entry at a time: 2 · x.size evaluations of `f`.

    A writable float64 array is perturbed **in place** and restored bit for bit, also when `f`
    raises. So the textbook idiom works, in which f ignores its argument::

        numerical_gradient(lambda _: net.loss(X, y), net.params["W1"])

    Parameters
    ----------
    f : callable, array -> one real number
    x : array of any shape, 0-d included
        float64 (or longdouble) is worked on in place; lists, integers and read-only arrays as
        a float64 copy, which `f` has to take from its argument.
    h : float above 0
        The step, in units of x.
    scheme : "central" or "forward"
    workers : int or map-like callable, default 1
        As in SciPy: the number of processes (−1: one a core), or a callable used as
        ``workers(task, chunks)`` such as ``multiprocessing.Pool().map`` or the ``map`` of a Dask
        client. Every task works on its own copy of x, so `f` must use its argument. The result
        has the same bits. Two processes on two idle cores are 1.6 to 1.7 times as fast when one
        evaluation of f takes 5 ms, 1.2 to 1.5 times at 1.7 ms, and slower than one process
        below about 0.5 ms (scripts/workers.py).

    Returns
    -------
    array of float64, or of longdouble where `x` is; shape of `x`
        nan or inf where `f` returns them.

    Warns
    -----
    NumericalWarning
        When no perturbation survived rounding: x + h is x for every entry.

    Raises
    ------
    InvalidTypeError
        For float16/float32 (rounding in float32 drowns a difference over 1e-4), complex or
        non-numeric `x`, and when `f` returns anything but one real number.
    InvalidValueError
        For a bad h, scheme or workers, and for an `f` that ignores its argument when there are
        workers.

    References
    ----------
    Saitoh, *Deep Learning from Scratch* (2016), chapter 4: the names and the idiom.

    Examples
    --------
    >>> numerical_gradient(lambda x: np.sum(x**2), np.array([3.0, 4.0])).round(9)
    array([6., 8.])
    """
    gradient, survived = _gradient(f, _as_float64(x), h, scheme, workers)
    _warn_if_lost(survived, h)
    return gradient


def gradient_descent(
    f: Function,
    init_x: npt.ArrayLike,
    lr: float = 0.01,
    step_num: int = 100,
    *,
    h: float = 1e-4,
    return_path: bool = False,
) -> Any:
    """Walk downhill from `init_x`: x ← x − lr · numerical_gradient(f, x), `step_num` times.

    Parameters
    ----------
    f : callable, array -> one real number
    init_x : array of any shape; never changed
    lr : float, the learning rate: too large and x blows up, too small and it hardly moves
    step_num : int of at least 0
    h : float above 0, the step of the differences
    return_path : bool

    Returns
    -------
    array, shape of `init_x`, or (array, path) with `return_path`
        path has shape (step_num + 1, *init_x.shape) and begins with init_x.

    Warns
    -----
    NumericalWarning
        Once, when at some step no perturbation survived rounding (x had become too large for h).

    Raises
    ------
    InvalidValueError, InvalidTypeError
        As `numerical_gradient`, and for a bad lr or step_num.

    Examples
    --------
    >>> x = gradient_descent(lambda x: np.sum(x**2), [-3.0, 4.0], lr=0.1, step_num=100)
    >>> bool(np.all(np.abs(x) < 1e-9))
    True
    """
    lr, step_num = check_number("lr", lr), check_integer("step_num", step_num, 0)
    x = _as_float64(init_x).copy()
    path, all_survived = [x.copy()], True
    for _ in range(step_num):
        gradient, survived = _gradient(f, x, h)
        all_survived &= survived
        x -= lr * gradient
        if return_path:
            path.append(x.copy())
    _warn_if_lost(all_survived, h)
    return (x, np.array(path)) if return_path else x


def _gradient(
    f: Function, x: Array, h: float, scheme: str = "central", workers: int | MapLike = 1
) -> tuple[Array, bool]:
    """Return the gradient, and whether any perturbation survived rounding."""
    h, scheme = check_step_size(h), check_choice("scheme", scheme, SCHEMES)
    x = x if x.flags.writeable else x.copy()
    n_workers = _count(workers)
    upper, lower, _ = _ends(x, h, scheme)
    survived = x.size == 0 or bool(np.any(upper != lower))
    entries = np.nditer(x, flags=["multi_index", "zerosize_ok"], order="C")
    indices = [entries.multi_index for _ in entries]
    if n_workers == 1 and not callable(workers):
        values = _quotients(f, x, h, scheme, indices)
    else:
        _refuse_ignored_argument(f, x, h)
        n_chunks = max(1, min(len(indices), CHUNKS_PER_WORKER * n_workers))
        chunks = [indices[part::n_chunks] for part in range(n_chunks)]
        values = [0.0] * len(indices)
        for part, results in enumerate(_map(workers, partial(_quotients_of_copy, f, x, h, scheme), chunks)):
            values[part::n_chunks] = results
    return np.array(values, dtype=x.dtype).reshape(x.shape), survived


def _quotients(f: Function, x: Array, h: float, scheme: str, indices: list[tuple[int, ...]]) -> list[Any]:
    return [_quotient(f, x, index, h, scheme) for index in indices]


def _quotients_of_copy(f: Function, x: Array, h: float, scheme: str, indices: list[tuple[int, ...]]) -> list[Any]:
    return _quotients(f, x.copy(), h, scheme, indices)


def _quotient(f: Function, x: Array, index: tuple[int, ...], h: float, scheme: str) -> Any:
    original = x[index]
    upper, lower, width = _ends(original, h, scheme)
    try:
        x[index] = upper
        f_upper = checked_number(f(x))
        x[index] = lower
        f_lower = checked_number(f(x))
    finally:
        x[index] = original
    with np.errstate(invalid="ignore", over="ignore"):
        return (f_upper - f_lower) / width


def _ends(x: Any, h: float, scheme: str) -> tuple[Any, Any, float]:
    """Return both ends of the difference and the width to divide by."""
    with np.errstate(over="ignore"):  # an end beyond the largest float is infinite, and f is asked there
        return (x + h, x - h, 2 * h) if scheme == "central" else (x + h, x, h)


def _as_float64(x: npt.ArrayLike) -> Array:
    array = np.asarray(x)
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        raise InvalidTypeError(
            f"x is {array.dtype}: a difference over h drowns in its rounding (about 1e-7 for float32, "
            "1e-3 for float16); use x.astype(np.float64)"
        )
    if array.dtype.kind not in "fiub":
        raise InvalidTypeError(f"x must hold real numbers, got dtype {array.dtype}")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def checked_number(value: Any) -> Any:
    """Return the one real number that f gave, as a NumPy float, or raise."""
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "fiub":
        got = f"an array of shape {array.shape}" if array.ndim else repr(value)
        raise InvalidTypeError(f"f must return one real number, got {got} ({type(value).__name__})")
    return array.reshape(())[()] if array.dtype.kind == "f" else np.float64(array.reshape(())[()])


def _checked_values(value: Any, shape: tuple[int, ...]) -> Array:
    array = np.asarray(value)
    if array.shape != shape or array.dtype.kind not in "fiub":
        raise InvalidTypeError(
            f"f must return real numbers of shape {shape}, as x has, got {array.dtype} of shape {array.shape}"
        )
    return array.astype(np.result_type(array, np.float64), copy=False)


def _warn_if_lost(survived: bool, h: float) -> None:
    if not survived:
        warnings.warn(
            f"h={h:g} is too small: x + h rounds to x, so the difference is 0 whatever f is; "
            "float64 keeps about 16 digits, 1e-4 is a good h",
            NumericalWarning,
            stacklevel=3,
        )


def _count(workers: int | MapLike) -> int:
    if callable(workers) or workers == -1:
        return os.cpu_count() or 1
    return check_integer("workers (an int, -1 for all cores, or a map-like callable)", workers, 1)


def _map(workers: int | MapLike, task: Callable[[Any], Any], chunks: list[Any]) -> Iterable[Any]:
    """Return the results in order; the futures of a cluster's map are waited for."""
    if callable(workers):
        results = workers(task, chunks)
    else:
        from joblib import Parallel, delayed

        results = Parallel(n_jobs=workers, max_nbytes=None)(delayed(task)(chunk) for chunk in chunks)
    return (item.result() if hasattr(item, "result") else item for item in results)


def _refuse_ignored_argument(f: Function, x: Array, h: float) -> None:
    """Raise when f follows x in place but not its argument: a worker's copy would not move it."""
    original = x.copy()
    f_here, f_argument = checked_number(f(x)), checked_number(f(original + h))
    try:
        x += h
        f_moved = checked_number(f(x))
    finally:
        x[...] = original
    if f_here == f_argument != f_moved:
        raise InvalidValueError(
            "f ignores its argument, so workers, who have copies of x, cannot move it; "
            "let f use its argument, or leave workers=1"
        )
