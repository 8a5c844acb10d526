"""^C and SIGTERM: the step is finished and saved, and the resumed run ends with the same bits."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from crashing import SAID, ended, forked, outcomes, saved_steps
from sweeping import a_run_to_be_whole, statuses, wait_for

from tinynet.cli.main import main
from tinynet.network import TwoLayerNet
from tinynet.training.checkpoints import Keeper
from tinynet.training.state import State

LONG = ("iris", "training.epochs=150", "network.hidden_units=4", "--quiet")
SHORT = ("iris", "training.epochs=4", "training.checkpoint_every_s=0", "--quiet")  # 7 steps an epoch
SLOW = ("digits", "gradient.method='loop'", "training.batch_size=1258", "network.hidden_units=16", "--quiet")
SAYS_HOW = "tinynet: interrupted; resume with: tinynet train --out x --resume\n"


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def train_until(step: int, signals: list[signal.Signals], patch: pytest.MonkeyPatch) -> int:
    """Train, send signals in the middle of a step, and return the exit status."""
    quotients, n_steps = TwoLayerNet.quotients, 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal n_steps
        n_steps += 1
        for number in signals if n_steps == step else ():
            signal.raise_signal(number)
        return quotients(*arguments)

    with patch.context() as patched:
        patched.setattr(TwoLayerNet, "quotients", interrupted)
        return main(["train", *SHORT, "--out", "x"])


def resumes_to_the_same_bits() -> bool:
    assert main(["train", "--out", "x", "--resume", "--quiet"]) == 0
    assert main(["train", *SHORT, "--out", "whole"]) == 0
    return outcomes("x") == outcomes("whole")


@pytest.mark.parametrize(
    ("signals", "status"),
    [
        ([signal.SIGINT], 130),
        ([signal.SIGTERM], 143),
        ([signal.SIGTERM] * 2, 143),  # as timeout and batch systems do: first to the command, then to its group
    ],
)
def test_fault_31_a_signal_lets_a_run_save_and_resume(
    signals: list[signal.Signals], status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_until(16, signals, monkeypatch) == status
    assert capsys.readouterr() == ("", SAYS_HOW)
    assert saved_steps("x") == 16, "the step under way is in it"
    assert '"status": "interrupted"' in Path("x/summary.json").read_text(encoding="utf-8")
    assert Path("x/report.html").exists()
    assert resumes_to_the_same_bits()


def test_fault_31_a_second_signal_loses_an_epoch_at_most(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_until(16, [signal.SIGINT, signal.SIGINT], monkeypatch) == 130
    assert capsys.readouterr() == ("", SAYS_HOW)
    assert saved_steps("x") == 15, "the step under way is given up"
    page = Path("x/report.html").read_text(encoding="utf-8")
    assert "interrupted" in page and 'http-equiv="refresh"' not in page, "a page that was open no longer waits"
    assert not Path("x/loss_curve.png").exists(), "which takes longer"
    assert resumes_to_the_same_bits()


@pytest.mark.parametrize("jobs", [pytest.param("1", marks=pytest.mark.soak), "2"])
def test_fault_31_a_terminated_sweep_saves_its_runs(jobs: str) -> None:
    process = forked("sweep", *LONG, "seed=0..3", "--jobs", jobs, "--out", "s")
    wait_for(a_run_to_be_whole, process)
    trained = wait_for(
        lambda: [
            file.parent for file in Path("s").glob(".seed=[23]*.part/metrics.csv") if b"\n1," in file.read_bytes()
        ],
        process,
    )
    os.kill(process.pid or 0, signal.SIGTERM)  # only the command gets it, and tells its workers
    assert ended(process) == 143
    err = SAID.read_text(encoding="utf-8")
    assert "resume with: tinynet sweep s/sweep.json --resume" in err and len(err.splitlines()) == 1
    parts = list(Path("s").glob(".*.part"))
    assert 1 <= len(parts) <= int(jobs) and all(saved_steps(part) > 0 for part in parts if part in trained)
    before = statuses().count("completed")
    assert before < 4 and statuses().count("missing") == 4 - before
    assert main(["sweep", "s/sweep.json", "--resume", "--quiet"]) == 0
    assert main(["sweep", *LONG, "seed=0..3", "--out", "whole"]) == 0
    assert outcomes("s") == outcomes("whole")


@pytest.mark.parametrize(
    ("number", "twice", "status", "n_saved"),
    [(signal.SIGTERM, False, 143, 2), (signal.SIGINT, True, 130, 0)],
    ids=["SIGTERM to the command and then to its group is one signal", "the second ^C ends it at once"],
)
def test_fault_31_signals_to_the_process_group_stop_a_sweep(
    number: signal.Signals, twice: bool, status: int, n_saved: int
) -> None:
    process = forked("sweep", *SLOW, "training.epochs=1", "seed=0..1", "--jobs", "2", "--out", "s")
    wait_for(lambda: len(list(Path("s").glob(".*.part/metrics.csv"))) == 2, process)
    time.sleep(0.1)  # into the only step, which takes long
    group = process.pid or 0
    os.killpg(group, number) if twice else os.kill(group, number)
    time.sleep(0.1 if twice else 0.0)  # two pending signals of the same kind are one
    os.killpg(group, number)
    assert ended(process) == status
    assert len(SAID.read_text(encoding="utf-8").splitlines()) == 1
    assert saved_steps("s") == n_saved, "the steps under way are finished, or given up"


def test_fault_31_a_signal_in_the_last_checkpoint_stops_the_sweep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words, real = ["iris", "seed=0..2", "training.epochs=1", "--quiet"], Keeper.save

    def save(keeper: Keeper, state: State) -> None:
        real(keeper, state)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(Keeper, "save", save)
        assert main(["sweep", *words, "--out", "s"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert statuses() == ["missing"] * 3
    assert main(["sweep", "s/sweep.json", "--resume", "--quiet"]) == 0
    assert main(["sweep", *words, "--out", "whole"]) == 0
    assert outcomes("s") == outcomes("whole")
