"""The values of f at moved points, checked: of all entries at once, or one entry after the other, also by workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.errors import InvalidTypeError, InvalidValueError, check_integer
from tinynet.losses import regular_array

Array = npt.NDArray[Any]
Function = Callable[[Array], Any]
MapLike = Callable[..., Iterable[Any]]
Move = tuple[tuple[int, ...], list[Any]]  # an entry, and the numbers it becomes one after the other

CHUNKS_PER_WORKER = 8  # enough to level out uneven work, few enough that f and x are seldom sent
OUTSIDE = (ArithmeticError, ValueError, RuntimeError)  # what f raises where it has no value


def values_by_entry(f: Function, x: Array, outside: Any, moves: list[Move]) -> list[list[Any]]:
    """Return the values of f with one entry of x after the other at its points, and x as it was."""
    before = x.copy() if moves else x  # the first evaluation shows whether f writes into its argument
    values = []
    for n, (index, points) in enumerate(moves):
        original, of_entry = x[index], []
        try:
            for point in points:
                x[index] = point
                try:
                    of_entry.append(checked_number(f(x)))
                except outside:
                    of_entry.append(np.float64(np.nan))
                if n == 0:
                    before[index] = point
                    _refuse_overwriting(x, before)
        finally:
            x[index] = original
            if n == 0:
                before[index] = original
        values.append(of_entry)
    return values


def _values_of_copy(f: Function, x: Array, outside: Any, moves: list[Move]) -> list[list[Any]]:
    return values_by_entry(f, x.copy(), outside, moves)


def values_from_workers(
    f: Function, x: Array, outside: Any, moves: list[Move], workers: int | MapLike, n_workers: int
) -> list[list[Any]]:
    """Return the values as `values_by_entry` does, from workers."""
    n_chunks = max(1, min(len(moves), CHUNKS_PER_WORKER * n_workers))
    chunks = [moves[part::n_chunks] for part in range(n_chunks)]
    values: list[list[Any]] = [[]] * len(moves)
    for part, results in enumerate(_map(workers, partial(_values_of_copy, f, x, outside), chunks)):
        values[part::n_chunks] = results
    return values


def elementwise_values(f: Callable[[Any], Any], points: Array, outside: Any) -> Array:
    """Return the values of f at an array of points, or nan where it raises."""
    point = points.copy()[()]  # a number when x is 0-d, so that f may use math.sin
    try:
        values = _checked_values(f(point), points.shape)
    except outside:
        return np.full(points.shape, np.nan)
    if points.ndim:
        _refuse_overwriting(point, points)
    return values


def _refuse_overwriting(x: Array, before: Array) -> None:
    if not np.array_equal(x, before, equal_nan=True):
        x[...] = before
        raise InvalidValueError("f changes its argument; it must leave x as it is")


def checked_number(value: Any) -> Any:
    """Return the one real number that f gave, as a NumPy float, or raise."""
    array = None if isinstance(value, list | tuple | dict) else np.asarray(value)
    if array is None or array.size != 1 or array.dtype.kind not in "fiub":
        got = f"an array of shape {array.shape}" if array is not None and array.ndim else repr(value)
        if isinstance(value, tuple) and len(value) > 1:
            got = f"{len(value)} values: is it (loss, gradient)? return the loss alone"
        raise InvalidTypeError(f"f must return one real number, got {got} ({type(value).__name__})")
    return array.reshape(())[()] if array.dtype.kind == "f" else np.float64(array.reshape(())[()])


def _checked_values(value: Any, shape: tuple[int, ...]) -> Array:
    array = np.asarray(value)
    if array.shape != shape or array.dtype.kind not in "fiub":
        raise InvalidTypeError(
            f"f must return real numbers of shape {shape}, as x has, got {array.dtype} of shape {array.shape}"
        )
    return array.astype(np.result_type(array, np.float64), copy=False)


def as_float64(x: npt.ArrayLike) -> Array:
    """Return x itself if it is an array of float64 or longdouble, or a float64 copy of what can be one."""
    if isinstance(x, list | tuple) and any(isinstance(item, np.ndarray) and item.ndim for item in x):
        raise InvalidTypeError(
            f"x must be one array, got a {type(x).__name__} of arrays; differentiate by one at a time"
        )
    array = regular_array("x", x)
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        raise InvalidTypeError(
            f"x is {array.dtype}: a difference over h drowns in its rounding (about 1e-7 for float32, "
            "1e-3 for float16); use x.astype(np.float64)"
        )
    if array.dtype.kind not in "fiub":
        raise InvalidTypeError(f"x must hold real numbers, got dtype {array.dtype}")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def count_workers(workers: int | MapLike) -> int:
    """Return the number of processes, that of the cores where a map-like callable does not tell."""
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


def refuse_ignored_argument(f: Function, x: Array, h: float) -> None:
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
