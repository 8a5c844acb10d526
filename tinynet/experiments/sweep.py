"""A sweep: a folder with a run folder for each setting, filled on one core, on many, or on a cluster."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
import uuid
import warnings
from collections.abc import Callable
from contextlib import closing, nullcontext, suppress
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from tinynet.errors import ConfigError, DamagedError, DivergedError, LockedError, RunFolderError
from tinynet.experiments.axes import Grid, Setting, load_grid
from tinynet.experiments.backends import Backend, Outcome
from tinynet.experiments.config import check_same, flat, shown
from tinynet.experiments.environment import environment, one_blas_thread
from tinynet.experiments.keys import Config
from tinynet.experiments.records import Record, read_record
from tinynet.experiments.results import FINAL, Row, counts, csv_text, read_summary, run_row
from tinynet.experiments.run import create_folder, execute, load_data, prepare, refuse_a_run
from tinynet.experiments.tracking import check_tracking
from tinynet.progress import progress_bar
from tinynet.storage import make_folder, only_writer, sync_folder, write_atomically

SAVE_EVERY_S = 1.0
ONE_AT_A_TIME = threading.Lock()  # in a process: a Dask worker may have many threads, BLAS is set for all of them


def check_data(grid: Grid, source: str) -> None:
    """Load the data and build the network of all settings that differ in them, to find their faults.

    Raises
    ------
    ConfigError
        As `prepare` and `check_tracking` do. Nothing is written.
    """
    seen = set()
    for config in (setting.config for setting in grid.settings):
        check_tracking(config, source)
        parts = (config.dataset.model_dump_json(), config.network.model_dump_json(), config.optimizer.model_dump_json())
        if parts not in seen:
            seen.add(parts)
            prepare(config, source)


def create_sweep_folder(out: str | None, grid: Grid) -> Path:
    """Create the folder `out`, or a new runs/NAME-sweep-TIME, with a sweep.json that repeats the sweep.

    Raises
    ------
    RunFolderError
        When it holds something already, is a file, or cannot be written.
    """
    folder = create_folder(out, f"{grid.name}-sweep")
    with only_writer(folder):
        refuse_a_run(folder)  # of another command, begun at the same moment
        write_atomically(folder / "sweep.json", grid.to_json(folder).encode())
    return folder


def open_sweep_folder(out: str, grid: Grid) -> Path:
    """Return the folder `out` of a sweep that was begun with the same `grid`.

    Raises
    ------
    RunFolderError
        When there is none, or its sweep is another one; the keys that differ are named.
    """
    path = Path(out, "sweep.json")
    if not path.is_file():
        raise RunFolderError(f"{shown(out)} holds no sweep to resume: there is no sweep.json in it")
    before, now = (flat(json.loads(text)) for text in (load_grid(str(path), many=True).to_json(), grid.to_json()))
    check_same(out, before, now)
    return path.parent


def run_sweep(grid: Grid, folder: Path, backend: Backend, *, progress: bool = False) -> list[Row]:
    """Run what `folder` does not hold yet, and return a row a run, as sweep.csv has them.

    Parameters
    ----------
    grid : Grid
    folder : Path, of `create_sweep_folder` or `open_sweep_folder`
    backend : callable, one of `backends`
    progress : bool, show a progress bar over runs on stderr; silent where stderr is no terminal

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
    with only_writer(folder):
        _set_aside(folder, grid)
        _tidy(folder, grid)
        _check_data(folder, grid)
        files = _data_files(grid)
        rows = {setting.folder: run_row(setting, folder, Outcome()) for setting in grid.settings}
        missing = {s.folder: s for s in grid.settings if rows[s.folder]["status"] not in FINAL}
        together = sorted(missing.values(), key=_data)  # runs with the same data follow one another
        tasks = [(setting.config, str(folder.absolute() / setting.folder)) for setting in together]
        save = _saver(folder / "sweep.csv", rows)
        told: set[str] = set()
        _about()  # for all processes that begin as copies of this one
        show = progress_bar(len(rows), len(rows) - len(tasks), "run", progress)
        try:
            with closing(backend(train_one, tasks)) as outcomes:
                for (_, path), outcome in outcomes:
                    name = Path(path).name
                    rows[name] = run_row(missing[name], folder, outcome)
                    save(name)
                    show(counts(row for row in rows.values() if row["status"] != "missing"))
                    for note in set(outcome.value or ()) - told:
                        told.add(note)
                        warnings.warn(note, stacklevel=2)
        finally:
            show(None)
            _tidy(folder, grid)
            late = [name for name in missing if rows[name]["status"] == "missing"]  # or done as the sweep was stopped
            rows |= {name: run_row(missing[name], folder, Outcome()) for name in late}
            save(*late, at_once=True)
        if _data_files(grid) != files:
            _check_data(folder, grid)
    return list(rows.values())


def _data(setting: Setting) -> tuple[str, int]:
    return setting.config.dataset.model_dump_json(), setting.config.seed


def train_one(config: Config, path: str) -> list[str]:
    """Train one run, whose folder appears at `path` when it is whole, and return the warnings it gave."""
    folder = Path(path)
    part = _part(folder)
    if not folder.parent.is_dir():
        raise RunFolderError(f"{folder.parent} is not there: all machines of a cluster must see the same folder")
    if read_summary(folder) is not None:
        return []  # a cluster asks again when it has lost the answer
    with ONE_AT_A_TIME, warnings.catch_warnings(record=True) as notes:
        warnings.filterwarnings("always", category=UserWarning)
        try:
            _train_in(part, config)
        except (DamagedError, LockedError) as error:  # or a worker that was taken for dead is still at it
            if isinstance(error, DamagedError):
                warnings.warn(f"{' '.join(str(error).split())}; {folder.name} begins anew", stacklevel=2)
            part = part.with_name(f"{part.name}-{uuid.uuid4().hex[:8]}")  # of which _tidy knows
            _train_in(part, config)
        if read_summary(folder) is None:
            part.rename(folder)
            sync_folder(folder.parent)
        else:  # a worker that was taken for dead has finished it meanwhile
            shutil.rmtree(part, ignore_errors=True)
    return [str(note.message) for note in notes]


def _train_in(part: Path, config: Config) -> None:
    """Train one run in the folder `part`, and go on with what an attempt that was ended left there."""
    make_folder(part)
    with suppress(DivergedError):  # which summary.json tells
        execute(prepare(config), part, resume=True, report=False, about=_about())


def _part(folder: Path) -> Path:
    """Return where a run is at work until its folder is whole."""
    return folder.with_name(f".{folder.name}.part")


@cache
def _about() -> dict[str, Any]:
    with one_blas_thread():
        return environment()


def _set_aside(folder: Path, grid: Grid) -> None:
    """Move run folders out of the way that are damaged, or were trained longer or otherwise than the sweep says."""
    for setting in grid.settings:
        path = folder / setting.folder
        if path.exists() and (fault := _fault(path, setting)):
            aside = path.with_name(f"{path.name}.aside-{uuid.uuid4().hex[:8]}")
            lock = nullcontext() if path.is_symlink() or not path.is_dir() else only_writer(path)
            with lock:  # nobody is at work there
                path.rename(aside)
            warnings.warn(f"{fault}; it is trained anew, and what was there is in {aside.name}", stacklevel=3)


def _fault(path: Path, setting: Setting) -> str:
    """Return why a run folder is not what the sweep has put there, or an empty text."""
    try:
        record: Record = read_record(path, setting.folder)
    except (ConfigError, RunFolderError) as error:
        return str(error).splitlines()[0]
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    if record.status not in FINAL:
        return f"{path}: has not come to its end"
    there, here = record.settings, flat(setting.config.model_dump(exclude_none=True))
    differing = [key for key in there | here if there.get(key) != here.get(key)]
    return f"{path}: was begun or continued with another {', '.join(differing)}" if differing else ""


def _check_data(folder: Path, grid: Grid) -> None:
    """Raise RunFolderError when runs that ended were trained on other data than their configs name now."""
    others: list[Setting] = []
    for _, same in groupby(sorted(grid.settings, key=_data), _data):
        trained = [(setting, read_summary(folder / setting.folder) or {}) for setting in same]
        known = [(setting, summary["data_digest"]) for setting, summary in trained if "data_digest" in summary]
        if known:
            now = load_data(known[0][0].config).digest
            others += [setting for setting, digest in known if digest != now]
    if others:
        first, data = others[0].folder, others[0].config.dataset
        raise RunFolderError(
            f"{folder}: {len(others)} of {len(grid.settings)} runs, {first} for one, were trained on other data than "
            f"{data.path or data.name} gives now; put the data back, or begin a new sweep with --out"
        )


def _data_files(grid: Grid) -> dict[str, tuple[int, ...]]:
    """Return what shows that a file is still the same, of all data files that are there."""
    paths = {setting.config.dataset.path for setting in grid.settings}
    there = {path: os.stat(path) for path in paths if path is not None and os.path.exists(path)}
    return {path: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in there.items()}


def _tidy(folder: Path, grid: Grid) -> None:
    """Remove what is of no use to a run that is still missing."""
    paths = (folder / setting.folder for setting in grid.settings)
    useful = {_part(path) for path in paths if not path.exists()}
    for path in folder.glob(".*.part*"):
        if path.is_symlink():  # nobody writes elsewhere by a link
            path.unlink()
        elif path not in useful:
            shutil.rmtree(path, ignore_errors=True)


def _saver(path: Path, rows: dict[str, Row]) -> Callable[..., None]:
    """Return a function that takes changed rows' names and writes sweep.csv, at most once a second or `at_once`."""
    lines = {name: csv_text(row.values()) for name, row in rows.items()}
    saved = -SAVE_EVERY_S

    def save(*changed: str, at_once: bool = False) -> None:
        nonlocal saved
        lines.update({name: csv_text(rows[name].values()) for name in changed})
        if at_once or time.monotonic() - saved >= SAVE_EVERY_S:
            header = csv_text(next(iter(rows.values())))
            write_atomically(path, (header + "".join(lines.values())).encode())
            saved = time.monotonic()

    return save
