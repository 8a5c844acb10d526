"""Timing: of commands, and in one process by rounds of every method, each beside the reference it is divided by."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

Run = Callable[[], Any]

BURST_S = 0.01  # a quick function is called again and again for so long, and the median call counts


@dataclass
class Timing:
    """What the rounds gave for one method; the values are a round's, in their order."""

    durations_s: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)  # to the reference, measured just before
    cores: list[float] = field(default_factory=list)  # CPU seconds a second

    @property
    def duration_s(self) -> float:
        """The median duration of a call."""
        return float(np.median(self.durations_s))

    def over(self, other: Timing) -> float:
        """Return the median ratio of this method's rounds to those of another method."""
        return float(np.median([mine / its for mine, its in zip(self.ratios, other.ratios, strict=False)]))


def timed(*arguments: str, status: int = 0, cwd: str | Path | None = None) -> tuple[float, str]:
    """Return how long Python takes for a command that ends with `status`, and what it prints."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, check=False)
    elapsed = time.perf_counter() - started
    if done.returncode != status:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}, not {status}: {done.stderr}")
    return elapsed, done.stdout


def interleave(
    runs: Mapping[str, Run], reference: Run, *, rounds: int, budget_s: float, title: str = ""
) -> dict[str, Timing]:
    """Return the timings of `runs`; one that has used up its budget sits out the rounds that are left."""
    timings = {name: Timing() for name in runs}
    used = dict.fromkeys(runs, 0.0)
    with _without_garbage_collection():
        for _ in tqdm(range(rounds), desc=title, unit="round", disable=None, leave=False):
            for name, run in runs.items():
                if used[name] < budget_s:
                    started = time.perf_counter()
                    _one_round(timings[name], run, reference)
                    used[name] += time.perf_counter() - started
    return timings


def _one_round(timing: Timing, run: Run, reference: Run) -> None:
    beside = _burst(reference)
    wall, cpu = time.perf_counter(), time.process_time()
    duration = _burst(run)
    timing.cores.append((time.process_time() - cpu) / (time.perf_counter() - wall))
    timing.durations_s.append(duration)
    timing.ratios.append(duration / beside)


def _burst(run: Run) -> float:
    """Return the median duration of the calls in a burst; the first of many only warms the caches."""
    first = _duration(run)
    if first >= BURST_S:
        return first
    calls, started = [_duration(run)], time.perf_counter()
    while time.perf_counter() - started < BURST_S:
        calls.append(_duration(run))
    return float(np.median(calls))


def _duration(run: Run) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
