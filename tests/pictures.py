"""The pictures of a digits run in docs/images, with the run's figures in them; run as a script, it draws them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from browser import browser
from PIL import Image
from PIL.PngImagePlugin import PngInfo

IMAGES = Path(__file__).parents[1] / "docs" / "images"
PICTURES = ("report.png", "digits_loss_curve.png")
WIDTH, HEIGHT = 1240, 1445  # pixels of the top of the report


def figures(printed: str) -> str:
    """Return the line with a run's figures in its output, or in a page that shows it."""
    return next(line for line in printed.splitlines() if line.startswith("test accuracy"))


def figures_of(picture: str) -> str:
    """Return the line with the figures of the run that a picture shows."""
    with Image.open(IMAGES / picture) as image:
        return str(image.info.get("figures", ""))


def draw() -> None:
    """Train, take a screenshot of the report, and write both pictures with the run's figures in them."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "digits")
        command = [sys.executable, "-m", "tinynet", "train", "digits", "--out", str(run)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        with browser() as page:
            page.open(run / "report.html", WIDTH)
            page.screenshot(run / "report.png", HEIGHT)
        (run / "loss_curve.png").rename(run / "digits_loss_curve.png")
        held = PngInfo()
        held.add_text("figures", figures(printed))
        for picture in PICTURES:
            with Image.open(run / picture) as image:
                image.save(IMAGES / picture, pnginfo=held, dpi=image.info.get("dpi", (96, 96)), optimize=True)


if __name__ == "__main__":
    draw()
