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
ARROW = 2


@dataclass(frozen=True)
class Series:
    """What one line or one set of dots shows.

    Attributes
    ----------
    label : what it is called under the pointer
    x, y : arrays of one length; values that are not finite leave a gap
    style : classes of the style sheet, such as "line c0 d1"
    shape : index into SHAPES for dots, None for a line
    band : (low, high) around y, if any
    notes : what each dot shows under the pointer, if anything
    key : what it is called in the key of the chart; nothing keeps it out
    """

    label: str
    x: Array
    y: Array
    style: str
    shape: int | None = None
    band: tuple[Array, Array] | None = None
    notes: Sequence[str] = ()
    key: str = ""


@dataclass(frozen=True)
class Axis:
    """One axis: its label, its range, and whether it counts in powers of ten.

    `marks` are values and their names, shown where there is room; between `whole` numbers nothing is named.
    """

    label: str
    low: float
    high: float
    log: bool = False
    marks: tuple[tuple[float, str], ...] = ()
    whole: bool = False

    def place(self, values: Any) -> Array:
        """Return where `values` lie between the ends, as fractions."""
        if self.log:
            low, high = np.log10([self.low, self.high])
            return np.asarray((np.log10(values) - low) / (high - low))
        return np.asarray(values / (self.high - self.low) - self.low / (self.high - self.low))

    def ticks(self) -> list[tuple[float, str]]:
        """Return values on the axis with their labels."""
        kept: list[tuple[float, str]] = []
        for mark in self.marks:
            if not kept or self.place(mark[0]) - self.place(kept[-1][0]) > 0.08:
                kept.append(mark)
        if kept:
            return kept
        values = self._within(_powers(self.low, self.high)) if self.log else []
        if len(values) < 2:
            values = self._within(_steps(self.low, self.high, 1.0 if self.whole else 1 / HUGE))
        digits = next(n for n in range(4, 18) if n == 17 or len({f"{value:.{n}g}" for value in values}) == len(values))
        return [(value, f"{value:.{digits}g}") for value in values]

    def _within(self, values: list[float]) -> list[float]:
        return [value for value in values if self.low <= value <= self.high]


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
    return [times * 10.0**power for power in range(first - 1, last + 1) for times in (1, 2, 5)]


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


def chart(
    title: str, words: str, series: Sequence[Series], x: Axis, y: Axis, *, caption: str = "", background: str = ""
) -> Html:
    """Return a figure: the chart, the key of the series that have one, and the caption, which is else the title.

    `title` and `words` are read out where the chart cannot be seen. A line that leaves the frame through its top ends
    there in an arrow. `background` is the address of an image that fills the plane.
    """
    parts = [
        f'<figure>\n<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(title)}">',
        f"<desc>{text(words)}</desc>",
        *_frame(x, y, background),
        '<g aria-hidden="true">',  # what is shown under the pointer is not read out piece by piece
        *(_drawn(one, x, y) for one in series),
        _under_the_pointer(series, x),
        "</g></svg>",
        key(series),
        f"<figcaption>{text(caption or title)}</figcaption>\n</figure>",
    ]
    return Html("\n".join(part for part in parts if part))


def key(series: Sequence[Series]) -> Html:
    """Return the key of those lines and dots that have a name in it."""
    items = []
    for one in series:
        path = "M0 5H26" if one.shape is None else f"M13 5{SHAPES[one.shape]}"
        swatch = f'<svg viewBox="0 0 26 10" aria-hidden="true"><path class="{one.style}" d="{path}"/></svg>'
        items += [f"<li>{swatch}{text(one.key)}</li>"] if one.key else []
    return Html(f'<ul class="key">{"".join(items)}</ul>' if items else "")


def _frame(x: Axis, y: Axis, background: str) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    lines = [f'<text x="4" y="16">{text(_short(y.label, 60))}</text>']
    if background:
        size = f'x="{LEFT}" y="{TOP}" width="{right - LEFT}" height="{bottom - TOP}"'
        lines.append(f'<image {size} preserveAspectRatio="none" href="{background}"/>')
    for value, label in y.ticks():
        at = _number(_down(y.place(value)))
        lines.append(f'<path class="grid" d="M{LEFT} {at}H{right}"/>')
        lines.append(f'<text class="end" x="{LEFT - 6}" y="{at}" dy="4">{text(_short(label, 7))}</text>')
    ticks = x.ticks()
    slanted = sum(len(label) for _, label in ticks) > 36
    for value, label in ticks:
        at = _number(_across(x.place(value)))
        lines.append(f'<path class="axis" d="M{at} {bottom}v4"/>')
        turn = f'class="end" transform="rotate(-30 {at} {bottom + 14})"' if slanted else 'class="middle"'
        lines.append(f'<text {turn} x="{at}" y="{bottom + 17}">{text(_short(label, 9 if slanted else 16))}</text>')
    lines.append(f'<path class="axis" d="M{LEFT} {bottom}H{right}"/>')
    return [*lines, f'<text class="end" x="{right}" y="{HEIGHT - 4}">{text(_short(x.label, 60))}</text>']


def _drawn(one: Series, x: Axis, y: Axis) -> str:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # what has no logarithm leaves a gap
        across, height = _across(x.place(one.x)), np.minimum(y.place(one.y), 1e6)
        edges = [_down(np.clip(y.place(np.maximum(edge, y.low)), 0, 1)) for edge in one.band or ()]
    if one.shape is not None:
        return _dots(across, _down(height), one.style, one.shape, one.notes) + _arrows(across[height > 1.01], one.style)
    colour, band = one.style.split()[1], ""
    if edges:
        kept = np.isfinite(across + edges[0] + edges[1])
        low, high = (_path(across[kept], edge[kept]).removeprefix("M").split("L") for edge in edges)
        band = f'<path class="band {colour}" d="M{"L".join(low + high[::-1])}z"/>\n'
    above = height > 1.0
    leaving = above & np.append(True, ~above[:-1])  # the first point beyond the frame
    returning = above & np.append(~above[1:], False)
    down, dot = _down(np.where(leaving | returning, 1.0, height)), f"dot {colour}"
    dots = _dots(across, _down(height), dot, 0) if len(across) <= FEW_POINTS and one.style.startswith("line") else ""
    line = f'<path class="{one.style}" d="{_path(across, down)}"><title>{text(one.label)}</title></path>'
    return f"{band}{line}\n{dots}{_arrows(across[leaving], dot)}"


def _under_the_pointer(series: Sequence[Series], x: Axis) -> str:
    """Return upright strips that no eye sees; the browser shows the values of all lines beside its pointer there."""
    lines = [one for one in series if one.style.startswith("line") and len(one.x)]
    if not lines or len(lines) > MAX_LINES_UNDER_THE_POINTER or any(len(one.x) != len(lines[0].x) for one in lines):
        return ""
    n = len(lines[0].x)
    chosen = np.unique(np.linspace(0, n - 1, min(n, MAX_SLOTS)).round().astype(int))
    strips = []
    for i, at in zip(chosen, _across(x.place(lines[0].x[chosen])), strict=True):
        values = ", ".join(f"{one.label} {one.y[i]:.4g}" for one in lines if math.isfinite(one.y[i]))
        words = text(f"{x.label} {lines[0].x[i]:.4g}: {values}")
        strips.append(f'<path d="M{_number(at)} {TOP}V{HEIGHT - BOTTOM}"><title>{words}</title></path>')
    width = (WIDTH - LEFT - RIGHT) / max(len(chosen), 10)
    return f'<g class="strips" stroke-width="{width:.1f}">{"".join(strips)}</g>'


def _dots(across: Array, down: Array, style: str, shape: int, notes: Sequence[str] = ()) -> str:
    """Return the dots: one path for all, or one for each where each shows a note under the pointer."""
    shown = np.flatnonzero(np.isfinite(across + down)).tolist()
    dots = [f"M{_number(across[i])} {_number(down[i])}{SHAPES[shape]}" for i in shown]
    if not notes:
        return f'<path class="{style}" d="{"".join(dots)}"/>' if dots else ""
    noted = zip(dots, (text(notes[i]) for i in shown), strict=True)
    return "\n".join(f'<path class="{style}" d="{dot}"><title>{note}</title></path>' for dot, note in noted)


def _arrows(across: Array, style: str) -> str:
    return _dots(across, np.full(len(across), TOP + 4.0), style, ARROW)


def _path(across: Array, down: Array) -> str:
    """Return the line through the points, interrupted where one is not finite."""
    words, pen = [], "M"
    kept = _kept(down)
    for x, y in zip(across[kept].tolist(), down[kept].tolist(), strict=True):
        if math.isfinite(x + y):
            words.append(f"{pen}{_number(x)} {_number(y)}")
        pen = "L" if math.isfinite(x + y) else "M"
    return "".join(words)


def _kept(values: Array) -> Array:
    """Return which points to draw: all, or the ends and the lowest and highest of each piece of a long line.

    A gap within a piece, which is less than a pixel, is lost.
    """
    n = len(values)
    if n <= MAX_POINTS:
        return np.arange(n)
    low, high = (np.where(np.isfinite(values), values, end) for end in (np.inf, -np.inf))
    pieces = np.array_split(np.arange(n), MAX_POINTS // 2)
    ends = [piece[at] for piece in pieces for at in (low[piece].argmin(), high[piece].argmax())]
    return np.unique([0, *ends, n - 1])


def _across(fraction: Array) -> Array:
    return LEFT + _inside(fraction) * (WIDTH - LEFT - RIGHT)


def _down(fraction: Array) -> Array:
    return HEIGHT - BOTTOM - _inside(fraction) * (HEIGHT - TOP - BOTTOM)


def _inside(fraction: Array) -> Array:
    """Return nan, a gap, for what lies beyond the ends of an axis."""
    return np.where((fraction > -0.01) & (fraction < 1.01), fraction, np.nan)


def _number(value: Any) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _short(label: str, most: int) -> str:
    return label if len(label) <= most else label[: most - 1] + "…"
