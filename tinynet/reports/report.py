"""The report: one HTML file about a run, or about many, from what their folders hold."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinynet.artifacts.model import Model, load_model
from tinynet.artifacts.run_folder import RunFolder, Status
from tinynet.artifacts.stored_runs import StoredRun, Summary, read_runs
from tinynet.config.building import Run, prepare
from tinynet.errors import ConfigError, RunFolderError
from tinynet.reports.comparison_page import comparison_page
from tinynet.reports.html import GENERATOR
from tinynet.reports.run_page import run_page
from tinynet.storage.reading import FilePath, has_mark
from tinynet.storage.writing import check_target, write_atomically, write_named


def write_report(folders: FilePath | Sequence[FilePath], output: str | Path | None = None) -> Path:
    """Write the report about run folders, or folders of runs, and return its path.

    Parameters
    ----------
    folders : one, or a list of them
        Of one run folder the report is about that run; of more, or a folder of them, it compares them.
    output : path, optional
        None means report.html in the folder, or in the current one when there are several.

    Raises
    ------
    RunFolderError
        With a line for each folder that is none or holds no run, and each file that is damaged;
        or when `output` cannot be written, or is a file that is not a report.
    """
    paths = [Path(folder) for folder in ([folders] if isinstance(folders, str | os.PathLike) else folders)]
    if not paths:
        raise RunFolderError("no run folder was given, so there is nothing to report")
    target = Path(output) if output is not None else RunFolder(paths[0] if len(paths) == 1 else "").report
    runs, missing = read_runs(paths)
    check_target(target, "a report of tinynet", lambda path: has_mark(path, GENERATOR))
    if len(paths) == 1 and RunFolder(paths[0]).is_run:
        page = run_page(runs[0], rebuilt(runs[0]))
    else:
        name = paths[0].resolve().name if len(paths) == 1 else ""
        page = comparison_page(runs, missing, name, target.parent, _left_out(paths, runs))
    write_named(target, page)
    return target


def _left_out(folders: Sequence[Path], runs: Sequence[StoredRun]) -> list[str]:
    """Return the names of run folders in `folders` that are not among `runs`, since a sweep does not name them."""
    read = {run.folder.path.resolve() for run in runs}
    inside = [run for folder in folders if RunFolder(folder).sweep_table.is_file() for run in RunFolder(folder).runs()]
    return [run.label for run in inside if run.path.resolve() not in read]


def write_run_page(state: StoredRun, run: Run | str) -> None:
    """Write report.html into the folder of a run, under way or ended, from what is in memory.

    `run` is what was trained, or a sentence that says why it is not shown.

    Raises
    ------
    OSError
        When it cannot be written; what was there stays.
    """
    write_atomically(state.folder.report, run_page(state, run))


def rebuilt(stored: StoredRun) -> Run | str:
    """Return the trained run behind a stored one, or a sentence that says why there is none.

    The data are made again from config.json, so that a run folder need not hold them; whether they are still
    the same is seen from what model.npz holds of them, and from the numbers and the test loss in summary.json.
    """
    if not stored.folder.model.is_file():
        return f"The folder holds no {stored.folder.model.name}, so nothing can be predicted again."
    try:
        model = load_model(stored.folder.path)
    except RunFolderError as error:
        if stored.status != Status.DIVERGED:
            raise
        return f"Nothing can be predicted again with what the run left: {error}"  # weights beyond all bounds
    try:
        run = prepare(stored.config)
    except (ConfigError, OSError) as error:
        reason = " ".join(str(error).removeprefix("config: ").split())
        return f"The data of this run cannot be found here, so nothing can be predicted again: {reason}"
    if not _fits(model, run, stored.summary):
        return "The data that config.json names are not those of the run: they have changed since, and are not shown."
    run.net = model.net
    return run


def _fits(model: Model, run: Run, summary: Summary | None) -> bool:
    """Return whether the data of `run` are those of the model and of what the run has measured."""
    data = run.dataset
    known = model.net.shapes, model.class_names, model.feature_names
    if known != (run.net.shapes, data.class_names, data.feature_names):
        return False
    scalings = (model.scaling.offset, data.scaling.offset), (model.scaling.scale, data.scaling.scale)
    if not all(np.allclose(*pair, rtol=1e-9, atol=0.0) for pair in scalings):
        return False
    sizes = [len(part) for part in (data.X_train, data.X_validation, data.X_test)]
    if summary is not None and sizes != [summary.n_train, summary.n_validation, summary.n_test]:
        return False
    if summary is None or summary.test_loss is None:
        return True
    return bool(np.isclose(model.net.loss(data.X_test, data.y_test), summary.test_loss, rtol=1e-6, atol=1e-9))
