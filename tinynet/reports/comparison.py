"""Runs that can be compared: grouped by their data, then by their settings, and measured by medians."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tinynet.artifacts.stored_runs import StoredRun
from tinynet.reports.html import NONE, value_of
from tinynet.reports.remarks import kept_epoch

Array = npt.NDArray[Any]
T = TypeVar("T")

LABELS = ("name", "seed")  # of a config: they make no setting of their own
PREPARATION = ("scaling", "validation_size", "test_size", "missing", "missing_marks", "max_levels", "exclude")
EXPLODED_TIMES, EXPLODED_NATS = 20, 5.0  # a loss that is above both: so many times the median, and nats a sample
CHANGED = "changed since, version"


@dataclass(frozen=True)
class Setting:
    """Runs that differ in their seeds alone, and what sets them apart from the others."""

    values: dict[str, Any]
    runs: tuple[StoredRun, ...]

    @property
    def finished(self) -> list[StoredRun]:
        """The runs that finished."""
        return [run for run in self.runs if run.finished]

    @property
    def label(self) -> str:
        """The values, each under the last word of its key."""
        return _words(self.values) or "all runs"

    def measured(self, measure: Callable[[StoredRun], float]) -> Array:
        """Return `measure` of every finished run that has it."""
        values = np.array([measure(run) for run in self.finished], dtype=np.float64)
        return values[np.isfinite(values)]


def by_data(runs: Sequence[StoredRun]) -> dict[str, list[StoredRun]]:
    """Return the runs by what their data are called; those of other data cannot be compared.

    Runs of one config and seed whose data have another digest were trained on a file that has changed.
    """
    digests: dict[str, list[str]] = {}

    def source(run: StoredRun) -> dict[str, Any]:
        dataset = {name: value for name, value in run.settings.items() if name.startswith("dataset.")}
        digest = None if run.summary is None else run.summary.data_digest
        seen = digests.setdefault(repr((dataset, run.config.seed)), [])
        if digest and digest not in seen:
            seen.append(digest)
        version = seen.index(digest) + 1 if digest else 1
        kept = {name: value for name, value in dataset.items() if name.partition(".")[2] not in PREPARATION}
        return kept | ({CHANGED: version} if version > 1 else {})

    groups = grouped(runs, source)
    differing = set(differing_keys([values for values, _ in groups])) - {"dataset.name"}
    named: dict[str, list[StoredRun]] = {}
    for values, found in groups:
        words = _words({name: value for name, value in values.items() if name in differing})
        named.setdefault(values["dataset.name"] + (f" ({words})" if words else ""), []).extend(found)
    return named


def _words(values: dict[str, Any]) -> str:
    return ", ".join(f"{name.rpartition('.')[2]} = {value_of(value)}" for name, value in values.items())


def differing_keys(every: Sequence[dict[str, Any]]) -> list[str]:
    """Return the keys in which configs differ, the labels of a run left out."""
    names = list(dict.fromkeys(name for settings in every for name in settings))
    return [name for name in names if name not in LABELS and len({repr(settings.get(name)) for settings in every}) > 1]


def grouped(items: Iterable[T], values_of: Callable[[T], dict[str, Any]]) -> list[tuple[dict[str, Any], list[T]]]:
    """Return the items whose values are the same but for their labels, and these values, in the order they come."""
    groups: dict[str, tuple[dict[str, Any], list[T]]] = {}
    for item in items:
        values = {name: value for name, value in values_of(item).items() if name not in LABELS}
        groups.setdefault(repr(values), (values, []))[1].append(item)
    return list(groups.values())


def group(runs: Sequence[StoredRun], keys: Sequence[str]) -> list[Setting]:
    """Return the settings among `runs`, best first."""
    groups = grouped(runs, lambda run: {name: run.settings.get(name) for name in keys})
    settings = [Setting(values, tuple(found)) for values, found in groups]
    return sorted(settings, key=lambda setting: rank(setting.finished))


def loss_of(run: StoredRun) -> float:
    """Return the loss of the weights that a run ended with: of the validation part, where there is one."""
    return _kept(run, "loss")


def accuracy_of(run: StoredRun) -> float:
    """Return the accuracy of the weights that a run ended with, on the part that `loss_of` is about."""
    return _kept(run, "accuracy")


def _kept(run: StoredRun, what: str) -> float:
    kept = kept_epoch(run.config.training, run.history)
    return float(getattr(kept, f"{kept.monitored_part}_{what}"))


def spread(values: Sequence[float] | Array, shown: Callable[[float], str], none: str = NONE) -> str:
    """Return the median and, of several values, the lowest and the highest, in the words of `shown`."""
    if not len(values):
        return none
    median, low, high = (shown(float(value)) for value in (np.median(values), min(values), max(values)))
    return median if len(values) == 1 else f"{median} ({low.removesuffix(' %')} to {high.removesuffix(' %')})"


def test_accuracy_of(run: StoredRun) -> float:
    """Return the test accuracy, nan without one."""
    measured = None if run.summary is None else run.summary.test_accuracy
    return math.nan if measured is None else measured


def rank(finished: Sequence[StoredRun]) -> tuple[bool, float]:
    """Return what orders settings and runs: the median loss; runs without validation data rank last."""
    losses = [loss for loss in map(loss_of, finished) if math.isfinite(loss)]
    return not losses or part_of(finished) != "validation", float(np.median(losses)) if losses else math.inf


def part_of(runs: Sequence[StoredRun]) -> str:
    """Return on which part the losses of the finished `runs` were measured."""
    parts = {run.history.best.monitored_part for run in runs if run.finished}
    return "validation or training" if len(parts) > 1 else "training" if "train" in parts else "validation"


def exploded(losses: Array) -> Array:
    """Return which losses are so far above the others that an axis would show nothing else."""
    finite = losses[np.isfinite(losses)]
    usual = float(np.quantile(finite, 0.5, method="lower")) if len(finite) else math.inf
    return np.asarray(losses > max(EXPLODED_TIMES * usual, EXPLODED_NATS))
