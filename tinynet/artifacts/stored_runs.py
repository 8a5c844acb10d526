"""Runs read from their folders: config, metrics, summary and environment. All damaged files are named at once."""

from __future__ import annotations

import copy
import csv
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from tinynet.artifacts.model import Model, load_model
from tinynet.artifacts.run_folder import FINAL, TRAINED, RunFolder, Status
from tinynet.config.loading import MAX_FAULTS, check_same, config_from, flat, load_config, resolve_path
from tinynet.config.sections import Config
from tinynet.errors import DataError, RunFolderError
from tinynet.storage.messages import shown_path
from tinynet.storage.reading import read_text
from tinynet.training.history import COLUMNS, Epoch, History

MAX_JSON, MAX_CSV = 2**20, 2**28  # bytes; a million epochs have less than that
OPTIONAL = {column.name for column in fields(Epoch) if column.default is not MISSING}  # absent in older files
T = TypeVar("T")


class ClassScores(BaseModel):
    """How well one class was recognised; None where a score is not defined."""

    n_samples: int
    precision: float | None
    recall: float | None
    f1: float | None


class TestScores(BaseModel):
    """What `tinynet.reports.scores.score` says of the test part."""

    n_samples: int
    loss: float | None
    guessing_loss: float | None
    accuracy: float
    accuracy_interval: tuple[float, float]
    majority_accuracy: float
    balanced_accuracy: float | None
    macro_f1: float | None
    roc_auc: float | None
    classes: list[ClassScores]


class Summary(BaseModel):
    """What summary.json must hold for a report or a row of a sweep; it may hold more."""

    status: str
    n_parameters: int
    n_train: int
    n_validation: int
    n_test: int
    test_loss: float | None
    test_accuracy: float | None
    duration_s: float
    epochs: int | None = None
    data_digest: str | None = None
    test_scores: TestScores | None = None  # older versions wrote neither them nor remarks
    remarks: list[str] | None = None
    final: dict[str, int | float | None] | None = None
    best: dict[str, int | float | None] | None = None
    step_losses: list[float] = []


@dataclass(frozen=True, repr=False)
class StoredRun:
    """One run, as read from its folder.

    Attributes
    ----------
    folder : RunFolder
    config : Config
    history : History
    summary : Summary
        Status, numbers of samples, test figures; None for a run that was killed, or is still running.
    environment : dict, the versions and the machine
    running : bool, the run is under way in this process
    """

    folder: RunFolder
    config: Config
    history: History
    summary: Summary | None
    environment: dict[str, Any] = field(default_factory=dict)
    running: bool = False

    def __repr__(self) -> str:
        """Return where the run is and how it ended, in one line."""
        accuracy = None if self.summary is None else self.summary.test_accuracy
        figure = "" if accuracy is None else f", test accuracy {100 * accuracy:.1f} %"
        return f"StoredRun({str(self.folder.path)!r}: {self.status}, {len(self.history)} epochs{figure})"

    def __fspath__(self) -> str:
        """Return the path of the folder, so that a run stands for it wherever a path does."""
        return str(self.folder.path)

    @cached_property
    def model(self) -> Model:
        """The trained model, which takes raw rows.

        Raises
        ------
        RunFolderError
            When the folder has none, or it is damaged.
        """
        return load_model(self.folder.path)

    @property
    def label(self) -> str:
        """What pages call the run."""
        return self.folder.label

    @property
    def status(self) -> str:
        """How the run ended, or that it has not."""
        if self.running:
            return Status.RUNNING
        return Status.UNFINISHED if self.summary is None else self.summary.status

    @property
    def finished(self) -> bool:
        """Whether the run was trained to its end, so that its figures can be compared."""
        return self.status in TRAINED and len(self.history) > 0

    @property
    def settings(self) -> dict[str, Any]:
        """The config by dotted key, data files by their absolute paths."""
        return flat(self.config.model_dump(exclude_none=True))


@dataclass(frozen=True)
class MissingRun:
    """A run of a sweep that left no folder: what sweep.csv says of it."""

    label: str
    status: str
    error: str = ""


def read_runs(folders: Sequence[Path]) -> tuple[list[StoredRun], list[MissingRun]]:
    """Read run folders, and those inside of folders of runs, in the order of their names.

    In a folder with a sweep.csv its rows say which folders are runs, and which runs left none.

    Raises
    ------
    RunFolderError
        With a line for each folder that is none or holds no run, and each file that is damaged.
    """
    faults: list[str] = []
    found = [_collect(faults, _runs_in, RunFolder(folder)) or ([], []) for folder in folders]
    places = {run.path.resolve(): run.path for inner, _ in found for run in inner}
    root = Path(os.path.commonpath([place.parent for place in places])) if places else Path()
    labelled = [RunFolder(path, str(place.relative_to(root))) for place, path in places.items()]
    runs = [_collect(faults, read_run, folder) for folder in labelled]
    if faults:
        more = [] if len(faults) <= MAX_FAULTS else [f"{len(faults) - MAX_FAULTS} more faults"]
        raise RunFolderError("\n".join([*faults[:MAX_FAULTS], *more]))
    return [run for run in runs if run is not None], [one for _, missing in found for one in missing]


def read_run(folder: RunFolder) -> StoredRun:
    """Read one run folder; `read_runs` collects what is wrong with many."""
    config = read_config(folder)
    summary = _read_json(folder.summary, Summary)
    history = _history(folder.metrics, whole=summary is not None)
    if summary is not None:
        if summary.status in FINAL and summary.epochs not in (None, len(history)):
            told = f"has {len(history)} epochs, {shown_path(folder.summary)} has {summary.epochs}"
            raise RunFolderError(f"{shown_path(folder.metrics)}: is damaged: {told}")
        history.step_losses = summary.step_losses
    return StoredRun(folder, config, history, summary, read_environment(folder))


def read_config(folder: RunFolder, overrides: Iterable[str] = ()) -> Config:
    """Return the config of the run in `folder` with `overrides`, or raise ConfigError with all that is wrong."""
    values = copy.deepcopy(folder.written_config)
    resolve_path(values, str(folder.path))
    return config_from(values, str(folder.config), overrides)


def read_environment(folder: RunFolder) -> dict[str, Any]:
    """Return what the run in `folder` ran on, nothing when it was not written."""
    return _read_json(folder.environment, dict[str, Any]) or {}


def read_ending(folder: RunFolder) -> Summary | None:
    """Return the summary of a run that ended by itself, None for one that a sweep still has to run."""
    try:
        summary: Summary | None = _read_json(folder.summary, Summary)
    except RunFolderError:
        return None
    return summary if summary is not None and summary.status in FINAL else None


def load_resumed(folder: RunFolder, source: str | None, overrides: Iterable[str] = ()) -> Config:
    """Return the config with which the run in `folder` is resumed: `source`, or its own, with `overrides`.

    Raises
    ------
    ConfigError
        As `load_config` does.
    RunFolderError
        When there is no run, or it was begun with another config: training.epochs alone may differ.
    """
    name = str(folder.path)
    if not folder.config.is_file():
        is_sweep = folder.sweep.is_file()
        hint = f", but it is a sweep's: '{folder.resume_command()}'" if is_sweep else ""
        raise RunFolderError(f"{shown_path(name)} holds no run to resume: there is no {folder.config.name} in it{hint}")
    if source is None or os.path.realpath(source) == str(folder.config.resolve()):
        config = read_config(folder, overrides)
    else:
        config = load_config(source, overrides)
    before, now = (flat(one.model_dump(exclude_none=True)) for one in (read_config(folder), config))
    check_same(name, before, now | {"training.epochs": before["training.epochs"]})
    return config


def _collect(faults: list[str], read: Callable[..., T], folder: RunFolder) -> T | None:
    """Return what `read` returns, or add to `faults` why it cannot."""
    try:
        return read(folder)
    except (ValueError, RunFolderError) as error:
        faults += str(error).splitlines()
    except OSError as error:
        faults.append(f"{shown_path(error.filename or folder.path)}: cannot be read: {error.strerror or error}")
    return None


def _runs_in(folder: RunFolder) -> tuple[list[RunFolder], list[MissingRun]]:
    name = shown_path(folder.path)
    if folder.path.is_file():
        raise RunFolderError(f"{name}: is a file; a report is made of a run folder, or of a folder of them")
    runs = folder.runs()
    if not runs and folder.config.is_file():
        return [folder], []
    missing = []
    if folder.sweep_table.is_file():
        rows = _sweep_rows(folder.sweep_table)
        if not rows:
            advice = "remove it, and the report is of the run folders beside it"
            raise RunFolderError(f"{shown_path(folder.sweep_table)}: names no run; {advice}")
        missing = [row for row in rows if not RunFolder(folder.path / row.label).config.is_file()]
        named = {row.label for row in rows}
        runs = [run for run in runs if run.label in named]
    if not runs and not missing:
        raise RunFolderError(f"{name}: no run in it: neither {folder.config.name} nor a folder that holds one")
    return runs, missing


def _sweep_rows(path: Path) -> list[MissingRun]:
    """Return all runs that sweep.csv names."""
    header, *lines = _cells(path, _text(path, MAX_CSV) or "") or [[]]
    rows = [dict(zip(header, line, strict=False)) for line in lines if any(line)]
    for row in rows:
        if not row.get("run") or "status" not in row:
            raise RunFolderError(f"{shown_path(path)}: is damaged: a row without a run or a status")
    return [MissingRun(row["run"], row["status"], row.get("error", "")) for row in rows]


def _text(path: Path, most: int) -> str | None:
    """Return the text of a file of `most` bytes or fewer, None when there is none."""
    try:
        return read_text(path, most)
    except DataError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise RunFolderError(str(error)) from error


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Return the validator of a type; making one takes longer than validating with it."""
    return TypeAdapter(kind)


def _read_json(path: Path, kind: Any) -> Any:
    """Return what a JSON file holds as a `kind`, None when there is none."""
    text = _text(path, MAX_JSON)
    try:
        return None if text is None else _adapter(kind).validate_json(text)
    except ValidationError as error:
        raise RunFolderError(f"{shown_path(path)}: is damaged: {_first(error)}") from error


def _history(path: Path, *, whole: bool) -> History:
    """Read metrics.csv; a run that is not `whole` may lack the file, or have a last line cut short."""
    name, text = shown_path(path), _text(path, MAX_CSV)
    if whole and text is None:
        raise RunFolderError(f"{name}: cannot be read: No such file or directory")
    lines, _, cut = (text or "").rpartition("\n")
    if whole and cut:
        raise RunFolderError(f"{name}: line {len(lines.splitlines()) + 1}: is damaged: cut short")
    header, *rows = _cells(path, lines) or [[*COLUMNS]]
    if [*header, *(name for name in COLUMNS if name in OPTIONAL and name not in header)] != [*COLUMNS]:
        raise RunFolderError(f"{name}: line 1: is damaged: the columns must be {','.join(COLUMNS)}")
    history = History()
    for number, cells in enumerate(rows, 2):
        where = f"{name}: line {number}: is damaged"
        if len(cells) != len(header):
            raise RunFolderError(f"{where}: must have {len(header)} cells, got {len(cells)}")
        try:
            values = dict(zip(header, (cell or "nan" for cell in cells), strict=True))
            history.rows.append(_adapter(Epoch).validate_python(values))
        except ValidationError as error:
            raise RunFolderError(f"{where}: {_first(error)}") from error
    return history


def _cells(path: Path, text: str) -> list[list[str]]:
    try:
        return list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise RunFolderError(f"{shown_path(path)}: is damaged: {error}") from error


def _first(error: ValidationError) -> str:
    """Return the first fault in one line."""
    detail = error.errors(include_url=False)[0]
    message = re.sub("^Input should", "must", detail["msg"]).replace("Field required", "missing")
    message = message.replace("Invalid JSON", "not valid JSON")
    received = "" if detail["type"] in ("missing", "json_invalid") else f", got {shown_path(str(detail['input']))}"
    return ": ".join(filter(None, [".".join(map(str, detail["loc"])), message + received]))
