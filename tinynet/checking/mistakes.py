"""What kind of mistake explains a wrong gradient: each kind is a test that the numbers pass or fail.

Nothing here measures: see ``slopes.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.checking.entries import Entry, label

Array = npt.NDArray[Any]
Probe = Callable[[], tuple[float, float, Array]]  # elsewhere: the loss, its largest slope, and the gradient given

RANDOM = "function not deterministic"
UNDECIDED = "nothing could be decided"
UNKNOWN = "no known pattern"

MEANINGFUL = 10.0  # how often its error bar an entry must be to say anything about a ratio
MAX_SAMPLES, WHOLE = 10**7, 1e-3  # that a factor is taken for, and how near it must be to a whole number
UNSEEN, SEEN = 2.0**-30, 2.0**-10  # steps, in units of x: float32 does not see the one, and sees the other
SPREAD = 1.5  # the largest probability over the smallest, to tell ε/p from a factor
FIT = 4.0  # how often its tolerance an entry may be off an explanation: it is fitted too


@dataclass(frozen=True)
class Mistake:
    """A kind of mistake, the entries it explains, and the numbers that say so."""

    kind: str
    where: str
    evidence: str

    def __str__(self) -> str:
        """Return one line: the entries, the kind, the numbers."""
        return f"{self.where}: {self.kind}: {self.evidence}"


@dataclass
class Comparison:
    """One wrong array: what was given for it, and what was measured."""

    name: str
    x: Array
    got: Array  # the whole array
    entries: Sequence[Entry]  # that were measured, and have a finite slope
    loss: float  # f at x
    noise: float  # of f
    n_samples: int | None
    probes: Sequence[Probe]  # of single samples, or where there are none, of multiples of x
    value_at: Callable[[Array], float]  # f after a step of the array
    shifted: Callable[[float], Array] | None  # the gradient after a step in units of x

    def __post_init__(self) -> None:
        """Put the entries into columns."""
        self.indices = [entry.index for entry in self.entries]
        columns = [[e.expected, e.error, e.tolerance, e.verdict == "wrong", e.flat] for e in self.entries]
        self.expected, self.error, self.tolerance, wrong, flat = np.array(columns, np.float64).reshape(-1, 5).T
        self.wrong, self.flat, self.values = wrong > 0, flat > 0, self.pick(self.got)
        large = np.maximum(np.abs(self.expected), np.abs(self.values)) > MEANINGFUL * self.tolerance
        self.telling = (np.abs(self.expected) > MEANINGFUL * self.error) & large  # whose ratio means something

    def pick(self, array: Array) -> Array:
        """Return the values of a whole array at the entries, as float64."""
        return np.array([array[index] for index in self.indices], dtype=np.float64)

    def fits(self, values: Array, wanted: Any, factor: float = 1.0) -> bool:
        """Say whether all values are what is wanted, within some tolerances."""
        return bool(np.all(np.abs(values - wanted) <= FIT * max(1.0, abs(factor)) * self.tolerance))

    def factor(self, values: Array) -> float:
        """Return the c of values = c · expected, or nan if there is none."""
        if self.telling.sum() < min(2, self.got.size):
            return math.nan
        factor = float(np.median(values[self.telling] / self.expected[self.telling]))
        return factor if self.fits(values, factor * self.expected, factor) else math.nan


def diagnose(comparison: Comparison) -> Mistake:
    """Return the first explanation that the numbers of a wrong array fit."""
    for explain in (_not_finite, _epsilon, _proportional, _transposed, _single, _sums, _flat, _local):
        found = explain(comparison)
        if found is not None:
            return found
    return Mistake(UNKNOWN, comparison.name, "the wrong entries follow no common rule")


def merge(mistakes: list[Mistake]) -> list[Mistake]:
    """Return the mistakes, those of one kind with the same evidence as one."""
    places: dict[tuple[str, str], list[str]] = {}
    for mistake in mistakes:
        places.setdefault((mistake.kind, mistake.evidence), []).append(mistake.where)
    return [Mistake(kind, ", ".join(where), evidence) for (kind, evidence), where in places.items()]


def _not_finite(c: Comparison) -> Mistake | None:
    """Explain nan and inf: by exp(x) / sum(exp(x)), where f follows a shift of x as sums of log-sum-exps do."""
    bad = ~np.isfinite(c.got)
    if not bad.any():
        return None
    count = f"{bad.sum()} of {bad.size} entries are {'nan' if np.isnan(c.got).any() else 'infinite'}"
    for axis in (None, -1) if c.x.ndim else ():
        with np.errstate(over="ignore", invalid="ignore"):
            terms = np.exp(c.x)
            overflows = np.isnan(terms / terms.sum(axis=axis, keepdims=True))
        tops = c.x.max(axis=axis, keepdims=True)
        change = c.value_at(np.broadcast_to(-tops, c.x.shape)) - c.loss
        allowed = 16 * (c.noise + float(np.finfo(np.float64).eps) * float(np.abs(tops).sum()))
        follows = min(abs(change), abs(change + tops.sum()), abs(change + tops.mean())) <= allowed
        if follows and np.array_equal(overflows, bad):
            exp = "exp overflows beyond 709, and f depends on differences of x alone; subtract the largest first"
            return Mistake("softmax without its shift", c.name, f"{count}: {exp}")
    return Mistake("not finite", c.name, f"{count} where f is finite")


def _epsilon(c: Comparison) -> Mistake | None:
    """Explain got / expected = 1 + ε/p, as a gradient without the ε has it, or its inverse, by one ε for all p."""
    for p, ratio, what in _ratios(c):
        if p.size < 2 or p.min() <= 0 or p.max() < SPREAD * p.min():
            continue
        with np.errstate(divide="ignore"):
            forgotten, added = p * (ratio - 1), p * (1 / ratio - 1)
        for sizes, place in ((forgotten, "f has it, the gradient has not"), (added, "the gradient has it, f has not")):
            size = float(np.median(sizes))
            if 1e-300 < size < 0.01 and np.allclose(sizes, size, rtol=0.05, atol=0.0):
                return Mistake("ε inside a log", c.name, f"ε = {size:.2g} explains {what}; {place}")
    return None


def _ratios(c: Comparison) -> Iterator[tuple[Array, Array, str]]:
    """Yield p and got / expected: for log(x + ε), for log(softmax(x)[label] + ε) of rows x, and for −log(p + ε)."""
    use = c.telling & c.wrong
    if use.sum() > 2:
        yield c.pick(c.x)[use], c.values[use] / c.expected[use], "every ratio as 1 + ε/x"
    by_row = []
    for row in sorted({index[0] for index, wrong in zip(c.indices, c.wrong, strict=True) if wrong and c.got.ndim == 2}):
        here = np.array([index[0] == row for index in c.indices]) & c.telling
        ratio = c.values[here] / c.expected[here]
        if ratio.size > 1 and np.ptp(ratio) <= 0.05 * abs(ratio.mean() - 1):
            terms = np.exp(c.x[row] - c.x[row].max())
            by_row.append((terms[int(np.argmin(c.got[row]))] / terms.sum(), ratio.mean()))
    yield *np.array(by_row).reshape(-1, 2).T, "the ratio of every row as 1 + ε/p of its label"
    by_loss, what = [], "the ratio of every sample as 1 + ε/p of its label"
    if c.n_samples is None:
        factor, what = c.factor(c.values), "the ratio here and at other x as 1 + ε/p, where p is exp(−loss)"
        if not (factor > 0 and abs(factor - 1) > 1e-9):
            return
        by_loss = [(c.loss, factor)]
    by_loss += [(loss, np.abs(given).max() / abs(slope)) for loss, slope, given in (p() for p in c.probes) if slope]
    loss, ratio = np.array(by_loss).reshape(-1, 2).T
    use = np.isfinite(ratio) & (np.abs(loss) < 700) & (np.abs(ratio - 1) > 1e-7)
    p, ratio = np.exp(-loss[use]), ratio[use]
    yield (p / ratio if ratio.size and np.median(ratio) > 1 else p), ratio, what  # exp(−loss) is p + ε where f has it


def _proportional(c: Comparison) -> Mistake | None:
    factor = c.factor(c.values)
    common = (-1, 2, 0.5, 0)  # of one entry any other number is a factor
    off, left = (np.abs(c.values - known * c.expected)[c.telling].max(initial=0.0) for known in (1.0, factor))
    if (
        math.isnan(factor)
        or left > off / 10
        or (len(c.indices) < 2 and not any(math.isclose(factor, f, rel_tol=1e-4) for f in common))
    ):
        return None
    kind, evidence = _name_factor(factor, c.n_samples)
    return Mistake(kind, c.name, evidence)


def _name_factor(factor: float, n: int | None) -> tuple[str, str]:
    """Return kind and evidence of a gradient that is `factor` times the right one."""
    size = abs(factor)
    if size < 1e-12:
        return "left at zero", "got is 0 throughout, expected is not"
    ratio = f"got / expected = {factor:.{6 if abs(size - 1) > 1e-4 else 10}g} throughout"
    times, divided = max(size, 1 / size), size < 1
    whole = round(times)
    reason = ""
    if n is not None and n > 1 and math.isclose(times, n, rel_tol=1e-4):
        reason = f": 1/n {'twice' if divided else 'is missing'}, n = {n} samples"
    elif math.isclose(times, 2, rel_tol=1e-4):
        reason = ": halved" if divided else ": doubled"
    elif 2 < whole < MAX_SAMPLES and abs(times - whole) < min(WHOLE, 1e-4 * times):
        reason = f": 1/n {'once too often' if divided else 'is missing'} if n = {whole}"
    return "sign flipped" if factor < 0 else "constant factor", ratio + reason


def _transposed(c: Comparison) -> Mistake | None:
    if c.got.ndim != 2 or min(c.got.shape) < 2:
        return None
    factor = c.factor(c.pick(c.got.reshape(c.got.shape[::-1]).T))
    if not abs(factor) >= 1e-12:
        return None
    place = "[j, i]" if c.got.shape[0] == c.got.shape[1] else "in the order of the transposed array"
    but = "" if math.isclose(factor, 1.0, rel_tol=1e-4) else f", but for a factor of {factor:.6g}"
    return Mistake("transposed", c.name, f"got {place} is what is expected at [i, j]{but}")


def _single(c: Comparison) -> Mistake | None:
    scale = np.abs(c.got).max()
    largest = np.abs(c.values - c.expected)[c.wrong].max()
    if not 0 < largest < 1e-3 * scale:
        return None
    with np.errstate(over="ignore"):
        rounded = c.got.astype(np.float32)
    detailed = rounded.view(np.uint32) & 0xFFF != 0  # not a short fraction, which float32 holds as well
    seen = ""
    if np.array_equal(rounded, c.got) and detailed.any():
        seen = "every value is a float32"
    elif c.shifted and np.array_equal(c.shifted(UNSEEN), c.got) and not np.array_equal(c.shifted(SEEN), c.got):
        seen = "a step of 1e-9 of x, which float32 does not see, changes no bit, and one of 1e-3 does"
    size = f"the deviations are {largest / scale:.1g} of the largest entry and less"
    return Mistake("float32 inside", c.name, f"{size}, and {seen}") if seen else None


def _sums(c: Comparison) -> Mistake | None:
    """Explain sums that were left out or taken over too much."""
    if c.got.size < 2:
        return None
    alike = np.ptp(c.got) <= 1e-12 * np.abs(c.got).max() and len(c.indices) == c.got.size
    bias = "bias not summed over the samples"
    if alike and c.fits(c.values, c.expected.sum()):
        if np.count_nonzero(c.telling) == 1:
            text = "one entry has the whole slope, as in a max, and got gives it to all"
            return Mistake("given to all entries", c.name, text)
        if c.got.ndim == 1:
            return Mistake(bias, c.name, "every entry holds the sum of all that are expected: summed over units")
    for row, probe in enumerate(c.probes if c.got.ndim == 1 and c.n_samples is not None else ()):
        _, slope, alone = probe()
        use = alone != 0
        factor = float(np.median(c.got[use] / alone[use])) if use.any() else math.nan
        right = math.isclose(np.abs(alone).max(), abs(slope), rel_tol=1e-4)  # for that sample
        if right and factor > 0 and c.fits(c.values, factor * c.pick(alone), factor):
            return Mistake(bias, c.name, f"got is {factor:.3g} times the gradient of sample {row} alone")
    return None


def _flat(c: Comparison) -> Mistake | None:
    """Explain entries along which f does not change at all."""
    if c.wrong.sum() < min(2, c.got.size) or not c.flat[c.wrong].all():
        return None
    zero = f"f does not change along {c.wrong.sum()} entries, got is {np.abs(c.values[c.wrong]).max():.3g} there"
    text = f"{zero}; f is flat here, not everywhere: is a mask missing, as that of a ReLU?"
    return Mistake("not 0 where f is flat", c.name, text)


def _local(c: Comparison) -> Mistake | None:
    """Explain entries that have a row or a column in common, or a single one."""
    bad = [index for index, wrong in zip(c.indices, c.wrong, strict=True) if wrong]
    if len(bad) == len(c.indices):
        return None
    beside = f"all {len(c.indices) - len(bad)} other entries that were measured are right"
    if len(bad) == 1:
        left_out = "got is 0; " if c.got[bad[0]] == 0 else ""
        return Mistake("one entry wrong", label(c.name, bad[0]), left_out + beside)
    for axis in range(c.got.ndim if c.got.ndim > 1 else 0):
        if len({index[axis] for index in bad}) == 1:
            shown = [":"] * axis + [str(bad[0][axis])] + [":"] * (c.got.ndim - axis - 1)
            ratios = c.values[c.wrong & c.telling] / c.expected[c.wrong & c.telling]
            if ratios.size > 1 and np.ptp(ratios) <= 1e-4 * np.abs(ratios).max():
                _, evidence = _name_factor(float(np.median(ratios)), c.n_samples)
                beside = f"{evidence.replace('throughout', 'in it')}; {beside}"
            return Mistake(f"one {'column' if axis else 'row'} wrong", label(c.name, tuple(shown)), beside)
    return None
