"""The function that a gradient check moves: its arrays, moved in place and restored bit for bit.

Nothing here differentiates: see ``slopes.py``.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.checking.entries import Index
from tinynet.checking.slopes import EPS, Here, Line, noise_level
from tinynet.errors import InvalidTypeError, InvalidValueError
from tinynet.gradients.evaluation import OUTSIDE, checked_number
from tinynet.losses import regular_array

Array = npt.NDArray[Any]

NOISE_STEPS = (-48, -34, -22, -22)  # powers of 2, in units of x; the last, which may cross a kink, is tried twice
NOISE_POINTS = 9
REPEATS = 12  # evaluations that say how far a function without a fixed value spreads
NO_BOUNDS = (-math.inf, math.inf)
FAR = (0.0, -1.0, 3.0)  # times x: where a function that is flat here may vary


def leaves(tree: Any) -> list[tuple[str, Any]]:
    """Return the arrays of nested dicts, lists and tuples, each with a name such as layers[0].W; None is a leaf.

    Examples
    --------
    >>> [name for name, _ in leaves({"layers": [{"W": np.ones(2)}], 0: np.ones(1), "0": np.ones(1)})]
    ['layers[0].W', '[0]', '0']
    """
    found: list[tuple[str, Any]] = []
    rebuilt(tree, lambda name, value: found.append((name or "x", value)))
    return found


def rebuilt(tree: Any, leaf: Callable[[str, Any], Any], name: str = "") -> Any:
    """Return nested dicts, lists and tuples like `tree`, whose leaves are what `leaf` makes of name and array."""
    if isinstance(tree, Mapping):
        dot = "." if name else ""
        names = {key: f"{dot}{key}" if isinstance(key, str) else f"[{key!r}]" for key in tree}
        return {key: rebuilt(value, leaf, name + names[key]) for key, value in tree.items()}
    if is_nested(tree):
        parts = [rebuilt(value, leaf, f"{name}[{number}]") for number, value in enumerate(tree)]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return leaf(name, tree)


def is_nested(value: Any) -> bool:
    """Say whether a dict, list or tuple holds arrays, and is not one number after the other."""
    return isinstance(value, Mapping) or (
        isinstance(value, list | tuple)
        and any(isinstance(item, np.ndarray) or item is None or is_nested(item) for item in value)
    )


class MovableFunction:
    """A function of arrays, nested in dicts, lists and tuples or given one by one, and the means to move them.

    Writable floating-point arrays are moved in place, so that `f` may ignore its argument; anything else as a
    float64 copy, which `f` has to take from its argument. Beyond `bounds`, and where f raises, f is nan.
    """

    def __init__(self, f: Callable[..., Any], arguments: tuple[Any, ...], bounds: Any = None) -> None:
        self.f, self.several = f, len(arguments) > 1
        self.tree = arguments if self.several else arguments[0]
        named = leaves(self.tree)
        self.is_nested, self.names = self.several or is_nested(self.tree), [name for name, _ in named]
        if len(set(self.names)) < len(named):
            raise InvalidValueError(f"x has two arrays of one name: {', '.join(self.names)}")
        given = {name: value for name, value in named if value is not None}
        kinds = {name: value.dtype.kind for name, value in given.items() if isinstance(value, np.ndarray)}
        integers = [name for name, kind in kinds.items() if kind in "iub"]
        self.held = integers if "f" in kinds.values() else []  # beside floats: numbers of rows, rather than weights
        moved = {name: value for name, value in given.items() if name not in self.held}
        self.arrays = {name: _working_array(self.title("x", name), value) for name, value in moved.items()}
        for one, other in combinations(self.arrays, 2):
            if np.shares_memory(self.arrays[one], self.arrays[other]):
                raise InvalidValueError(f"{one} and {other} share memory, so that one cannot be moved alone; copy one")
        self.copied = [name for name, array in self.arrays.items() if array is not given[name]]
        self.arguments = self._arguments(self.arrays) if self.copied else arguments
        self.bounds = _checked_bounds(bounds, self.arrays)
        self.scales = {name: _typical_size(array) for name, array in self.arrays.items()}
        self.moved = False  # whether any step has changed the value
        self.spread = 0.0  # of values at one and the same x
        self.raised = ""  # what f raised at a step, the first time
        self.roundoff = EPS
        self._value = math.nan
        self._far: float | None = None

    def _arguments(self, arrays: Mapping[str, Array]) -> Any:
        """Return the arguments of f with other arrays."""
        tree = rebuilt(self.tree, lambda name, value: arrays.get(name or "x", value))
        return tree if self.several else (tree,)

    def title(self, what: str, name: str) -> str:
        """Return what a message calls an array: such as grad['W1'], or grad where there is only one."""
        if not self.is_nested:
            return what
        return f"{what}{name}" if name.startswith("[") else f"{what}[{name!r}]"

    def unchanged(self, what: str, function: Callable[..., Any]) -> Any:
        """Return what a function, `what` in messages, gives for the arguments, which it must leave as they are."""
        before = {name: array.copy() for name, array in self.arrays.items()}
        result = function(*self.arguments)
        for name, array in self.arrays.items():
            if array.tobytes() != before[name].tobytes():
                array[...] = before[name]
                raise InvalidValueError(f"{what} changes its argument ({name}); it must leave x as it is")
        return result

    def value(self) -> float:
        """Return f where x is now."""
        number = checked_number(self.f(*self.arguments))
        self.roundoff = max(float(np.finfo(number.dtype).eps), EPS)
        return float(number)

    def here(self, rng: np.random.Generator) -> Here:
        """Return the value at x and its noise, from repetitions and from tiny steps in random directions."""
        values = [self.unchanged("f", lambda *_: self.value())]
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

    def line(self, name: str, index: tuple[Any, ...], direction: Array | float = 1.0) -> Line:
        """Return f along one entry, or along `direction` of the whole array, whose index is ()."""
        array = self.arrays[name][(*index, ...)]  # a view, of one entry as well
        original = array.copy()

        def at(t: float) -> tuple[float, float]:
            with self.shifted((array, t * direction)):
                return t if array.ndim else float(array - original), self.value_or_nan()

        return at

    def direction(self, name: str, rng: np.random.Generator) -> Array:
        """Return steps of the size of the entries, powers of two with random signs, so that x takes them exactly."""
        array, (low, high) = self.arrays[name], self.bounds or NO_BOUNDS
        _, exponents = np.frexp(np.where(array == 0, self.scales[name], np.abs(array)))
        steps = np.ldexp(1.0, exponents - 1)
        signs = rng.choice([-1.0, 1.0], array.shape)
        signs = np.where(high - array < steps / 2**16, -1.0, signs)  # away from a bound
        return np.asarray(steps * np.where(array - low < steps / 2**16, 1.0, signs), dtype=array.dtype)

    def complex_slope(self, name: str, index: Index, h: float) -> float:
        """Return Im f(x + ih) / h: Lyness and Moler (1967), Squire and Trapp, SIAM Rev. 40 (1998)."""
        wide = {key: array.astype(np.complex128) for key, array in self.arrays.items()}
        wide[name][index] += 1j * h
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                value = np.asarray(self.f(*self._arguments(wide)))
            if value.dtype.kind != "c" or value.size != 1:
                raise TypeError(f"it returned {value.dtype} of shape {value.shape}")
        except (TypeError, np.exceptions.ComplexWarning) as error:
            needed = "method='complex' needs an f that takes complex numbers and returns one"
            raise InvalidTypeError(f"{needed}: {error}") from error
        return float(value.reshape(())[()].imag / h)

    @contextmanager
    def shifted(self, *moves: tuple[Array, Array | float]) -> Iterator[None]:
        """Add a step to each of some arrays, or views of them, while inside."""
        originals = [array.copy() for array, _ in moves]
        try:
            with np.errstate(over="ignore"):
                for array, step in moves:
                    array += step
            yield
        finally:
            for (array, _), original in zip(moves, originals, strict=True):
                array[...] = original

    def is_inside(self) -> bool:
        """Say whether x is within its bounds where it is now."""
        if self.bounds is None:
            return True
        low, high = self.bounds
        return all(bool(np.all((low <= x) & (x <= high))) for x in self.arrays.values())

    def value_or_nan(self) -> float:
        """Return f where x is now, nan where that is outside of its domain or its bounds."""
        if not self.is_inside():
            return math.nan
        try:
            with np.errstate(all="ignore"):
                value = self.value()
        except OUTSIDE as error:
            self.raised = self.raised or f"{type(error).__name__}: {error}"
            return math.nan
        self.moved = self.moved or value != self._value
        return value

    def value_at(self, *moves: tuple[Array, Array | float]) -> float:
        """Return f with arrays moved."""
        with self.shifted(*moves):
            return self.value_or_nan()

    def far_change(self) -> float:
        """Return how much f changes at most where all of x is multiplied, far away; 0 where it does not use x."""
        if self._far is None:
            arrays = self.arrays.values()
            moves = [[(array, (factor - 1) * array) for array in arrays] for factor in FAR]
            moves += [[(array, sign - array) for array in arrays] for sign in (1.0, -1.0)]
            changes = np.abs([self.value_at(*move) - self._value for move in moves])
            self._far = float(changes[np.isfinite(changes)].max(initial=0.0))
        return self._far

    def _noise_levels(self, rng: np.random.Generator) -> list[float]:
        """Return the noise at steps that are short beside the length over which f varies."""
        bits = min((np.finfo(array.dtype).nmant for array in self.arrays.values()), default=52)
        levels: list[float] = []
        coarse: list[float] = []
        longest = math.inf  # the length over which f varies, in units of x
        for power in NOISE_STEPS:
            step = 2.0 ** max(power, 4 - bits)
            if 200 * step > longest:
                continue
            moves = [(array, step * self.direction(name, rng)) for name, array in self.arrays.items()]
            values = [self.value_at(*((array, k * move) for array, move in moves)) for k in range(1, 1 + NOISE_POINTS)]
            if not np.all(np.isfinite(values)):
                continue
            level, seen = noise_level(values)
            if power != NOISE_STEPS[-1] or seen:
                (coarse if power == NOISE_STEPS[-1] else levels).append(level)
            slope, bend = np.mean(np.abs(np.diff(values))), np.mean(np.abs(np.diff(values, 2)))
            if bend > 4 * level:  # f itself bends: over such a length
                longest = min(longest, step * float(slope / bend))
        return [*levels, *([min(coarse)] if len(coarse) == 2 else [])]


def _working_array(what: str, value: Any) -> Array:
    """Return the array itself if it can be moved in place, or a float64 copy."""
    array = real_array(what, value)
    if not (isinstance(value, np.ndarray) and array.dtype.kind == "f" and array.flags.writeable):
        with np.errstate(over="ignore"):
            array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise InvalidValueError(f"{what} holds {np.sum(~np.isfinite(array))} values that are nan or infinite")
    return array


def real_array(what: str, value: Any) -> Array:
    """Return the value as an array, if it is one of real numbers."""
    array = regular_array(what, value)
    if array.dtype.kind not in "fiub":
        raise InvalidTypeError(f"{what} must hold real numbers, got dtype {array.dtype}")
    return array


def _checked_bounds(bounds: Any, arrays: Mapping[str, Array]) -> tuple[Array, Array] | None:
    """Return the lower and the upper bound of every array."""
    if bounds is None:
        return None
    if not isinstance(bounds, list | tuple) or len(bounds) != 2:
        raise InvalidTypeError(f"bounds must be a pair (low, high), got {bounds!r}")
    low, high = (real_array("bounds", no if end is None else end) for end, no in zip(bounds, NO_BOUNDS, strict=True))
    for name, array in arrays.items():
        try:
            outside = int(np.sum(~((low <= array) & (array <= high))))
        except ValueError as error:
            raise InvalidValueError(f"bounds do not fit the shape of {name}, {array.shape}: {error}") from error
        if outside:
            raise InvalidValueError(f"{outside} entries of {name} are outside of bounds")
    return low, high


def _typical_size(array: Array) -> float:
    """Return the mean size of the entries, or 1 if all are 0: the scale of an entry that is 0 itself."""
    largest = float(np.abs(array).max(initial=0.0))
    return largest * float(np.mean(np.abs(array / largest), dtype=np.float64)) if largest else 1.0
