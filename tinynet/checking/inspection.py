"""A gradient measured and judged, entry by entry, and its mistakes explained.

``subject.py`` moves the function, ``slopes.py`` measures it, ``diagnosis.py`` tells the kinds of mistakes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.checking import mistakes as diagnosis
from tinynet.checking import slopes
from tinynet.checking.function import Block, Index, Subject
from tinynet.checking.mistakes import Comparison, Mistake
from tinynet.checking.slopes import Slope
from tinynet.errors import InvalidTypeError, InvalidValueError

Array = npt.NDArray[Any]

QUOTIENT_STEP = 1e-4  # the h of numerical_gradient
FLOOR = 100.0  # in roundoffs of the largest entry: what a sum of many terms may lose
DECISIVE = 0.01  # an error bar longer than this part of the entry decides nothing
NEIGHBOURS = 12  # entries of the row, and of the column, of a wrong entry that are measured as well
SINGLE_SAMPLES = 8  # samples whose gradients are looked at one by one when that of a network is wrong
MANY = 10  # entries that many steps have shown to be wrong before two steps are believed to say so; and error bars
UNSEEN = 2.0**-30  # a step, in units of x, that float32 does not see


@dataclass(frozen=True)
class Options:
    """How to measure, as `check_gradient` was told."""

    h: float | None
    rtol: float
    method: str
    sample: int | None
    seed: int


@dataclass(frozen=True)
class Entry:
    """One entry of a gradient: measured as `expected` ± `error`, given as `got`.

    `verdict` is "right", "wrong", "kink" (f has no slope there, and got lies between its one-sided
    slopes) or "undecided" (the error bar is too long to say).
    """

    name: str
    index: Index
    expected: float
    error: float
    got: float
    tolerance: float
    step: float
    verdict: str

    @property
    def label(self) -> str:
        """The entry's name, such as W1[3, 7]."""
        return diagnosis.label(self.name, self.index)

    @property
    def ratio(self) -> float:
        """Got / expected; infinite or nan where expected is 0."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return float(np.float64(self.got) / self.expected)

    @property
    def deviation(self) -> float:
        """|got − expected| in units of the tolerance: above 1 is wrong, unless there is a kink."""
        distance = abs(self.got - self.expected)
        if not math.isfinite(self.got):
            return math.inf
        if not math.isfinite(self.tolerance) or not distance:
            return 0.0
        return distance / self.tolerance if self.tolerance else math.inf


class Inspection:
    """One run of check_gradient: the gradient as given, and what was measured of it."""

    def __init__(
        self,
        subject: Subject,
        grad: Any,
        options: Options,
        n_samples: int | None = None,
        one_sample: Callable[[int, str], tuple[float, float, float]] | None = None,
    ) -> None:
        self.subject, self.grad, self.options = subject, grad, options
        self.n_samples, self.one_sample = n_samples, one_sample
        self.rng = np.random.default_rng(options.seed)
        self.notes: list[str] = []
        self.missed: Counter[str] = Counter()  # entries of an array that many steps have shown to be far off

    def run(self) -> tuple[list[Entry], list[Mistake], int]:
        """Return the entries that were measured, the worst first, the mistakes, and how many entries there are."""
        self.got = self._given()
        self.largest = {name: float(np.abs(got[np.isfinite(got)]).max(initial=0.0)) for name, got in self.got.items()}
        self.ground = self.subject.ground(self.rng)
        entries = {name: self._entries(name) for name in self.got}
        measured = [entry for found in entries.values() for entry in found]
        mistakes = self._not_deterministic(measured) or self._mistakes(entries)
        if measured and not mistakes and all(entry.verdict == "undecided" for entry in measured):
            mistakes = [Mistake(diagnosis.UNDECIDED, ", ".join(entries), "every error bar is too long to say anything")]
        self._note_kinks(measured)
        ranked = sorted(measured, key=lambda entry: (entry.verdict != "wrong", -entry.deviation))
        return ranked, mistakes, sum(array.size for array in self.got.values())

    def _given(self) -> dict[str, Array]:
        """Return copies of the arrays of the gradient, which must be shaped as x."""
        given = self.grad(self.subject.argument) if callable(self.grad) else self.grad
        arrays = self.subject.arrays
        if self.subject.is_dict and not isinstance(given, Mapping):
            raise InvalidTypeError(f"grad must be a dict with the keys of x, got {type(given).__name__}")
        named = {str(name): g for name, g in given.items()} if self.subject.is_dict else {"x": given}
        if named.keys() != arrays.keys():
            raise InvalidValueError(f"grad must have the keys of x, {', '.join(arrays)}; got {', '.join(named)}")
        return {name: _checked_gradient(self.subject.title("grad", name), named[name], x) for name, x in arrays.items()}

    def _entries(self, name: str) -> list[Entry]:
        """Return the entries of one array: all, or a sample and what a look at the whole array adds."""
        got = self.got[name]
        indices = _sample(got.shape, self.options.sample, self.rng)
        slopes_of = {index: self._slope(name, index) for index in indices}
        if len(indices) < got.size:
            self.notes.append(f"{name}: a sample of {len(indices)} of {got.size:,} entries, seed {self.options.seed}")
            wrong = [entry.index for entry in self._judged(name, slopes_of) if entry.verdict == "wrong"]
            suspects = wrong[:1] or self._elsewhere(name)
            near = {index for suspect in suspects for index in _neighbours(suspect, got.shape, self.rng)}
            slopes_of |= {index: self._slope(name, index) for index in sorted(near - slopes_of.keys())}
        return self._judged(name, slopes_of)

    def _slope(self, name: str, index: Index) -> Slope:
        """Return the slope along an entry, by the method that was asked for."""
        line, (low, high), h = self.subject.line(name, index), self.subject.reach(name, index), self.options.h
        if self.options.method == "quotient":
            return slopes.quotient(line, self.ground, h or QUOTIENT_STEP)
        if h is not None:
            central = slopes.fixed_slope(line, self.ground, h)
        else:
            central = slopes.quick_slope(line, self.ground, low if low > 1e-3 * high else high, self.largest[name])
            if not self._clear(name, index, central):
                central = slopes.careful_slope(line, self.ground, (low, high))
                self.missed[name] += abs(float(self.got[name][index]) - central.value) > MANY * central.error
        sharp = not central.kink and central.error <= DECISIVE * abs(central.value)
        if self.options.method == "richardson" and sharp:
            finer = slopes.richardson_slope(line, self.ground, high)
            agree = abs(finer.value - central.value) <= finer.error + central.error
            return finer if agree and finer.error < central.error else central
        if self.options.method == "complex":
            return self._complex(name, index, low, central)
        return central

    def _clear(self, name: str, index: Index, slope: Slope) -> bool:
        """Say whether two steps are enough: they meet the given entry within a short bar, or miss it as many do."""
        got, size, scale = float(self.got[name][index]), abs(slope.value), self.largest[name]
        allowed = max(self.options.rtol * size, min(DECISIVE * size, 10 * self.options.rtol * scale), 1e-8 * scale)
        deviation = abs(got - slope.value)
        if deviation > self.options.rtol * size + slope.error:
            return self.missed[name] >= MANY and not slope.kink and deviation > MANY * slope.error
        return slope.error <= allowed

    def _complex(self, name: str, index: Index, scale: float, central: Slope) -> Slope:
        value = self.subject.complex_slope(name, index, slopes.COMPLEX_STEP * scale)
        error = FLOOR * np.finfo(np.float64).eps * max(abs(value), self.largest[name])
        if abs(value - central.value) <= central.error + error:
            return replace(central, value=value, error=error)
        note = "f is not analytic where the complex step and the differences disagree: differences decide there"
        self.notes += [note] if note not in self.notes else []
        return central

    def _judged(self, name: str, measured: dict[Index, Slope]) -> list[Entry]:
        scale = max([self.largest[name], *(abs(s.value) for s in measured.values() if math.isfinite(s.error))])
        return [self._judge(name, index, slope, scale) for index, slope in measured.items()]

    def _judge(self, name: str, index: Index, slope: Slope, scale: float) -> Entry:
        """Return the entry with its verdict."""
        got, eps = float(self.got[name][index]), self._roundoff(name)
        size = max(abs(got), abs(slope.value)) if math.isfinite(got) else abs(slope.value)
        tolerance = self.options.rtol * size + FLOOR * eps * scale + slope.error
        ends = sorted((slope.left, slope.right))
        if not math.isfinite(slope.error):
            verdict = "undecided" if math.isfinite(got) else "wrong"
        elif not abs(got - slope.value) <= tolerance:
            inside = slope.kink and ends[0] - tolerance <= got <= ends[1] + tolerance
            verdict = "kink" if inside else "wrong"
        else:
            short = max(size, 1e-2 * scale) or 0.1 * self.subject.largest / self.subject.scales[name]
            verdict = "right" if slope.error <= DECISIVE * short or slope.error == 0 else "undecided"
        return Entry(name, index, slope.value, slope.error, got, tolerance, slope.step, verdict)

    def _elsewhere(self, name: str) -> list[Index]:
        """Hold the whole array against the slope along a random direction; return an entry where they part."""
        direction, shape = self.subject.direction(name, self.rng), self.got[name].shape
        if self.options.method == "quotient":  # of which no direction knows
            return []
        whole = tuple(slice(0, n) for n in shape)
        slope = slopes.careful_slope(self.subject.line(name, whole, direction), self.ground, (1.0, 1.0))
        if slope.kink or not math.isfinite(slope.error):
            return []
        if not self._parts(name, whole, direction, slope):
            self.notes.append(f"{name}: all {direction.size:,} entries together agree along a random direction")
            return []
        block = whole
        while any(part.stop - part.start > 1 for part in block):
            half, other = _halves(block)
            line = self.subject.line(name, half, direction[half])
            found = slopes.fixed_slope(line, self.ground, slope.step)
            block = half if self._parts(name, half, direction, found) else other
        self.notes.append(f"{name}: off along a random direction of all {direction.size:,} entries, and so searched")
        return [tuple(part.start for part in block)]

    def _parts(self, name: str, block: Block, direction: Array, slope: Slope) -> bool:
        """Say whether the gradient parts from the slope along a direction of a block."""
        terms = self.got[name][block].astype(np.float64) * direction[block]
        largest = float(np.abs(terms).max()) or 1.0
        size = largest * float(np.linalg.norm(terms / largest))
        allowed = 4 * max(self.options.rtol, FLOOR * self._roundoff(name)) * size
        return not abs(float(terms.sum()) - slope.value) <= slope.error + allowed

    def _roundoff(self, name: str) -> float:
        return float(np.finfo(self.got[name].dtype).eps)

    def _not_deterministic(self, measured: list[Entry]) -> list[Mistake]:
        """Return what is to be said of an f or a grad that gives two answers to one question."""
        found = []
        if self.subject.spread:
            spread = f"f spreads by {self.subject.spread:.2g} about {self.ground.value:.6g} at one and the same x"
            if any(entry.verdict in ("wrong", "undecided") for entry in measured):
                found.append(Mistake(diagnosis.RANDOM, "f", f"{spread}; fix its seed, or what it draws"))
            else:
                self.notes.append(f"{spread}, which the error bars hold")
        again = self._given() if callable(self.grad) else self.got
        for name, array in self.got.items():
            if not np.allclose(array, again[name], rtol=self.options.rtol, atol=0.0, equal_nan=True):
                found.append(
                    Mistake(diagnosis.RANDOM, f"grad, {name}", "two calls at the same x give different values")
                )
        return found

    def _mistakes(self, entries: dict[str, list[Entry]]) -> list[Mistake]:
        wrong = {name for name, found in entries.items() if any(entry.verdict == "wrong" for entry in found)}
        if not wrong:
            return []
        if not self.subject.moved:
            why = f"; {', '.join(self.subject.copied)} was copied to float64" if self.subject.copied else ""
            evidence = f"f is {self.ground.value:.6g} at every x that was tried: it must use what is moved{why}"
            return [Mistake(diagnosis.IGNORED, ", ".join(sorted(wrong)), evidence)]
        arrays = {name for name, got in self.got.items() if got.ndim > 1}
        beside = bool(arrays) and not arrays & wrong
        found = [self._compare(name, entries[name], biases=beside) for name in sorted(wrong)]
        return diagnosis.merge([diagnosis.diagnose(comparison) for comparison in found])

    def _compare(self, name: str, entries: list[Entry], *, biases: bool) -> Comparison:
        """Return the evidence on one wrong array."""
        known = [entry for entry in entries if math.isfinite(entry.error)]
        columns = [[e.expected, e.error, e.tolerance, e.verdict == "wrong"] for e in known]
        expected, error, tolerance, wrong = np.array(columns, dtype=np.float64).reshape(-1, 4).T
        rows = range(min(SINGLE_SAMPLES, self.n_samples or 0))
        probes = [partial(self.one_sample, row, name) for row in rows] if self.one_sample else []
        return Comparison(
            name,
            self.subject.arrays[name],
            self.got[name],
            [entry.index for entry in known],
            expected,
            error,
            tolerance,
            wrong > 0,
            loss=self.ground.value,
            biases=biases,
            n_samples=self.n_samples,
            probes=probes,
            shifted=partial(self._shifted, name) if callable(self.grad) else None,
        )

    def _shifted(self, name: str) -> Array:
        with self.subject.shifted({key: UNSEEN * self.subject.direction(key, self.rng) for key in self.got}):
            return self._given()[name]

    def _note_kinks(self, measured: list[Entry]) -> None:
        for verdict, what in (
            (
                "kink",
                "f has a kink inside every step, and got lies between its one-sided slopes: not the gradient's fault",
            ),
            ("undecided", "f is too noisy or too rough there for a verdict"),
        ):
            found = [entry.label for entry in measured if entry.verdict == verdict]
            if found:
                more = f" and {len(found) - 3} more" if len(found) > 3 else ""
                self.notes.append(f"{', '.join(found[:3])}{more}: {what}")


def _halves(block: Block) -> list[Block]:
    """Return a block cut in two across its longest side."""
    axis = max(range(len(block)), key=lambda a: block[a].stop - block[a].start)
    middle = (block[axis].start + block[axis].stop) // 2
    cuts = [slice(block[axis].start, middle), slice(middle, block[axis].stop)]
    return [(*block[:axis], cut, *block[axis + 1 :]) for cut in cuts]


def _sample(shape: Index, count: int | None, rng: np.random.Generator) -> list[Index]:
    """Return `count` indices that meet every row, column, ... about equally often, or all of them."""
    if count is None or math.prod(shape) <= count:
        return list(np.ndindex(shape))
    chosen: dict[Index, None] = {}
    while len(chosen) < count:
        axes = [np.concatenate([rng.permutation(n) for _ in range(-(-count // n))])[:count].tolist() for n in shape]
        chosen |= dict.fromkeys(zip(*axes, strict=True))
    return list(chosen)[:count]


def _neighbours(index: Index, shape: Index, rng: np.random.Generator) -> list[Index]:
    """Return an entry, and some of those that share all but one of its indices."""
    near = [index]
    for axis, n in enumerate(shape):
        others = rng.choice(n, min(n, NEIGHBOURS), replace=False).tolist()
        near += [(*index[:axis], other, *index[axis + 1 :]) for other in others if len(shape) > 1]
    return near


def _checked_gradient(what: str, value: Any, x: Array) -> Array:
    """Return a copy of an array of the gradient, which must be shaped as the array of x."""
    array = np.array(value)
    if array.dtype.kind not in "fiub":
        raise InvalidTypeError(f"{what} must hold real numbers, got dtype {array.dtype}")
    if array.shape != x.shape:
        hint = ""
        if array.ndim == x.ndim + 1 and array.shape[1:] == x.shape:
            hint = f": not summed over the {array.shape[0]} samples?"
        elif array.shape == x.shape[::-1]:
            hint = ": transposed?"
        raise InvalidValueError(f"{what} must have the shape of x, {x.shape}, got {array.shape}{hint}")
    return array if array.dtype.kind == "f" else array.astype(np.float64)
