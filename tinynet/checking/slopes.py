"""The slope of a function along a line, with an error bar: what ``gradcheck.py`` holds a gradient against.

Nothing here knows what the line runs through, nor what a gradient should be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

Line = Callable[[float], tuple[float, float]]  # t -> where the line was evaluated, after rounding, and the value

MARGIN = 4.0  # of the noise's standard deviation, on each of the two values in a difference
RATIO = 8.0  # between the steps of a ladder
FINEST, COARSEST = 1e-9, 0.1  # steps of a ladder, in units of the scale of x
RICHARDSON_STEPS = 7
COMPLEX_STEP = 2.0**-70  # of the scale of x: no subtraction, so nothing cancels


@dataclass(frozen=True)
class Slope:
    """A measured slope: it lies within `value` ± `error`, or at a kink between the one-sided slopes."""

    value: float
    error: float
    step: float
    left: float
    right: float
    noise: float  # the part of the error that rounding makes
    kink: bool = False

    @property
    def bend(self) -> float:
        """How far the one-sided slopes are apart: of the order of the step, but at a kink."""
        return abs(self.right - self.left)


NO_SLOPE = Slope(math.nan, math.inf, math.nan, math.nan, math.nan, math.inf)


@dataclass(frozen=True)
class Ground:
    """What is known where the lines cross: the value, its noise (a standard deviation), and the unit roundoff of x."""

    value: float
    noise: float
    roundoff: float


def noise_level(values: Sequence[float]) -> float:
    """Return the standard deviation of the noise in values at equal, tiny spacing.

    Differences of order 4 to 6 hold nothing of a smooth function, and of the noise a known multiple:
    J. J. Moré and S. M. Wild, *Estimating computational noise*, SIAM J. Sci. Comput. 33 (2011), section 3.

    Examples
    --------
    >>> round(noise_level(np.arange(2000.0) ** 2 + np.random.default_rng(0).normal(0, 0.1, 2000)), 2)
    0.1
    """
    size = float(max(map(abs, values))) or 1.0  # so that no square overflows
    differences, weight, levels = np.asarray(values, dtype=np.float64) / size, 1.0, []
    for order in range(1, min(7, len(differences))):
        differences = np.diff(differences)
        weight *= 0.5 * order / (2 * order - 1)
        levels.append(math.sqrt(weight * float(np.mean(differences**2))))
    highest = levels[3:]
    smooth = max(highest) > 4 * min(highest)  # falling from order to order, as noise does not
    return size * (min(highest) if smooth else float(np.mean(highest)))


def quick_slope(line: Line, ground: Ground, scale: float, guess: float) -> Slope:
    """Return the slope from two steps, good where the function is smooth on the scale of x; `guess` is its size."""
    change = guess * scale or abs(ground.value) or 1.0
    h = min(max(ground.noise / change, 1e-16) ** (1 / 3), 0.01) * scale
    return fixed_slope(line, ground, power_of_two(h))


def fixed_slope(line: Line, ground: Ground, h: float) -> Slope:
    """Return the central difference over h; half the step says how far the truth may be."""
    whole, half = _difference(line, ground, h), _difference(line, ground, h / 2)
    if whole is None or half is None:
        return NO_SLOPE
    kink = whole.bend > 4 * whole.noise and half.bend > max(4 * half.noise, 0.75 * whole.bend)
    return replace(whole, error=whole.noise + abs(whole.value - half.value) * 4 / 3, kink=kink)


def quotient(line: Line, ground: Ground, h: float) -> Slope:
    """Return the central difference over h for its own sake: only rounding is an error."""
    return _difference(line, ground, h) or NO_SLOPE


def careful_slope(line: Line, ground: Ground, scales: tuple[float, float]) -> Slope:
    """Return the slope from a ladder of steps, the one whose error bar is shortest.

    A step is believed when every finer one agrees with it within their noise: O. V. Lepskii, *On a
    problem of adaptive estimation in Gaussian white noise*, Theory Probab. Appl. 35 (1991).
    """
    finest, coarsest = power_of_two(FINEST * scales[0]), COARSEST * scales[1]
    steps = [finest * RATIO**k for k in range(2 + max(1, round(math.log(coarsest / finest, RATIO))))]
    ladder = [slope for h in steps if (slope := _difference(line, ground, h))]
    if len(ladder) < 2:
        return NO_SLOPE
    believed = 1
    while believed < len(ladder) and all(_agree(ladder[believed], finer) for finer in ladder[:believed]):
        believed += 1
    if believed == 1:  # no two steps agree
        return replace(ladder[0], error=math.inf)
    bars = [math.inf, *(_bar(ladder, k) for k in range(1, believed))]
    chosen = int(np.argmin(bars))
    return replace(ladder[chosen], error=bars[chosen], kink=_is_kink(ladder, chosen))


def richardson_slope(line: Line, ground: Ground, scale: float) -> Slope:
    """Return the slope extrapolated to the step 0, with the error the extrapolations betray.

    C. J. F. Ridders, *Accurate computation of F'(x) and F'(x) F''(x)*, Adv. Eng. Softw. 4 (1982).
    """
    steps = [power_of_two(COARSEST * scale) / 2**k for k in range(RICHARDSON_STEPS)]
    best = NO_SLOPE
    row: list[float] = []
    for h in steps:
        here = _difference(line, ground, h)
        if here is None:
            row = []
            continue
        above, row = row, [here.value]
        for order, coarser in enumerate(above, 1):
            row.append(row[-1] + (row[-1] - coarser) / (4**order - 1))
            error = max(abs(row[-1] - row[-2]), abs(row[-1] - coarser)) + 2 * here.noise
            if error < best.error:
                best = replace(here, value=row[-1], error=error)
    return best


def power_of_two(h: float) -> float:
    """Return the power of two nearest to h, a step that x takes without rounding."""
    return 2.0 ** min(max(round(math.log2(h)), -1022), 1000) if h else 2.0**-1022


def _difference(line: Line, ground: Ground, h: float) -> Slope | None:
    """Return the central difference over h, or None where x does not move or the function is not finite."""
    (upper, f_upper), (lower, f_lower) = line(h), line(-h)
    if not (lower < 0.0 < upper and math.isfinite(f_upper) and math.isfinite(f_lower)):
        return None
    highest = max(abs(f_upper), abs(f_lower))
    noise = MARGIN * max(ground.noise, ground.roundoff * highest) / h
    value = (f_upper - f_lower) / (upper - lower)
    left, right = (f_lower - ground.value) / lower, (f_upper - ground.value) / upper
    return Slope(value, noise, h, left, right, noise) if math.isfinite(value + noise) else None


def _agree(coarser: Slope, finer: Slope) -> bool:
    return abs(coarser.value - finer.value) <= coarser.noise + finer.noise


def _bar(ladder: list[Slope], k: int) -> float:
    """Return the error bar of a believed step: its noise, and what its neighbours say of the rest."""
    rest = abs(ladder[k].value - ladder[k - 1].value)
    if k + 1 < len(ladder):  # 1/63 of it if the function is smooth
        rest = max(rest, abs(ladder[k + 1].value - ladder[k].value) / 20)
    return ladder[k].noise + rest


def _is_kink(ladder: list[Slope], chosen: int) -> bool:
    """Say whether the one-sided slopes stay apart as the step shrinks, inside the chosen step."""
    bent = [k for k, slope in enumerate(ladder) if slope.bend > 4 * slope.noise]
    if len(bent) < 2 or bent[0] > chosen or bent[1] != bent[0] + 1:
        return False
    finest, next_one = ladder[bent[0]], ladder[bent[1]]
    return finest.bend > 0.5 * next_one.bend
