"""The same config gives the same bits, whoever runs it, how often, and whatever the process was told."""

from __future__ import annotations

import os
import subprocess

import pytest
from crashing import outcome, outcomes
from sweeping import TINYNET

from tinynet.cli.main import main

WORDS = ("digits", "training.epochs=2", "training.patience=2", "optimizer.nesterov=true", "--quiet")


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.mark.usefixtures("real_curves")
def test_the_order_of_hashes_and_the_threads_of_blas_change_no_bit() -> None:
    variables = {"PYTHONHASHSEED": "4294967295", "OPENBLAS_NUM_THREADS": "2"}
    command = [TINYNET, "train", *WORDS, "--out", "told"]
    subprocess.run(command, check=True, timeout=120, env=os.environ | variables)
    assert main(["train", *WORDS, "--out", "here"]) == 0
    assert outcome("here") == outcome("told")
    assert len(outcome("here")["model"]) > 10_000 and outcome("here")["loss_curve.png"]


def test_a_run_of_a_sweep_has_the_bits_of_the_same_run_alone() -> None:
    assert main(["sweep", *WORDS, "seed=0..1", "--jobs", "2", "--out", "s"]) == 0
    for seed, swept in enumerate(outcomes("s").values()):
        assert main(["train", *WORDS, f"seed={seed}", "--out", f"alone-{seed}"]) == 0
        alone = outcome(f"alone-{seed}")
        del alone["loss_curve.png"]  # a sweep draws none
        assert swept == alone
