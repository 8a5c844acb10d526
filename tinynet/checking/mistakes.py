"""What kind of mistake explains a wrong gradient, told from the numbers: each kind is a test that they pass or fail.

A kind is named when the numbers exclude the others; nothing here measures: see ``slopes.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.checking.entries import label

Array = npt.NDArray[Any]
Probe = Callable[[], tuple[float, float, Array]]  # of one sample: its loss, its largest slope, and the gradient given

SIGN = "sign flipped"
TRANSPOSED = "transposed"
FACTOR = "constant factor"
MISSING = "left at zero"
ROW, COLUMN, ENTRY = "one row wrong", "one column wrong", "one entry wrong"
BIAS = "bias not summed over the samples"
ALL = "given to all entries"
FLAT = "not 0 where f is flat"
LOG = "ε inside a log"
SOFTMAX = "softmax without its shift"
NOT_FINITE = "not finite"
SINGLE = "float32 inside"
RANDOM = "function not deterministic"
IGNORED = "function does not use x"
UNDECIDED = "nothing could be decided"
UNKNOWN = "no known pattern"

MEANINGFUL = 10.0  # how often its error bar an entry must be to say anything about a ratio
MOST_SAMPLES, WHOLE = 10**7, 1e-3  # that a factor is taken for, and how near it must be to a whole number
UNSEEN, SEEN = 2.0**-30, 2.0**-10  # steps, in units of x: float32 does not see the one, and sees the other
SPREAD = 1.5  # the largest probability over the smallest, so that ε/p is told from a factor
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
    """One array: what was given for it, and what was measured at `indices` with which tolerance."""

    name: str
    x: Array
    got: Array  # the whole array
    indices: list[tuple[int, ...]]
    expected: Array
    error: Array
    tolerance: Array
    wrong: Array  # bool
    flat: Array  # bool: f has one value at all steps
    loss: float = math.nan
    noise: float = 0.0  # of the loss
    n_samples: int | None = None
    probes: Sequence[Probe] = ()
    value_at: Callable[[Array], float] | None = None  # f after a step of the array
    shifted: Callable[[float], Array] | None = None  # the gradient after a step in units of x
    elsewhere: Callable[[tuple[int, ...], float], tuple[float, float, float]] | None = None  # x times a factor

    @property
    def values(self) -> Array:
        """The given values at `indices`."""
        return self.pick(self.got)

    @property
    def telling(self) -> Array:
        """Which entries are known well enough, and large enough, for their ratio to mean something."""
        large = np.maximum(np.abs(self.expected), np.abs(self.values))
        return (np.abs(self.expected) > MEANINGFUL * self.error) & (large > MEANINGFUL * self.tolerance)

    def pick(self, array: Array) -> Array:
        """Return the values of a whole array at `indices`, as float64."""
        return np.array([array[index] for index in self.indices], dtype=np.float64)


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
    bad = ~np.isfinite(c.got)
    if not bad.any():
        return None
    count = f"{bad.sum()} of {bad.size} entries are {'nan' if np.isnan(c.got).any() else 'infinite'}"
    if _overflows(c, bad) and _is_softmax(c):
        exp = "exp overflows beyond 709, and f depends on differences of x alone; subtract the largest first"
        return Mistake(SOFTMAX, c.name, f"{count}: {exp}")
    return Mistake(NOT_FINITE, c.name, f"{count} where f is finite")


def _overflows(c: Comparison, bad: Array) -> bool:
    """Say whether nan is where exp(x) / sum(exp(x)) has it, and nowhere else."""
    with np.errstate(over="ignore", invalid="ignore"):
        terms = np.exp(c.x)
        return any(np.array_equal(np.isnan(terms / terms.sum(axis=axis, keepdims=True)), bad) for axis in (None, -1))


def _is_softmax(c: Comparison) -> bool:
    """Say whether f follows a shift of all entries, of a row or of everything, as sums of log-sum-exps do."""
    if c.value_at is None or not c.x.ndim:
        return False
    for axis in (None, -1):
        tops = c.x.max(axis=axis, keepdims=True)
        change = c.value_at(np.broadcast_to(-tops, c.x.shape)) - c.loss
        allowed = 16 * (c.noise + float(np.finfo(np.float64).eps) * float(np.abs(tops).sum()))
        if min(abs(change), abs(change + tops.sum()), abs(change + tops.mean())) <= allowed:
            return True
    return False


def _fits(c: Comparison, values: Array, wanted: Array, factor: float = 1.0) -> bool:
    return bool(np.all(np.abs(values - wanted) <= FIT * max(1.0, abs(factor)) * c.tolerance))


def _common_factor(c: Comparison, values: Array) -> float | None:
    """Return the c of values = c · expected, if there is one."""
    telling = c.telling
    if telling.sum() < min(2, c.got.size):
        return None
    factor = float(np.median(values[telling] / c.expected[telling]))
    return factor if _fits(c, values, factor * c.expected, factor) else None


def _proportional(c: Comparison) -> Mistake | None:
    factor = _common_factor(c, c.values)
    if factor is None or (
        len(c.indices) < 2 and not any(math.isclose(factor, f, rel_tol=1e-4) for f in (-1, 2, 0.5, 0))
    ):
        return None  # of one entry any number is a factor
    return Mistake(*_name_factor(factor, c.name, c.n_samples))


def _name_factor(factor: float, where: str, n: int | None) -> tuple[str, str, str]:
    """Return kind, place and evidence of a gradient that is `factor` times the right one."""
    size = abs(factor)
    ratio = f"got / expected = {factor:.{6 if abs(size - 1) > 1e-4 else 10}g} throughout"
    if size < 1e-12:
        return MISSING, where, "got is 0 throughout, expected is not"
    if factor < 0 and math.isclose(size, 1, rel_tol=1e-3):
        return SIGN, where, ratio
    kind = SIGN if factor < 0 else FACTOR
    for value, reason in _reasons(size, n):
        if math.isclose(size, value, rel_tol=1e-4):
            return kind, where, f"{ratio}: {reason}"
    return kind, where, ratio


def _reasons(size: float, n: int | None) -> list[tuple[float, str]]:
    whole, parts = round(size), round(1 / size)
    found = [(2.0, "doubled"), (0.5, "halved")]
    if n is not None and n > 1:
        found = [(float(n), f"1/n is missing, n = {n} samples"), (1 / n, f"1/n twice, n = {n} samples"), *found]
    if 2 < whole < MOST_SAMPLES and abs(size - whole) < WHOLE:
        found.append((float(whole), f"1/n is missing if n = {whole}"))
    if 2 < parts < MOST_SAMPLES and abs(1 / size - parts) < WHOLE:
        found.append((1 / parts, f"1/n once too often if n = {parts}"))
    return found


def _transposed(c: Comparison) -> Mistake | None:
    if c.got.ndim != 2 or min(c.got.shape) < 2:
        return None
    flipped = c.pick(c.got.reshape(c.got.shape[::-1]).T)
    factor = _common_factor(c, flipped)
    if factor is None or abs(factor) < 1e-12:
        return None
    place = "[j, i]" if c.got.shape[0] == c.got.shape[1] else "in the order of the transposed array"
    evidence = f"got {place} is what is expected at [i, j]"
    if not math.isclose(factor, 1.0, rel_tol=1e-4):
        evidence += f", but for a factor of {factor:.6g}"
    return Mistake(TRANSPOSED, c.name, evidence)


def _epsilon(c: Comparison) -> Mistake | None:
    """Compare got / expected with 1 + ε/p, as a gradient without the ε has it, and with its inverse."""
    for estimate in (_epsilon_of_samples, _epsilon_of_arguments, _epsilon_of_rows, _epsilon_of_one):
        found = estimate(c)
        if found is not None and 1e-300 < found[0] < 0.01:
            size, forgotten, how = found
            place = "f has it, the gradient has not" if forgotten else "the gradient has it, f has not"
            return Mistake(LOG, c.name, f"ε = {size:.2g} explains {how}; {place}")
    return None


def _either(p: Array, ratio: Array, how: str) -> tuple[float, bool, str] | None:
    """Return the ε of got / expected = 1 + ε/p, or of its inverse, if one ε serves all."""
    with np.errstate(divide="ignore"):
        inverse = 1 / ratio
    for sizes, forgotten in ((p * (ratio - 1), True), (p * (inverse - 1), False)):
        middle = float(np.median(sizes))
        if 0 < middle < math.inf and np.allclose(sizes, middle, rtol=0.05, atol=0.0):
            return middle, forgotten, how
    return None


def _epsilon_of_arguments(c: Comparison) -> tuple[float, bool, str] | None:
    """Explain log(x + ε), where x itself is perturbed."""
    use = c.telling & c.wrong
    x = c.pick(c.x)[use]
    if x.size < 3 or x.min() <= 0 or x.max() < SPREAD * x.min():
        return None
    return _either(x, c.values[use] / c.expected[use], "every ratio as 1 + ε/x")


def _epsilon_of_rows(c: Comparison) -> tuple[float, bool, str] | None:
    """Explain log(softmax(x)[label] + ε) for rows of logits: a ratio for each row, by the label's probability."""
    if c.got.ndim != 2 or c.got.shape[1] < 2:
        return None
    ratios, chances, rows = [], [], np.array([index[0] for index in c.indices])
    for row in np.unique(rows[c.wrong]):
        here = (rows == row) & c.telling
        ratio = c.values[here] / c.expected[here]
        if ratio.size < 2 or np.ptp(ratio) > 0.05 * abs(ratio.mean() - 1):
            return None
        terms = np.exp(c.x[row] - c.x[row].max())
        ratios.append(ratio.mean())
        chances.append(terms[int(np.argmin(c.got[row]))] / terms.sum())
    if len(ratios) < 2 or max(chances) < SPREAD * min(chances):
        return None
    return _either(np.array(chances), np.array(ratios), "the ratio of every row as 1 + ε/p of its label")


def _epsilon_of_samples(c: Comparison) -> tuple[float, bool, str] | None:
    """Explain −log(p + ε) by the samples one by one, whose losses say what p is."""
    found = []
    for loss, slope, given in (probe() for probe in c.probes):
        if slope and abs(loss) < 700:
            found.append((math.exp(-loss), given.flat[np.argmax(np.abs(given))] / slope))
    p, ratio = np.array(found).reshape(-1, 2).T
    use = np.isfinite(p * ratio) & (ratio > 0) & (np.abs(ratio - 1) > 1e-7)
    p, ratio = p[use], ratio[use]
    if p.size < 2 or p.max() < SPREAD * p.min():
        return None
    how = "the ratio of every sample as 1 + ε/p of its label"
    return _either(p / ratio, ratio, how) if np.median(ratio) > 1 else _either(p, ratio, how)  # exp(−loss) is p + ε


def _epsilon_of_one(c: Comparison) -> tuple[float, bool, str] | None:
    """Explain one common ratio by an ε that explains the ratio at other x as well, where p = exp(−loss) is another."""
    factor = _common_factor(c, c.values)
    if factor is None or factor <= 0 or abs(factor - 1) < 1e-9 or not 0 < c.loss < 700 or c.elsewhere is None:
        return None
    index = c.indices[int(np.argmax(np.abs(c.expected)))]
    found = [(math.exp(-c.loss), factor)]
    for scale in (0.9, 0.8, 1.1):
        loss, slope, given = c.elsewhere(index, scale)
        found += [(math.exp(-loss), given / slope)] if 0 < loss < 700 and slope else []
    p, ratio = np.array(found).T
    if not np.isfinite(ratio).all() or len(p) < 3 or p.max() < SPREAD * p.min() or ratio.min() <= 0:
        return None
    how = "the ratio here and at other x as 1 + ε/p, where p is exp(−loss)"
    return _either(p / ratio, ratio, how) if np.median(ratio) > 1 else _either(p, ratio, how)


def _single(c: Comparison) -> Mistake | None:
    scale = np.abs(c.got).max()
    largest = np.abs(c.values - c.expected)[c.wrong].max()
    if not 0 < largest < 1e-3 * scale:
        return None
    size = f"the deviations are {largest / scale:.1g} of the largest entry and less"
    with np.errstate(over="ignore"):
        rounded = c.got.astype(np.float32)
    detailed = rounded.view(np.uint32) & 0xFFF != 0  # not a short fraction, which float32 holds as well
    if np.array_equal(rounded, c.got) and detailed.any():
        return Mistake(SINGLE, c.name, f"{size}, and every value is a float32")
    if (
        c.shifted is not None
        and np.array_equal(c.shifted(UNSEEN), c.got)
        and not np.array_equal(c.shifted(SEEN), c.got)
    ):
        seen = "a step of 1e-9 of x, which float32 does not see, changes no bit, and one of 1e-3 does"
        return Mistake(SINGLE, c.name, f"{size}, and {seen}")
    return None


def _sums(c: Comparison) -> Mistake | None:
    """Explain sums that were left out or taken over too much, as numbers show them."""
    if c.got.size < 2:
        return None
    alike = np.ptp(c.got) <= 1e-12 * np.abs(c.got).max()
    total = c.expected.sum() if len(c.indices) == c.got.size else math.nan
    if alike and _fits(c, c.values, np.full_like(c.expected, total)):
        if np.count_nonzero(c.telling) == 1:
            return Mistake(ALL, c.name, "one entry has the whole slope, as in a max, and got gives it to all")
        if c.got.ndim == 1:
            return Mistake(BIAS, c.name, "every entry holds the sum of all that are expected: summed over units")
    for row, (_, slope, alone) in enumerate(probe() for probe in c.probes):
        if not math.isclose(np.abs(alone).max(), abs(slope), rel_tol=1e-4):
            continue  # wrong for that sample as well
        factor = _common_factor(replace(c, expected=c.pick(alone), error=0 * c.error), c.values)
        if c.got.ndim == 1 and factor is not None and factor > 0:
            return Mistake(BIAS, c.name, f"got is {factor:.3g} times the gradient of sample {row} alone")
    return None


def _flat(c: Comparison) -> Mistake | None:
    """Explain entries along which f does not change at all."""
    if c.wrong.sum() < min(2, c.got.size) or not c.flat[c.wrong].all():
        return None
    zero = f"f does not change along {c.wrong.sum()} entries, got is {np.abs(c.values[c.wrong]).max():.3g} there"
    return Mistake(FLAT, c.name, f"{zero}; f is flat here, not everywhere: is a mask missing, as that of a ReLU?")


def _local(c: Comparison) -> Mistake | None:
    """Explain entries that have a row or a column in common, or a single one."""
    bad = [index for index, wrong in zip(c.indices, c.wrong, strict=True) if wrong]
    if len(bad) == len(c.indices):
        return None
    beside = f"all {len(c.indices) - len(bad)} other entries that were measured are right"
    if len(bad) == 1:
        left_out = "got is 0; " if c.got[bad[0]] == 0 else ""
        return Mistake(ENTRY, label(c.name, bad[0]), left_out + beside)
    for axis in range(c.got.ndim if c.got.ndim > 1 else 0):
        if len({index[axis] for index in bad}) == 1:
            shown: list[int | str] = [":"] * c.got.ndim
            shown[axis] = bad[0][axis]
            kind = ROW if axis == 0 else COLUMN
            return Mistake(kind, label(c.name, tuple(shown)), _within(c, beside))
    return None


def _within(c: Comparison, beside: str) -> str:
    """Return the evidence of a row: what is beside it, and the common factor inside it."""
    ratios = c.values[c.wrong & c.telling] / c.expected[c.wrong & c.telling]
    if ratios.size > 1 and np.ptp(ratios) <= 1e-4 * np.abs(ratios).max():
        _, _, evidence = _name_factor(float(np.median(ratios)), "", c.n_samples)
        return f"{evidence.replace('throughout', 'in it')}; {beside}"
    return beside
