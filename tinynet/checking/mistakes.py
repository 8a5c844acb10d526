"""What kind of mistake explains a wrong gradient, told from the numbers: each kind is a test that they pass or fail.

Nothing here measures: see ``slopes.py``; nothing reports: see ``gradcheck.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Probe = Callable[[], tuple[float, float, float]]  # one sample alone: its loss, and an entry's slope measured and given

SIGN = "sign flipped"
TRANSPOSED = "transposed"
FACTOR = "constant factor"
MISSING = "left at zero"
ROW, COLUMN, ENTRY = "one row wrong", "one column wrong", "one entry wrong"
BIAS = "bias not summed over the samples"
LOG = "ε inside a log"
SOFTMAX = "softmax without its shift"
NOT_FINITE = "not finite"
SINGLE = "float32 inside"
RANDOM = "function not deterministic"
IGNORED = "function does not use x"
UNDECIDED = "nothing could be decided"
UNKNOWN = "no known pattern"

MEANINGFUL = 10.0  # how often its error bar an entry must be to say anything about a ratio
MOST_SAMPLES = 10**7  # that a factor is taken for
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
    loss: float = math.nan
    biases: bool = False  # a vector beside arrays of two dimensions that are right
    n_samples: int | None = None
    probes: Sequence[Probe] = ()
    shifted: Callable[[], Array] | None = None  # the gradient after a step that float32 does not see

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
    for explain in (_not_finite, _epsilon, _proportional, _transposed, _single, _bias, _local):
        found = explain(comparison)
        if found is not None:
            return found
    return Mistake(UNKNOWN, comparison.name, "the wrong entries follow no common rule")


def label(name: str, index: tuple[int | str, ...]) -> str:
    """Return an entry's name.

    Examples
    --------
    >>> label("W1", (3, 7)), label("x", ()), label("W1", (3, ":"))
    ('W1[3, 7]', 'x', 'W1[3, :]')
    """
    return f"{name}[{', '.join(map(str, index))}]" if index else name


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
    if np.isnan(c.got).any():
        return Mistake(
            SOFTMAX, c.name, f"{count} where f is finite: inf/inf, as exp gives beyond 709; subtract the largest first"
        )
    return Mistake(NOT_FINITE, c.name, f"{count} where f is finite and has a slope")


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
    return None if factor is None else Mistake(*_name_factor(factor, c.name, c.n_samples))


def _name_factor(factor: float, where: str, n: int | None) -> tuple[str, str, str]:
    """Return kind, place and evidence of a gradient that is `factor` times the right one."""
    size = abs(factor)
    ratio = f"got / expected = {factor:.6g} throughout"
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
    if 2 < whole < MOST_SAMPLES:
        found.append((float(whole), f"1/n is missing if n = {whole}"))
    if 2 < parts < MOST_SAMPLES:
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
    if x.size < 3 or x.min() <= 0 or np.ptp(x) < 0.01 * x.max():
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
    if len(ratios) < 2 or np.ptp(chances) < 0.01 * max(chances):
        return None
    return _either(np.array(chances), np.array(ratios), "the ratio of every row as 1 + ε/p of its label")


def _epsilon_of_samples(c: Comparison) -> tuple[float, bool, str] | None:
    """Explain −log(p + ε) by the samples one by one, whose losses say what p is."""
    probed = (probe() for probe in c.probes)
    found = [(math.exp(-loss), given / slope) for loss, slope, given in probed if slope and abs(loss) < 700]
    p, ratio = np.array(found).reshape(-1, 2).T
    use = np.isfinite(p * ratio) & (ratio > 0) & (np.abs(ratio - 1) > 1e-7)
    p, ratio = p[use], ratio[use]
    if p.size < 2 or np.ptp(p) < 1e-6 * p.max():
        return None
    how = "the ratio of every sample as 1 + ε/p of its label"
    return _either(p / ratio, ratio, how) if np.median(ratio) > 1 else _either(p, ratio, how)  # exp(−loss) is p + ε


def _epsilon_of_one(c: Comparison) -> tuple[float, bool, str] | None:
    """Explain one common ratio by an ε that is a power of ten, as people write it."""
    factor = _common_factor(c, c.values)
    if factor is None or factor <= 0 or abs(factor - 1) < 1e-9 or not 0 < c.loss < 700:
        return None
    p = math.exp(-c.loss)
    size = p * (1 - 1 / factor) if factor > 1 else p * (1 / factor - 1)
    if math.isclose(size, 10.0 ** round(math.log10(size)), rel_tol=5e-3):
        return size, factor > 1, "the common ratio as 1 + ε/p, where p is exp(−loss)"
    return None


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
    if c.shifted is not None and np.array_equal(c.shifted(), c.got):
        return Mistake(SINGLE, c.name, f"{size}, and a step of 1e-9 of x, which float32 does not see, changes no bit")
    return None


def _bias(c: Comparison) -> Mistake | None:
    if c.got.ndim != 1 or c.got.size < 2:
        return None
    total = c.expected.sum() if len(c.indices) == c.got.size else math.nan
    if np.ptp(c.got) <= 1e-12 * np.abs(c.got).max() and _fits(c, c.values, np.full_like(c.expected, total)):
        return Mistake(BIAS, c.name, "every entry holds the sum of all that are expected: summed over the units too")
    if c.biases and c.wrong[c.telling].all():
        return Mistake(
            BIAS, c.name, "arrays of two dimensions beside it are right, so what is to be summed is; the sum is not"
        )
    return None


def _local(c: Comparison) -> Mistake | None:
    """Explain entries that have a row or a column in common, or a single one."""
    bad = [index for index, wrong in zip(c.indices, c.wrong, strict=True) if wrong]
    if len(bad) == len(c.indices):
        return None
    beside = f"all {len(c.indices) - len(bad)} other entries that were measured are right"
    if len(bad) == 1:
        return Mistake(ENTRY, label(c.name, bad[0]), beside)
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
