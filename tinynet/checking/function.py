"""The function that a gradient check moves: its arrays, perturbed in place and restored bit for bit.

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

from tinynet.checking.slopes import Ground, Line, noise_level
from tinynet.errors import InvalidTypeError, InvalidValueError
from tinynet.gradients.evaluation import checked_number

Array = npt.NDArray[Any]
Index = tuple[int, ...]
Block = tuple[slice, ...]

NOISE_STEPS = (-48, -34, -22, -22)  # powers of 2, in units of x; the last, which may cross a kink, is tried twice
NOISE_POINTS = 9
REPEATS = 12  # evaluations that say how far a function without a fixed value spreads


class Subject:
    """A function of one array, or of a dict of arrays, and the means to move them.

    Writable floating-point arrays are moved in place, so that `f` may ignore its argument; anything else as a
    float64 copy, which `f` has to take from its argument.
    """

    def __init__(self, f: Callable[[Any], Any], x: Any) -> None:
        self.f, self.is_dict = f, isinstance(x, Mapping)
        named = x if isinstance(x, Mapping) else {"x": x}
        self.arrays = {str(name): _working_array(self.title("x", name), array) for name, array in named.items()}
        self.copied = [name for name in named if self.arrays[str(name)] is not named[name]]
        if isinstance(x, Mapping):
            self.argument: Any = {name: self.arrays[str(name)] for name in named} if self.copied else x
        else:
            self.argument = self.arrays["x"]
        self.scales = {name: _typical_size(array) for name, array in self.arrays.items()}
        self.moved = False  # whether any step has changed the value
        self.largest = 0.0  # of the values at all steps
        self.spread = 0.0  # of values at one and the same x
        self._value = math.nan

    def title(self, what: str, name: Any) -> str:
        """Return what a message calls an array: such as grad['W1'], or grad where there is only one."""
        return f"{what}[{name!r}]" if self.is_dict else what

    def value(self) -> float:
        """Return f where x is now."""
        number = checked_number(self.f(self.argument))
        self.roundoff = max(float(np.finfo(number.dtype).eps), float(np.finfo(np.float64).eps))
        return float(number)

    def ground(self, rng: np.random.Generator) -> Ground:
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
        levels = [noise_level(points) for points in self._tiny_steps(rng) if np.all(np.isfinite(points))]
        coarse = [min(levels.pop(), levels.pop())] if len(levels) == len(NOISE_STEPS) else []
        noise = max(self.spread, self.roundoff / 2 * abs(self._value), *levels, *coarse)
        return Ground(self._value, noise, self.roundoff / 2)

    def reach(self, name: str, index: Index) -> tuple[float, float]:
        """Return the smaller and the larger of an entry's own size and that of its array: scales for steps."""
        typical, own = self.scales[name], abs(float(self.arrays[name][index]))
        return (min(own, typical), max(own, typical)) if own else (typical, typical)

    def line(self, name: str, where: Index | Block, direction: Array | float = 1.0) -> Line:
        """Return f along one entry, or along `direction` of a whole block of entries at once."""
        array = self.arrays[name][(*where, ...)]  # a view, of one entry as well
        original = array.copy()

        def at(t: float) -> tuple[float, float]:
            try:
                with np.errstate(over="ignore"):
                    array[...] = original + t * direction
                moved = t if array.ndim else float(array - original)
                return moved, self._watched()
            finally:
                array[...] = original

        return at

    def direction(self, name: str, rng: np.random.Generator) -> Array:
        """Return steps of the size of the entries, powers of two with random signs, so that x takes them exactly."""
        array = self.arrays[name]
        _, exponents = np.frexp(np.where(array == 0, self.scales[name], np.abs(array)))
        return np.asarray(np.ldexp(1.0, exponents - 1) * rng.choice([-1.0, 1.0], array.shape), dtype=array.dtype)

    def complex_slope(self, name: str, index: Index, h: float) -> float:
        """Return Im f(x + ih) / h: Lyness and Moler (1967), Squire and Trapp, SIAM Rev. 40 (1998)."""
        wide = {key: array.astype(np.complex128) for key, array in self.arrays.items()}
        wide[name][index] += 1j * h
        argument = wide if isinstance(self.argument, Mapping) else wide[name]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                value = np.asarray(self.f(argument))
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
        """Move all arrays at once while inside."""
        originals = {name: self.arrays[name].copy() for name in steps}
        try:
            for name, step in steps.items():
                self.arrays[name] += step
            yield
        finally:
            for name, original in originals.items():
                self.arrays[name][...] = original

    def _watched(self) -> float:
        """Return f where a step leads, which may be outside of its domain."""
        with np.errstate(all="ignore"):
            value = self.value()
        self.moved = self.moved or value != self._value
        if math.isfinite(value):
            self.largest = max(self.largest, abs(value))
        return value

    def _tiny_steps(self, rng: np.random.Generator) -> Iterator[list[float]]:
        bits = min((np.finfo(array.dtype).nmant for array in self.arrays.values()), default=52)
        for power in NOISE_STEPS:
            directions = {name: self.direction(name, rng) for name in self.arrays}
            step, values = 2.0 ** max(power, 4 - bits), []
            for k in range(1, 1 + NOISE_POINTS):
                with self.shifted({name: k * step * direction for name, direction in directions.items()}):
                    values.append(self._watched())
            yield values


def _working_array(what: str, value: Any) -> Array:
    """Return the array itself if it can be moved in place, or a float64 copy."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InvalidTypeError(f"{what} must hold real numbers, got dtype {array.dtype}")
    if not np.isfinite(array).all():
        raise InvalidValueError(f"{what} holds {np.sum(~np.isfinite(array))} values that are nan or infinite")
    in_place = isinstance(value, np.ndarray) and array.dtype.kind == "f" and array.flags.writeable
    return array if in_place else array.astype(np.float64)


def _typical_size(array: Array) -> float:
    """Return the mean size of the entries, or 1 if all are 0: the scale of an entry that is 0 itself."""
    largest = float(np.abs(array).max(initial=0.0))
    return largest * float(np.mean(np.abs(array / largest), dtype=np.float64)) if largest else 1.0
