"""The slope of a function along a line, with an error bar, and the kinks of a function of one number.

Nothing here knows what the line runs through, nor what a gradient should be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.gradients.extrapolation import choose_steps

Array = npt.NDArray[Any]
Line = Callable[[float], tuple[float, float]]  # t -> where the line was evaluated, after rounding, and the value

EPS = float(np.finfo(np.float64).eps)
MARGIN = 4.0  # of the noise's standard deviation, on each of the two values in a difference
TRUSTED = 4.0  # estimates of the extrapolation's error, of which one holds for 97 slopes in 100
RATIO = 8.0  # between the steps of a ladder
FINEST, COARSEST = 1e-9, 0.1  # steps of a ladder, in units of the scale of x
FINER = 6  # steps below, where no two agree
COMPLEX_STEP = 2.0**-70  # of the scale of x: no subtraction, so nothing cancels
STEADY = 0.25  # largest relative change of the ratio of slopes that follow a power of h
JUMP = 7.0  # that ratio, where f jumps: a jump divided by h grows eightfold with every step
POINTS = 2**13  # of the first grid over the range of a
PARTS, ROUNDS = 8, 5  # an interval with a bend is cut into PARTS, ROUNDS times
FAINT = 1e-3  # bends below this fraction of the mean slope are none
NOISE = 64 * EPS  # of a bend, in units of value / width
MOST = 1024


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
    side: int = 0  # 1 or -1 where f has values above or below x alone
    flat: bool = False  # whether f has one value at all steps

    @property
    def bend(self) -> float:
        """How far the one-sided slopes are apart: of the order of the step, but at a kink."""
        return abs(self.right - self.left)


NO_SLOPE = Slope(math.nan, math.inf, math.nan, math.nan, math.nan, math.inf)


@dataclass(frozen=True)
class Here:
    """What is known where the lines cross: the value, its noise (a standard deviation), and the unit roundoff of x."""

    value: float
    noise: float
    roundoff: float


def noise_level(values: Sequence[float]) -> tuple[float, bool]:
    """Return the standard deviation of the noise in values at equal, tiny spacing, and whether it was seen itself.

    Differences of order 4 to 6 hold nothing of a smooth function, and of the noise a known multiple:
    J. J. Moré and S. M. Wild, *Estimating computational noise*, SIAM J. Sci. Comput. 33 (2011), section 3.

    Examples
    --------
    >>> noise, seen = noise_level(np.arange(2000.0) ** 2 + np.random.default_rng(0).normal(0, 0.1, 2000))
    >>> round(noise, 2), seen
    (0.1, True)
    """
    size = float(max(map(abs, values))) or 1.0  # so that no square overflows
    differences, weight, levels = np.asarray(values, dtype=np.float64) / size, 1.0, []
    for order in range(1, min(7, len(differences))):
        differences = np.diff(differences)
        weight *= 0.5 * order / (2 * order - 1)
        levels.append(math.sqrt(weight * float(np.mean(differences**2))))
    highest = levels[3:]
    smooth = max(highest) > 4 * min(highest)  # falling from order to order, as noise does not
    return size * (min(highest) if smooth else float(np.mean(highest))), not smooth


def fixed_slope(line: Line, here: Here, h: float) -> Slope:
    """Return the central difference over h; half the step says how far the truth may be."""
    whole, half = difference(line, here, h), difference(line, here, h / 2)
    if not (whole.step > 0 and half.step > 0):
        return NO_SLOPE
    error, flat = whole.noise + abs(whole.value - half.value) * 4 / 3, whole.flat and half.flat
    return replace(whole, error=error, kink=_is_kink([half, whole]), flat=flat)


def careful_slope(line: Line, here: Here, scales: tuple[float, float], known: Slope = NO_SLOPE) -> Slope:
    """Return the slope from a ladder of steps, the one whose error bar is shortest.

    A step is believed when every finer one agrees with it within their noise: O. V. Lepskii, *On a
    problem of adaptive estimation in Gaussian white noise*, Theory Probab. Appl. 35 (1991). Where f has values on
    one side alone the ladder stands there. `known` tells over which length f varies.
    """
    shortest = min(FINEST * scales[0], known.step / 1024) if known.step > 0 else FINEST * scales[0]
    finest, coarsest = power_of_two(shortest), COARSEST * scales[1]
    steps = [finest * RATIO**k for k in range(2 + max(1, round(math.log(coarsest / finest, RATIO))))]
    for side in (0, 1, -1):
        ladder = [slope for h in steps if (slope := difference(line, here, h, side)).step > 0]
        if len(ladder) >= 2:
            break
    else:
        return NO_SLOPE
    for _ in range(FINER):
        finer = difference(line, here, ladder[0].step / RATIO, side)
        if _agree(ladder[1], ladder[0]) or not finer.step > 0:
            break
        ladder.insert(0, finer)
    believed = 1
    while believed < len(ladder) and all(_agree(ladder[believed], finer) for finer in ladder[:believed]):
        believed += 1
    if believed == 1:  # no two steps agree
        return _power_law(ladder)
    bars = [math.inf, *(_bar(ladder, k) for k in range(1, believed))]
    chosen = int(np.argmin(bars))
    flat = all(slope.flat for slope in ladder[:believed])
    return replace(ladder[chosen], error=bars[chosen], kink=_is_kink(ladder[: chosen + 2]), flat=flat)


def automatic_slope(line: Line, here: Here, size: float) -> Slope:
    """Return the slope extrapolated to the step 0, from steps that are chosen by how f varies; `size` is that of x."""
    steps = choose_steps(size, here.value, 2 * here.roundoff, noise=here.noise)
    h, longest = next(steps), 0.0
    try:
        while True:
            (up, f_up), (down, f_down) = line(h), line(-h)
            longest = h
            h = steps.send((up, down, f_up, f_down))
    except StopIteration as stop:
        value, error = stop.value
    if not math.isfinite(error):
        return NO_SLOPE
    return replace(NO_SLOPE, value=value, error=TRUSTED * error, step=longest, noise=error)


def quantum(line: Line, here: Here, flat: Slope) -> float:
    """Return the size of the stairs that f climbs around a flat place, as rounded values do; 0 where it climbs none."""
    h = flat.step
    while math.isfinite(h) and line(h)[1] == line(-h)[1] == here.value and h < 1e9 * flat.step:
        h *= 2
    for wider in (1.0, 4.0, 16.0):  # until it has climbed several
        moves = [sign * wider * k * h for k in (1.0, 1.3, 1.7, 2.2, 2.9, 3.7, 4.9) for sign in (1, -1)]
        seen = [change for t in moves if 0 < (change := abs(line(t)[1] - here.value)) < math.inf]
        stairs = [min(seen, default=0.0) / parts for parts in (1, 2, 3)]
        for stair in stairs if len(seen) > 4 else ():
            if 1.5 * stair < max(seen) and all(abs(c / stair - round(c / stair)) < 1e-3 for c in seen):
                return stair
    return 0.0


def _power_law(ladder: list[Slope]) -> Slope:
    """Return the limit, finite or not, of slopes that follow a power of the step: every gap is a part of the next.

    So it is at 0 of x^1.5 (0.35 of it), of √x (2.8) and of ∛x (4), and where f jumps (8), which is not a slope.
    """
    values, noise = np.array([(slope.value, slope.noise) for slope in ladder]).T
    gaps = np.diff(values)
    clear = np.abs(gaps) > 2 * (noise[1:] + noise[:-1])
    for k in range(len(gaps) - 3):
        if not clear[k : k + 4].all():
            continue
        ratios = gaps[k : k + 3] / gaps[k + 1 : k + 4]
        if ratios.min() <= 0 or np.ptp(ratios) > STEADY * ratios.min():
            break
        if ratios.max() < 1 - STEADY:
            limits = values[k : k + 2] - gaps[k : k + 2] * ratios[:2] / (1 - ratios[:2])
            error = abs(limits[0] - limits[1]) + 0.1 * abs(values[k] - limits[0]) + noise[k]
            return replace(ladder[k], value=float(limits[0]), error=float(error))
        if ratios.min() > 1 + STEADY and ratios.max() < JUMP:
            return replace(ladder[k], value=math.copysign(math.inf, -gaps[k]), error=0.0)
    return replace(ladder[0], error=math.inf)


def power_of_two(h: float) -> float:
    """Return the power of two nearest to h, a step that x takes without rounding."""
    return 2.0 ** min(max(round(math.log2(h)), -1022), 1000) if h else 2.0**-1022


def difference(line: Line, here: Here, h: float, side: int = 0) -> Slope:
    """Return the difference over h, central or to one side; none where x stays or the function is not finite."""
    (upper, f_upper) = line(h) if side >= 0 else (0.0, here.value)
    (lower, f_lower) = line(-h) if side <= 0 else (0.0, here.value)
    stays = (side >= 0 and not upper > 0.0) or (side <= 0 and not lower < 0.0)
    if stays or not (math.isfinite(f_upper) and math.isfinite(f_lower)):
        return NO_SLOPE
    width, highest = upper - lower, max(abs(f_upper), abs(f_lower))
    noise = MARGIN * max(here.noise, here.roundoff * highest) / (width if side else h)
    value = (f_upper - f_lower) / width
    left = (f_lower - here.value) / lower if side <= 0 else value
    right = (f_upper - here.value) / upper if side >= 0 else value
    found = Slope(value, noise, h, left, right, noise, side=side, flat=left == right == 0.0)
    return found if math.isfinite(value + noise) else NO_SLOPE


def _agree(coarser: Slope, finer: Slope) -> bool:
    return abs(coarser.value - finer.value) <= coarser.noise + finer.noise


def _bar(ladder: list[Slope], k: int) -> float:
    """Return the error bar of a believed step: its noise, and what its neighbours say of the rest."""
    rest = abs(ladder[k].value - ladder[k - 1].value)
    if k + 1 < len(ladder):  # 1/63 of it if the function is smooth
        rest = max(rest, abs(ladder[k + 1].value - ladder[k].value) / 20)
    return ladder[k].noise + rest


def _is_kink(ladder: Sequence[Slope]) -> bool:
    """Say whether the one-sided slopes stay apart at the shortest step that tells them apart, seen from the next."""
    for finer, coarser in pairwise(ladder):
        if finer.bend > 4 * finer.noise:
            stays = bend_stays(finer.bend, coarser.bend, finer.step / coarser.step)
            return bool(stays and coarser.bend > 4 * coarser.noise)
    return False


def bend_stays(bend: Any, of_longer: Any, shrunk: float) -> Any:
    """Say whether a change of slope is that of a kink, which stays when the step shrinks: a smooth one goes with it."""
    return bend > math.cbrt(shrunk) * of_longer


@dataclass(frozen=True)
class Kink:
    """A place where the slope of the activation changes at once, or its value does."""

    at: float
    is_jump: bool


def find_kinks(activation: Callable[[Array], Array], low: float, high: float) -> list[Kink]:
    """Return the kinks and jumps of `activation` between `low` and `high`, at most 1,024 of them.

    The bend of three neighbouring points, the change of the slope from one interval to the next, goes with
    the width of the intervals where the function is smooth. At a kink it stays as it is however fine the
    grid, at a jump it grows as the grid gets finer. The grid is finest around 0.
    """
    grid = np.sinh(np.linspace(np.arcsinh(low), np.arcsinh(high), POINTS))
    values, widths = activation(grid), np.diff(grid)
    slopes = np.diff(values) / widths
    bends, widths = np.abs(np.diff(slopes)), np.maximum(widths[1:], widths[:-1])
    faint = FAINT * float(np.ptp(values)) / (high - low)
    peaks = np.flatnonzero(bends > faint + NOISE * np.abs(values[1:-1]) / widths)
    peaks = peaks[np.argsort(bends[peaks])[::-1][:MOST]]
    places, seen, width = grid[1:-1][peaks], bends[peaks], widths[peaks]
    coarse, grown = width, np.ones(len(peaks))
    for _ in range(ROUNDS):
        width = width / PARTS
        fine = places[:, None] + width[:, None] * np.arange(-PARTS, PARTS + 1)
        values = activation(fine)
        bends = np.abs(np.diff(values, 2, axis=1)) / width[:, None]
        best = bends.argmax(axis=1)
        rows = np.arange(len(best))
        bend, places = bends[rows, best], fine[rows, best + 1]
        kept = bend_stays(bend, seen, 1 / PARTS) & (bend > faint + NOISE * np.abs(values[rows, best + 1]) / width)
        grown = bend / seen
        places, seen, coarse, width, grown = (each[kept] for each in (places, bend, coarse, width, grown))
    kinks: list[Kink] = []
    for n in np.argsort(places):
        if not kinks or places[n] - kinks[-1].at > coarse[n]:
            kinks.append(Kink(round(float(places[n]), 6) + 0.0, bool(grown[n] > PARTS / 2)))
    return kinks
