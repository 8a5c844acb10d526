"""The folder of a run or a sweep: the names of its files, its one writer, and how a run can end."""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from contextlib import AbstractContextManager
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinynet.errors import RunFolderError
from tinynet.storage.locks import LOCK, Check, left_behind, only_writer
from tinynet.storage.messages import shown_path, typed_path
from tinynet.storage.reading import FilePath
from tinynet.storage.writing import make_folder, sync_folder, write_atomically

if TYPE_CHECKING:
    from tinynet.config.sections import Config
    from tinynet.training.history import History


class Status(StrEnum):
    """The states of a run, as summary.json, sweep.csv and the reports name them."""

    COMPLETED = "completed"
    STOPPED_EARLY = "stopped early"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    RUNNING = "running"
    UNFINISHED = "unfinished"  # its folder has no summary.json: it is still running, or it was killed
    KILLED = "killed"  # in a sweep: its worker process died
    MISSING = "missing"  # in a sweep: not run yet


TRAINED = (Status.COMPLETED, Status.STOPPED_EARLY)  # trained to the end, so that figures can be compared
FINAL = (*TRAINED, Status.DIVERGED)  # running it again would give the same


class RunFolder:
    """The files of a run or of a sweep: their names, the lock, and the order in which they are written.

    Parameters
    ----------
    path : path of the folder, which need not exist
    label : str, optional
        What messages and pages call the run; None means the folder's name.
    """

    def __init__(self, path: FilePath, label: str | None = None) -> None:
        self.path = Path(path)
        self.label = os.path.basename(os.path.realpath(path)) if label is None else label
        self.config = self.path / "config.json"  # every key with its value
        self.environment = self.path / "environment.json"  # versions and machine
        self.metrics = self.path / "metrics.csv"  # one line per epoch
        self.summary = self.path / "summary.json"  # how the run ended; not there while it runs
        self.model = self.path / "model.npz"
        self.curve = self.path / "loss_curve.png"
        self.report = self.path / "report.html"
        self.sweep = self.path / "sweep.json"  # in the folder of a sweep: its config and axes
        self.sweep_table = self.path / "sweep.csv"  # in the folder of a sweep: one line per run

    def __fspath__(self) -> str:
        """Return the folder's path, so that a RunFolder can be passed wherever a path can."""
        return str(self.path)

    def __repr__(self) -> str:
        """Return the folder's path as it was given."""
        return f"RunFolder({str(self.path)!r})"

    @property
    def is_run(self) -> bool:
        """Whether this is the folder of one run; a folder of runs is not."""
        return self.config.is_file() and not self.runs()

    def runs(self) -> list[RunFolder]:
        """Return the run folders in this one, in the order of their names."""
        inside = (RunFolder(path, path.name) for path in sorted(self.path.iterdir()) if not path.name.startswith("."))
        return [run for run in inside if run.config.is_file()]

    @cached_property
    def written_config(self) -> dict[str, Any]:
        """What config.json holds, not yet validated; it is read once.

        Raises
        ------
        ConfigError
            When it cannot be read, or is no JSON.
        """
        from tinynet.config.loading import parsed_file

        return parsed_file(str(self.config))

    def only_writer(self) -> AbstractContextManager[Check]:
        """Hold the lock of the folder: see `tinynet.storage.locks.only_writer`."""
        return only_writer(self.path)

    def refuse_if_used(self) -> None:
        """Raise RunFolderError when the folder holds a run or a sweep."""
        for file, what in ((self.config, "run"), (self.sweep, "sweep")):
            if file.exists():
                raise RunFolderError(
                    f"{shown_path(self.path)} holds a {what} already; resume it with --resume, "
                    "or choose another folder with --out"
                )

    def begin(self, config: Config | None, environment: dict[str, Any], history: History) -> None:
        """Write what is known before the first step; for a `config` of None, config.json stays as it is."""
        if config is not None:
            text = config.to_json(self.path)
            write_atomically(self.config, text.encode())
            self.written_config = json.loads(text)
        write_atomically(self.environment, _json(environment))
        write_atomically(self.metrics, history.to_csv().encode())
        self.summary.unlink(missing_ok=True)

    def end(self, model: bytes, summary: dict[str, Any]) -> None:
        """Write the results, summary.json last, since it says that the other files are whole.

        They survive a loss of power once `sync_folder` was called.
        """
        write_atomically(self.model, model)
        write_atomically(self.summary, _json(summary))

    def resume_command(self, *options: str) -> str:
        """Return what to type into bash to resume the run, or the sweep with the same `options`."""
        name = str(self.path)
        if self.sweep.exists():
            path = os.path.join("./" if name.startswith("-") else "", self.sweep)
            return " ".join(["tinynet sweep", typed_path(path), "--resume", *options])
        return f"tinynet train --out{'=' if name.startswith('-') else ' '}{typed_path(name)} --resume"


def create_folder(out: str | None, name: str) -> RunFolder:
    """Create the run folder `out`, or a new runs/NAME-TIME, and return it.

    Raises
    ------
    RunFolderError
        When it holds something already, is a file, or cannot be written.
    """
    if out == "":
        raise RunFolderError("command line: --out: must name a folder, got ''")
    try:
        folder = _new_folder(name) if out is None else _empty_folder(RunFolder(out))
        with tempfile.TemporaryFile(dir=folder.path):
            return folder
    except RunFolderError:
        raise
    except FileExistsError as error:
        raise RunFolderError(f"{shown_path(error.filename)} is not a folder, which a run needs") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        where = shown_path("runs" if out is None else out)
        raise RunFolderError(f"{where}: cannot be written: {reason}; choose another folder with --out") from error


def _new_folder(name: str) -> RunFolder:
    """Create runs/NAME-TIME, with a number behind it for another command within the same second."""
    make_folder(Path("runs"))
    stem, number = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}", 1
    while True:
        folder = Path("runs", stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir()
            sync_folder(folder.parent)
            return RunFolder(folder)
        except FileExistsError:
            number += 1


def _empty_folder(folder: RunFolder) -> RunFolder:
    make_folder(folder.path)
    if (folder.path / LOCK).exists():
        with folder.only_writer():  # names the process that is writing there
            pass
    folder.refuse_if_used()
    if any(not left_behind(path.name) for path in folder.path.iterdir()):
        raise RunFolderError(f"{shown_path(folder.path)} is not empty; choose another folder with --out")
    return folder


def finite(values: dict[str, Any]) -> dict[str, Any]:
    """Return nested values with None in place of nan and inf, which JSON does not have."""

    def known(value: Any) -> Any:
        if isinstance(value, dict):
            return finite(value)
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {key: known(value) for key, value in values.items()}


def _json(values: dict[str, Any]) -> bytes:
    return (json.dumps(finite(values), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
