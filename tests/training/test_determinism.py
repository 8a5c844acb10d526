"""The same config gives the same bits, whoever runs it, however often, in any environment."""

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
def test_hash_order_and_blas_threads_change_no_bit() -> None:
    variables = {"PYTHONHASHSEED": "4294967295", "OPENBLAS_NUM_THREADS": "2"}
    command = [TINYNET, "train", *WORDS, "--out", "told"]
    subprocess.run(command, check=True, timeout=120, env=os.environ | variables)
    assert main(["train", *WORDS, "--out", "here"]) == 0
    assert outcome("here") == outcome("told")
    assert len(outcome("here")["model"]) > 10_000 and outcome("here")["loss_curve.png"]


def test_a_run_in_a_sweep_has_the_same_bits_as_alone() -> None:
    assert main(["sweep", *WORDS, "seed=0..1", "--jobs", "2", "--out", "s"]) == 0
    for seed, swept in enumerate(outcomes("s").values()):
        assert main(["train", *WORDS, f"seed={seed}", "--out", f"alone-{seed}"]) == 0
        alone = outcome(f"alone-{seed}")
        del alone["loss_curve.png"]  # a sweep draws no curve
        assert swept == alone
