"""A table of MNIST's size, from the file to a trained network: the command beside a scikit-learn script."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.datasets import images
from benchmarks.one_core import all_cores
from benchmarks.report import Report, Table, duration, spread, three_digits

INTRODUCTION = """\
{n:,} images of 28 × 28, uint8, in an uncompressed .npz: loaded, a fifth split off as test part, scaled to [0, 1],
and {units} relu units trained for {epochs} epochs by SGD with momentum 0.9 in batches of 100. Both are processes of
their own that take turns; neither has a validation part. The command writes its run folder with checkpoints, figures
and report, the script prints an accuracy. Peak memory is the largest resident set (ru_maxrss), a mapped file's pages
included."""

HIDDEN_UNITS, EPOCHS, N_IMAGES = 128, 3, 60_000
SCRIPT = """
import sys, warnings
import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import MinMaxScaler

warnings.simplefilter("ignore")  # it is to run all its epochs
data, units, epochs = np.load(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
X, y = data["X"], data["y"]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=0, stratify=y)
scaler = MinMaxScaler()
classifier = MLPClassifier(
    (units,), solver="sgd", alpha=0.0, batch_size=100, learning_rate_init=0.1, momentum=0.9, nesterovs_momentum=False,
    max_iter=epochs, tol=0.0, n_iter_no_change=epochs, random_state=0,
)
classifier.fit(scaler.fit_transform(X_train), y_train)
print(classifier.score(scaler.transform(X_test), y_test))
"""


def measure(*, quick: bool = False) -> Report:
    """Time both with one thread of BLAS and with two, in turn."""
    n, units, epochs, rounds = (200, 8, 1, 1) if quick else (N_IMAGES, HIDDEN_UNITS, EPOCHS, 5)
    seconds, peaks = defaultdict(list), defaultdict(list)
    with tempfile.TemporaryDirectory(dir=".") as folder, all_cores():  # on a disk, which /tmp may not be
        file = Path(folder, "images.npz")
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # ru_maxrss of a process counts its parent's peak
            pool.submit(_write_images, file, n).result()
        for number in tqdm(range(rounds), desc="mnist_shaped", unit="round", disable=None, leave=False):
            for threads in (1,) if quick else (1, 2):
                out = Path(folder, f"{number}-{threads}")
                for name, arguments in _commands(file, units, epochs, threads, out).items():
                    elapsed, peak = _whole_process(arguments, threads)
                    seconds[name, threads].append(elapsed)
                    peaks[name, threads].append(peak)
    rows = []
    for (name, threads), taken in seconds.items():
        beside = "scikit-learn script", threads
        memory = float(np.median(peaks[name, threads]))
        ratios = [spread(np.divide(taken, seconds[beside])), three_digits(memory / np.median(peaks[beside]))]
        wall = duration(float(np.median(taken)))
        rows.append([name, str(threads), wall, ratios[0], f"{three_digits(memory / 1e6)} MB", ratios[1]])
    columns = ("whole process", "BLAS threads", "wall time", "/ script", "peak memory", "/ script's")
    table = Table(f"{n:,} × 784", columns, rows, f"Rounds: {rounds}. Medians, in brackets the quartiles.")
    return Report("A table of MNIST's size", INTRODUCTION.format(n=n, units=units, epochs=epochs), [table])


def _write_images(file: Path, n: int) -> None:
    X, y, _, _ = images(0, n_train=n, n_test=1)
    np.savez(file, X=(255 * X).round().astype(np.uint8), y=y)


def _commands(file: Path, units: int, epochs: int, threads: int, out: Path) -> dict[str, list[str]]:
    settings = [
        *("dataset.scaling=minmax", "dataset.validation_size=0", "network.activation=relu"),
        *(f"network.hidden_units={units}", f"training.epochs={epochs}", "training.batch_size=100"),
        *("optimizer.learning_rate=0.1", "optimizer.momentum=0.9", f"training.threads={threads}"),
    ]
    return {
        "tinynet train": ["-m", "tinynet", "train", str(file), *settings, "--out", str(out)],
        "scikit-learn script": ["-c", SCRIPT, str(file), str(units), str(epochs)],
    }


def _whole_process(arguments: list[str], threads: int) -> tuple[float, float]:
    """Return the seconds that a Python process took, and the most bytes that it held."""
    limits = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    started = time.perf_counter()
    environment = os.environ | limits
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen([sys.executable, *arguments], stdout=said, stderr=said, env=environment) as process,
    ):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(arguments[:4])} ended with {process.returncode}: {said.read().decode()}")
    return time.perf_counter() - started, 1024.0 * usage.ru_maxrss
