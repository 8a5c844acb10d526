"""The function that a gradient check moves: its arrays, moved in place and restored bit for bit.

Nothing here differentiates: see ``slopes.py``.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.checking.slopes import Here, Line, noise_level
from tinynet.errors import InvalidTypeError, InvalidValueError
from tinynet.gradients.evaluation import OUTSIDE, checked_number

Array = npt.NDArray[Any]
Index = tuple[int, ...]
Block = tuple[slice, ...]

NOISE_STEPS = (-48, -34, -22, -22)  # powers of 2, in units of x; the last, which may cross a kink, is tried twice
NOISE_POINTS = 9
REPEATS = 12  # evaluations that say how far a function without a fixed value spreads
FAR = (0.0, -1.0, 3.0)  # times x: where a function that is flat here may vary


def leaves(tree: Any, name: str = "", top: bool = True) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of nested dicts, lists and tuples, each with a name such as layers[0].W; None is a leaf.

    Examples
    --------
    >>> [name for name, _ in leaves({"layers": [{"W": np.ones(2)}], 0: np.ones(1), "0": np.ones(1)})]
    ['layers[0].W', '[0]', '0']
    """
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            own = f"{'.' if name else ''}{key}" if isinstance(key, str) else f"[{key!r}]"
            yield from leaves(value, name + own, False)
    elif is_nested(tree):
        for number, value in enumerate(tree):
            yield from leaves(value, f"{name}[{number}]", False)
    else:
        yield name if name or not top else "x", tree


def is_nested(value: Any) -> bool:
    """Say whether a list or tuple holds arrays, and is not one number after the other."""
    return isinstance(value, list | tuple) and any(
        isinstance(item, np.ndarray | Mapping) or item is None or is_nested(item) for item in value
    )


def rebuilt(tree: Any, values: Iterator[Any]) -> Any:
    """Return nested dicts, lists and tuples like `tree` with other leaves."""
    if isinstance(tree, Mapping):
        return {key: rebuilt(value, values) for key, value in tree.items()}
    if is_nested(tree):
        parts = [rebuilt(value, values) for value in tree]
        return parts if isinstance(tree, list) else tuple(parts)
    return next(values)


class MovableFunction:
    """A function of arrays, nested in dicts, lists and tuples or given one by one, and the means to move them.

    Writable floating-point arrays are moved in place, so that `f` may ignore its argument; anything else as a
    float64 copy, which `f` has to take from its argument. Beyond `bounds`, and where f raises, f is nan.
    """

    def __init__(self, f: Callable[..., Any], arguments: tuple[Any, ...], bounds: Any = None) -> None:
        self.f, self.tree = f, arguments if len(arguments) > 1 else arguments[0]
        named = list(leaves(self.tree))
        self.is_nested = isinstance(self.tree, Mapping) or is_nested(self.tree) or len(arguments) > 1
        self.names = [name for name, _ in named]
        given = {name: value for name, value in named if value is not None}
        if len(given) + sum(value is None for _, value in named) < len(named):
            raise InvalidValueError(f"x has two arrays of one name: {', '.join(name for name, _ in named)}")
        self.held = _index_arrays(given)
        moved = {name: value for name, value in given.items() if name not in self.held}
        self.arrays = {name: _working_array(self.title("x", name), value) for name, value in moved.items()}
        self.copied = [name for name, array in self.arrays.items() if array is not given[name]]
        values = (self.arrays.get(name, value) for name, value in named)
        whole = self.tree if not self.copied else rebuilt(self.tree, values)
        self.arguments = whole if len(arguments) > 1 else (whole,)
        self.bounds = _checked_bounds(bounds, self.arrays)
        self.scales = {name: _typical_size(array) for name, array in self.arrays.items()}
        self.moved = False  # whether any step has changed the value
        self.spread = 0.0  # of values at one and the same x
        self.raised = ""  # what f raised at a step, the first time
        self.roundoff = float(np.finfo(np.float64).eps)
        self._value = math.nan
        self._far: float | None = None

    def title(self, what: str, name: str) -> str:
        """Return what a message calls an array: such as grad['W1'], or grad where there is only one."""
        if not self.is_nested:
            return what
        return f"{what}{name}" if name.startswith("[") else f"{what}[{name!r}]"

    def value(self) -> float:
        """Return f where x is now."""
        number = checked_number(self.f(*self.arguments))
        self.roundoff = max(float(np.finfo(number.dtype).eps), float(np.finfo(np.float64).eps))
        return float(number)

    def here(self, rng: np.random.Generator) -> Here:
        """Return the value at x and its noise, from repetitions and from tiny steps in random directions."""
        before = {name: array.copy() for name, array in self.arrays.items()}
        values = [self.value()]
        for name, array in self.arrays.items():
            if array.tobytes() != before[name].tobytes():
                array[...] = before[name]
                raise InvalidValueError(f"f changes its argument ({name}); it must leave x as it is")
        if not math.isfinite(values[0]):
            raise InvalidValueError(
                f"f(x) is {values[0]}: there is no gradient to check (the log of 0, exp beyond 709, "
                "a softmax without its shift?)"
            )
        values += [self.value(), self.value()]
        if len(set(values)) > 1:
            values += [self.value() for _ in range(REPEATS)]
            self.spread = float(np.std(values, ddof=1))
        self._value = float(np.mean(values)) if self.spread else values[0]
        noise = max(self.spread, self.roundoff / 2 * abs(self._value), *self._noise_levels(rng))
        return Here(self._value, noise, self.roundoff / 2)

    def reach(self, name: str, index: Index) -> tuple[float, float]:
        """Return the smaller and the larger of an entry's own size and that of its array: scales for steps."""
        typical, own = self.scales[name], abs(float(self.arrays[name][index]))
        return (min(own, typical), max(own, typical)) if own else (typical, typical)

    def line(self, name: str, where: Index | Block, direction: Array | float = 1.0) -> Line:
        """Return f along one entry, or along `direction` of a whole block of entries at once."""
        array = self.arrays[name][(*where, ...)]  # a view, of one entry as well
        original = array.copy()
        low, high = (np.broadcast_to(bound, self.arrays[name].shape)[(*where, ...)] for bound in self.bounds[name])

        def at(t: float) -> tuple[float, float]:
            try:
                with np.errstate(over="ignore"):
                    array[...] = original + t * direction
                moved = t if array.ndim else float(array - original)
                inside = bool(np.all((low <= array) & (array <= high)))
                return moved, self._watched() if inside else math.nan
            finally:
                array[...] = original

        return at

    def direction(self, name: str, rng: np.random.Generator) -> Array:
        """Return steps of the size of the entries, powers of two with random signs, so that x takes them exactly."""
        array = self.arrays[name]
        _, exponents = np.frexp(np.where(array == 0, self.scales[name], np.abs(array)))
        steps = np.ldexp(1.0, exponents - 1) * rng.choice([-1.0, 1.0], array.shape)
        low, high = self.bounds[name]
        inwards = np.where(
            array - low < np.abs(steps) / 2**16, 1.0, np.where(high - array < np.abs(steps) / 2**16, -1.0, 0)
        )
        return np.asarray(np.where(inwards, np.abs(steps) * inwards, steps), dtype=array.dtype)

    def complex_slope(self, name: str, index: Index, h: float) -> float:
        """Return Im f(x + ih) / h: Lyness and Moler (1967), Squire and Trapp, SIAM Rev. 40 (1998)."""
        wide = {key: array.astype(np.complex128) for key, array in self.arrays.items()}
        wide[name][index] += 1j * h
        values = (wide.get(key, value) for key, value in leaves(self.tree))
        argument = rebuilt(self.tree, values)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                value = np.asarray(self.f(*argument) if len(self.arguments) > 1 else self.f(argument))
        except (TypeError, np.exceptions.ComplexWarning) as error:
            raise InvalidTypeError(
                f"method='complex' needs an f that takes complex numbers, but it raised: {error}"
            ) from error
        if value.dtype.kind != "c" or value.size != 1:
            raise InvalidTypeError(
                f"method='complex' needs an f that gives one complex number for complex x, got {value.dtype} "
                f"of shape {value.shape}; it must use its argument"
            )
        return float(value.reshape(())[()].imag / h)

    @contextmanager
    def shifted(self, steps: Mapping[str, Array]) -> Iterator[None]:
        """Move arrays at once while inside."""
        originals = {name: self.arrays[name].copy() for name in steps}
        try:
            for name, step in steps.items():
                self.arrays[name] += step
            yield
        finally:
            for name, original in originals.items():
                self.arrays[name][...] = original

    def value_at(self, steps: Mapping[str, Array]) -> float:
        """Return f with arrays moved, or nan beyond the bounds and where f raises."""
        with np.errstate(over="ignore"), self.shifted(steps):
            return self._watched() if self.is_inside() else math.nan

    def is_inside(self) -> bool:
        """Say whether x is within its bounds where it is now."""
        ends = ((array, *self.bounds[name]) for name, array in self.arrays.items())
        return all(bool(np.all((low <= array) & (array <= high))) for array, low, high in ends)

    def far_change(self) -> float:
        """Return how much f changes at most where all of x is multiplied, far away; 0 where it does not use x."""
        if self._far is None:
            moves = ({name: (factor - 1) * array for name, array in self.arrays.items()} for factor in FAR)
            moves_to_one = ({name: sign - array for name, array in self.arrays.items()} for sign in (1.0, -1.0))
            values = [self.value_at(move) for move in (*moves, *moves_to_one)]
            self._far = max((abs(value - self._value) for value in values if math.isfinite(value)), default=0.0)
        return self._far

    def _watched(self) -> float:
        """Return f where a step leads, which may be outside of its domain."""
        try:
            with np.errstate(all="ignore"):
                value = self.value()
        except OUTSIDE as error:
            self.raised = self.raised or f"{type(error).__name__}: {error}"
            return math.nan
        self.moved = self.moved or value != self._value
        return value

    def _noise_levels(self, rng: np.random.Generator) -> list[float]:
        """Return the noise at steps that are short beside the length over which f varies."""
        bits = min((np.finfo(array.dtype).nmant for array in self.arrays.values()), default=52)
        levels: list[float] = []
        coarse: list[float] = []
        longest = math.inf  # the length over which f varies, in units of x
        for power in NOISE_STEPS:
            step, values = 2.0 ** max(power, 4 - bits), []
            if 200 * step > longest:
                continue
            directions = {name: self.direction(name, rng) for name in self.arrays}
            for k in range(1, 1 + NOISE_POINTS):
                values.append(self.value_at({name: k * step * move for name, move in directions.items()}))
            if not np.all(np.isfinite(values)):
                continue
            level, seen = noise_level(values)
            if power != NOISE_STEPS[-1] or seen:
                (coarse if power == NOISE_STEPS[-1] else levels).append(level)
            slope, bend = np.diff(values), np.diff(values, 2)
            if np.mean(np.abs(bend)) > 4 * level:  # f itself bends: over such a length
                longest = min(longest, step * float(np.mean(np.abs(slope)) / np.mean(np.abs(bend))))
        return [*levels, *([min(coarse)] if len(coarse) == 2 else [])]


def _working_array(what: str, value: Any) -> Array:
    """Return the array itself if it can be moved in place, or a float64 copy."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InvalidTypeError(f"{what} must hold real numbers, got dtype {array.dtype}")
    if not np.isfinite(array).all():
        raise InvalidValueError(f"{what} holds {np.sum(~np.isfinite(array))} values that are nan or infinite")
    in_place = isinstance(value, np.ndarray) and array.dtype.kind == "f" and array.flags.writeable
    return array if in_place else array.astype(np.float64)


def _index_arrays(given: Mapping[str, Any]) -> list[str]:
    """Return the arrays of integers beside others of floats: numbers of rows, more likely than weights."""
    kinds = {name: value.dtype.kind for name, value in given.items() if isinstance(value, np.ndarray)}
    return [name for name, kind in kinds.items() if kind in "iub" and "f" in kinds.values()]


def _checked_bounds(bounds: Any, arrays: Mapping[str, Array]) -> dict[str, tuple[Array, Array]]:
    """Return the lower and the upper bound of each array."""
    if bounds is None:
        return {name: (np.array(-math.inf), np.array(math.inf)) for name in arrays}
    if not isinstance(bounds, list | tuple) or len(bounds) != 2:
        raise InvalidTypeError(f"bounds must be a pair (low, high), got {bounds!r}")
    ends = [-math.inf if bounds[0] is None else bounds[0], math.inf if bounds[1] is None else bounds[1]]
    low, high = (np.asarray(end, np.float64) for end in ends)
    for name, array in arrays.items():
        try:
            outside = ~((low <= array) & (array <= high))
        except ValueError as error:
            shapes = f"{low.shape} and {high.shape}, {name} has {array.shape}"
            raise InvalidValueError(f"bounds have the shapes {shapes}") from error
        if np.any(outside):
            raise InvalidValueError(f"{np.sum(outside)} entries of {name} are outside of bounds")
    return dict.fromkeys(arrays, (low, high))


def _typical_size(array: Array) -> float:
    """Return the mean size of the entries, or 1 if all are 0: the scale of an entry that is 0 itself."""
    largest = float(np.abs(array).max(initial=0.0))
    return largest * float(np.mean(np.abs(array / largest), dtype=np.float64)) if largest else 1.0
