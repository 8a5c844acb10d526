"""Fixtures that all tests share."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import matplotlib
import numpy as np
import pages
import programs
import pytest
from hypothesis import settings

matplotlib.use("agg")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is started to ignore it
settings.register_profile("tinynet", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("tinynet")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240917)


@pytest.fixture(scope="session")
def made_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folders that the tests copy: three runs, and a sweep in which one run diverged."""
    root = tmp_path_factory.mktemp("made")
    pages.train(root / "iris", "iris", "training.epochs=4")
    pages.train(root / "digits", "digits", "training.epochs=3")
    pages.train(root / "moons", "moons", "training.epochs=3")
    for rate in ("0.03", "0.3"):
        for seed in ("0", "1", "2"):
            overrides = [f"optimizer.learning_rate={rate}", f"seed={seed}", "training.epochs=5"]
            pages.train(root / "sweep" / f"rate={rate},seed={seed}", "iris", *overrides)
    huge = ["optimizer.learning_rate=3.0", "network.activation='relu'", "optimizer.momentum=0.99"]
    pages.train(root / "sweep" / "bad", "iris", *huge, "training.epochs=5", "network.weight_scale=1e200", "seed=1")
    return root


@pytest.fixture
def runs(made_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the folders, in which the test stands."""
    shutil.copytree(made_runs, tmp_path / "runs")
    monkeypatch.chdir(tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture(scope="session")
def run_script(tmp_path_factory: pytest.TempPathFactory) -> programs.Run:
    """Return a function that runs a script, once, and gives what it printed and where its figure is."""
    return programs.runner(tmp_path_factory.mktemp("scripts"))
