"""What run folders hold, read back: config, metrics, summary, environment; damaged files are named, all at once."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from tinynet.config.loading import flat, load_config, shown
from tinynet.config.sections import Config
from tinynet.errors import RunFolderError
from tinynet.training.history import COLUMNS, Epoch, History

FINISHED = ("completed", "stopped early")
MAX_JSON, MAX_CSV = 2**20, 2**28  # bytes; a million epochs have less than that
MAX_FAULTS = 20  # told; whoever has more reads no further
T = TypeVar("T")


class Summary(BaseModel):
    """What summary.json must hold for a report or a row of a sweep; more may stand there."""

    model_config = ConfigDict(extra="ignore")

    status: str
    n_parameters: int
    n_train: int
    n_validation: int
    n_test: int
    test_loss: float | None
    test_accuracy: float | None
    duration_s: float
    data_digest: str | None = None
    final: dict[str, float | None] | None = None
    best: dict[str, float | None] | None = None


@dataclass(frozen=True)
class Record:
    """One run as its folder tells it; a run that was killed, or is still going, has no summary."""

    folder: Path
    label: str
    config: Config
    history: History
    summary: Summary | None
    environment: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """How the run ended: "unfinished" without a summary."""
        return "unfinished" if self.summary is None else self.summary.status

    @property
    def finished(self) -> bool:
        """Whether the run came to its end, so that its figures compare with those of others."""
        return self.status in FINISHED and len(self.history) > 0

    @property
    def settings(self) -> dict[str, Any]:
        """The config by dotted key, data files by their absolute paths."""
        return flat(self.config.model_dump(exclude_none=True))

    @property
    def written(self) -> dict[str, Any]:
        """The config by dotted key, as config.json has it."""
        return flat(json.loads((self.folder / "config.json").read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Absent:
    """A run of a sweep that left no folder: what sweep.csv says of it."""

    label: str
    status: str
    error: str = ""


def read_records(folders: Sequence[Path]) -> tuple[list[Record], list[Absent]]:
    """Read run folders, and those inside of folders of runs, in order of their names.

    In a folder with a sweep.csv its rows say which folders are runs, and which runs left none.

    Raises
    ------
    RunFolderError
        With a line for each folder that is none or holds no run, and each file that is damaged.
    """
    faults: list[str] = []
    found = [_collect(faults, _runs_in, folder) or ([], []) for folder in folders]
    runs = {run.resolve(): run for inner, _ in found for run in inner}
    root = Path(os.path.commonpath([run.parent for run in runs])) if runs else Path()
    records = [_collect(faults, read_record, run, str(place.relative_to(root))) for place, run in runs.items()]
    if faults:
        more = [] if len(faults) <= MAX_FAULTS else [f"{len(faults) - MAX_FAULTS} more faults"]
        raise RunFolderError("\n".join([*faults[:MAX_FAULTS], *more]))
    return [record for record in records if record is not None], [one for _, absent in found for one in absent]


def is_run(folder: Path) -> bool:
    """Return whether `folder` is that of one run; a folder of runs is not."""
    return (folder / "config.json").is_file() and not _subfolders(folder)


def _collect(faults: list[str], read: Callable[..., T], *arguments: Any) -> T | None:
    """Return what `read` returns, or put into `faults` why it cannot."""
    try:
        return read(*arguments)
    except (ValueError, RunFolderError) as error:
        faults += str(error).splitlines()
    except OSError as error:
        faults.append(f"{shown(str(error.filename or arguments[0]))}: cannot be read: {error.strerror or error}")
    return None


def _runs_in(folder: Path) -> tuple[list[Path], list[Absent]]:
    name = shown(str(folder))
    if folder.is_file():
        raise RunFolderError(f"{name}: is a file; a report is made of a run folder, or of a folder of them")
    runs, sweep = _subfolders(folder), folder / "sweep.csv"
    if not runs and (folder / "config.json").is_file():
        return [folder], []
    absent = []
    if sweep.is_file():
        rows = _sweep_rows(sweep)
        absent = [Absent(**row) for row in rows if not (folder / row["label"] / "config.json").is_file()]
        named = {row["label"] for row in rows}
        runs = [run for run in runs if run.name in named]
    if not runs and not absent:
        raise RunFolderError(f"{name}: no run in it: neither config.json nor a folder that holds one")
    return runs, absent


def _subfolders(folder: Path) -> list[Path]:
    inside = sorted(inner for inner in folder.iterdir() if (inner / "config.json").is_file())
    return [inner for inner in inside if not inner.name.startswith(".")]


def _sweep_rows(path: Path) -> list[dict[str, str]]:
    try:
        rows = list(csv.DictReader(io.StringIO(bounded_text(path, MAX_CSV), newline=""), restval=""))
        if not all(row["run"] for row in rows):
            raise ValueError("a row without a run")
        return [{"label": row["run"], "status": row["status"], "error": row.get("error", "")} for row in rows]
    except (KeyError, ValueError, csv.Error) as error:
        raise RunFolderError(f"{shown(str(path))}: is damaged: {' '.join(str(error).split())}") from error


def read_record(folder: Path, label: str) -> Record:
    """Read one run folder; `read_records` collects what is wrong with many."""
    config = load_config(str(folder / "config.json"))
    summary = _json(folder / "summary.json", Summary.model_validate)
    history = _history(folder / "metrics.csv", whole=summary is not None)
    environment = _json(folder / "environment.json", _adapter(dict[str, Any]).validate_python) or {}
    return Record(folder, label, config, history, summary, environment)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Return what checks values of this kind, made once: to make it takes longer than to check with it."""
    return TypeAdapter(kind)


def bounded_text(path: Path, most: int) -> str:
    """Return the text of a file, which must be one, and of `most` bytes at most."""
    if path.exists() and not path.is_file():  # a pipe could keep us waiting for ever
        raise RunFolderError(f"{shown(str(path))}: is not a file")
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise RunFolderError(f"{shown(str(path))}: is damaged: larger than {most // 2**20} MiB")
    return content.decode("utf-8")


def _json(path: Path, validate: Callable[[Any], T]) -> T | None:
    """Return what a JSON file holds, None when there is none."""
    name = shown(str(path))
    try:
        return validate(json.loads(bounded_text(path, MAX_JSON)))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise RunFolderError(f"{name}: is damaged: {_first(error)}") from error
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"{name}: is damaged: not valid JSON: {' '.join(str(error).split())}") from error


def _history(path: Path, *, whole: bool) -> History:
    """Read metrics.csv; when the run was not `whole`, a missing file and a last line cut short are no fault."""
    try:
        content = bounded_text(path, MAX_CSV)
    except FileNotFoundError:
        if whole:
            raise
        return History()
    except UnicodeDecodeError as error:
        raise RunFolderError(f"{shown(str(path))}: is damaged: not UTF-8") from error
    if not whole:
        content = content[: content.rfind("\n") + 1]
    rows = _cells(path, content)
    header = next(rows, list(COLUMNS))
    if header != list(COLUMNS):
        raise RunFolderError(f"{shown(str(path))}: line 1: is damaged: the columns must be {','.join(COLUMNS)}")
    read = _adapter(Epoch).validate_python
    history = History()
    for number, cells in enumerate(rows, 2):
        where = f"{shown(str(path))}: line {number}: is damaged"
        if len(cells) != len(COLUMNS):
            raise RunFolderError(f"{where}: {len(COLUMNS)} cells belong there, got {len(cells)}")
        try:
            history.rows.append(read(dict(zip(COLUMNS, (cell or "nan" for cell in cells), strict=True))))
        except ValidationError as error:
            raise RunFolderError(f"{where}: {_first(error)}") from error
    if whole and content and not content.endswith("\n"):
        raise RunFolderError(f"{shown(str(path))}: line {len(history) + 1}: is damaged: cut short")
    return history


def _cells(path: Path, content: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(content.splitlines())
    except csv.Error as error:
        raise RunFolderError(f"{shown(str(path))}: is damaged: {error}") from error


def _first(error: ValidationError) -> str:
    detail = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in detail["loc"])
    message = detail["msg"].replace("Input should", "must").replace("Field required", "missing")
    received = "" if detail["type"] == "missing" else f", got {shown(str(detail['input']))}"
    return f"{key}: {message}{received}" if key else f"{message}{received}"
