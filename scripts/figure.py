"""The argument of the scripts that draw: where the figure goes. No display is needed."""

import argparse
from pathlib import Path

import matplotlib


def figure_argument(about: str | None, default: str) -> str:
    """Return FIGURE of the command line, in a folder that is there; `about` is what --help says."""
    matplotlib.use("agg")
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("figure", metavar="FIGURE", nargs="?", default=default, help="(default: %(default)s)")
    figure = str(parser.parse_args().figure)
    if Path(figure).suffix.lower() not in (".png", ".svg", ".pdf"):
        parser.error(f"FIGURE must end in .png, .svg or .pdf, got {figure!r}")
    if not Path(figure).parent.is_dir():
        parser.error(f"there is no folder {str(Path(figure).parent)!r} for the figure")
    return figure
