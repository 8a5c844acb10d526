"""Charts of the report as SVG: small, readable in light, dark and grey, the same bytes for the same figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.reports.html import Html, text
from tinynet.reports.palette import N_COLOURS, N_DASHES

Array = npt.NDArray[Any]

WIDTH, HEIGHT = 400, 264  # units of the picture, about a pixel each where it is shown
LEFT, RIGHT, TOP, BOTTOM = 50, 12, 28, 38
FEW_POINTS = 12  # of a line: each has a dot, and the only one is seen
MAX_SLOTS = 30  # places along a chart where the values are shown under the pointer
MAX_LINES_UNDER_THE_POINTER = 4
HUGE = 1e280  # and beyond: left out, so that the ends of an axis and their distance are finite
MAX_POINTS = 200  # of a line: about the pixels it has
SHAPES = (  # of dots, within ±4 units; the classes differ in grey too
    "m-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0-6.8 0z",
    "m-3-3h6v6h-6z",
    "m0-4l4 7h-8z",
    "m0-4.4l3.6 4.4l-3.6 4.4l-3.6-4.4z",
    "m0 4l4-7h-8z",
)


@dataclass(frozen=True)
class Series:
    """What one line or one set of dots shows.

    Attributes
    ----------
    x, y : arrays of one length; values that are not finite leave a gap
    style : classes of the style sheet, such as "line c0 d1"
    band : (low, high) around y, if any
    shape : index into SHAPES for dots, None for a line
    notes : what each dot shows under the pointer, if anything
    """

    label: str
    x: Array
    y: Array
    style: str
    band: tuple[Array, Array] | None = None
    shape: int | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Axis:
    """One axis: its label, its range, and whether it counts in powers of ten.

    `marks` are values to be named where there is room; `names` stand for 0, 1, 2, ...; between `whole`
    numbers nothing is named.
    """

    label: str
    low: float
    high: float
    log: bool = False
    marks: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    whole: bool = False

    def place(self, values: Array) -> Array:
        """Return where `values` lie between the ends, as fractions."""
        if self.log:
            low, high = np.log10([self.low, self.high])
            return np.asarray((np.log10(values) - low) / (high - low))
        return np.asarray(values / (self.high - self.low) - self.low / (self.high - self.low))

    def ticks(self) -> list[tuple[float, str]]:
        """Return values on the axis with their labels."""
        if self.names:
            return list(enumerate(self.names))
        values = self._marked() or (_powers(self.low, self.high) if self.log else [])
        if len(values) < 2:
            values = _steps(self.low, self.high, 1.0 if self.whole else 1 / HUGE)
        values = [value for value in values if self.low <= value <= self.high]
        digits = next(n for n in range(4, 18) if n == 17 or len({f"{value:.{n}g}" for value in values}) == len(values))
        return [(value, f"{value:.{digits}g}") for value in values]

    def _marked(self) -> list[float]:
        kept: list[float] = []
        for value in self.marks:
            if not kept or float(self.place(np.array(value)) - self.place(np.array(kept[-1]))) > 0.1:
                kept.append(value)
        return kept


def _steps(low: float, high: float, least: float) -> list[float]:
    """Return the multiples between `low` and `high` of 1, 2 or 5 times a power of ten, `least` or more, at most six."""
    least = max((high - low) / 5, least)
    power = 10.0 ** math.floor(math.log10(least))
    step = next(times * power for times in (1, 2, 5, 10, 20) if times * power >= least)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _powers(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten between `low` and `high`, or some six powers where they are many."""
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    if last - first >= 3:
        return [10.0**power for power in range(first, last + 1, math.ceil((last - first) / 6))]
    every = [times * 10.0**power for power in range(first - 1, last + 1) for times in (1, 2, 5)]
    return [value for value in every if low <= value <= high]


def line_style(number: int) -> str:
    """Return the classes of the line of that number: colour and dashes, so that it differs in grey too."""
    return f"line c{number % N_COLOURS} d{number % N_DASHES}"


def axis_of(
    label: str, values: Sequence[Array], *, log: bool = False, from_zero: bool = False, whole: bool = False
) -> Axis:
    """Return an axis that holds all finite `values`, and a little room around them."""
    every = np.concatenate([np.ravel(part) for part in values]) if values else np.zeros(0)
    every = every[(np.abs(every) < HUGE) & (every > 1 / HUGE if log else True)]
    if not len(every):
        return Axis(label, *((1.0, 10.0) if log else (0.0, 1.0)), log)
    low, high = float(every.min()), float(every.max())
    if log:
        low, high = (low, high) if low < high else (low / 2, high * 2)
        room = (high / low) ** 0.04
        return Axis(label, low / room, high * room, log)
    low = min(low, 0.0) if from_zero else low
    room = 0.04 * (high - low) or 0.05 * abs(high) or 0.5
    return Axis(label, low if from_zero and low == 0 else low - room, high + room, whole=whole)


def spans_decades(values: Sequence[Array]) -> bool:
    """Return whether a logarithmic scale shows more: the largest value is more than ten times the smallest."""
    every = np.concatenate(values)
    positive = every[np.isfinite(every) & (every > 0)]
    return len(positive) > 0 and bool(positive.max() / 10 > positive.min())


def chart(title: str, description: str, series: Sequence[Series], x: Axis, y: Axis, background: str = "") -> Html:
    """Return an SVG picture; `title` and `description` are read out where it cannot be seen.

    A line that leaves the frame through its top ends there in an arrow. `background` is the address of an image
    that fills the plane.
    """
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(title)}">',
        f"<desc>{text(description)}</desc>",
        _frame(x, y, background),
        '<g aria-hidden="true">',  # what is shown under the pointer is not read out piece by piece
        *(_drawn(one, x, y) for one in series),
        _under_the_pointer(series, x),
        "</g></svg>",
    ]
    return Html("\n".join(part for part in parts if part))


def key(entries: Sequence[tuple[str, str, int | None]]) -> Html:
    """Return the key of lines and dots: (label, style, shape)."""
    items = []
    for label, style, shape in entries:
        path = "M0 5H26" if shape is None else f"M13 5{SHAPES[shape % len(SHAPES)]}"
        swatch = f'<svg viewBox="0 0 26 10" aria-hidden="true"><path class="{style}" d="{path}"/></svg>'
        items.append(f"<li>{swatch}{text(label)}</li>")
    return Html('<ul class="key">' + "".join(items) + "</ul>\n")


def _frame(x: Axis, y: Axis, background: str) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    lines = [f'<text x="4" y="16">{text(_short(y.label, 60))}</text>']
    if background:
        size = f'x="{LEFT}" y="{TOP}" width="{right - LEFT}" height="{bottom - TOP}"'
        lines.append(f'<image {size} preserveAspectRatio="none" href="{background}"/>')
    for value, label in y.ticks():
        at = _number(_down(y.place(np.array(value))))
        lines.append(f'<path class="grid" d="M{LEFT} {at}H{right}"/>')
        lines.append(f'<text class="end" x="{LEFT - 6}" y="{at}" dy="4">{text(_short(label, 7))}</text>')
    slanted = sum(len(label) for label in x.names) > 36
    for value, label in x.ticks():
        at = _number(_across(x.place(np.array(value))))
        lines.append(f'<path class="axis" d="M{at} {bottom}v4"/>')
        turn = f'class="end" transform="rotate(-30 {at} {bottom + 14})"' if slanted else 'class="middle"'
        lines.append(f'<text {turn} x="{at}" y="{bottom + 17}">{text(_short(label, 9 if slanted else 16))}</text>')
    lines.append(f'<path class="axis" d="M{LEFT} {bottom}H{right}"/>')
    lines.append(f'<text class="end" x="{right}" y="{HEIGHT - 4}">{text(_short(x.label, 60))}</text>')
    return "\n".join(lines)


def _drawn(one: Series, x: Axis, y: Axis) -> str:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # what has no logarithm leaves a gap
        across, height = _across(x.place(one.x)), np.minimum(y.place(one.y), 1e6)
        edges = [_down(np.clip(y.place(np.maximum(edge, y.low)), 0, 1)) for edge in one.band or ()]
    if one.shape is not None:
        above = height > 1.01
        arrows = _dots(across[above], np.full(int(above.sum()), TOP + 4.0), one.style, 2)
        return _dots(across, _down(height), one.style, one.shape, one.notes) + arrows
    band = ""
    if edges:
        kept = np.isfinite(across + edges[0] + edges[1])
        low, high = (_path(across[kept], edge[kept]).removeprefix("M").split("L") for edge in edges)
        band = f'<path class="band {one.style.split()[1]}" d="M{"L".join(low + high[::-1])}z"/>\n'
    across, height, left_at = _cut_at_the_top(across, height)
    down, dot = _down(height), f"dot {one.style.split()[1]}"
    dots = _dots(across, down, dot, 0) if len(across) <= FEW_POINTS and one.style.startswith("line") else ""
    dots += _dots(left_at, np.full(len(left_at), TOP + 4.0), dot, 2)
    return f'{band}<path class="{one.style}" d="{_path(across, down)}"><title>{text(one.label)}</title></path>\n{dots}'


def _cut_at_the_top(across: Array, height: Array) -> tuple[Array, Array, Array]:
    """Return a line with points where it crosses the top of the frame, and where it leaves through it."""
    above = (height > 1.0) & np.isfinite(across)
    if not above.any():
        return across, height, across[:0]
    crossing = np.flatnonzero(np.isfinite(height[:-1] + height[1:]) & (above[:-1] != above[1:]))
    share = (1.0 - height[crossing]) / (height[crossing + 1] - height[crossing])
    at = across[crossing] + share * (across[crossing + 1] - across[crossing])
    leaving = at[above[crossing + 1]] if not above[0] else np.append(across[0], at[above[crossing + 1]])
    inside = np.where(above, np.nan, height)
    return np.insert(across, crossing + 1, at), np.insert(inside, crossing + 1, 1.0), leaving


def _under_the_pointer(series: Sequence[Series], x: Axis) -> str:
    """Return upright strips that no eye sees; the browser shows the values of all lines beside its pointer there."""
    lines = [one for one in series if one.style.startswith("line") and len(one.x)]
    if not lines or len(lines) > MAX_LINES_UNDER_THE_POINTER or any(len(one.x) != len(lines[0].x) for one in lines):
        return ""
    n = len(lines[0].x)
    chosen = np.unique(np.linspace(0, n - 1, min(n, MAX_SLOTS)).round().astype(int))
    strips = []
    for i, at in zip(chosen, _across(x.place(lines[0].x[chosen])), strict=True):
        values = ", ".join(f"{one.label} {one.y[i]:.4g}" for one in lines if np.isfinite(one.y[i]))
        strips.append(
            f'<path d="M{_number(at)} {TOP}V{HEIGHT - BOTTOM}"><title>{text(x.label)} {lines[0].x[i]:.4g}: '
            f"{text(values)}</title></path>"
        )
    width = (WIDTH - LEFT - RIGHT) / max(len(chosen), 10)
    return f'<g class="strips" stroke-width="{width:.1f}">{"".join(strips)}</g>'


def _dots(across: Array, down: Array, style: str, shape: int, notes: Sequence[str] = ()) -> str:
    """Return the dots: one path for all, or one for each where each shows a note under the pointer."""
    path = SHAPES[shape % len(SHAPES)]
    shown = np.flatnonzero(np.isfinite(across + down)).tolist()
    dots = [f"M{_number(across[i])} {_number(down[i])}{path}" for i in shown]
    if not notes:
        return f'<path class="{style}" d="{"".join(dots)}"/>' if dots else ""
    return "\n".join(
        f'<path class="{style}" d="{dot}"><title>{text(notes[i])}</title></path>'
        for i, dot in zip(shown, dots, strict=True)
    )


def _path(across: Array, down: Array) -> str:
    """Return the line through the points, interrupted where one is not finite."""
    words, pen = [], "M"
    for i in _kept(down):
        if not (np.isfinite(across[i]) and np.isfinite(down[i])):
            pen = "M"
            continue
        words.append(f"{pen}{_number(across[i])} {_number(down[i])}")
        pen = "L"
    return "".join(words)


def _kept(values: Array) -> Array:
    """Return which points to draw: all, or the ends and the lowest and highest of each piece of a long line.

    A gap within a piece, which is less than a pixel, is lost.
    """
    n = len(values)
    if n <= MAX_POINTS:
        return np.arange(n)
    pieces = np.array_split(np.arange(n), MAX_POINTS // 2)
    kept = [[0, n - 1]]
    for piece in pieces:
        finite = piece[np.isfinite(values[piece])]
        kept.append([finite[find(values[finite])] for find in (np.argmin, np.argmax)] if len(finite) else [piece[0]])
    return np.unique(np.concatenate(kept))


def _across(fraction: Array) -> Array:
    return LEFT + _inside(fraction) * (WIDTH - LEFT - RIGHT)


def _down(fraction: Array) -> Array:
    return HEIGHT - BOTTOM - _inside(fraction) * (HEIGHT - TOP - BOTTOM)


def _inside(fraction: Array) -> Array:
    """Return nan, a gap, for what lies beyond the ends of an axis."""
    return np.where((fraction > -0.01) & (fraction < 1.01), fraction, np.nan)


def _number(value: Any) -> str:
    return f"{float(value):.1f}".removesuffix(".0")


def _short(label: str, most: int) -> str:
    return label if len(label) <= most else label[: most - 1] + "…"
