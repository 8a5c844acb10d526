"""The functions for scripts: train a run or a sweep, and load a run; `write_report` is that of the reports."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynet.artifacts.run_folder import RunFolder, create_folder
from tinynet.artifacts.stored_runs import StoredRun, read_run
from tinynet.artifacts.tensorboard import check_tracking
from tinynet.config.building import prepare
from tinynet.config.loading import config_from, preset_names, read_values, resolve_path
from tinynet.config.sections import Config
from tinynet.config.values import put
from tinynet.errors import InvalidTypeError, check_integer
from tinynet.experiments.axes import Grid, grid_of, resolve_axes
from tinynet.experiments.run import execute
from tinynet.experiments.sweep import check_data, create_sweep_folder, run_grid
from tinynet.experiments.sweep_table import Row, counts, results_table
from tinynet.experiments.workers import choose_backend
from tinynet.reports.report import write_report
from tinynet.storage.reading import FilePath

__all__ = ["SweepResult", "load_run", "run_experiment", "run_sweep", "write_report"]

ConfigSource = FilePath | Mapping[str, Any] | Config


def run_experiment(
    config: ConfigSource,
    overrides: Mapping[str, Any] | None = None,
    out: FilePath | None = None,
    *,
    progress: bool = False,
) -> StoredRun:
    """Train what a config describes, as ``tinynet train`` does, and return the run.

    Parameters
    ----------
    config : str, path, dict or Config
        A preset's name; the path of a config file, or of a run folder, whose config is taken; or the sections
        themselves, as nested dicts.
    overrides : dict, optional
        Values by dotted key; None takes a key away.
    out : path, optional
        The run folder, new or empty; None means runs/NAME-TIME.
    progress : bool
        Show a progress bar on stderr; silent where stderr is not a terminal.

    Returns
    -------
    StoredRun
        With ``config``, ``history``, ``summary``, ``model`` and ``folder``.

    Raises
    ------
    ConfigError
        When the config or its data cannot be used; nothing is written.
    RunFolderError
        When `out` holds something, or cannot be written.
    DivergedError
        When the loss stops being finite; the folder holds the epochs before.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     run = run_experiment("iris", {"training.epochs": 20}, out=folder)
    >>> run.status, run.history.best.epoch, round(run.summary.test_accuracy, 3)
    ('completed', 10, 1.0)
    """
    values, source = _values(config, overrides)
    checked = config_from(values, source)
    check_tracking(checked, source)
    run = prepare(checked, source)
    folder = create_folder(None if out is None else os.fspath(out), checked.name)
    execute(run, folder, progress=progress)
    return read_run(folder)


def run_sweep(
    config: ConfigSource,
    axes: Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    out: FilePath | None = None,
    *,
    jobs: int = 1,
    progress: bool = False,
) -> SweepResult:
    """Train every combination of some values, as ``tinynet sweep`` does, and return the results.

    Parameters
    ----------
    config, overrides : as for `run_experiment`
    axes : dict
        The values to try, by dotted key; those of a config's [sweep] table are tried as well.
    out : path, optional
        The folder of the sweep, new or empty; None means runs/NAME-sweep-TIME.
    jobs : int
        Processes; -1 means one per core.
    progress : bool
        Show a progress bar on stderr; silent where stderr is not a terminal.

    Raises
    ------
    ConfigError
        When a config or its data cannot be used; nothing is written.
    RunFolderError
        When `out` holds something, or cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     sweep = run_sweep("iris", {"optimizer.learning_rate": [0.03, 0.3], "seed": range(2)}, out=folder)
    >>> len(sweep.rows), sweep.rows[0]["optimizer.learning_rate"], sweep.rows[0]["status"]
    (4, 0.03, 'completed')
    """
    if not isinstance(axes, Mapping):
        raise InvalidTypeError(f"axes must be a dict of lists of values by dotted key, got {axes!r:.100}")
    jobs = check_integer("jobs", jobs, -1)
    values, source = _values(config, overrides)
    given = {key: _plain(axis) for key, axis in axes.items()}
    resolve_axes(given)
    values["sweep"] = values.get("sweep", {}) | given
    grid = grid_of(values, source, many=True)
    check_data(grid, source)
    with choose_backend(None, jobs, len(grid.combinations)) as (backend, _):
        folder = create_sweep_folder(None if out is None else os.fspath(out), grid)
        return SweepResult(folder, grid, run_grid(grid, folder, backend, progress=progress))


def load_run(folder: FilePath) -> StoredRun:
    """Return the run in a folder, wherever that is now.

    Raises
    ------
    RunFolderError, ConfigError
        When it holds no run, or a file of it is damaged.
    """
    return read_run(RunFolder(folder))


@dataclass(frozen=True, repr=False)
class SweepResult:
    """The results of a sweep; printed, a table of its settings, best first.

    Attributes
    ----------
    folder : RunFolder, of the sweep; the folders of the runs are in it
    rows : list of dicts, one per run: its values, status, epochs, losses, accuracies, as sweep.csv has them
    """

    folder: RunFolder
    grid: Grid
    rows: list[Row]

    @property
    def runs(self) -> list[StoredRun]:
        """The runs that have a folder, read from it."""
        return [read_run(folder) for folder in self.folder.runs()]

    def __str__(self) -> str:
        """Return the settings, best first, with medians and ranges over seeds."""
        return results_table(self.grid, self.rows)

    def __repr__(self) -> str:
        """Return where the sweep is, and how its runs ended."""
        return f"SweepResult({str(self.folder.path)!r}: {counts(self.rows)})"


def _values(config: ConfigSource, overrides: Mapping[str, Any] | None) -> tuple[dict[str, Any], str]:
    """Return the nested values of a config, and its name in messages."""
    source = "config"
    if isinstance(config, Config):
        values = config.model_dump(exclude_none=True)
    elif isinstance(config, Mapping):
        values = copy.deepcopy(dict(config))
    elif isinstance(config, str | os.PathLike):
        source = os.fspath(config)
        if source not in preset_names() and os.path.isdir(source):
            source = str(RunFolder(source).config)
        values = read_values(source)
    else:
        raise InvalidTypeError(f"config must be a preset's name, a path, a dict or a Config, got {config!r:.100}")
    if not isinstance(overrides, Mapping | None):
        raise InvalidTypeError(f"overrides must be a dict of values by dotted key, got {overrides!r:.100}")
    for key, value in (overrides or {}).items():
        put(values, key, _plain(value))
    resolve_path(values)
    return values, source


def _plain(value: Any) -> Any:
    """Return arrays, ranges and other collections as lists, and NumPy's numbers and paths as a config has them."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    is_many = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    return [_plain(one) for one in value] if is_many else value
