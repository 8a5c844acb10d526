"""The entries of an array: their names, and which of them are measured where it has many."""

from __future__ import annotations

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
