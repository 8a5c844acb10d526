"""Where the tasks of a sweep run, and what happens to them when a worker dies."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from distributed import config

from tinynet import ConfigError, DivergedError
from tinynet.experiments import workers as backends
from tinynet.experiments.workers import KILLED, Outcome, Task

DEATHS = {1: 1, 4: 99}  # how often a task kills its process


def square(number: int) -> int:
    return number**2


def fails_at_two(number: int) -> int:
    if number == 2:
        raise DivergedError(1, 2, 0.5, float("nan"))
    if number == 3:
        raise ValueError("two\nlines")
    return number


def meets(_: int, folder: str) -> int:
    """Return the id of this process once another process has been here too."""
    Path(folder, str(os.getpid())).touch()
    patience = time.monotonic() + 60
    while len(list(Path(folder).iterdir())) < 2 and time.monotonic() < patience:
        time.sleep(0.02)
    return os.getpid()


def process_id(_: int) -> int:
    return os.getpid()


def dies(number: int, folder: str, times: int) -> int:
    """Kill this process in the first `times` calls, and leave a trace of every call."""
    calls = [path for path in Path(folder).iterdir() if path.name.startswith(f"{number}-")]
    Path(folder, f"{number}-{len(calls)}").touch()
    if len(calls) < times:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.1)
    return number


def by_task(outcomes: Any) -> dict[Task, Outcome]:
    listed = list(outcomes)
    assert len(dict(listed)) == len(listed), "a task came back twice"
    return dict(listed)


@pytest.mark.parametrize("jobs", [None, 2])
def test_an_error_in_a_task_is_its_result_and_others_continue(jobs: int | None) -> None:
    tasks: list[Task] = [(number,) for number in range(5)]
    run = backends.serial(fails_at_two, tasks) if jobs is None else backends.loky(fails_at_two, tasks, jobs=jobs)
    outcomes = by_task(run)
    assert [outcomes[task].value for task in tasks] == [0, 1, None, None, 4]
    assert outcomes[(2,)].error.startswith("DivergedError: the loss became nan in epoch 1, step 2, at learning rate")
    assert outcomes[(3,)] == Outcome(error="ValueError: two lines")


def test_a_task_whose_process_dies_is_tried_again(tmp_path: Path) -> None:
    tasks: list[Task] = [(number, str(tmp_path), DEATHS.get(number, 0)) for number in range(6)]
    outcomes = by_task(backends.loky(dies, tasks, jobs=2))
    assert [outcomes[task].value for task in tasks] == [0, 1, 2, 3, None, 5]
    assert outcomes[tasks[4]] == KILLED
    calls = Counter(path.name[0] for path in tmp_path.iterdir())
    assert calls["1"] == calls["4"] == 2 and sum(calls.values()) <= 10  # at most its neighbour each time


def complains(number: int) -> int:
    logging.getLogger("distributed.worker").error("as of a heartbeat that meets the end of the cluster")
    return number


def test_a_task_that_kills_every_cluster_worker_is_given_up(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(config["distributed"]["scheduler"], "allowed-failures", 0)
    fatal, other = (4, str(tmp_path), 99), (5, str(tmp_path), 0)
    with backends.dask_client("local", 1) as client:
        assert by_task(backends.dask(dies, [fatal], client=client)) == {fatal: KILLED}
        assert by_task(backends.dask(dies, [other], client=client)) == {other: Outcome(5)}
        assert by_task(backends.dask(complains, [(6,)], client=client)) == {(6,): Outcome(6)}
    assert capfd.readouterr() == ("", "")


def test_a_process_that_dies_between_two_tasks_is_replaced() -> None:
    outcomes = backends.loky(process_id, [(0,), (1,)], jobs=1)
    _, first = next(outcomes)
    os.kill(first.value, signal.SIGKILL)
    time.sleep(1.0)  # the pool notices
    ((task, second),) = outcomes
    assert task == (1,) and second.value not in (first.value, os.getpid())


def test_no_process_is_left_when_the_caller_stops_early(tmp_path: Path) -> None:
    outcomes = backends.loky(meets, [(number, str(tmp_path)) for number in range(50)], jobs=2)
    _, outcome = next(outcomes)
    outcomes.close()
    with pytest.raises(ProcessLookupError):
        os.kill(outcome.value, 0)


def test_an_unreachable_cluster_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "CONNECT_S", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense://x", "tcp://127.0.0.1:nine"):
        with pytest.raises(ConfigError, match=f"command line: --dask: no scheduler answers at '{address}': ") as caught:
            backends.dask_client(address).__enter__()
        assert len(str(caught.value).splitlines()) == 1


def test_a_missing_extra_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"--dask: needs dask\.distributed, .*pip install .*\[cluster\]"):
        backends.dask_client("local").__enter__()
