"""What a resumed sweep finds in its folder: runs that are kept, runs that are moved aside, and unfinished attempts."""

from __future__ import annotations

import os
import shutil
import uuid
import warnings
from collections.abc import Collection, Iterator
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path

from tinynet.artifacts.run_folder import FINAL, RunFolder
from tinynet.artifacts.stored_runs import read_ending, read_run
from tinynet.config.building import load_data
from tinynet.config.loading import changes, flat
from tinynet.errors import ConfigError, RunFolderError
from tinynet.experiments.axes import Combination, Grid
from tinynet.storage.locks import only_writer
from tinynet.storage.messages import shown_path

Runs = list[str]  # names of their folders
PUT_BACK = "put the data back, or begin a new sweep with --out"


def set_aside_changed_runs(folder: RunFolder, grid: Grid) -> None:
    """Move aside, with a note, every run folder that differs from what the sweep would make now.

    Raises
    ------
    RunFolderError
        When somebody is at work in one, or no run that has ended was trained on what its data file gives now.
    """
    for combination in grid.combinations:
        path = folder.path / combination.folder
        if os.path.lexists(path) and (fault := _fault(path, combination)):
            aside = move_aside(path, path.name)
            warnings.warn(f"{fault}; trained anew, and what was there is in {aside}", stacklevel=3)
    for told, same, changed in _other_data(folder, grid):
        if not same:
            raise RunFolderError(f"{told}; {PUT_BACK}")
        aside, *others = [move_aside(folder.path / name, name) for name in changed]
        more = f" and {len(others)} more" if others else ""
        warnings.warn(f"{told}; trained anew, and what was there is in {aside}{more}", stacklevel=3)


def refuse_changed_data(folder: RunFolder, grid: Grid, before: dict[str, tuple[int, ...]]) -> None:
    """Raise RunFolderError when files have changed since `before`, and with them the data of runs that have ended."""
    changed = {path for path, _ in data_files(grid).items() ^ before.items()}
    for told, same, _ in _other_data(folder, grid, changed) if changed else ():
        way = f"train these anew with: {folder.resume_command()}" if same else PUT_BACK
        raise RunFolderError(f"{told}: it has changed meanwhile; {way}")


def data_files(grid: Grid) -> dict[str, tuple[int, ...]]:
    """Return, for all data files that exist, what tells whether they have changed."""
    paths = {path for combination in grid.combinations for path in _files_of(combination)}
    there = {path: os.stat(path) for path in paths if os.path.exists(path)}
    return {path: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in there.items()}


def _files_of(combination: Combination) -> tuple[str, ...]:
    dataset = combination.config.dataset
    return tuple(path for path in (dataset.path, dataset.test_path) if path is not None)


def data_of(combination: Combination) -> tuple[str, int]:
    """Return what the samples of a run, their split and their scaling depend on."""
    return combination.config.dataset.model_dump_json(), combination.config.seed


def part_of(folder: Path) -> Path:
    """Return where a run is written until its folder is complete."""
    return folder.with_name(f".{folder.name}.part")


def clear_attempts(folder: Path, grid: Grid) -> None:
    """Remove attempts, except those that a missing run can be resumed from."""
    paths = (folder / combination.folder for combination in grid.combinations)
    useful = {part_of(path) for path in paths if not path.exists()}
    for path in folder.glob(".*.part*"):
        if path.is_symlink() or not path.is_dir():  # a link is not followed
            path.unlink(missing_ok=True)
        elif path not in useful:
            shutil.rmtree(path, ignore_errors=True)


def move_aside(path: Path, name: str) -> str:
    """Rename what stands in the way of the run called `name`, and return the new name."""
    aside = path.with_name(f"{name}.aside-{uuid.uuid4().hex[:8]}")
    lock = nullcontext() if path.is_symlink() or not path.is_dir() else only_writer(path)
    with lock:  # unless somebody is at work there
        path.rename(aside)
    return aside.name


def _fault(path: Path, combination: Combination) -> str:
    """Return why a folder is not the run that the sweep has written there, "" if it is."""
    try:
        run = read_run(RunFolder(path, combination.folder))
    except (ConfigError, RunFolderError) as error:
        return str(error).splitlines()[0]
    if run.status not in FINAL:
        return f"{shown_path(path)}: has not come to its end"
    differing = changes(run.settings, flat(combination.config.model_dump(exclude_none=True)))
    return f"{shown_path(path)}: the config {differing}" if differing else ""


def _other_data(folder: RunFolder, grid: Grid, suspects: Collection[str] = ()) -> Iterator[tuple[str, Runs, Runs]]:
    """Yield for all data that have changed: what to say, the runs trained on what there is now, and the others.

    Of two files of a run, those among `suspects` are named, both where none is.
    """
    found: dict[tuple[str, ...], tuple[Runs, Runs]] = {}
    every = grid.combinations
    endings = {one.folder: read_ending(RunFolder(folder.path / one.folder)) for one in every}
    known = [one for one in every if (end := endings[one.folder]) and end.data_digest and one.config.dataset.path]
    for _, alike in groupby(sorted(known, key=data_of), data_of):
        combinations = list(alike)
        now = load_data(combinations[0].config).digest
        files = _files_of(combinations[0])
        same, changed = found.setdefault(tuple(path for path in files if path in suspects) or files, ([], []))
        for combination in combinations:
            ending = endings[combination.folder]
            (same if ending and ending.data_digest == now else changed).append(combination.folder)
    for files, (same, changed) in found.items():
        if changed:
            runs = f"{len(changed)} runs, {changed[0]} for one, were" if len(changed) > 1 else f"{changed[0]} was"
            now = f"{' and '.join(map(shown_path, files))} {'gives' if len(files) == 1 else 'give'} now"
            told = f"{shown_path(folder.path)}: {runs} trained on other data than {now}"
            yield told, same, changed
