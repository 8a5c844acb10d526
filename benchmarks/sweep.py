"""A sweep of the digits preset: on two processes, on one, and beside a script that trains the same networks."""

from __future__ import annotations

import csv
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.measure import timed
from benchmarks.one_core import all_cores
from benchmarks.report import Report, Table, duration, spread

INTRODUCTION = """\
tinynet sweep digits seed=0..N; every command is a process of its own that has all cores and one BLAS thread, and they
take turns. The script loads the data, trains the same networks in a loop, measures them, and writes nothing: what a
sweep takes beyond it are its checkpoints, run folders, table and report."""

SCRIPT = """
import sys
from tinynet import SGD, TwoLayerNet, load_dataset, train
from tinynet.schedules import cosine

n_runs, epochs = int(sys.argv[1]), int(sys.argv[2])
for seed in range(n_runs):
    data = load_dataset("digits", seed=seed)
    net = TwoLayerNet(data.n_features, 50, data.n_classes, seed=seed)
    train(
        net, data.X_train, data.y_train, SGD(0.5, 0.9, weight_decay=3e-4), epochs=epochs, batch_size=100, seed=seed,
        validation=(data.X_validation, data.y_validation), schedule=cosine(0.5, epochs=epochs),
    )
    print(net.loss(data.X_test, data.y_test), net.accuracy(data.X_test, data.y_test), sep=",")
"""


def measure(*, quick: bool = False) -> Report:
    """Time the three, in turn."""
    n_runs, epochs, n_rounds = (2, 1, 1) if quick else (40, 20, 9)
    seconds = defaultdict(list)
    inside = []
    with tempfile.TemporaryDirectory(dir=".") as folder, all_cores():  # on a disk, which /tmp may not be
        if not quick:
            _script(n_runs, epochs)  # warms up: the files of all that is imported
        for number in tqdm(range(n_rounds), desc="sweep", unit="round", disable=None, leave=False):
            elapsed, results = _script(n_runs, epochs)
            seconds["script"].append(elapsed)
            for jobs in (1, 2):
                out = Path(folder, f"{number}-{jobs}")
                elapsed, rows = _sweep(n_runs, epochs, jobs, out)
                seconds[f"--jobs {jobs}"].append(elapsed)
                if [f"{row['test_loss']},{row['test_accuracy']}" for row in rows] != results:
                    raise RuntimeError(f"{out} has not trained the networks that the script has")
                if jobs == 1:
                    inside.append(sum(float(row["duration_s"]) for row in rows))
    cells = []
    for name, taken in seconds.items():
        ratios = (spread(np.divide(taken, seconds[other])) for other in ("script", "--jobs 1"))
        cells.append([name, duration(float(np.median(taken))), *ratios])
    own, times = duration(float(np.median(inside))), spread(np.divide(seconds["--jobs 1"], inside))
    note = (
        f"Rounds: {n_rounds}. Medians, in brackets the quartiles. With --jobs 1 the runs' own durations add up to "
        f"{own}; the command takes {times} times as long: imports, scikit-learn's above all, come first."
    )
    columns = ("command", "wall time", "/ script", "/ --jobs 1")
    table = Table(f"{n_runs} runs of digits, {epochs} epochs", columns, cells, note)
    return Report("Sweeps", INTRODUCTION, [table])


def _script(n_runs: int, epochs: int) -> tuple[float, list[str]]:
    elapsed, printed = timed("-c", SCRIPT, str(n_runs), str(epochs))
    return elapsed, printed.splitlines()


def _sweep(n_runs: int, epochs: int, jobs: int, out: Path) -> tuple[float, list[dict[str, str]]]:
    axes = (f"training.epochs={epochs}", f"seed=0..{n_runs - 1}")
    elapsed, _ = timed("-m", "tinynet", "sweep", "digits", *axes, "--jobs", str(jobs), "--out", str(out))
    with (out / "sweep.csv").open(encoding="utf-8", newline="") as table:
        return elapsed, list(csv.DictReader(table))
