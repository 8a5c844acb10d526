"""Sweeps that are interrupted, killed, or lose a worker or disk space: finished runs stay, the rest is run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sweeping import (
    QUICK,
    Result,
    a_run_to_be_whole,
    command,
    made_at,
    results,
    run_folders,
    statuses,
    swept,
    table,
    wait_for,
)

from tinynet.artifacts.run_folder import RunFolder
from tinynet.artifacts.stored_runs import read_ending
from tinynet.cli.main import main
from tinynet.config import building
from tinynet.experiments import run, sweep, sweep_table
from tinynet.experiments.axes import load_grid
from tinynet.storage.writing import write_atomically

LONG = ("training.epochs=200", "network.hidden_units=3")  # long enough to be interrupted


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Return the results of four long, undisturbed runs, one after the other."""
    folder = str(tmp_path_factory.mktemp("alone") / "s")
    swept("seed=0..3", *LONG, "--no-reports", out=folder)
    return results(folder)


def test_fault_40_resuming_runs_only_what_is_missing() -> None:
    swept("seed=0..3", *QUICK)
    whole = results("s")
    first, second, third, fourth = run_folders()
    (first / "summary.json").unlink()  # half-written
    (second / "summary.json").write_text('{"status": "compl', encoding="utf-8")
    for path in third.iterdir():
        path.unlink()
    third.rmdir()
    Path("s", f".{third.name}.part").mkdir()  # the remains of a killed run
    Path("s", f".{third.name}.part-0a1b2c3d").mkdir()
    Path("s", f".{fourth.name}.part").mkdir()
    Path("s/sweep.csv").unlink()
    before = (fourth / "summary.json").stat().st_mtime_ns
    swept("seed=0..3", *QUICK, "--resume")
    assert (fourth / "summary.json").stat().st_mtime_ns == before
    assert statuses() == ["completed"] * 4
    aside = [path for path in run_folders() if ".aside-" in path.name]
    assert [path.name.partition(".aside")[0] for path in aside] == [first.name, second.name]
    for path in aside:
        path.rename(path.name)
    assert results("s") == whole
    assert not list(Path("s").glob(".*"))


def test_a_run_that_cannot_be_written_fails_and_can_be_resumed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = run.execute

    def full(prepared: building.Run, folder: RunFolder, **options: Any) -> Any:
        if prepared.config.seed == 1:
            raise OSError(28, "No space left on device", "x")
        return real(prepared, folder, **options)

    monkeypatch.setattr(sweep, "execute", full)
    swept("seed=0..2", *QUICK, status=3)
    assert statuses() == ["completed", "failed", "completed"]
    assert table()[1]["error"] == "OSError: [Errno 28] No space left on device: 'x'"
    name = table()[1]["run"]
    assert capsys.readouterr().err.splitlines() == [
        f"tinynet: {name}: failed: OSError: [Errno 28] No space left on device: 'x'",
        "tinynet: 1 of 3 runs did not finish; run them again with: tinynet sweep s/sweep.json --resume",
    ]
    monkeypatch.setattr(sweep, "execute", real)
    before = made_at()
    assert main(["sweep", "s/sweep.json", "--resume", "--quiet"]) == 0
    assert statuses() == ["completed"] * 3
    assert before.items() <= made_at().items()


def test_a_full_disk_ends_the_sweep_and_keeps_finished_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, content: bytes) -> None:
        if path.name == "sweep.csv":
            raise OSError(28, "No space left on device", str(path))
        write_atomically(path, content)

    monkeypatch.setattr(sweep_table, "write_atomically", full)
    swept("seed=0..2", *QUICK, status=3)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "tinynet: failed: s/sweep.csv: No space left on device; the runs that finished are kept; "
        "resume with: tinynet sweep s/sweep.json --resume"
    )
    assert len(made_at()) == 1


def test_a_run_finished_by_another_worker_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    swept("seed=0..1", *QUICK)
    before = made_at()
    setting = load_grid("s/sweep.json").combinations[0]
    assert sweep.train_one(setting.config, f"s/{setting.folder}") == []
    real, looks = read_ending, iter([None])
    monkeypatch.setattr(sweep, "read_ending", lambda folder: next(looks, real(folder)))
    assert sweep.train_one(setting.config, f"s/{setting.folder}") == []
    assert made_at() == before and not list(Path("s").glob(".*"))


def test_a_worker_without_the_folder_says_what_a_cluster_needs() -> None:
    setting = load_grid("iris", ["seed=0..1"]).combinations[0]
    with pytest.raises(OSError, match=r"nowhere is not there: all machines of a cluster must see the same folder"):
        sweep.train_one(setting.config, "nowhere/run")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_fault_40_killed_workers_do_not_stop_the_sweep(number: signal.Signals, alone: dict[str, Result]) -> None:
    process = command("iris", "seed=0..3", *LONG, "--no-reports", "--out", "s", "--jobs", "2", "--quiet")
    wait_for(a_run_to_be_whole, process)
    wait_for(lambda: list(Path("s").glob(".*.part/metrics.csv")), process)
    for worker in workers_of(process.pid)[: 2 if number == signal.SIGTERM else 1]:
        os.kill(worker, number)
    assert process.communicate(timeout=100) == ("", "")
    assert process.returncode == 0
    assert statuses() == ["completed"] * 4 and not list(Path("s").glob(".*"))
    assert results("s") == alone


@pytest.mark.parametrize("jobs", ["1", pytest.param("2", marks=pytest.mark.soak)])
def test_an_interrupted_sweep_keeps_its_runs_and_can_be_resumed(jobs: str, alone: dict[str, Result]) -> None:
    process = command("iris", "seed=0..3", *LONG, "--out", "s", "--jobs", jobs)
    wait_for(a_run_to_be_whole, process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == (
        "tinynet: interrupted; the runs that finished are kept; "
        f"resume with: tinynet sweep s/sweep.json --resume --jobs {jobs}\n"
    )
    before = made_at()
    begun = list(Path("s").glob(".*.part"))
    assert 1 <= len(before) < 4 and len(begun) <= int(jobs)
    assert statuses().count("completed") == len(before) and statuses().count("missing") == 4 - len(before)
    assert main(["sweep", "s/sweep.json", "--resume", "--quiet"]) == 0
    assert statuses() == ["completed"] * 4 and not list(Path("s").glob(".*"))
    assert before.items() <= made_at().items()
    assert results("s") == alone


def workers_of(pid: int) -> list[int]:
    """Return the child processes of a process, except Python's own, which ends with it."""
    children = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    commands = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for each in children for child in each}
    return sorted(child for child, command in commands.items() if b"resource_tracker" not in command)


def test_fault_40_a_killed_sweep_leaves_no_process_and_resumes() -> None:
    process = command("iris", "seed=0..3", *LONG, "--out", "s", "--jobs", "2")
    wait_for(a_run_to_be_whole, process)
    workers = workers_of(process.pid)
    process.kill()
    process.communicate(timeout=60)  # ends when no process holds its output
    assert len(workers) == 2
    before = made_at()
    assert main(["sweep", "s/sweep.json", "--resume", "--quiet"]) == 0
    assert statuses() == ["completed"] * 4 and not list(Path("s").glob(".*"))
    assert before.items() <= made_at().items()


# On a Dask cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """Start a scheduler and two workers on this machine, each in its own process."""
    folder = tmp_path_factory.mktemp("cluster")
    with started("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", "scheduler.json", cwd=folder):
        address = ""
        while not address:
            time.sleep(0.05)
            with suppress(FileNotFoundError, json.JSONDecodeError):  # not written yet, or half of it
                address = json.loads((folder / "scheduler.json").read_text())["address"]
        options = ("worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny")
        with started(*options, cwd=folder) as one, started(*options, cwd=folder) as two:
            yield address, [one, two]


@contextmanager
def started(*words: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    dask = str(Path(sys.executable).with_name("dask"))
    with (cwd / "log").open("a") as log:
        process = subprocess.Popen([dask, *words, "--host", "127.0.0.1"], stdout=log, stderr=log, text=True, cwd=cwd)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def test_serial_loky_and_dask_give_the_same_bits(cluster: tuple[str, list[subprocess.Popen[str]]]) -> None:
    words = ["digits", "optimizer.learning_rate=0.1,0.3", "seed=0..1", "training.epochs=2", "--quiet", "--no-reports"]
    words.append("--out")
    assert main(["sweep", *words, "serial"]) == 0
    assert main(["sweep", *words, "loky", "--jobs", "2"]) == 0
    assert main(["sweep", *words, "dask", "--dask", cluster[0]]) == 0
    assert len(results("serial")) == 4
    assert results("serial") == results("loky") == results("dask")


def test_fault_40_a_killed_cluster_worker_does_not_stop_the_sweep(
    cluster: tuple[str, list[subprocess.Popen[str]]],
) -> None:
    address, (worker, _) = cluster
    process = command("iris", "seed=0..3", *LONG, "--out", "s", "--dask", address, "--quiet")
    wait_for(a_run_to_be_whole, process)
    worker.kill()
    _, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (0, "")
    assert statuses() == ["completed"] * 4 and not list(Path("s").glob(".*"))


def test_a_local_cluster_leaves_no_process_behind(capfd: pytest.CaptureFixture[str]) -> None:
    before = workers_of(os.getpid())
    assert main(["sweep", "iris", "seed=0..1", *QUICK, "--out", "s", "--dask", "local", "--jobs", "1"]) == 0
    out, err = capfd.readouterr()
    assert err == "" and out.startswith("iris: 2 runs (2 seed) on 1 Dask workers\n")
    assert workers_of(os.getpid()) == before
