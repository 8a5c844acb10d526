"""Colours of the charts and plots: twelve that stay apart, from Okabe and Ito, ColorBrewer and matplotlib."""

from __future__ import annotations

LINES = (  # on white
    *("#0072b2", "#d55e00", "#009e73", "#bc80bd", "#f0027f", "#6a3d9a"),
    *("#8c564b", "#7f7f7f", "#66a61e", "#984ea3", "#e31a1c", "#7570b3"),
)
LINES_IN_THE_DARK = (
    *("#56b4e9", "#ff7f00", "#1b9e77", "#ffff33", "#e7298a", "#fccde5"),
    *("#7570b3", "#bcbd22", "#e78ac3", "#a6761d", "#ffbb78", "#999999"),
)
REGIONS = (  # areas of a decision boundary, seen through on white and on black
    *("#0072b2", "#d55e00", "#009e73", "#ffff33", "#f7b6d2", "#bcbd22"),
    *("#f0027f", "#56b4e9", "#984ea3", "#ccebc5", "#e377c2", "#8c564b"),
)
N_COLOURS, N_DASHES = len(LINES), 4


def style_sheet() -> str:
    """Return the classes of the colours for a style sheet, of light and of dark pages."""
    light, dark, regions = (
        "".join(f".{letter}{number}{{--own:{colour}}}" for number, colour in enumerate(colours))
        for letter, colours in (("c", LINES), ("c", LINES_IN_THE_DARK), ("r", REGIONS))
    )
    return f"{light}{regions}@media screen and (prefers-color-scheme:dark){{{dark}}}\n"
