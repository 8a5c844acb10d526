"""Where an activation has kinks and jumps, found from its values alone, and which samples are near one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.activations import Activation
from tinynet.checking.slopes import EPS, bend_stays

Array = npt.NDArray[Any]

POINTS = 2**13  # of the first grid over the range of a
PARTS, ROUNDS = 8, 5  # an interval with a bend is cut into so many parts, so many times
FAINT = 1e-3  # bends below this fraction of the mean slope are none
NOISE = 64 * EPS  # of a bend, in units of value / width
MOST = 1024


@dataclass(frozen=True)
class Kink:
    """A place where the slope of the activation changes at once, or its value does."""

    at: float
    is_jump: bool


def find_kinks(activation: Activation, low: float, high: float) -> list[Kink]:
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


def reaches(a: Array, X: Array, kinks: list[Kink]) -> Array:
    """Return the smallest h at which the window of each pair (sample, unit) holds a kink, shape as `a`.

    The window is a ± h max(1, |x|), with the largest x of the sample: as far as one weight or bias moves a. It is
    infinite where there is no kink.
    """
    places = np.array([-np.inf, *(kink.at for kink in kinks), np.inf])
    above = np.searchsorted(places[1:-1], a) + 1
    distances = np.minimum(a - places[above - 1], places[above] - a)
    return np.asarray(distances / np.maximum(1.0, np.abs(X).max(axis=1, keepdims=True)))
