"""Runs the programs in scripts/, each once in all tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "scripts"
Run = Callable[[str], tuple[str, Path]]


def runner(root: Path) -> Run:
    """Return a function that runs a script below `root` and gives what it printed and where its figure is."""

    @cache
    def printed_and_figure(name: str) -> tuple[str, Path]:
        folder = root / name
        folder.mkdir()
        command = [sys.executable, "-W", "error", str(FOLDER / f"{name}.py"), "figure.png"]
        process = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)
        assert (process.returncode, process.stderr) == (0, "")
        return process.stdout, folder / "figure.png"

    return printed_and_figure
