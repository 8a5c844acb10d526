"""What a gradient works in, kept from call to call: its arrays, and what it counts on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.gradients.fallbacks import Fallbacks

Array = npt.NDArray[Any]

PART_VALUES = 2**19  # values of the gradient of W1 that are formed at a time, to stay in cache


@dataclass
class Tally:
    """What a gradient saw of its samples on the way: the sums of weight · loss, and of the weights of the hits."""

    loss: float = 0.0
    correct: float = 0.0
    n: int = 0

    def add(self, losses: Array, hits: Array, weights: Array | None) -> None:
        """Count some samples."""
        self.n += len(losses)
        self.loss += float(losses.sum() if weights is None else np.dot(losses, weights.ravel()))
        self.correct += float(np.count_nonzero(hits) if weights is None else weights.ravel()[hits].sum())


class Workspace:
    """The arrays that a gradient works in, kept for the last few shapes."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], Any] = {}
        self.fallbacks = Fallbacks()
        self.tally: Tally | None = None

    def get(self, kind: type[Any], *shape: int) -> Any:
        """Return the `kind` of arrays made for `shape`, the same ones at the next call."""
        key = (kind, *shape)
        if key not in self._kept:
            while len(self._kept) >= 6:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = kind(*shape)
        return self._kept[key]


class SampleArrays:
    """Arrays over the samples; the last x is 1 and belongs to b1."""

    def __init__(self, n: int, d: int, m: int, k: int) -> None:
        self.A, self.B = np.empty((n, m)), np.empty((n, m), np.float32)
        self.X, self.X3 = np.ones((n, d + 1), np.float32), np.empty((n, d + 1), np.float32)
        self.D, self.powers, self.ones = np.empty((k, m)), np.empty((3, k, m), np.float32), np.ones(n)
        self.part = np.empty((min(d + 1, max(1, PART_VALUES // m)), m), np.float32)  # of G1


class PairArrays:
    """Arrays over the pairs (sample, unit) of a block of samples; the last z is 1 and belongs to b2."""

    def __init__(self, n: int, m: int, k: int) -> None:
        self.shifted = np.empty((5, n, m))  # the values at a + T NODES
        self.C = np.empty((4, n * m))  # the rows of FIT times these
        self.lin = np.empty((n, m))  # κ1
        self.c = np.empty((4, n, m), np.float32)  # C
        self.moments = np.empty((3, n, m), np.float32)  # μ1, κ2 and κ3 / 3
        self.work = np.empty((2, n, m), np.float32)  # w, and room to work
        self.e = np.empty((k, n))  # p − Y
        self.e32, self.q = np.empty((2, k, n), np.float32)  # the same, and q of `_output_layer`
        self.z1 = np.ones((n, m + 1), np.float32)  # z, and 1
        self.z3 = np.empty((n, m + 1), np.float32)  # z³
        self.a = self.z = np.empty((0, m))  # set for each block
        self.rows, self.places, self.ones, self.classes = np.arange(n), np.arange(n), np.ones(n), np.ones(k)
        # views, which take time to make
        self.each_C, self.slopes = self.C.reshape(self.c.shape), self.C[0].reshape(n, m)
        self.rough, self.size = self.c[2:].reshape(2, -1), self.work.reshape(2, -1)
        self.flat_c1, self.flat_rough, self.flat_z3 = self.c[0].ravel(), self.rough.ravel(), self.z3.ravel()
        self.flat_e, self.flat_e32 = self.e.ravel(), self.e32.ravel()
        self.each_c, self.each_moment, self.each_work = tuple(self.c), tuple(self.moments), tuple(self.work)

    def tables(self, index: Array, axis: int | None = None) -> Array:
        """Return a, z, κ1 / T n, κ2 and κ3 / 3 of these pairs, or of these samples."""
        tables: tuple[Array, ...] = (self.a, self.z, self.lin, *self.each_moment[1:])
        return np.array([table.take(index, axis) for table in tables])
