"""HTML for the report: escaped text, tables, figures, and the one document that holds them; no script anywhere."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO
from typing import Any

import numpy.typing as npt

from tinynet.reports.palette import style_sheet

GENERATOR = '<meta name="generator" content="tinynet">'  # marks a file that a later report may replace
NONE = "—"

Cell = object  # shown as text, unless it is Html


class Html(str):
    """Markup: text in it has been escaped."""

    __slots__ = ()


def text(value: Cell) -> Html:
    """Return `value` as markup, escaped unless it is markup already."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def document(
    name: str, lead: str, notices: Iterable[str], parts: Iterable[Html], *, what: str = "report", refresh_s: int = 0
) -> bytes:
    """Return a whole HTML file; its policy allows the one style sheet and images inside the file, nothing else.

    Under the heading there are a line about the whole, and notices. A browser loads it again every `refresh_s` seconds.
    """
    from importlib import resources  # which brings 20 modules along

    style = style_sheet() + resources.files("tinynet.reports").joinpath("report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    lines = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        GENERATOR,
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        '<link rel="icon" href="data:,">',  # a browser asks for one elsewhere if there is none
        f'<meta http-equiv="refresh" content="{refresh_s}">' if refresh_s else "",
        f"<title>{text(name)}: tinynet {what}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>",
        f"<h1>{text(name)}</h1>",
        paragraph(lead, "lead"),
        *(paragraph(f"{notice[0].upper()}{notice[1:]}".removesuffix(".") + ".", "notice") for notice in notices),
        *parts,
        "</main>\n</body>\n</html>\n",
    ]
    return "\n".join(lines).encode("utf-8", "backslashreplace")  # a folder's name need not be UTF-8


def section(title: str, *parts: Html) -> Html:
    """Return a section under a heading."""
    return Html(f"<section>\n<h2>{text(title)}</h2>\n" + "\n".join(parts) + "\n</section>")


def paragraph(sentence: Cell, kind: str = "") -> Html:
    """Return a paragraph; `kind` is a class of the style sheet."""
    return Html(f'<p class="{kind}">{text(sentence)}</p>' if kind else f"<p>{text(sentence)}</p>")


def tiles(figures: Iterable[tuple[str, Cell, Cell]]) -> Html:
    """Return headline figures: (what, value, a word more)."""
    items = (
        f"<div{' class=long' if len(str(value)) > 14 and not isinstance(value, Html) else ''}><dt>{text(what)}</dt>"
        f"<dd><strong>{text(value)}</strong> {text(more)}</dd></div>"
        for what, value, more in figures
    )
    return Html('<dl class="tiles">\n' + "\n".join(items) + "\n</dl>")


def table(caption: str, head: Sequence[Cell], rows: Iterable[Sequence[Cell]], kind: str = "") -> Html:
    """Return a table whose first column names the row; one that is too wide scrolls inside its own box."""
    lines = [
        f'<div class="scroll" role="region" aria-label="{text(caption)}" tabindex="0"><table class="{kind}">',
        f"<caption>{text(caption)}</caption>",
        "<thead><tr>" + "".join(f'<th scope="col">{_breakable(cell)}</th>' for cell in head) + "</tr></thead>\n<tbody>",
    ]
    for first, *others in rows:
        cells = "".join(cell if cell.startswith("<td") else f"<td>{cell}</td>" for cell in map(text, others))
        is_long = isinstance(first, Html) or len(str(first)) > 20
        name = _breakable(first if is_long else str(first).replace(" ", "\u00a0"))
        lines.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    return Html("\n".join([*lines, "</tbody>\n</table></div>"]))


def shaded(value: Cell, share: float, kind: str) -> Html:
    """Return a table cell shaded by `share`, from 0 to 1, in ten steps."""
    return Html(f'<td class="{kind} q{round(10 * share)}">{text(value)}</td>')


def figure(content: Html, caption: Cell) -> Html:
    """Return a figure with its caption."""
    return Html(f"<figure>\n{content}\n<figcaption>{text(caption)}</figcaption>\n</figure>")


def grid(kind: str, items: Iterable[Html]) -> Html:
    """Return figures side by side, as many as fit."""
    return Html(f'<div class="{kind}">\n' + "\n".join(items) + "\n</div>")


def image(uri: str, description: str) -> Html:
    """Return an image with the text that stands for it, also under the pointer."""
    return Html(f'<img src="{uri}" alt="{text(description)}" title="{text(description)}">')


def png(values: npt.NDArray[Any], **colours: Any) -> str:
    """Return an array as the data: address of a PNG, a pixel a value (`colours`: cmap, vmin, vmax) or RGBA."""
    from matplotlib.image import imsave

    buffer = BytesIO()
    plain: dict[str, Any] = {"Software": None}
    imsave(buffer, values, format="png", metadata=plain, **colours)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def duration(seconds: float) -> str:
    """Return a duration for the eye."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def percent(fraction: float | None) -> str:
    """Return a fraction in percent, a dash for one that is not known."""
    return NONE if fraction is None or math.isnan(fraction) else f"{100 * fraction:.1f} %"


def shown_loss(value: float) -> str:
    """Return a loss in three digits, a dash for one that is not known."""
    return NONE if math.isnan(value) else f"{value:#.3g}".removesuffix(".")


def value_of(setting: object) -> str:
    """Return a setting as a config file has it, strings without their quotes, a dash for one that is not there."""
    if isinstance(setting, bool):
        return str(setting).lower()
    return NONE if setting is None else f"{setting:.10g}" if isinstance(setting, float) else str(setting)


def _breakable(cell: Cell) -> Html:
    """Let a dotted key break behind its dots, where a narrow page needs it."""
    return cell if isinstance(cell, Html) else Html(text(cell).replace(".", ".<wbr>").replace("_", "_<wbr>"))
