"""One run folder, one writer: a second one is refused and told who holds the lock; readers never wait."""

from __future__ import annotations

import json
import shutil
import signal
import socket
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np
import pytest
from crashing import FORK, Faults, ended, forked, half_written, outcomes, reference

from tinynet.cli.main import main
from tinynet.config.building import prepare
from tinynet.config.loading import load_config
from tinynet.errors import DataError
from tinynet.storage.locks import only_writer
from tinynet.training import checkpoints
from tinynet.training import state as checkpoint
from tinynet.training.checkpoints import Keeper
from tinynet.training.state import State

SHORT = ("iris", "training.epochs=2", "training.batch_size=40", "training.checkpoint_every_s=0", "--quiet")
TRAIN = ("train", *SHORT, "--out", "x")
SWEEP = ("sweep", *SHORT, "seed=0..1", "--out", "x")


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def race(*words: str, also: str = "") -> None:
    """Start one command twice at the same moment; the winner ends after the other was refused.

    The other prints one line that names the winner, or the line `also`.
    """
    barrier, over = FORK.Barrier(2), FORK.Event()

    def at_once() -> None:
        def save(keeper: Keeper, state: State) -> None:
            over.wait(60)
            real(keeper, state)

        real, vars(checkpoints)["Keeper"] = Keeper.save, type("SlowKeeper", (Keeper,), {"save": save})
        barrier.wait()

    said = [Path("said by one"), Path("said by the other")]
    racers = [forked(*words, prepare=at_once, said=path) for path in said]
    wait([racer.sentinel for racer in racers], timeout=60)
    over.set()
    statuses = [ended(racer) for racer in racers]
    assert sorted(statuses) == [0, 2], [path.read_text(encoding="utf-8") for path in said]
    loser = statuses.index(2)
    (line,) = said[loser].read_text(encoding="utf-8").splitlines()
    holder = f"process {racers[1 - loser].pid} on {socket.gethostname()}"
    assert line in (f"tinynet: x: {holder} is writing there; wait for its end, or choose another folder", also)
    assert said[1 - loser].read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("races", [1, pytest.param(60, marks=pytest.mark.soak)])
@pytest.mark.parametrize("command", [TRAIN, SWEEP], ids=["train", "sweep"])
def test_fault_16_of_two_runs_started_in_one_folder_one_writes(command: tuple[str, ...], races: int) -> None:
    whole = reference(command)
    between = "tinynet: x holds a sweep already; resume it with --resume, or choose another folder with --out"
    for _ in range(races):
        race(*command, also=between if command == SWEEP else "")
        assert outcomes("x") == whole and not half_written("x")
        shutil.rmtree("x")


@pytest.mark.parametrize("races", [2, pytest.param(80, marks=pytest.mark.soak)])
def test_fault_16_of_two_processes_resuming_a_run_one_writes(races: int) -> None:
    whole = reference(TRAIN)
    for number in range(races):
        faults = Faults(40 + number % 30, "kill")  # leaves something to resume
        assert ended(forked(*TRAIN, prepare=faults.install)) == -signal.SIGKILL
        race("train", "--out", "x", "--resume", "--quiet")
        assert outcomes("x") == whole and not half_written("x")
        shutil.rmtree("x")


def test_fault_16_a_command_that_is_refused_at_once_refuses_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = only_writer(tmp_path)
    refused.__enter__()
    monkeypatch.setattr("tinynet.storage.locks.time.sleep", lambda _: refused.__exit__(None, None, None))
    with only_writer(tmp_path) as check:
        check()
    assert not list(tmp_path.iterdir())


def test_fault_16_readers_never_wait_and_never_see_half_a_file() -> None:
    np.savez("rows.npz", X=np.zeros((2, 4)))
    assert main(list(TRAIN)) == 0
    writer = forked("train", "--out", "x", "--resume", "training.epochs=20", "--quiet")
    params, rounds = prepare(load_config("x/config.json")).net.params, 0
    while writer.is_alive():
        assert main(["predict", "x", "rows.npz", "--output", "labels.csv"]) == 0
        assert main(["report", "x", "--output", "report.html"]) == 0
        for path in checkpoint.paths(Path("x")).values():
            try:
                checkpoint._check_whole(path, params)
            except DataError:
                assert not path.exists()  # an older one, removed meanwhile
        rounds += 1
    assert ended(writer) == 0 and rounds > 1
    assert json.loads(Path("x/summary.json").read_text(encoding="utf-8"))["epochs"] == 20
