"""Text for a terminal: paragraphs and tables."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

COLUMNS = 80


def paragraph(text: str) -> str:
    """Return `text` in lines of at most 80 columns."""
    return textwrap.fill(" ".join(text.split()), COLUMNS, break_on_hyphens=False)


def table(rows: Sequence[Sequence[str]], align: Callable[[str, int], str] = str.rjust) -> list[str]:
    """Return rows of cells as lines, in columns as wide as their longest cells; the first is aligned left."""
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(first), *map(align, row[1:], others)]).rstrip() for row in rows]
