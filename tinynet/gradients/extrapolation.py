"""Slopes extrapolated to the step 0, each with an estimate of its error, and the choice of the steps for it.

Nothing here calls a function: `choose_steps` asks for the values it needs.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import Any

PAIRS = 9  # of values, at most
SEARCH = 4  # pairs that look for the length over which f varies
FIRST_STEP = 2.0**-10  # of the search, in units of the smaller of |x| and 1
LONGER, SHORTER = 2.0**14, 2.0**-8  # the next step of the search where f looks straight, or rough
ROUGH = 0.3  # largest relative difference of two slopes; beyond it the longer step is too long
BENT = 0.8  # largest bend of f in units of its change; beyond it a step is too long as well
VISIBLE = 2.0**-10  # a bend that says over which length f varies
KNOWN = 64.0  # roundoffs: a slope known so well needs no longer step
START, RATIO = 0.5, 0.45  # of the extrapolation: its first step in units of that length, and from step to step

Ends = tuple[Any, Any, Any, Any]  # how far x went up and down, and the values of f there
Steps = Generator[float, Ends, tuple[Any, Any]]


def extrapolate(
    steps: Sequence[Any], quotients: Sequence[Any], noise: Sequence[Any], order: int = 2
) -> tuple[Any, Any]:
    """Return the limit of quotients for steps that fall to 0, and an estimate of its error.

    Neville's scheme in h^order. Of all extrapolations the one is taken that differs least from the two it is made of:
    C. J. F. Ridders, *Accurate computation of F'(x) and F'(x) F''(x)*, Adv. Eng. Softw. 4 (1982).

    Parameters
    ----------
    steps, quotients, noise : sequences of numbers, the steps falling
        `noise` is what rounding may do to each quotient.
    order : 2 for central differences, 1 for those to one side

    Examples
    --------
    >>> steps = [1.0, 0.5, 0.25, 0.125]
    >>> slope, error = extrapolate(steps, [math.sin(h) / h for h in steps], [0.0] * 4)
    >>> abs(slope - 1) < error < 1e-5
    True
    """
    best, error = math.nan, math.inf
    above: list[Any] = []
    for i, quotient in enumerate(quotients):
        row = [quotient]
        for k, coarser in enumerate(above):
            finer = row[-1] + (row[-1] - coarser) / ((steps[i - k - 1] / steps[i]) ** order - 1)
            spread = max(abs(finer - row[-1]), abs(finer - coarser)) + noise[i]
            if spread < error:
                best, error = finer, spread
            row.append(finer)
        above = row
    return best, error


class _Quotients:
    """Difference quotients at one x, and what the values of f tell about each."""

    def __init__(self, f_here: Any, roundoff: float, side: int, off: float) -> None:
        self.f_here, self.roundoff, self.side, self.off = f_here, roundoff, side, off
        self.steps: list[Any] = []
        self.slopes: list[Any] = []
        self.noise: list[Any] = []  # what the rounding of f may do
        self.bend = 0.0  # of the last pair: how far the one-sided slopes are apart, in units of the slope
        self.gaps: list[Any] = []  # the same of all pairs, in units of f / x, beyond the noise

    def add(self, ends: Ends) -> bool:
        """Take a pair of values in, and say whether there is a slope."""
        up, down, f_up, f_down = ends
        width, rise = up - down, f_up - f_down
        self.steps.append(width if self.side else width / 2)
        largest = max(abs(f_up), abs(f_down))
        rounding = 4 * max(self.roundoff * largest, self.off)
        slope = rise / width if width > 0 else math.nan
        finite = math.isfinite(slope) and math.isfinite(rounding)
        self.slopes.append(slope if finite else math.nan)
        self.noise.append(rounding / width if finite else math.inf)
        bend = 0.0 if self.side or not finite else max(abs(f_up + f_down - 2 * self.f_here) - rounding, 0.0)
        self.gaps.append(2 * bend / width if bend else 0.0)
        self.bend = 0.0
        if bend:
            self.bend = min(bend / (max(abs(rise), rounding) or bend), math.sqrt(bend / (largest or bend)))
        return finite

    def apart(self, i: int, j: int) -> Any:
        """Return how far two slopes are apart beyond their noise, in units of the larger."""
        gap = abs(self.slopes[i] - self.slopes[j]) - self.noise[i] - self.noise[j]
        return gap / max(abs(self.slopes[i]), abs(self.slopes[j])) if gap > 0 else 0.0

    def from_row(self, first: int, measured: Any = 0.0) -> tuple[Any, Any]:
        """Return the limit of the quotients from `first` on, for values of f that are off by as much as `measured`."""
        steps = self.steps[first:]
        noise = [max(rounding, measured / h) for rounding, h in zip(self.noise[first:], steps, strict=True)]
        return extrapolate(steps, self.slopes[first:], noise, 1 if self.side else 2)


def choose_steps(x: Any, f_here: Any, roundoff: float, side: int = 0, noise: float = 0.0) -> Steps:
    """Ask for values of f at steps of its own choice, and return the slope at x with an estimate of its error.

    A few steps far apart show over which length f varies; from half of it on, shorter ones are extrapolated. How far
    the first steps are off the result shows the noise of f beyond its last digit.

    Parameters
    ----------
    x, f_here : the point, and f there
    roundoff : of the values of f, relative
    side : 0 for values on both sides, 1 for those above x alone, -1 for those below
    noise : what values of f are known to be off beyond their roundoff

    Yields
    ------
    float
        The step to take; expects the `Ends`, with nan where f has no value.
    """
    found = _Quotients(f_here, roundoff, side, noise)
    h = yield from _search(found, abs(x) or 1.0)
    if not any(map(math.isfinite, found.slopes)):
        return math.nan, math.inf
    n_search = first = len(found.steps)
    while len(found.steps) < PAIRS:
        if not found.add((yield h)):
            first, h = len(found.steps), h * RATIO**3
        elif len(found.steps) - first > 1 and found.apart(-1, -2) > 2 * ROUGH:
            first = len(found.steps) - 1
        h *= RATIO
    slope, error = found.from_row(first)
    if math.isfinite(error):
        finest, order = found.steps[-1] / 4, 1 if side else 2
        coarsest, curvature = found.steps[first], found.slopes[first] - slope
        searched = [(h, s) for h, s in zip(found.steps[:n_search], found.slopes, strict=False) if h < finest]
        off = [abs(s - slope - curvature * (h / coarsest) ** order) * h for h, s in searched if math.isfinite(s)]
        slope, error = found.from_row(first, 1.5 * max(off, default=0.0))
        if found.gaps[-1] > 0.5 * found.gaps[first]:  # a kink: the slopes on both sides stay apart
            error = max(error, found.gaps[-1] / 2)
    else:  # rough everywhere: the slope of the shortest step, for what it is
        slope = min((h, s) for h, s in zip(found.steps, found.slopes, strict=True) if math.isfinite(s))[1]
    return slope, error + roundoff * abs(slope)


def _search(found: _Quotients, size: Any) -> Generator[float, Ends, Any]:
    """Return the first step of the extrapolation."""
    h = max(FIRST_STEP * min(size, 1.0), 256 * 2.0**-52 * size, 2.0**-1000)
    good, rough, doubts = -1, math.inf, 0  # the longest step that looks smooth, the shortest that does not
    for n in range(SEARCH):
        smooth = found.add((yield h))
        apart = found.apart(n, good) if smooth and good >= 0 else 0.0
        bend = max(math.sqrt(6 * apart), found.bend) if good >= 0 else 0.0
        if smooth and apart < ROUGH and found.bend < BENT:
            if good >= 0:
                doubts -= 2
            good = n
            if bend > VISIBLE:
                return START * min(found.steps[n] / bend, rough)
            if n and found.steps[n] >= size / 10 and found.noise[n] < KNOWN * found.roundoff * abs(found.slopes[n]):
                return START * min(1.5 * found.steps[n], rough)
        else:
            rough, doubts = min(rough, found.steps[n]), doubts + (good >= 0)
            if doubts == 2:  # no step agrees with the first, which an odd function makes look smooth
                good, rough, h = -1, found.steps[good], found.steps[good]
        here = found.steps[good]
        if good < 0:
            h *= SHORTER
        elif rough < math.inf:
            h = math.sqrt(here * rough)
            if rough < 64 * here:
                break
        else:
            h = size / 8 if here < size / 10 < here * LONGER else here * LONGER
    return START * min(h, 4 * here) if good >= 0 else h
