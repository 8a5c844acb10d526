"""A run that fails or is killed, at any call or any time, resumes to the bits of an undisturbed run."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from crashing import (
    SAID,
    Faults,
    Outcome,
    cut_short,
    ended,
    forked,
    half_written,
    outcomes,
    reference,
    saved_steps,
    to_go_on,
)
from sweeping import TINYNET

SHORT = ("iris", "training.epochs=2", "training.batch_size=60", "training.checkpoint_every_s=0", "--quiet")
TRAIN = ("train", *SHORT, "--out", "x")
LONGER = ("train", "iris", "training.epochs=6", "training.batch_size=20", *SHORT[3:], "--out", "x")
SWEEP = ("sweep", *SHORT, "seed=0..1", "--out", "x")


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


# At every call


def survey(command: tuple[str, ...]) -> tuple[int, dict[str, Outcome]]:
    """Return how many calls of a command change files, and its outcome."""
    whole = reference(command)
    faults = Faults()
    assert ended(forked(*command, prepare=faults.install)) == 0
    assert outcomes("x") == whole
    shutil.rmtree("x")
    return faults.count.value, whole


def meet_a_fault(command: tuple[str, ...], at: int, deed: str, whole: dict[str, Outcome]) -> None:
    """Let call number `at` of a command fail, and check that what is left keeps every promise."""
    faults = Faults(at, deed, "x")
    status = ended(forked(*command, prepare=faults.install))
    said = SAID.read_text(encoding="utf-8")
    if deed == "kill":
        assert status == -signal.SIGKILL
    else:
        assert status in ((0, 3) if to_go_on(command, "x") != command else (0, 2, 3)), said
        assert all(line.startswith("tinynet: ") for line in said.splitlines()), said
    if status == 0:  # the fault did not matter
        assert outcomes("x") == whole
    assert cut_short("x") == [], "a file is there whole or not at all"
    assert saved_steps("x") >= faults.saved.value, "nothing older is lost"
    assert ended(forked(*to_go_on(command, "x"))) == 0, SAID.read_text(encoding="utf-8")
    assert outcomes("x") == whole and not half_written("x")
    shutil.rmtree("x")


@pytest.mark.parametrize("deed", ["fail", "fail on", "kill"])
@pytest.mark.parametrize(("command", "every"), [(TRAIN, 19), (SWEEP, 66)], ids=["train", "sweep"])
def test_fault_32_any_call_on_a_file_may_fail_or_be_the_last(command: tuple[str, ...], every: int, deed: str) -> None:
    calls, whole = survey(command)
    assert calls >= 90
    for at in range(1 + len(deed), calls + 1, every):
        meet_a_fault(command, at, deed, whole)


@pytest.mark.soak
@pytest.mark.parametrize("deed", ["fail", "fail on", "kill"])
@pytest.mark.parametrize("command", [TRAIN, SWEEP], ids=["train", "sweep"])
def test_fault_32_every_call_on_a_file_may_fail_or_be_the_last(command: tuple[str, ...], deed: str) -> None:
    calls, whole = survey(command)
    print(f"{calls} faults")
    for at in range(1, calls + 1):
        meet_a_fault(command, at, deed, whole)
    faults = Faults(calls + 1, "kill")
    assert ended(forked(*command, prepare=faults.install)) == 0, "there was one more"


# At any time


def resume_when_free(words: tuple[str, ...]) -> None:
    """Run a command; repeat it while dying workers of the killed one still hold the lock."""
    limit = time.monotonic() + 20
    while (status := ended(forked(*words))) == 2 and time.monotonic() < limit:
        assert "is writing there" in SAID.read_text(encoding="utf-8")
        time.sleep(0.1)
    assert status == 0, SAID.read_text(encoding="utf-8")


def was_killed(words: tuple[str, ...], after_s: float, *, real: bool) -> bool:
    """Run a command and kill it with all its processes; return whether it was still running."""
    if real:
        with subprocess.Popen([TINYNET, *words], start_new_session=True, stderr=subprocess.PIPE) as command:
            limit = time.monotonic() + 60
            while command.poll() is None and not list(Path().glob("x/**/.*lock")) and time.monotonic() < limit:
                time.sleep(0.002)  # imports take longer than the training
            time.sleep(after_s)
            os.killpg(command.pid, signal.SIGKILL)
        return command.returncode == -signal.SIGKILL
    process = forked(*words)
    time.sleep(after_s)
    with suppress(ProcessLookupError):  # it has ended, or has no process group yet
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.kill()
    return ended(process) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("command", "kills", "real"),
    [
        pytest.param(TRAIN, 4, False, id="4 of a run"),
        pytest.param(SWEEP, 2, False, id="2 of a sweep"),
        pytest.param((*SWEEP, "--jobs", "2"), 3, False, id="3 of a sweep on two processes"),
        pytest.param(LONGER, 600, False, id="600 of a run", marks=pytest.mark.soak),
        pytest.param(SWEEP, 200, False, id="200 of a sweep", marks=pytest.mark.soak),
        pytest.param((*SWEEP, "--jobs", "2"), 100, False, id="100 of a sweep on two processes", marks=pytest.mark.soak),
        pytest.param(LONGER, 50, True, id="50 of the real command", marks=pytest.mark.soak),
        pytest.param((*SWEEP, "--jobs", "2"), 50, True, id="50 of the real sweep", marks=pytest.mark.soak),
    ],
)
def test_fault_32_a_command_killed_at_any_time_can_be_resumed(command: tuple[str, ...], kills: int, real: bool) -> None:
    rng, killed, whole = random.Random(kills), 0, reference(command)
    started = time.perf_counter()
    assert ended(forked(*command)) == 0
    most_s = time.perf_counter() - started
    while killed < kills:
        shutil.rmtree("x")
        alive = True
        while alive and killed < kills:  # a process that resumes may be killed too
            words = to_go_on(command, "x")
            alive = was_killed(words, rng.uniform(0, most_s), real=real)
            killed += alive
            alive = alive and rng.random() < 0.5
        resume_when_free(to_go_on(command, "x"))
        assert outcomes("x") == whole and not half_written("x")
