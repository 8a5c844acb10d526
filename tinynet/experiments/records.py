"""What run folders hold, read back: config, metrics, summary, environment; damaged files are named, all at once."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from tinynet.errors import RunFolderError
from tinynet.experiments.config import Config, load_config, shown
from tinynet.history import COLUMNS, Epoch, History

FINISHED = ("completed", "stopped early")
MAX_FAULTS = 20  # told; whoever has more reads no further
T = TypeVar("T")


class Summary(BaseModel):
    """What summary.json must hold for a report; more may stand there."""

    model_config = ConfigDict(extra="ignore")

    status: str
    n_parameters: int
    n_train: int
    n_validation: int
    n_test: int
    test_loss: float | None
    test_accuracy: float | None
    duration_s: float


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
        """The config by dotted key."""
        return flat(self.config.model_dump(exclude_none=True))


def read_records(folders: Sequence[Path]) -> list[Record]:
    """Read run folders, and those inside of folders of runs, in order of their names.

    Raises
    ------
    RunFolderError
        With a line for each folder that is none or holds no run, and each file that is damaged.
    """
    faults: list[str] = []
    found = [run for folder in folders for run in _collect(faults, _runs_in, folder) or []]
    runs = list(dict.fromkeys(run.resolve() for run in found))
    root = Path(os.path.commonpath([run.parent for run in runs])) if runs else Path()
    records = [_collect(faults, _read, run, str(run.relative_to(root))) for run in runs]
    if faults:
        more = [] if len(faults) <= MAX_FAULTS else [f"{len(faults) - MAX_FAULTS} more faults"]
        raise RunFolderError("\n".join([*faults[:MAX_FAULTS], *more]))
    return [record for record in records if record is not None]


def is_run(folder: Path) -> bool:
    """Return whether `folder` is that of one run; a folder of runs is not."""
    return (folder / "config.json").is_file() and not _subfolders(folder)


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested `values` by dotted key."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def _collect(faults: list[str], read: Callable[..., T], *arguments: Any) -> T | None:
    """Return what `read` returns, or put into `faults` why it cannot."""
    try:
        return read(*arguments)
    except (ValueError, RunFolderError) as error:
        faults += str(error).splitlines()
    except OSError as error:
        faults.append(f"{shown(str(error.filename or arguments[0]))}: cannot be read: {error.strerror or error}")
    return None


def _runs_in(folder: Path) -> list[Path]:
    name = shown(str(folder))
    if folder.is_file():
        raise RunFolderError(f"{name}: is a file; a report is made of a run folder, or of a folder of them")
    if is_run(folder):  # a folder that is missing is told by its listing
        return [folder]
    runs = _subfolders(folder)
    if not runs:
        raise RunFolderError(f"{name}: no run in it: neither config.json nor a folder that holds one")
    return runs


def _subfolders(folder: Path) -> list[Path]:
    return sorted(inner for inner in folder.iterdir() if (inner / "config.json").is_file())


def _read(folder: Path, label: str) -> Record:
    config = load_config(str(folder / "config.json"))
    summary = _json(folder / "summary.json", Summary.model_validate)
    history = _history(folder / "metrics.csv", whole=summary is not None)
    environment = _json(folder / "environment.json", TypeAdapter(dict[str, Any]).validate_python) or {}
    return Record(folder, label, config, history, summary, environment)


def _json(path: Path, validate: Callable[[Any], T]) -> T | None:
    """Return what a JSON file holds, None when there is none."""
    name = shown(str(path))
    try:
        return validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise RunFolderError(f"{name}: is damaged: {_first(error)}") from error
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"{name}: is damaged: not valid JSON: {' '.join(str(error).split())}") from error


def _history(path: Path, *, whole: bool) -> History:
    """Read metrics.csv; when the run was not `whole`, a missing file and a last line cut short are no fault."""
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if whole:
            raise
        return History()
    except UnicodeDecodeError as error:
        raise RunFolderError(f"{shown(str(path))}: is damaged: not UTF-8") from error
    if not whole:
        content = content[: content.rfind("\n") + 1]
    header, *rows = list(csv.reader(content.splitlines())) or [list(COLUMNS)]
    if header != list(COLUMNS):
        raise RunFolderError(f"{shown(str(path))}: line 1: is damaged: the columns must be {','.join(COLUMNS)}")
    read = TypeAdapter(Epoch).validate_python
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
        raise RunFolderError(f"{shown(str(path))}: line {len(rows) + 1}: is damaged: cut short")
    return history


def _first(error: ValidationError) -> str:
    detail = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in detail["loc"])
    message = detail["msg"].replace("Input should", "must").replace("Field required", "missing")
    received = "" if detail["type"] == "missing" else f", got {shown(str(detail['input']))}"
    return f"{key}: {message}{received}" if key else f"{message}{received}"
