"""A sweep: a folder with one run folder per combination, trained on one core, on many, or on a cluster."""

from __future__ import annotations

import json
import shutil
import threading
import time
import uuid
import warnings
from contextlib import closing, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

from tinynet.artifacts.environment import blas_threads, environment
from tinynet.artifacts.run_folder import FINAL, RunFolder, Status, create_folder
from tinynet.artifacts.stored_runs import read_ending
from tinynet.artifacts.tensorboard import check_tracking
from tinynet.config.building import prepare
from tinynet.config.loading import check_same, flat
from tinynet.config.sections import Config
from tinynet.data.remarks import what_was_done
from tinynet.errors import DamagedError, DivergedError, LockedError, RunFolderError
from tinynet.experiments import leftovers
from tinynet.experiments.axes import Grid, load_grid
from tinynet.experiments.run import execute
from tinynet.experiments.sweep_table import Row, counts, run_row, write_table
from tinynet.experiments.workers import Backend
from tinynet.storage.writing import make_folder, sync_folder, write_atomically
from tinynet.training.progress import progress_bar

SAVE_EVERY_S = 1.0  # sweep.csv is written at most this often,
SAVE_SHARE = 20  # and at most for a twentieth of the time
ONE_AT_A_TIME = threading.Lock()  # a Dask worker may have many threads, and BLAS is limited for the whole process


def check_data(grid: Grid, source: str) -> list[str]:
    """Load the data and build the network of all settings that differ in them, to find their faults.

    Returns
    -------
    list of str
        The lines that tell what was done with the columns of the tables.

    Raises
    ------
    ConfigError
        As `prepare` and `check_tracking` do. Nothing is written.
    """
    seen, columns = set[str](), dict[str, None]()
    for config in (one.config for one in grid.combinations):
        check_tracking(config, source)
        parts = config.model_dump_json(include={"dataset", "network", "optimizer"})
        if parts not in seen:
            seen.add(parts)
            columns |= dict.fromkeys(what_was_done(prepare(config, source).dataset.summary))
    return list(columns)


def create_sweep_folder(out: str | None, grid: Grid) -> RunFolder:
    """Create the folder `out`, or a new runs/NAME-sweep-TIME, with a sweep.json that repeats the sweep.

    Raises
    ------
    RunFolderError
        When it holds something already, is a file, or cannot be written.
    """
    folder = create_folder(out, f"{grid.name}-sweep")
    with folder.only_writer():
        folder.refuse_if_used()  # that another command has begun at the same moment
        write_atomically(folder.sweep, grid.to_json(folder.path).encode())
    return folder


def refuse_another_sweep(folder: RunFolder, grid: Grid) -> None:
    """Raise RunFolderError when `folder` holds a sweep of another `grid`; the keys that differ are named."""
    grids = load_grid(str(folder.sweep), many=True), grid
    check_same(str(folder.path), *(flat(json.loads(one.to_json())) for one in grids))


def run_grid(
    grid: Grid, folder: RunFolder, backend: Backend, *, progress: bool = False, reports: bool = True
) -> list[Row]:
    """Run what `folder` does not hold yet, and return one row per run, as in sweep.csv.

    Parameters
    ----------
    grid : Grid
    folder : RunFolder, new from `create_sweep_folder`, or that of a sweep to resume
    backend : callable, as `choose_backend` yields it
    progress : bool, show a progress bar over runs on stderr; silent where stderr is not a terminal
    reports : bool, write a page for each run: its figures and curves, without predictions, which take longer

    Raises
    ------
    RunFolderError
        When another command is at work in the folder, or runs were trained on other data than there are now.
    OSError
        When sweep.csv cannot be written.

    Notes
    -----
    However the sweep ends, sweep.csv has a row for every run. Its status is that of summary.json, or
    "failed" with an error, "killed" when its worker died, "missing" when it was not run.
    """
    inside = folder.path.absolute()
    with folder.only_writer():
        leftovers.set_aside_changed_runs(folder, grid)
        leftovers.clear_attempts(folder.path, grid)
        files = leftovers.data_files(grid)
        rows = {one.folder: run_row(one, inside) for one in grid.combinations}
        missing = {one.folder: one for one in grid.combinations if rows[one.folder]["status"] not in FINAL}
        together = sorted(missing.values(), key=leftovers.data_of)  # runs with the same data in a row
        tasks = [(one.config, str(inside / one.folder)) for one in together]
        told: set[str] = set()
        save_at = 0.0
        _about()  # computed once, for all processes that are forked from this one
        try:
            with (
                progress_bar(len(rows), len(rows) - len(tasks), "run", progress) as show,
                closing(backend(partial(train_one, report=reports), tasks)) as outcomes,
            ):
                for (_, path), outcome in outcomes:
                    name = Path(path).name
                    rows[name] = run_row(missing[name], inside, outcome)
                    if (now := time.monotonic()) >= save_at:
                        write_table(folder, rows.values())
                        save_at = now + max(SAVE_EVERY_S, SAVE_SHARE * (time.monotonic() - now))
                    show(counts(row for row in rows.values() if row["status"] != Status.MISSING))
                    for note in set(outcome.value or ()) - told:
                        told.add(note)
                        warnings.warn(note, stacklevel=2)
        finally:
            leftovers.clear_attempts(folder.path, grid)
            for name, combination in missing.items():
                if rows[name]["status"] == Status.MISSING:  # or finished while the sweep was being stopped
                    rows[name] = run_row(combination, inside)
            write_table(folder, rows.values())
        leftovers.refuse_changed_data(folder, grid, files)
    return list(rows.values())


def train_one(config: Config, path: str, *, report: bool = True) -> list[str]:
    """Train one run, whose folder appears at `path` once it is complete, and return its warnings."""
    folder = Path(path)
    part = leftovers.part_of(folder)
    if not folder.parent.is_dir():
        raise RunFolderError(f"{folder.parent} is not there: all machines of a cluster must see the same folder")
    if read_ending(RunFolder(folder)) is not None:
        return []  # a cluster repeats a task whose answer was lost

    def train(part: Path) -> None:
        """Train in the folder `part`, from where an earlier attempt stopped."""
        make_folder(part)
        with suppress(DivergedError):  # summary.json says so
            inside = RunFolder(part, folder.name)
            execute(prepare(config), inside, resume=True, report=report, pictures=False, about=_about())

    with ONE_AT_A_TIME, warnings.catch_warnings(record=True) as notes:
        warnings.filterwarnings("always", category=UserWarning)
        try:
            train(part)
        except DamagedError as error:
            aside = leftovers.move_aside(part, folder.name)
            reason = " ".join(str(error).split())
            warnings.warn(f"{reason}; {folder.name} begins anew, and what was there is in {aside}", stacklevel=2)
            train(part)
        except LockedError:  # a worker that was taken for dead is still at work
            part = part.with_name(f"{part.name}-{uuid.uuid4().hex[:8]}")  # clear_attempts knows such names
            train(part)
        if read_ending(RunFolder(folder)) is None:
            part.rename(folder)
            sync_folder(folder.parent)
        else:  # a worker that was taken for dead has finished it meanwhile
            shutil.rmtree(part, ignore_errors=True)
    return [str(note.message) for note in notes]


@cache
def _about() -> dict[str, Any]:
    with blas_threads():
        return environment()
