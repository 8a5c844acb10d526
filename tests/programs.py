"""Runs the programs in scripts/, each once in all tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "scripts"
Make = Callable[[str, Callable[[Path], None]], Path]
Run = Callable[[str], tuple[str, Path]]


def runner(make: Make) -> Run:
    """Return a function that runs a script in a folder of its own and gives what it printed and where its figure is."""

    def printed_and_figure(name: str) -> tuple[str, Path]:
        def run(folder: Path) -> None:
            (folder / "out").mkdir()
            command = [sys.executable, "-W", "error", str(FOLDER / f"{name}.py"), "figure.png"]
            with (folder / "printed").open("w") as printed:
                process = subprocess.run(
                    command,
                    cwd=folder / "out",
                    stdout=printed,
                    stderr=subprocess.PIPE,
                    encoding="utf-8",
                    check=False,
                    env={**os.environ, "MPLBACKEND": "tkagg", "DISPLAY": ""},  # a display that is not there
                )
            assert (process.returncode, process.stderr) == (0, "")

        folder = make(name, run)
        return (folder / "printed").read_text(encoding="utf-8"), folder / "out" / "figure.png"

    return printed_and_figure
