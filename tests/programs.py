"""Runs the programs in scripts/, each once for all tests."""

from __future__ import annotations

import io
import runpy
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import matplotlib.pyplot as plt

FOLDER = Path(__file__).parents[1] / "scripts"
Make = Callable[[str, Callable[[Path], None]], Path]
Run = Callable[[str], tuple[str, Path]]


def runner(make: Make) -> Run:
    """Return a function that runs a script in its own folder and returns its output and the path of its figure."""

    def printed_and_figure(name: str) -> tuple[str, Path]:
        def run(folder: Path) -> None:
            (folder / "out").mkdir()
            program, errors = str(FOLDER / f"{name}.py"), io.StringIO()
            with (
                (folder / "printed").open("w", encoding="utf-8") as printed,
                redirect_stdout(printed),
                redirect_stderr(errors),
                chdir(folder / "out"),
                patch.object(sys, "argv", [program, "figure.png"]),
                patch.object(sys, "path", [str(FOLDER), *sys.path]),
            ):
                runpy.run_path(program, run_name="__main__")
            plt.close("all")
            assert errors.getvalue() == ""

        folder = make(name, run)
        return (folder / "printed").read_text(encoding="utf-8"), folder / "out" / "figure.png"

    return printed_and_figure
