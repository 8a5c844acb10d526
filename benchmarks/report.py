"""What a part found: tables as Markdown and figures as PNG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.one_core import describe
from tinynet.reports.plots import new_figure, save_figure


@dataclass
class Table:
    """A heading, columns, rows of text, and what a reader must know beside it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def markdown(self) -> str:
        """Return the table in Markdown, columns aligned for the eye."""
        cells = [list(self.columns), *[list(row) for row in self.rows]]
        widths = [max(len(row[column]) for row in cells) for column in range(len(self.columns))]
        padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in cells)
        lines = [f"| {' | '.join(row)} |" for row in padded]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        parts = [f"### {self.title}", "\n".join(lines), self.note]
        return "\n\n".join(part for part in parts if part)


@dataclass
class Report:
    """The tables of a part, and how to draw it if there is something to see."""

    title: str
    introduction: str
    tables: list[Table]
    draw: Callable[[Any], None] | None = None
    size: tuple[float, float] = field(default=(8.0, 4.5))  # of the figure, in inches


def save(report: Report, part: str, folder: Path) -> str:
    """Write PART.md, and PART.png if there is a figure; return the Markdown."""
    blocks = [f"## {report.title}", report.introduction, describe(), *[table.markdown() for table in report.tables]]
    if report.draw is not None:
        figure = new_figure(*report.size)
        report.draw(figure)
        save_figure(figure, folder / f"{part}.png")
        blocks.append(f"![{report.title}]({part}.png)")
    text = "\n\n".join(blocks) + "\n"
    (folder / f"{part}.md").write_text(text, encoding="utf-8")
    return text


def duration(seconds: float) -> str:
    """Return seconds in the unit that suits them, to three digits.

    Examples
    --------
    >>> duration(6.543e-5), duration(0.1), duration(75.0), duration(5400.0)
    ('65.4 µs', '100 ms', '75.0 s', '90.0 min')
    """
    for unit, size in (("min", 60.0), ("s", 1.0), ("ms", 1e-3)):
        if seconds >= (600.0 if unit == "min" else size):
            return f"{three_digits(seconds / size)} {unit}"
    return f"{three_digits(seconds / 1e-6)} µs"


def three_digits(value: Any) -> str:
    """Return a number to three digits, with thousands marked.

    Examples
    --------
    >>> three_digits(1.2345), three_digits(64.0), three_digits(4567.8)
    ('1.23', '64.0', '4,570')
    """
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:#.3g}"


def spread(values: Any) -> str:
    """Return "median [lower quartile, upper quartile]".

    Examples
    --------
    >>> spread([1.0, 2.0, 3.0, 4.0, 5.0])
    '3.00 [2.00, 4.00]'
    """
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{three_digits(middle)} [{three_digits(low)}, {three_digits(high)}]"


def mean_and_sd(values: npt.ArrayLike, scale: float = 1.0, sign: str = "-") -> str:
    """Return "mean ± standard deviation", each times `scale`; `sign` is that of format specifications.

    Examples
    --------
    >>> mean_and_sd([0.97, 0.98], 100)
    '97.50 ± 0.71'
    """
    scaled = scale * np.asarray(values, dtype=np.float64)
    spread = scaled.std(ddof=1) if len(scaled) > 1 else 0.0
    return f"{scaled.mean():{sign}.2f} ± {spread:.2f}"
