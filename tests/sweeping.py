"""Shared by the tests of sweeps: run one, here or as a command, and read its folder."""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

from tinynet.cli.main import main

TINYNET = str(Path(sys.executable).with_name("tinynet"))
QUICK = ("training.epochs=2", "network.hidden_units=3")

Row = dict[str, str]
Result = tuple[bytes, list[list[str]]]


def table(folder: str = "s") -> list[Row]:
    with Path(folder, "sweep.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run_folders(folder: str = "s") -> list[Path]:
    return sorted(path for path in Path(folder).glob("[!.]*") if path.is_dir())


def statuses(folder: str = "s") -> list[str]:
    return [row["status"] for row in table(folder)]


def made_at(folder: str = "s") -> dict[str, int]:
    return {path.name: (path / "summary.json").stat().st_mtime_ns for path in run_folders(folder)}


def results(folder: str) -> dict[str, Result]:
    return {path.name: result(path) for path in run_folders(folder)}


def result(path: Path) -> Result:
    """Return model.npz of a run, and its metrics.csv without durations."""
    return (path / "model.npz").read_bytes(), untimed_metrics(path)


def untimed_metrics(path: Path) -> list[list[str]]:
    with (path / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return [[cell for name, cell in row.items() if name != "duration_s"] for row in csv.DictReader(file)]


def swept(*words: str, out: str = "s", status: int = 0) -> None:
    assert main(["sweep", "iris", *(words or ("seed=0..1", *QUICK)), "--out", out, "--quiet"]) == status


def command(*words: str) -> subprocess.Popen[str]:
    """Start the real command in its own process group, as a terminal does."""
    return subprocess.Popen(
        [TINYNET, "sweep", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for(happened: Callable[[], Any], process: subprocess.Popen[str] | ForkProcess) -> Any:
    """Wait for something to happen while `process` runs, and return it."""
    while (process.poll() if isinstance(process, subprocess.Popen) else process.exitcode) is None:
        if found := happened():
            return found
        time.sleep(0.01)
    said = process.communicate() if isinstance(process, subprocess.Popen) else Path("said").read_text(encoding="utf-8")
    raise AssertionError(f"the command ended before: {said}")


def a_run_to_be_whole() -> bool:
    return any(Path("s").glob("[!.]*/summary.json"))
