"""^C and SIGTERM, sent to the real command: the step is finished and saved, and what resumes ends in the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from crashing import outcomes, saved_steps
from sweeping import TINYNET, a_run_to_be_whole, statuses, wait_for

from tinynet.cli.main import main
from tinynet.errors import Interrupted
from tinynet.training.checkpoints import Keeper
from tinynet.training.interrupts import STOPS, deferred_signals
from tinynet.training.state import State

LONG = ("iris", "training.epochs=150", "network.hidden_units=4", "--quiet")
SLOW = ("digits", "gradient.method='loop'", "training.batch_size=1258", "network.hidden_units=16", "--quiet")


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def started(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [TINYNET, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def rows_of(folder: Path) -> int:
    """Return how many epochs metrics.csv has, if there is one."""
    path = folder / "metrics.csv"
    return path.read_text(encoding="utf-8").count("\n") - 1 if path.exists() else 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_fault_31_a_run_finishes_its_step_saves_says_how_to_resume_and_ends_in_the_same_bits(
    number: signal.Signals, status: int
) -> None:
    process = started("train", *LONG, "--out", "x")
    wait_for(lambda: rows_of(Path("x")) >= 3, process)
    os.kill(process.pid, number)
    assert process.communicate(timeout=60) == (
        "",
        "tinynet: interrupted; resume with: tinynet train --out x --resume\n",
    )
    assert process.returncode == status
    rows = rows_of(Path("x"))
    assert 3 <= rows < 150
    assert saved_steps("x") >= 7 * rows, "the step under way is in it"
    assert '"status": "interrupted"' in Path("x/summary.json").read_text(encoding="utf-8")
    assert Path("x/report.html").exists()
    assert main(["train", "--out", "x", "--resume", "--quiet"]) == 0
    assert main(["train", *LONG, "--out", "whole"]) == 0
    assert outcomes("x") == outcomes("whole")


def test_fault_31_the_second_signal_ends_a_run_at_once_and_costs_the_epoch_under_way_at_most() -> None:
    words = ("train", *SLOW, "training.epochs=2", "training.checkpoint_every_s=0", "--out")
    process = started(*words, "x")
    wait_for(lambda: saved_steps("x") == 1 if Path("x").is_dir() else False, process)
    for _ in range(2):
        time.sleep(0.1)  # into the next step, and apart: two of a kind that wait together are one
        os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "tinynet: interrupted; resume with: tinynet train --out x --resume\n")
    assert saved_steps("x") == 1, "the step under way is given up"
    assert not Path("x/report.html").exists(), "nothing is drawn"
    assert main(["train", "--out", "x", "--resume", "--quiet"]) == 0
    assert main([*words, "whole"]) == 0
    assert outcomes("x") == outcomes("whole")


@pytest.mark.parametrize("jobs", [pytest.param("1", marks=pytest.mark.soak), "2"])
def test_fault_31_a_terminated_sweep_saves_the_runs_under_way_and_ends_in_the_same_bits(jobs: str) -> None:
    process = started("sweep", *LONG, "seed=0..3", "--jobs", jobs, "--out", "s")
    wait_for(a_run_to_be_whole, process)
    trained = wait_for(lambda: [part for part in Path("s").glob(".seed=[23]*.part") if rows_of(part) > 0], process)
    os.kill(process.pid, signal.SIGTERM)  # the command alone hears it, and tells its workers
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "resume with: tinynet sweep s/sweep.json --resume" in err and len(err.splitlines()) == 1
    parts = list(Path("s").glob(".*.part"))
    assert 1 <= len(parts) <= int(jobs) and all(saved_steps(part) > 0 for part in parts if part in trained)
    before = statuses().count("completed")
    assert before < 4 and statuses().count("missing") == 4 - before
    assert main(["sweep", "s/sweep.json", "--resume", "--quiet"]) == 0
    assert main(["sweep", *LONG, "seed=0..3", "--out", "whole"]) == 0
    assert outcomes("s") == outcomes("whole")


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_fault_31_sigterm_to_the_command_and_then_to_its_group_is_one_signal(command: str) -> None:
    axes = ("seed=0..1", "--jobs", "2") if command == "sweep" else ()
    words = (command, *SLOW, "training.epochs=1", *axes, "--out")  # whose one step takes long
    process = started(*words, "x")
    pattern, n_runs = (".*.part/metrics.csv", 2) if command == "sweep" else ("metrics.csv", 1)
    wait_for(lambda: len(list(Path("x").glob(pattern))) == n_runs, process)
    time.sleep(0.1)  # into the step
    os.kill(process.pid, signal.SIGTERM)  # as timeout and batch systems do
    os.killpg(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143 and len(err.splitlines()) == 1, err
    assert saved_steps("x") == n_runs, "the steps under way are finished"


def test_fault_31_the_second_signal_ends_a_sweep_at_once() -> None:
    words = (*SLOW, "training.epochs=1", "seed=0..1", "--jobs", "2")
    process = started("sweep", *words, "--out", "s")  # whose one step takes long
    wait_for(lambda: len(list(Path("s").glob(".*.part/metrics.csv"))) == 2, process)
    for _ in range(2):
        time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and len(err.splitlines()) == 1, err
    assert saved_steps("s") == 0, "the steps under way are given up"
    assert main(["sweep", "s/sweep.json", "--resume", "--quiet", "--jobs", "2"]) == 0
    assert main(["sweep", *words, "--out", "whole"]) == 0
    assert outcomes("s") == outcomes("whole")


def save_and_send(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every checkpoint be followed at once by a signal."""
    real = Keeper.save

    def save(keeper: Keeper, state: State) -> None:
        real(keeper, state)
        signal.raise_signal(number)

    monkeypatch.setattr(Keeper, "save", save)


def test_fault_31_a_signal_during_the_last_checkpoint_of_a_run_stops_the_sweep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["iris", "seed=0..2", "training.epochs=1", "--quiet"]
    with monkeypatch.context() as patched:
        save_and_send(signal.SIGINT, patched)
        assert main(["sweep", *words, "--out", "s"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert statuses() == ["missing"] * 3
    assert main(["sweep", "s/sweep.json", "--resume", "--quiet"]) == 0
    assert main(["sweep", *words, "--out", "whole"]) == 0
    assert outcomes("s") == outcomes("whole")


def test_fault_31_the_handlers_of_before_are_back_whatever_happened() -> None:
    before = [signal.getsignal(number) for number in STOPS]
    with deferred_signals() as stop:
        assert stop() is None and signal.getsignal(signal.SIGINT) is not before[0]
    with pytest.raises(Interrupted) as caught, deferred_signals() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert str(stop()) == "interrupted by signal 15"
        signal.raise_signal(signal.SIGINT)
    assert caught.value.at_once and caught.value.signal == signal.SIGINT
    assert [signal.getsignal(number) for number in STOPS] == before
