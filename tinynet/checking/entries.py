"""The entries of a gradient: their names, what was measured of each, and which are measured where there are many."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Index = tuple[int, ...]


def label(name: str, index: tuple[int | str, ...]) -> str:
    """Return an entry's name.

    Examples
    --------
    >>> label("W1", (3, 7)), label("x", ()), label("W1", (3, ":"))
    ('W1[3, 7]', 'x', 'W1[3, :]')
    """
    return f"{name}[{', '.join(map(str, index))}]" if index else name


@dataclass(frozen=True)
class Entry:
    """One entry of a gradient: measured as `expected` ± `error`, given as `got`.

    `verdict` is "right", "wrong", "kink" (f has no slope there, and got lies between its one-sided
    slopes) or "undecided" (the error bar is too long to say). `side` is 1 or -1 where f has values above
    or below x alone, and `flat` says that f has one value at all steps.
    """

    name: str
    index: Index
    expected: float
    error: float
    got: float
    tolerance: float
    step: float
    verdict: str
    side: int = 0
    flat: bool = False

    @property
    def label(self) -> str:
        """The entry's name, such as W1[3, 7]."""
        return label(self.name, self.index)

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


def largest_entry(array: Array) -> Index:
    """Return the index of the entry that is largest in size; nan counts as 0."""
    return tuple(int(i) for i in np.unravel_index(np.abs(np.nan_to_num(array)).argmax(), array.shape))


def sample_indices(array: Array, count: int | None, rng: np.random.Generator) -> list[Index]:
    """Return the indices of all entries, or of `count`.

    These meet every row, column, ... about equally often; the last is that of the largest entry.
    """
    if count is None or array.size <= count:
        return list(np.ndindex(array.shape))
    chosen: dict[Index, None] = {}
    while len(chosen) < count:
        axes = [
            np.concatenate([rng.permutation(n) for _ in range(-(-count // n))])[:count].tolist() for n in array.shape
        ]
        chosen |= dict.fromkeys(zip(*axes, strict=True))
    largest = largest_entry(array)
    return [*[index for index in list(chosen)[:count] if index != largest][: count - 1], largest]
