"""A gradient measured and judged, entry by entry, and its mistakes explained.

``function.py`` moves the function, ``slopes.py`` measures it, ``mistakes.py`` tells the kinds of mistakes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.checking import mistakes as kinds
from tinynet.checking import slopes
from tinynet.checking.entries import Entry, Index, largest_entry, sample_indices
from tinynet.checking.function import MovableFunction, leaves, real_array
from tinynet.checking.mistakes import Comparison, Mistake
from tinynet.checking.slopes import EPS, Slope
from tinynet.errors import InvalidValueError, check_choice, check_integer, check_number, check_step_size

Array = npt.NDArray[Any]

METHODS = ("central", "richardson", "complex", "quotient")
QUOTIENT_STEP = 1e-4  # the h of numerical_gradient
FLOOR = 100.0  # in roundoffs of the largest entry: what a sum of many terms may lose
DECISIVE = 0.01  # an error bar longer than this part of the entry decides nothing
NEIGHBOURS = 12  # entries of the row, and of the column, of a wrong entry that are measured as well
MULTIPLES = (0.9, 0.8, 1.1)  # of x, where the gradient of a function is looked at when it is wrong
MANY = 10  # entries that many steps have shown to be far off, before two steps are enough to say so
FLAT = 3  # entries of an array that f is flat along, around which stairs are looked for although got is 0
FAR = 10  # error bars between a measured slope and an entry that is far off


@dataclass
class Options:
    """How to measure, as `check_gradient` is told."""

    h: float | None
    rtol: float
    method: str
    sample: int | None
    seed: int = 0
    bounds: Any = None

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        self.h = None if self.h is None else check_step_size(self.h)
        self.rtol, self.seed = check_number("rtol", self.rtol, 0.0), check_integer("seed", self.seed, 0)
        check_choice("method", self.method, METHODS)
        self.sample = None if self.sample is None else check_integer("sample", self.sample, 1)


class Inspection:
    """One run of check_gradient: the gradient as given, and what was measured of it.

    Of a network, `samples` has the loss and the gradient of some of its `n_samples` alone, as functions.
    """

    def __init__(
        self,
        function: MovableFunction,
        grad: Any,
        options: Options,
        n_samples: int | None = None,
        samples: Sequence[tuple[Callable[..., float], Callable[[], Any]]] = (),
    ) -> None:
        self.function, self.grad, self.options = function, grad, options
        self.n_samples, self.samples = n_samples, samples
        self.rng = np.random.default_rng(options.seed)
        self.notes: list[str] = []
        self.missed: Counter[str] = Counter()  # entries of an array that many steps have shown to be far off
        self.flat: Counter[str] = Counter()  # and those around which f is flat

    def run(self) -> tuple[tuple[Entry, ...], tuple[Mistake, ...], tuple[str, ...], int]:
        """Return the measured entries, the worst first, the mistakes, notes, and how many entries there are."""
        self.got = self._given()
        self.largest = {name: float(np.abs(got[np.isfinite(got)]).max(initial=0.0)) for name, got in self.got.items()}
        self.here = self.function.here(self.rng)
        self.notes += [f"{name} holds integers and is not moved" for name in self.function.held]
        entries = {name: self._entries(name) for name in self.got}
        measured = [entry for found in entries.values() for entry in found]
        mistakes = self._not_deterministic(measured) or self._mistakes(entries)
        if measured and not mistakes and all(entry.verdict == "undecided" for entry in measured):
            mistakes = [Mistake(kinds.UNDECIDED, ", ".join(entries), "every error bar is too long to say anything")]
        self._note_entries(measured)
        ranked = sorted(measured, key=lambda entry: (entry.verdict != "wrong", -entry.deviation))
        return tuple(ranked), tuple(mistakes), tuple(self.notes), sum(array.size for array in self.got.values())

    def _given(self) -> dict[str, Array]:
        """Return copies of the arrays of the gradient, which must be shaped as x; None is a gradient of zeros."""
        function = self.function
        given = function.unchanged("grad", self.grad) if callable(self.grad) else self.grad
        named = dict(leaves(given)) if function.is_nested else {"x": given}
        missing = [name for name in function.names if name not in named and not _none_above(name, named)]
        unknown = [name for name, value in named.items() if name not in function.names and value is not None]
        if missing or unknown:
            got = type(given).__name__ if named.keys() == {"x"} else ", ".join(named)
            raise InvalidValueError(f"grad must have the keys of x, {', '.join(function.names)}; got {got}")
        for name in function.held:
            if named.get(name) is not None and np.any(np.asarray(named[name])):
                raise InvalidValueError(
                    f"{function.title('x', name)} holds integers beside arrays of floats and is not moved, but "
                    f"{function.title('grad', name)} is not 0; x.astype(float) makes weights of it"
                )
        arrays = function.arrays.items()
        return {name: _checked_gradient(function.title("grad", name), named.get(name), x) for name, x in arrays}

    def _entries(self, name: str) -> list[Entry]:
        """Return the entries of one array: all, or a sample and what a look at the whole array adds."""
        got = self.got[name]
        slopes_of = {i: self._slope(name, i) for i in sample_indices(got, self.options.sample, self.rng)}
        if len(slopes_of) < got.size:
            self.notes.append(f"{name}: a sample of {len(slopes_of)} of {got.size:,} entries, seed {self.options.seed}")
            wrong = [entry.index for entry in self._judged(name, slopes_of) if entry.verdict == "wrong"]
            bad = [tuple(int(i) for i in place) for place in np.argwhere(~np.isfinite(got))[:1]]
            suspects = wrong[:1] or bad or self._elsewhere(name)
            near = {index for suspect in suspects for index in _neighbours(suspect, got.shape, self.rng)}
            slopes_of |= {index: self._slope(name, index) for index in sorted(near - slopes_of.keys())}
        return self._judged(name, slopes_of)

    def _slope(self, name: str, index: Index) -> Slope:
        """Return the slope along an entry, by the method that was asked for."""
        line, (low, high), h = self.function.line(name, index), self.function.reach(name, index), self.options.h
        if self.options.method == "quotient":
            return slopes.difference(line, self.here, h or QUOTIENT_STEP)
        central = slopes.fixed_slope(line, self.here, h or self._quick_step(name, low if low > 1e-3 * high else high))
        if h is None and not self._clear(name, index, central):
            central = self._careful(name, index)
        finer = central
        if self.options.method == "complex":
            value = self.function.complex_slope(name, index, slopes.COMPLEX_STEP * low)
            finer = replace(central, value=value, error=FLOOR * EPS * max(abs(value), self.largest[name]))
            note = "f is not analytic where the complex step and the differences disagree: differences decide there"
            if not _agree(finer, central) and note not in self.notes:
                self.notes.append(note)
        elif self.options.method == "richardson" and not central.kink and _is_sharp(central, abs(central.value)):
            finer = slopes.automatic_slope(line, self.here, high)
        return finer if _agree(finer, central) and finer.error < central.error else central

    def _quick_step(self, name: str, size: float) -> float:
        """Return the step that is best where f is smooth on the scale of x, whose size is given."""
        change = self.largest[name] * size or abs(self.here.value) or 1.0
        return slopes.power_of_two(min(max(self.here.noise / change, 1e-16) ** (1 / 3), 0.01) * size)

    def _clear(self, name: str, index: Index, slope: Slope) -> bool:
        """Say whether two steps are enough: got is within their short error bar, or far off like `MANY` before."""
        size, scale, rtol = abs(slope.value), self.largest[name], self.options.rtol
        deviation = abs(float(self.got[name][index]) - slope.value)
        if deviation > rtol * size + slope.error:
            many = self.missed[name] >= MANY and not slope.flat
            return many and not slope.kink and deviation > FAR * slope.error
        return slope.error <= max(rtol * size, min(DECISIVE * size, 10 * rtol * scale), 1e-8 * scale)

    def _careful(self, name: str, index: Index) -> Slope:
        """Return the slope extrapolated from steps that suit f; if got is outside its error bar, a ladder's."""
        function, got = self.function, self.got[name][index]
        line, (low, high), here = function.line(name, index), function.reach(name, index), self.here
        size_of_x = abs(float(function.arrays[name][index])) or high
        sharp = slopes.automatic_slope(line, here, size_of_x)
        off, allowed = abs(got - sharp.value), self.options.rtol * abs(sharp.value) + sharp.error
        if off <= allowed <= DECISIVE * max(abs(sharp.value), 1e-2 * self.largest[name]):
            return sharp
        ladder = slopes.careful_slope(line, here, (low, high), sharp)
        self.flat[name] += ladder.flat
        unseen, stair = abs(got) <= self._unseen(name, high), 0.0
        if ladder.flat and (not unseen or self.flat[name] <= FLAT):
            stair = slopes.quantum(line, here, ladder)
        if stair > (FLOOR * EPS * max(abs(here.value), function.far_change()) if unseen else 0.0):
            here = replace(here, noise=max(here.noise, stair))
            sharp = slopes.automatic_slope(line, here, size_of_x)
            ladder = slopes.careful_slope(line, here, (low, high), sharp)
            return min(sharp, ladder, key=lambda slope: slope.error)
        special = ladder.flat or ladder.kink or ladder.side or math.isinf(ladder.value)
        found, rough = ladder, math.isinf(ladder.error)  # f is rough: only the ladder may call the entry wrong
        if not special and math.isfinite(sharp.error) and not (rough and off > allowed):
            if _agree(sharp, ladder):
                found = min(ladder, sharp, key=lambda slope: slope.error)
            elif not _is_sharp(ladder, abs(ladder.value)):
                found = replace(ladder, error=abs(ladder.value - sharp.value))
        self.missed[name] += math.isfinite(got) and abs(got - found.value) > FAR * found.error
        return found

    def _judged(self, name: str, measured: dict[Index, Slope]) -> list[Entry]:
        scale = max([self.largest[name], *(abs(s.value) for s in measured.values() if math.isfinite(s.error))])
        return [self._judge(name, index, slope, scale) for index, slope in measured.items()]

    def _judge(self, name: str, index: Index, slope: Slope, scale: float) -> Entry:
        """Return the entry with its verdict."""
        got, reach = float(self.got[name][index]), self.function.reach(name, index)[1]
        size = max((abs(v) for v in (got, slope.value) if math.isfinite(v)), default=0.0)
        tolerance = self.options.rtol * size + FLOOR * self._roundoff(name) * scale + slope.error
        if slope.flat and got:
            tolerance += self._unseen(name, reach)
        short, of_f = max(size, 1e-2 * scale), self._size_of_f()
        clear = slope.step > FLOOR * reach and slope.error <= DECISIVE * abs(slope.value)  # x is tiny, and f is not
        if self.largest[name] * reach <= FLOOR * EPS * of_f and not clear:  # zeros but for rounding
            tolerance += FLOOR * EPS * of_f / reach
            short = 0.1 * max(of_f, 0.0 if self.function.spread else self.function.far_change()) / reach
        elif slope.side and got == 0:  # as x^1.5 at 0, whose quotients fall with h: compare with f far away
            short = max(short, self.function.far_change() / reach)
        if math.isinf(slope.value):
            verdict = "right" if got == slope.value else "wrong"
        elif not math.isfinite(got):
            verdict = "wrong"
        elif math.isinf(slope.error):
            verdict = "undecided"
        elif abs(got - slope.value) <= tolerance:
            verdict = "right" if _is_sharp(slope, short) else "undecided"
        else:
            low, high = sorted((slope.left, slope.right))
            verdict = "kink" if slope.kink and low - tolerance <= got <= high + tolerance else "wrong"
        return Entry(name, index, slope.value, slope.error, got, tolerance, slope.step, verdict, slope.side, slope.flat)

    def _unseen(self, name: str, reach: float) -> float:
        """Return the slope below which a change of f over `reach` is lost in rounding."""
        far = self.function.far_change() or float(np.abs(self.function.arrays[name]).max(initial=1.0))
        return 10 * FLOOR * EPS * max(abs(self.here.value), far) / reach

    def _size_of_f(self) -> float:
        """Return |f|, or where f is a difference that cancelled to rounding noise, the size of its terms."""
        value, noise = abs(self.here.value), self.here.noise
        return value if value > FLOOR * noise or self.function.spread else noise / EPS

    def _elsewhere(self, name: str) -> list[Index]:
        """Compare the whole array with the slope along a random direction; return an entry where they differ."""
        if self.options.method == "quotient":  # not a slope, so that no direction tells of it
            return []
        direction = self.function.direction(name, self.rng)
        slope = slopes.careful_slope(self.function.line(name, (), direction), self.here, (1.0, 1.0))
        if slope.kink or not math.isfinite(slope.error):
            return []
        if not self._differ(name, direction, slope):
            self.notes.append(f"{name}: all {direction.size:,} entries together agree along a random direction")
            return []
        low, high = 0, direction.size
        while high - low > 1:
            middle, half = (low + high) // 2, np.zeros_like(direction)
            half.flat[low:middle] = direction.flat[low:middle]
            found = slopes.fixed_slope(self.function.line(name, (), half), self.here, slope.step)
            low, high = (low, middle) if self._differ(name, half, found) else (middle, high)
        self.notes.append(f"{name}: off along a random direction of all {direction.size:,} entries, and so searched")
        return [tuple(int(i) for i in np.unravel_index(low, direction.shape))]

    def _differ(self, name: str, direction: Array, slope: Slope) -> bool:
        """Say whether the gradient and the slope differ along a direction."""
        terms = self.got[name].astype(np.float64) * direction
        largest = float(np.abs(terms).max()) or 1.0
        size = largest * float(np.linalg.norm(terms / largest))
        allowed = 4 * max(self.options.rtol, FLOOR * self._roundoff(name)) * size
        return not abs(float(terms.sum()) - slope.value) <= slope.error + allowed

    def _roundoff(self, name: str) -> float:
        return float(np.finfo(self.got[name].dtype).eps)

    def _not_deterministic(self, measured: list[Entry]) -> list[Mistake]:
        """Return the mistakes of an f or a grad that gives different values at the same x."""
        found = []
        if self.function.spread:
            spread = f"f spreads by {self.function.spread:.2g} about {self.here.value:.6g} at one and the same x"
            if any(entry.verdict in ("wrong", "undecided") for entry in measured):
                found.append(Mistake(kinds.RANDOM, "f", f"{spread}; fix its seed, or what it draws"))
            else:
                self.notes.append(f"{spread}, which the error bars hold")
        again = self._given() if callable(self.grad) else self.got
        for name, array in self.got.items():
            if not np.allclose(array, again[name], rtol=self.options.rtol, atol=0.0, equal_nan=True):
                found.append(Mistake(kinds.RANDOM, f"grad, {name}", "two calls at the same x give different values"))
        return found

    def _mistakes(self, entries: dict[str, list[Entry]]) -> list[Mistake]:
        wrong = {name: bad for name, found in entries.items() if (bad := [e for e in found if e.verdict == "wrong"])}
        finite = all(np.isfinite(self.got[name]).all() for name in wrong)
        if wrong and finite and not self.function.moved and not self.function.far_change():
            why = f"; {', '.join(self.function.copied)} was copied to float64" if self.function.copied else ""
            evidence = f"f is {self.here.value:.6g} at every x that was tried, far ones too: it must use x{why}"
            return [Mistake("function does not use x", ", ".join(sorted(wrong)), evidence)]
        found = []
        if copied := [name for name in wrong if name in self.function.copied]:
            self.notes.append(f"copied to float64, so that f must use its argument: {', '.join(copied)}")
        for name, bad in sorted(wrong.items()):
            if all(math.isinf(entry.expected) for entry in bad):
                text = "f has an infinite slope there: the quotients grow without end as the step shrinks"
                found.append(Mistake(kinds.UNKNOWN, ", ".join(entry.label for entry in bad), text))
            else:
                found.append(kinds.diagnose(self._compare(name, entries[name])))
        return kinds.merge(found)

    def _compare(self, name: str, entries: list[Entry]) -> Comparison:
        """Return the evidence on one wrong array."""
        function, is_callable = self.function, callable(self.grad)
        probes = [partial(self._alone, name, *sample) for sample in self.samples]
        if self.n_samples is None and is_callable:
            probes = [partial(self._multiplied, name, factor) for factor in MULTIPLES]
        return Comparison(
            name,
            function.arrays[name],
            self.got[name],
            [entry for entry in entries if math.isfinite(entry.error) and math.isfinite(entry.expected)],
            loss=self.here.value,
            noise=max(self.here.noise, EPS * abs(self.here.value)),
            n_samples=self.n_samples,
            probes=probes,
            value_at=lambda step: function.value_at((function.arrays[name], step)),
            shifted=partial(self._shifted, name) if is_callable else None,
        )

    def _shifted(self, name: str, size: float) -> Array:
        """Return the gradient after a step of x, in units of x."""
        moves = [(array, size * self.function.direction(key, self.rng)) for key, array in self.function.arrays.items()]
        with self.function.shifted(*moves):
            return self._given()[name] if self.function.is_inside() else np.full(self.got[name].shape, np.nan)

    def _multiplied(self, name: str, factor: float) -> tuple[float, float, Array]:
        """Return value, largest slope and gradient where an array is multiplied."""
        array = self.function.arrays[name]
        with self.function.shifted((array, (factor - 1) * array)):
            return self._largest_slope(name, self.function, self._given)

    def _alone(self, name: str, loss: Callable[..., float], gradient: Callable[[], Any]) -> tuple[float, float, Array]:
        """Return loss, largest slope and gradient of one sample alone."""
        function = MovableFunction(loss, self.function.arguments)
        return self._largest_slope(name, function, lambda: dict(leaves(gradient())))

    def _largest_slope(
        self, name: str, function: MovableFunction, gradient: Callable[[], dict[str, Array]]
    ) -> tuple[float, float, Array]:
        value = function.value_or_nan()
        if not math.isfinite(value):  # as batch normalisation of one sample, which has no loss
            return math.nan, 0.0, np.zeros(1)
        given = np.asarray(gradient()[name])
        index = largest_entry(given)
        line, size = function.line(name, index), function.reach(name, index)[1]
        return value, slopes.automatic_slope(line, replace(self.here, value=value), size).value, given

    def _note_entries(self, measured: list[Entry]) -> None:
        at_kinks = "f has a kink inside every step, and got lies between its one-sided slopes: not the gradient's fault"
        notes = {
            at_kinks: [entry for entry in measured if entry.verdict == "kink"],
            "f is too noisy or too rough there, or h too small or large, for a verdict": [
                e for e in measured if e.verdict == "undecided"
            ],
            "f is not finite below x; measured above": [entry for entry in measured if entry.side > 0],
            "f is not finite above x; measured below": [entry for entry in measured if entry.side < 0],
        }
        for what, found in notes.items():
            if found:
                more = f" and {len(found) - 3} more" if len(found) > 3 else ""
                self.notes.append(f"{', '.join(entry.label for entry in found[:3])}{more}: {what}")
        if self.function.raised:
            self.notes.append(f"f raised at some steps, which counts as not finite: {self.function.raised}")


def _agree(one: Slope, other: Slope) -> bool:
    return abs(one.value - other.value) <= one.error + other.error


def _is_sharp(slope: Slope, size: float) -> bool:
    """Say whether the error bar is short enough, beside an entry of this size, to decide."""
    return slope.error <= DECISIVE * size or slope.error == 0


def _neighbours(index: Index, shape: Index, rng: np.random.Generator) -> list[Index]:
    """Return an entry, and some of those that share all but one of its indices."""
    near = [index]
    for axis, n in enumerate(shape):
        others = rng.choice(n, min(n, NEIGHBOURS), replace=False).tolist()
        near += [(*index[:axis], other, *index[axis + 1 :]) for other in others if len(shape) > 1]
    return near


def _none_above(name: str, named: dict[str, Any]) -> bool:
    """Say whether a None takes the place of the whole of what holds an array."""
    return any(value is None and name.startswith((f"{key}.", f"{key}[")) for key, value in named.items())


def _checked_gradient(what: str, value: Any, x: Array) -> Array:
    """Return a copy of an array of the gradient, which must be shaped as the array of x."""
    array = np.zeros(x.shape) if value is None else real_array(what, value)
    if array.shape != x.shape:
        hint = ""
        if array.ndim == x.ndim + 1 and array.shape[1:] == x.shape:
            hint = f": not summed over the {array.shape[0]} samples?"
        elif array.T.shape == x.shape:
            hint = ": transposed?"
        raise InvalidValueError(f"{what} must have the shape of x, {x.shape}, got {array.shape}{hint}")
    return array.astype(array.dtype if array.dtype.kind == "f" else np.float64)
