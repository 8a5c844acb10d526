"""Whole training: tinynet against scikit-learn's MLPClassifier, TinyNetClassifier and checkpoints against train."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks.datasets import Data, bundled, digits, images
from benchmarks.one_core import blas_threads
from benchmarks.report import Report, Table, duration, mean_and_sd, spread
from tinynet import SGD, Checkpoints, TinyNetClassifier, TwoLayerNet, train

HIDDEN_UNITS, BATCH_SIZE, LEARNING_RATE, MOMENTUM = 50, 100, 0.1, 0.9

INTRODUCTION = """\
tinynet.train (difference quotients, h = 1e-4, method "auto") and scikit-learn's MLPClassifier (backpropagation): the
same units, SGD with momentum {momentum:g} (not Nesterov's), learning rate {rate:g}, the same batches ({batch}
samples where nothing else is said), no penalty, the same number of epochs, neither stops early. Both take an epoch's
loss from its batches (measure = "during"). Seeds decide split, start and shuffles; each library draws its own starts
and shuffles. Two take turns in one process, on one core with one BLAS thread where nothing else is said, and the
order changes from pair to pair. Standardised: zero mean and unit variance by the training part. The images of 28 ×
28 are made from scikit-learn's digits: enlarged, shifted, noisy. MLPClassifier has no silu; its relu is beside it."""


@dataclass(frozen=True)
class Task:
    """A data set for a seed, the network that is trained on it, and how."""

    name: str
    load: Callable[[int], Data]
    epochs: int
    activation: str = "tanh"
    hidden_units: int = HIDDEN_UNITS
    batch_size: int = BATCH_SIZE
    threads: int = 1  # of BLAS, with as many cores


Fit = Callable[[Task, Data, int], tuple[float, float]]  # the last is the seed; gives seconds and test accuracy

THEIR_NAMES = {"sigmoid": "logistic", "silu": "relu"}  # MLPClassifier's, of what it calls otherwise or has not

TASKS = (Task("digits, 64-50-10", digits, 20), Task("5,000 images, 784-50-10", images, 20))
STANDARDISED = Task("digits standardised, 64-50-10", partial(bundled, "digits", scaling="standard"), 20)
WIDE = Task("5,000 images, 784-512-10, batch 512", images, 5, hidden_units=512, batch_size=512)
BESIDE_SCIKIT_LEARN = tuple(
    replace(task, activation=activation)
    for task in (
        TASKS[0],
        STANDARDISED,
        Task(
            "breast_cancer standardised, 30-10-2, batch 32",
            partial(bundled, "breast_cancer", scaling="standard"),
            epochs=20,
            hidden_units=10,
            batch_size=32,
        ),
        TASKS[1],
        Task("5,000 images, 784-128-10, batch 128", images, 10, hidden_units=128, batch_size=128),
        WIDE,
        replace(WIDE, name=f"{WIDE.name}, 2 threads", threads=2),
    )
    for activation in (("tanh", "relu", "sigmoid", "silu") if task in (TASKS[0], STANDARDISED) else ("tanh", "relu"))
)
LONGER_TASKS = (replace(TASKS[0], epochs=300), replace(TASKS[1], epochs=60))  # before 1 s no checkpoint is due
QUICK_TASKS = (
    Task("digits, 64-50-10", digits, 1),
    Task("200 images, 784-50-10", partial(images, n_train=200, n_test=100), 1, activation="relu", threads=2),
)


def measure(*, quick: bool = False) -> Report:
    """Train both on the digits and on images of 28 × 28, in pairs."""
    n_seeds, n_pairs = (1, 1) if quick else (5, 3)
    note = (
        f"Seeds: {n_seeds}, each timed in {n_pairs} pair(s). Times and ratios are medians, in brackets the quartiles; "
        "accuracies mean ± standard deviation over the seeds."
    )
    introduction = INTRODUCTION.format(momentum=MOMENTUM, rate=LEARNING_RATE, batch=BATCH_SIZE)
    tables = []
    for title, fits, tasks in (
        ("Training, wall time in pairs", {"tinynet": _tinynet, "MLPClassifier": _scikit_learn}, BESIDE_SCIKIT_LEARN),
        ("The estimator beside train, in pairs", {"TinyNetClassifier": _estimator, "train": _tinynet}, TASKS),
        ("Checkpoints, in pairs", {"train with checkpoints": _checkpointed, "train": _tinynet}, LONGER_TASKS),
    ):
        columns = ("data set", "units", "epochs", "library", "wall time", f"/ {list(fits)[-1]}", "test accuracy (%)")
        rows = [row for task in (QUICK_TASKS if quick else tasks) for row in _rows(task, fits, n_seeds, n_pairs)]
        tables.append(Table(title, columns, rows, note))
    return Report("Whole training", introduction, tables)


def _rows(task: Task, libraries: Mapping[str, Fit], n_seeds: int, n_pairs: int) -> list[list[str]]:
    """Return a row a library, its times as they are and in units of those of the last one."""
    durations: dict[str, list[float]] = {name: [] for name in libraries}
    accuracies: dict[str, list[float]] = {name: [] for name in libraries}
    with blas_threads(task.threads):
        for fit in libraries.values():
            fit(replace(task, epochs=1), task.load(0), 0)  # warms up: imports, caches
        for seed, pair in product(range(n_seeds), range(n_pairs)):
            data = task.load(seed)
            for name in sorted(libraries, reverse=bool((seed + pair) % 2)):
                seconds, accuracy = libraries[name](task, data, seed)
                durations[name].append(seconds)
                accuracies[name].append(accuracy)
    rows = []
    for name in libraries:
        ratios = np.divide(durations[name], list(durations.values())[-1])
        wall = duration(float(np.median(durations[name])))
        correct = mean_and_sd(accuracies[name][::n_pairs], 100)  # all pairs of a seed give the same
        rows.append([task.name, task.activation, str(task.epochs), name, wall, spread(ratios), correct])
    return rows


def _tinynet(task: Task, data: Data, seed: int, folder: Any = None) -> tuple[float, float]:
    X, y, X_test, y_test = data
    started = time.perf_counter()
    net = TwoLayerNet(X.shape[1], task.hidden_units, int(y.max()) + 1, activation=task.activation, seed=seed)
    options: dict[str, Any] = {"epochs": task.epochs, "batch_size": task.batch_size, "seed": seed, "measure": "during"}
    train(net, X, y, SGD(LEARNING_RATE, MOMENTUM), checkpoints=folder and Checkpoints(folder), **options)
    return time.perf_counter() - started, net.accuracy(X_test, y_test)


def _checkpointed(task: Task, data: Data, seed: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(dir=".") as folder:  # on a disk, which /tmp may not be
        return _tinynet(task, data, seed, folder)


def _estimator(task: Task, data: Data, seed: int) -> tuple[float, float]:
    X, y, X_test, y_test = data
    started = time.perf_counter()
    classifier = TinyNetClassifier(
        task.hidden_units,
        activation=task.activation,
        learning_rate=LEARNING_RATE,
        momentum=MOMENTUM,
        batch_size=task.batch_size,
        max_iter=task.epochs,
        n_iter_no_change=task.epochs,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is to run all its epochs
        classifier.fit(X, y)
    return time.perf_counter() - started, float(classifier.score(X_test, y_test))


def _scikit_learn(task: Task, data: Data, seed: int) -> tuple[float, float]:
    X, y, X_test, y_test = data
    started = time.perf_counter()
    classifier = MLPClassifier(
        hidden_layer_sizes=(task.hidden_units,),
        activation=THEIR_NAMES.get(task.activation, task.activation),
        solver="sgd",
        alpha=0.0,
        batch_size=task.batch_size,
        learning_rate_init=LEARNING_RATE,
        momentum=MOMENTUM,
        nesterovs_momentum=False,
        max_iter=task.epochs,
        tol=0.0,
        n_iter_no_change=task.epochs,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is to run all its epochs
        classifier.fit(X, y)
    seconds = time.perf_counter() - started
    if classifier.n_iter_ != task.epochs:
        raise RuntimeError(f"MLPClassifier stopped after {classifier.n_iter_} of {task.epochs} epochs")
    return seconds, float(classifier.score(X_test, y_test))
