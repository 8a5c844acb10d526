"""Fixtures that all tests share."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pages
import programs
import pytest
from hypothesis import settings
from matplotlib.figure import Figure

from tinynet.experiments import run
from tinynet.reports.plots import plot_loss_curve

matplotlib.use("agg")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell starts with SIGINT ignored
settings.register_profile("tinynet", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("tinynet")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240917)


@pytest.fixture
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test in its own folder, which others may write into."""
    tmp_path.chmod(0o777)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def plain_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs in this process draw empty curves: drawing is the slowest part of a short run."""
    monkeypatch.setattr(run, "plot_loss_curve", lambda history: Figure(figsize=(0.1, 0.1)))


@pytest.fixture
def real_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs in this process draw real curves."""
    monkeypatch.setattr(run, "plot_loss_curve", plot_loss_curve)


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> programs.Make:
    """Return a function that makes a folder, once for all processes of a test run, and returns its path."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root

    def made(name: str, maker: Callable[[Path], None]) -> Path:
        path = root / f"made-{name}"
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                part = Path(tempfile.mkdtemp(dir=root))
                maker(part)
                part.rename(path)
        return path

    return made


@pytest.fixture(scope="session")
def made_runs(make: programs.Make) -> Path:
    """Return the folders that tests copy: three runs, and a sweep with one diverged run."""
    return make("runs", _train_runs)


def _train_runs(root: Path) -> None:
    pages.train(root / "iris", "iris", "training.epochs=4")
    pages.train(root / "digits", "digits", "training.epochs=3")
    pages.train(root / "moons", "moons", "training.epochs=3")
    for rate in ("0.03", "0.3"):
        for seed in ("0", "1", "2"):
            overrides = [f"optimizer.learning_rate={rate}", f"seed={seed}", "training.epochs=5"]
            pages.train(root / "sweep" / f"rate={rate},seed={seed}", "iris", *overrides)
    huge = ["optimizer.learning_rate=3.0", "network.activation='relu'", "optimizer.momentum=0.99"]
    pages.train(root / "sweep" / "bad", "iris", *huge, "training.epochs=5", "network.weight_scale=1e200", "seed=1")


@pytest.fixture
def runs(made_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the folders, as the current folder."""
    shutil.copytree(made_runs, tmp_path / "runs")
    monkeypatch.chdir(tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture(scope="session")
def run_script(make: programs.Make) -> programs.Run:
    """Return a function that runs a script once and returns its output and the path of its figure."""
    return programs.runner(make)
