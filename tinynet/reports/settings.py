"""Runs that can be compared: grouped by their data, then by their settings, and measured by medians."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tinynet.artifacts.stored_runs import StoredRun
from tinynet.reports.html import percent, value_of
from tinynet.reports.remarks import kept_epoch

Array = npt.NDArray[Any]
T = TypeVar("T")

LABELS = ("name", "seed")  # of a config: they make no setting of their own
PREPARATION = ("scaling", "validation_size", "test_size", "missing", "missing_marks", "max_levels", "exclude")
EXPLODED_TIMES, EXPLODED_NATS = 20, 5.0  # a loss that is above both: so many times the median, and nats a sample
NONE = "—"


@dataclass(frozen=True)
class Setting:
    """Runs that differ in their seeds alone, and what sets them apart from the others."""

    values: dict[str, Any]
    runs: tuple[StoredRun, ...]

    @property
    def finished(self) -> list[StoredRun]:
        """The runs that came to their end."""
        return [run for run in self.runs if run.finished]

    @property
    def label(self) -> str:
        """The values, each under the last word of its key."""
        words = [f"{name.rpartition('.')[2]} = {shown_value(value)}" for name, value in self.values.items()]
        return ", ".join(words) or "all runs"

    def measured(self, measure: Callable[[StoredRun], float]) -> Array:
        """Return `measure` of every finished run that has it."""
        values = np.array([measure(run) for run in self.finished], dtype=np.float64)
        return values[np.isfinite(values)]


def by_data(runs: Sequence[StoredRun]) -> dict[str, list[StoredRun]]:
    """Return the runs by what their data are called; those of other data cannot be compared.

    Runs of one config and seed whose data have another digest were trained on a file that has changed.
    """
    versions: dict[str, list[str]] = {}
    groups: dict[str, tuple[dict[str, Any], int, list[StoredRun]]] = {}
    for run in runs:
        dataset = {name: value for name, value in run.settings.items() if name.startswith("dataset.")}
        source = {name: value for name, value in dataset.items() if name.partition(".")[2] not in PREPARATION}
        digest = (None if run.summary is None else run.summary.data_digest) or ""
        seen = versions.setdefault(repr((dataset, run.config.seed)), [])
        if digest and digest not in seen:
            seen.append(digest)
        version = seen.index(digest) if digest in seen else 0
        groups.setdefault(repr((source, version)), (source, version, []))[2].append(run)
    sources = [source for source, _, _ in groups.values()]
    differing = [name for name in differing_keys(sources) if name != "dataset.name"]
    named: dict[str, list[StoredRun]] = {}
    for source, version, found in groups.values():
        words = [f"{name.rpartition('.')[2]} = {shown_value(source.get(name))}" for name in differing if name in source]
        words += [f"changed since, {version + 1}"] if version else []
        name = source["dataset.name"] + (f" ({', '.join(words)})" if words else "")
        named.setdefault(name, []).extend(found)
    return named


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


def shown_value(value: object) -> str:
    """Return the value of a key, a dash for a config that does not have it."""
    return NONE if value is None else value_of(value)


def loss_of(run: StoredRun) -> float:
    """Return the loss of the weights that a run ended with: of the validation part, where there is one."""
    kept = kept_epoch(run.config.training, run.history)
    return kept.train_loss if math.isnan(kept.validation_loss) else kept.validation_loss


def accuracy_of(run: StoredRun) -> float:
    """Return the accuracy of the weights that a run ended with, on the part that `loss_of` is about."""
    kept = kept_epoch(run.config.training, run.history)
    return kept.train_accuracy if math.isnan(kept.validation_accuracy) else kept.validation_accuracy


def test_accuracy_of(run: StoredRun) -> float:
    """Return the test accuracy, nan without one."""
    measured = None if run.summary is None else run.summary.test_accuracy
    return math.nan if measured is None else measured


def rank(finished: Sequence[StoredRun]) -> tuple[bool, float]:
    """Return what orders settings and runs: the median loss; without a validation part it is no match for others."""
    losses = [loss for loss in map(loss_of, finished) if math.isfinite(loss)]
    unlike = not losses or any(math.isnan(run.history.best.validation_loss) for run in finished)
    return unlike, float(np.median(losses)) if losses else math.inf


def part_of(runs: Sequence[StoredRun]) -> str:
    """Return on which part the losses of the finished `runs` were measured."""
    has = [not math.isnan(run.history.best.validation_loss) for run in runs if run.finished]
    return "validation" if all(has) else "training" if not any(has) else "validation or training"


def weights_of(runs: Sequence[StoredRun]) -> str:
    """Return of which weights the losses and the test figures of `runs` are."""
    kept = {kept_epoch(run.config.training, run.history) is run.history.rows[-1] for run in runs if run.finished}
    return (
        "the last epoch" if kept == {True} else "the best epoch" if kept == {False} else "the epoch that each run kept"
    )


def exploded(losses: Array) -> Array:
    """Return which losses are so far above the others that an axis would show nothing else."""
    finite = losses[np.isfinite(losses)]
    if not len(finite):
        return np.zeros(len(losses), dtype=bool)
    usual = float(np.quantile(finite, 0.5, method="lower"))
    return np.asarray(losses > max(EXPLODED_TIMES * usual, EXPLODED_NATS))


def spread(values: Array, shown: Callable[[float], str]) -> str:
    """Return the median and, of several values, the lowest and the highest, in the words of `shown`."""
    if not len(values):
        return NONE
    median, low, high = (shown(float(value)) for value in (np.median(values), values.min(), values.max()))
    if len(values) == 1:
        return median
    if shown is percent:
        return f"{median} ({low.removesuffix(' %')} to {high.removesuffix(' %')})"
    return f"{median} ({low} to {high})"


def shown_loss(value: float) -> str:
    """Return a loss in three digits."""
    return f"{value:#.3g}".removesuffix(".")
