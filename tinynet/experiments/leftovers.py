"""What a sweep finds in its folder when it goes on: runs that stand, runs that are moved aside, and attempts."""

from __future__ import annotations

import os
import shutil
import uuid
import warnings
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path

from tinynet.artifacts.run_folder import FINAL, RunFolder
from tinynet.artifacts.stored_runs import StoredRun, read_ending, read_run
from tinynet.config.building import load_data
from tinynet.config.loading import flat
from tinynet.errors import ConfigError, RunFolderError
from tinynet.experiments.axes import Combination, Grid
from tinynet.storage.locks import only_writer
from tinynet.storage.reading import differences, shown_path

Runs = list[str]  # names of their folders
PUT_BACK = "put the data back, or begin a new sweep with --out"


def take_stock(folder: Path, grid: Grid) -> None:
    """Move aside, with a note, every run folder that is not what the sweep would put there today.

    Raises
    ------
    RunFolderError
        When somebody is at work in one, or no run that has ended was trained on what its data file gives now.
    """
    digests: dict[str, str] = {}
    for setting in grid.settings:
        path = folder / setting.folder
        if os.path.lexists(path):
            found = _found(path, setting)
            if isinstance(found, str):
                aside = move_aside(path, path.name)
                warnings.warn(f"{found}; trained anew, and what was there is in {aside}", stacklevel=3)
            elif found.summary is not None and found.summary.data_digest is not None:
                digests[setting.folder] = found.summary.data_digest
    for file, (same, changed) in _compared(grid, digests).items():
        if changed and not same:
            raise RunFolderError(f"{_other_data(folder, file, changed)}; {PUT_BACK}")
        if changed:
            asides = [move_aside(folder / name, name) for name in changed]
            more = f" and {len(asides) - 1} more" if len(asides) > 1 else ""
            anew = f"trained anew, and what was there is in {asides[0]}{more}"
            warnings.warn(f"{_other_data(folder, file, changed)}; {anew}", stacklevel=3)


def refuse_changed_data(folder: Path, grid: Grid) -> None:
    """Raise RunFolderError when runs were trained on other data than their files give now."""
    endings = {setting.folder: read_ending(RunFolder(folder / setting.folder)) for setting in grid.settings}
    digests = {name: ending.data_digest for name, ending in endings.items() if ending and ending.data_digest}
    for file, (same, changed) in _compared(grid, digests).items():
        if changed:
            way = f"train these anew with: {RunFolder(folder).resume_command()}" if same else PUT_BACK
            raise RunFolderError(f"{_other_data(folder, file, changed)}: it has changed meanwhile; {way}")


def data_files(grid: Grid) -> dict[str, tuple[int, ...]]:
    """Return what shows that a file is still the same, of all data files that are there."""
    paths = {setting.config.dataset.path for setting in grid.settings}
    there = {path: os.stat(path) for path in paths if path is not None and os.path.exists(path)}
    return {path: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in there.items()}


def data_of(setting: Combination) -> tuple[str, int]:
    """Return what the samples of a run, their split and scaling depend on."""
    return setting.config.dataset.model_dump_json(), setting.config.seed


def part_of(folder: Path) -> Path:
    """Return where a run is at work until its folder is whole."""
    return folder.with_name(f".{folder.name}.part")


def clear_attempts(folder: Path, grid: Grid) -> None:
    """Remove what is of no use to a run that is still missing."""
    paths = (folder / setting.folder for setting in grid.settings)
    useful = {part_of(path) for path in paths if not path.exists()}
    for path in folder.glob(".*.part*"):
        if path.is_symlink() or not path.is_dir():  # nobody writes elsewhere by a link
            path.unlink(missing_ok=True)
        elif path not in useful:
            shutil.rmtree(path, ignore_errors=True)


def move_aside(path: Path, name: str) -> str:
    """Move what a run called `name` cannot use out of its way, and return what it is called from then on."""
    aside = path.with_name(f"{name}.aside-{uuid.uuid4().hex[:8]}")
    lock = nullcontext() if path.is_symlink() or not path.is_dir() else only_writer(path)
    with lock:  # nobody is at work there
        path.rename(aside)
    return aside.name


def _found(path: Path, setting: Combination) -> StoredRun | str:
    """Return the run in a folder, or why it is not what the sweep has put there."""
    try:
        run = read_run(RunFolder(path, setting.folder))
    except (ConfigError, RunFolderError) as error:
        return str(error).splitlines()[0]
    if run.status not in FINAL:
        return f"{shown_path(path)}: has not come to its end"
    there, here = run.settings, flat(setting.config.model_dump(exclude_none=True))
    differing = differences(there, here)
    return f"{shown_path(path)}: was begun or continued with another {', '.join(differing)}" if differing else run


def _compared(grid: Grid, digests: dict[str, str]) -> dict[str, tuple[Runs, Runs]]:
    """Return, by data file, the runs that were trained on what it gives now, and those that were not."""
    found: dict[str, tuple[Runs, Runs]] = {}
    known = [setting for setting in grid.settings if setting.folder in digests and setting.config.dataset.path]
    for _, alike in groupby(sorted(known, key=data_of), data_of):
        settings = list(alike)
        now = load_data(settings[0].config).digest
        same, changed = found.setdefault(str(settings[0].config.dataset.path), ([], []))
        for setting in settings:
            (same if digests[setting.folder] == now else changed).append(setting.folder)
    return found


def _other_data(folder: Path, file: str, changed: Runs) -> str:
    runs = f"{changed[0]} was" if len(changed) == 1 else f"{len(changed)} runs, {changed[0]} for one, were"
    return f"{shown_path(folder)}: {runs} trained on other data than {shown_path(file)} gives now"
