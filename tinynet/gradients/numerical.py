"""Differentiation of any function by differences of its values, and gradient descent on top.

Nothing here knows what a network is: see ``series.py`` for the fast way through one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.errors import NumericalWarning, check_choice, check_integer, check_number, check_step_size
from tinynet.gradients.evaluation import (
    OUTSIDE,
    Function,
    MapLike,
    as_float64,
    count_workers,
    elementwise_values,
    refuse_ignored_argument,
    values_by_entry,
    values_from_workers,
)
from tinynet.gradients.extrapolation import choose_steps

Array = npt.NDArray[Any]
At = Callable[..., Array]  # (points of shape (k, *x.shape), active) -> values of f, each entry moved by itself

SIDES = {"central": 0, "forward": 1, "backward": -1}
SECOND_STEP = 0.382  # in units of h, and no simple fraction, so that no period of f fits both
TOLERATED = 1e-3  # of a slope: a larger error is warned of
FLOAT32 = float(np.finfo(np.float32).eps)


def numerical_diff(
    f: Callable[[Any], Any],
    x: Any,
    h: float | str = 1e-4,
    scheme: str = "central",
    *,
    full_output: bool = False,
) -> Any:
    """Return the derivative of `f` at `x` as a difference quotient.

    Central: (f(x + h) − f(x − h)) / 2h, error O(h²). Forward: (f(x + h) − f(x)) / h, error O(h); backward likewise.
    The difference is divided by the distance x really moves, which is 2h but for rounding.

    Parameters
    ----------
    f : callable
        A function of one number, applied elementwise when `x` is an array. With a fixed h it is called four times:
        the last two, at 0.38 h, show whether two steps agree.
    x : number or array
        Where to differentiate; integers are taken as float64.
    h : float above 0, or "auto"
        The step, in units of x. 1e-4 balances the error of the formula against rounding where x and f are of order 1.
        "auto" finds over which length f varies at each entry, and extrapolates to the step 0, in 19 evaluations. Where
        f has no value on one side, or raises, the slope is that of the other side (up to 18 evaluations).
    scheme : "central", "forward" or "backward"
    full_output : bool
        Whether to return an estimate of the error as well.

    Returns
    -------
    float or array of float64, shape of `x`
        With `full_output` a pair of them: the slope, and the estimate of its absolute error.

    Warns
    -----
    NumericalWarning
        Names the entries where x + h rounds to x (the difference is then 0 whatever f is) or x moves by another
        amount; where rounding may change the slope by 0.1 %; where two steps disagree by as much.

    Raises
    ------
    InvalidTypeError
        For a float16, float32, complex or non-numeric `x`, and values of `f` that are not real or of another shape.
    InvalidValueError
        For an h that is not finite and above 0, an unknown scheme, and an `f` that changes its argument.

    References
    ----------
    Press et al., *Numerical Recipes*, 3rd ed. (2007), section 5.7.

    Examples
    --------
    >>> round(numerical_diff(lambda x: 0.01 * x**2 + 0.1 * x, 5), 9)
    0.2
    >>> slope, error = numerical_diff(np.sin, 1e8, h="auto", full_output=True)
    >>> bool(abs(slope - np.cos(1e8)) < error < 1e-9)
    True
    """
    step, side = _checked_step(h), SIDES[check_choice("scheme", scheme, SIDES)]
    x = as_float64(x)

    def values_at(points: Array, active: Any = None, outside: Any = ()) -> Array:
        return np.array([elementwise_values(f, point, outside) for point in points])

    if step is None:
        slope, error, faults = _automatic(values_at, x, values_at(x[None])[0], side, np.abs(x))
    else:
        slope, error, faults = _fixed(values_at, x, step, side, np.abs(x), twice=True)
    _warn(faults)
    given = (slope, error) if x.ndim else (float(slope), float(error))
    return given if full_output else given[0]


def numerical_gradient(
    f: Function,
    x: npt.ArrayLike,
    h: float | str = 1e-4,
    scheme: str = "central",
    workers: int | MapLike = 1,
    *,
    full_output: bool = False,
) -> Any:
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
    h : float above 0, or "auto"
        The step, in units of x. The difference is divided by the distance x really moves, 2h but for rounding. "auto"
        chooses the steps of each entry as in `numerical_diff`: 18 evaluations an entry, and one.
    scheme : "central", "forward" or "backward"
    workers : int or map-like callable, default 1
        As in SciPy: the number of processes (−1: one a core), or a callable used as
        ``workers(task, chunks)`` such as ``multiprocessing.Pool().map`` or the ``map`` of a Dask
        client. Every task works on its own copy of x, so `f` must use its argument. The result
        has the same bits. Two processes on two idle cores are 1.6 to 1.7 times as fast when one
        evaluation of f takes 5 ms, 1.2 to 1.5 times at 1.7 ms, and slower than one process
        below about 0.5 ms (scripts/workers.py).
    full_output : bool
        Whether to return an estimate of the error as well; with a fixed h that takes two more evaluations an entry.

    Returns
    -------
    array of float64, or of longdouble where `x` is; shape of `x`
        nan or inf where `f` returns them. With `full_output` a pair of them: the gradient, and the estimate of the
        absolute error of each entry.

    Warns
    -----
    NumericalWarning
        Names the entries where x + h rounds to x or x moves by another amount, and where rounding may change the slope
        by 0.1 %; with `full_output` or h="auto" also where two steps disagree by as much.

    Raises
    ------
    InvalidTypeError
        For float16/float32 (rounding in float32 drowns a difference over 1e-4), complex or
        non-numeric `x`, lists of arrays, and when `f` returns anything but one real number.
    InvalidValueError
        For a bad h, scheme or workers, an `f` that changes its argument, and for one that ignores it when there
        are workers.

    References
    ----------
    Saitoh, *Deep Learning from Scratch* (2016), chapter 4: the names and the idiom.

    Examples
    --------
    >>> numerical_gradient(lambda x: np.sum(x**2), np.array([3.0, 4.0])).round(9)
    array([6., 8.])
    """
    gradient, error, faults = _gradient(f, as_float64(x), h, scheme, workers, full_output)
    _warn(faults)
    return (gradient, error) if full_output else gradient


def textbook_gradient(f: Function, x: Array, h: float) -> Array:
    """Return (f(x + h) − f(x − h)) / 2h by entry: divided by 2h itself, as the classroom's loop has it."""
    upper, lower = x + h, x - h
    indices = list(np.ndindex(x.shape))
    values = values_by_entry(f, x, (), [(index, [upper[index], lower[index]]) for index in indices])
    if x.size and not np.any(upper != lower):
        _warn({"lost": f"h={h:g} is too small: x + h rounds to x, so the difference is 0 whatever f is"})
    with np.errstate(invalid="ignore", over="ignore"):
        return np.array([(up - down) / (2 * h) for up, down in values], dtype=x.dtype).reshape(x.shape)


def gradient_descent(
    f: Function,
    init_x: npt.ArrayLike,
    lr: float = 0.01,
    step_num: int = 100,
    *,
    h: float | str = 1e-4,
    return_path: bool = False,
) -> Any:
    """Walk downhill from `init_x`: x ← x − lr · numerical_gradient(f, x), `step_num` times.

    Parameters
    ----------
    f : callable, array -> one real number
    init_x : array of any shape; never changed
    lr : float, the learning rate: too large and x blows up, too small and it hardly moves
    step_num : int of at least 0
    h : float above 0, the step of the differences, or "auto" as in `numerical_gradient`
    return_path : bool

    Returns
    -------
    array, shape of `init_x`, or (array, path) with `return_path`
        path has shape (step_num + 1, *init_x.shape) and begins with init_x.

    Warns
    -----
    NumericalWarning
        Once, of the first step in which `numerical_gradient` would warn (x had become too large for h, say); and
        whether x has moved at all.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        As `numerical_gradient`, and for an lr that is not finite or a step_num below 0.

    Examples
    --------
    >>> x = gradient_descent(lambda x: np.sum(x**2), [-3.0, 4.0], lr=0.1, step_num=100)
    >>> bool(np.all(np.abs(x) < 1e-9))
    True
    """
    lr, step_num = check_number("lr", lr), check_integer("step_num", step_num, 0)
    start = as_float64(init_x).copy()
    x, path = start.copy(), [start]
    warned: dict[str, str] = {}
    for n in range(1, step_num + 1):
        gradient, _, faults = _gradient(f, x, h)
        x -= lr * gradient
        if return_path:
            path.append(x.copy())
        warned = {fault: f"in step {n}, {text}" for fault, text in faults.items()} | warned
    if "lost" in warned and np.array_equal(x, start):
        warned["lost"] += "; x has not moved in any step"
    _warn(warned)
    return (x, np.array(path)) if return_path else x


def _gradient(
    f: Function,
    x: Array,
    h: float | str,
    scheme: str = "central",
    workers: int | MapLike = 1,
    twice: bool = False,
) -> tuple[Array, Array, dict[str, str]]:
    """Return the gradient, the estimate of its error, and what there is to warn of."""
    step, side = _checked_step(h), SIDES[check_choice("scheme", scheme, SIDES)]
    x = x if x.flags.writeable else x.copy()
    n_workers = count_workers(workers)
    evaluate: Callable[..., list[list[Any]]] = values_by_entry
    if n_workers > 1 or callable(workers):
        refuse_ignored_argument(f, x, step or 1e-4)
        evaluate = partial(values_from_workers, workers=workers, n_workers=n_workers)

    def values_at(points: Array, active: Any = None, outside: Any = ()) -> Array:
        moved = [
            (index, [p[index] for p in points]) for index in np.ndindex(x.shape) if active is None or active[index]
        ]
        values = evaluate(f, x, outside, moved)
        table = np.full(points.shape, np.nan, np.result_type(np.float64, *(type(v) for vs in values[:1] for v in vs)))
        for (index, _), of_entry in zip(moved, values, strict=True):
            table[(..., *index)] = of_entry
        return table

    size = np.full(x.shape, np.abs(x).max(initial=0.0))
    if step is None:
        first = [(i, [x[i]]) for i in list(np.ndindex(x.shape))[:1]]  # moved to where it is: f at x itself
        f_here = [value for (value,) in evaluate(f, x, (), first)] or [0.0]
        slope, error, faults = _automatic(values_at, x, np.full(x.shape, *f_here), side, size)
    else:
        slope, error, faults = _fixed(values_at, x, step, side, size, twice)
    return slope.astype(x.dtype, copy=False), error, faults


def _fixed(
    values_at: At, x: Array, h: float, side: int, size: Array, twice: bool
) -> tuple[Array, Array, dict[str, str]]:
    """Return the quotients over h, estimates of their errors (a second step has a part in), and what to warn of."""
    with np.errstate(over="ignore", invalid="ignore"):  # an end beyond the largest float is infinite; f is asked there
        ends = np.array([end for t in (h, SECOND_STEP * h)[: 1 + twice] for end in _ends(x, t, side)])
        values = values_at(ends)
        slope, noise, moved = _quotients(ends[:2], values[:2])
        largest = np.abs(values[:2]).max(axis=0)
        scale = np.maximum(np.abs(slope), largest / np.maximum(size, 1.0))
        lost, nominal = moved == 0, h if side else 2 * h
        faults = {
            "lost": _named(
                lost,
                x,
                lambda i, at: f"h={h:g} is too small at {at}: x + h rounds to x, so the difference is 0 whatever f is",
            ),
            "moved": _named(
                ~lost & (np.abs(moved - nominal) > 0.1 * nominal),
                x,
                lambda i, at: f"h={h:g} is too small at {at}: rounding moves x by {moved[i]:.3g}, not by {nominal:.3g}",
            ),
            "rounded": _named(
                ~lost & (noise > TOLERATED * scale),
                x,
                lambda i, at: (
                    f"h={h:g} is too small at {at}: the rounding of f, which is about {largest[i]:.2g}, may "
                    f"change the slope {slope[i]:.6g} by {noise[i]:.1g}"
                ),
            ),
        }
        error = noise
        if twice:
            second, more, moved_less = _quotients(ends[2:], values[2:])
            off = np.where(moved_less == 0, 0.0, np.abs(slope - second) / (1 - SECOND_STEP ** (1 if side else 2)))
            error = np.where(lost, np.inf, noise + off)
            faults["outside"] = _named(
                np.isnan(slope) & (np.isfinite(second) | np.isfinite(values[:2]).any(axis=0)),
                x,
                lambda i, at: f"h={h:g} is too large at {at}: f is not finite at an end of the difference",
            )
            faults["disagree"] = _named(
                ~lost
                & ((off > TOLERATED * np.abs(slope) + 2 * (noise + more)) | (np.isinf(slope) & np.isfinite(second))),
                x,
                lambda i, at: (
                    f"h={h:g} is too large at {at}, where f varies within it: the slope is {slope[i]:.6g}, "
                    f"and over {SECOND_STEP * h:.3g} it is {second[i]:.6g}"
                ),
            )
    return slope, error, {fault: text for fault, text in faults.items() if text}


def _automatic(values_at: At, x: Array, f_here: Array, side: int, size: Array) -> tuple[Array, Array, dict[str, str]]:
    """Return slopes whose steps are chosen entry by entry, estimates of their errors, and what to warn of."""
    slope, error, largest = np.full_like(f_here, np.nan), np.full_like(f_here, np.inf), np.array(np.abs(f_here))
    one_side = _extrapolate(values_at, x, f_here, np.full(x.shape, side), np.isfinite(f_here), slope, error, largest)
    if side == 0 and one_side.any():
        _extrapolate(values_at, x, f_here, one_side, one_side != 0, slope, error, largest)
    with np.errstate(invalid="ignore"):
        scale = np.maximum(np.abs(slope), largest / np.maximum(size, 1.0))
        unknown = np.isfinite(f_here) & ~(error <= TOLERATED * scale)
    text = _named(unknown, x, lambda i, at: f"the slope at {at} is {slope[i]:.6g} ± {error[i]:.1g}: f is rough there")
    return slope, error, {"rough": text} if text else {}


def _extrapolate(values_at: At, x: Array, f_here: Array, sides: Array, chosen: Array, *found: Array) -> Array:
    """Fill in slope, error and largest |f| nearby of the chosen entries; return 1 or -1 where f has one side alone."""
    slope, error, largest = found
    roundoff, central = _roundoff(f_here[None]), not np.any(sides[chosen])
    running = {
        i: choose_steps(x[i].item(), f_here[i].item(), float(roundoff[i]), int(sides[i]))
        for i in np.ndindex(x.shape)
        if chosen[i]
    }
    t, seen = np.zeros_like(x), np.zeros((2, *x.shape), bool)
    for i, steps in running.items():
        t[i] = next(steps)
    while running:
        active = np.zeros(x.shape, bool)
        for i in running:
            active[i] = True
        with np.errstate(over="ignore", invalid="ignore"):
            ends = np.array([x + t, x - t] if central else [x + sides * t])
            values = values_at(ends, active, OUTSIDE)
        if not seen.any():  # at the first step, a small one
            np.fmax(largest, np.abs(values[0]), out=largest, where=active)
        seen |= np.isfinite(values)
        for i, steps in list(running.items()):
            moves = [(end[i] - x[i]).item() for end in ends]
            given = [value[i].item() for value in values]
            if not central:
                moves, given = [*moves, 0.0], [*given, f_here[i].item()]
                moves, given = (moves, given) if sides[i] > 0 else (moves[::-1], given[::-1])
            try:
                t[i] = steps.send((*moves, *given))
            except StopIteration as stop:
                slope[i], error[i] = stop.value
                del running[i]
    return np.where(chosen, seen[0].astype(int) - seen[-1], 0)


def _quotients(ends: Array, values: Array) -> tuple[Array, Array, Array]:
    """Return the slopes between two ends, what the rounding of f may do to them, and how far the ends are apart."""
    moved, rise = ends[0] - ends[1], values[0] - values[1]
    width = np.where(moved == 0, 1.0, moved)
    noise = np.where(moved == 0, 0.0, 2 * _roundoff(values) * np.abs(values).max(axis=0) / width)
    return np.asarray(rise / width), noise, moved


def _roundoff(values: Array) -> Array:
    """Return the relative rounding of f by entry: that of float32 where every value is one and has its last digits."""
    with np.errstate(over="ignore", invalid="ignore"):
        single = values.astype(np.float32)
    detailed = (single.view(np.uint32) & 0xFFF != 0) & np.isfinite(single)
    is_single = np.all(single == values, axis=0) & np.any(detailed, axis=0)
    return np.where(is_single, FLOAT32, np.finfo(values.dtype).eps)


def _named(which: Array, x: Array, describe: Callable[[Any, str], str]) -> str:
    """Return what there is to say of the first of `which` entries, and how many more there are."""
    if not np.any(which):
        return ""
    i = tuple(int(n) for n in np.unravel_index(int(np.argmax(which)), x.shape))
    more = f" and {np.sum(which) - 1} more of {x.size:,} entries" if np.sum(which) > 1 else ""
    return describe(i, f"x{list(i) if i else ''} = {x[i]:.6g}{more}")


def _warn(faults: dict[str, str]) -> None:
    if faults:
        remedy = "" if "rough" in faults else '; h="auto" chooses the step'
        warnings.warn(f"{'; '.join(faults.values())}{remedy}", NumericalWarning, stacklevel=3)


def _checked_step(h: float | str) -> float | None:
    return None if isinstance(h, str) and h == "auto" else check_step_size(h)


def _ends(x: Any, h: float, side: int) -> tuple[Any, Any]:
    return (x if side < 0 else x + h, x if side > 0 else x - h)
