"""The state of a training as a file, which is read with distrust."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import struct
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.data.npz_files import read_npz
from tinynet.errors import DataError, InvalidTypeError, InvalidValueError, RunFolderError
from tinynet.storage.messages import differences, shortened, shown_path
from tinynet.storage.reading import open_regular_file
from tinynet.training.history import COLUMNS, Epoch, History

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

FORMAT = 2  # 1 had no norms in its history, and no sums
DIGEST = 64  # bytes: SHA-256 of the file before them, in hexadecimal digits; to ZIP they are the archive's comment
NAME = re.compile(r"checkpoint-([0-9]{9,18})\.npz")
GROUPS = ("params", "velocity", "good", "best")
MAX_META = 2**20  # bytes
MAX_HISTORY = 2**30  # bytes, 15 million epochs
MAX_DIRECTORY = 2**16  # bytes of the names at the archive's end, every one of which becomes an object in memory
ARCHIVE_END = struct.Struct("<4s16x4s8xL4xH")  # a ZIP64 locator?, signature, size of the directory, of the comment
ZIP64, SIGNATURE = b"PK\x06\x07", b"PK\x05\x06"
BLOCK = 2**20  # bytes read at a time
LATER = ("network.weight_scale", "training.threads")  # settings that older versions did not store
KINDS: list[Any] = [int if column.type == "int" else float for column in fields(Epoch)]


@dataclass
class Sums:
    """What the steps of the epoch under way add up to: Euclidean lengths, and losses and hits times their weights."""

    gradient: float = 0.0
    update: float = 0.0
    loss: float = 0.0
    correct: float = 0.0
    n_steps: float = 0.0


@dataclass
class State:
    """Everything that resuming from a step needs.

    Attributes
    ----------
    settings : dict, what the steps depend on and a resumed run may not change
    params, velocity : dicts of arrays, those of the network and the optimizer after `step`
    good, best : dicts of arrays, the weights after the last whole epoch and after the best one
    learning_rate : float
    step : int, updates so far
    epoch_s : float, seconds spent in the epoch that is not yet in `history`
    history : History
    sums : Sums of the epoch under way
    during : (loss, accuracy) of the last whole epoch as its batches had them, where it was measured after them all
    """

    settings: dict[str, Any]
    params: Arrays
    velocity: Arrays
    good: Arrays
    best: Arrays
    learning_rate: float
    step: int = 0
    epoch_s: float = 0.0
    history: History = field(default_factory=History)
    sums: Sums = field(default_factory=Sums)
    during: tuple[float, float] | None = None


def to_bytes(state: State) -> bytes:
    """Return a checkpoint: an NPZ archive whose comment is the digest of all before it."""
    meta = {
        "format_version": FORMAT,
        **{name: getattr(state, name) for name in ("settings", "step", "epoch_s", "learning_rate", "during")},
        "stopped_early": state.history.stopped_early,
        "velocity": bool(state.velocity),
        "sums": astuple(state.sums),
        "step_losses": state.history.step_losses[: state.step],  # an epoch that failed is not saved
    }
    if len(text := json.dumps(meta).encode()) > MAX_META:
        raise InvalidValueError(f"checkpoints keep {MAX_META:,} bytes of settings at most, got {len(text):,}")
    arrays: dict[str, Any] = {
        "meta": np.frombuffer(text, np.uint8),
        "history": np.array([astuple(row) for row in state.history], np.float64).reshape(-1, len(COLUMNS)),
    }
    arrays |= {f"{group}_{key}": array for group in GROUPS for key, array in getattr(state, group).items()}
    kinds = [{key: (one.shape, one.dtype) for key, one in part.items()} for part in (state.params, state.velocity)]
    if state.velocity and kinds[0] != kinds[1]:
        raise InvalidTypeError("checkpoints need a velocity with the keys, shapes and dtypes of the parameters")
    buffer = BytesIO()
    np.savez(buffer, **arrays)
    content = buffer.getvalue()[:-2] + struct.pack("<H", DIGEST)  # an archive ends with the length of its comment
    return content + hashlib.sha256(content).hexdigest().encode()


def paths(folder: Path) -> dict[int, Path]:
    """Return the checkpoints in `folder` by their steps, in order."""
    found = {int(match[1]): path for path in folder.iterdir() if (match := NAME.fullmatch(path.name))}
    return dict(sorted(found.items()))


def read_state(path: Path, params: Mapping[str, Array], settings: Mapping[str, Any]) -> State:
    """Return the state in a file, or raise DataError where the file is not exactly what was written.

    Settings come first: those that differ say more than the shapes of weights that do not fit.
    """
    try:
        _check_whole(path, params)
        known = read_npz(path, ["meta", "history"], compressed=False)
        meta = json.loads(known["meta"][:MAX_META].tobytes())
        if (version := meta["format_version"]) not in (1, FORMAT):
            raise RunFolderError(
                f"{shown_path(path)}: has format version {shortened(version)}, and this tinynet reads {FORMAT}; "
                "resume with the version of tinynet that wrote it, or a newer one"
            )
        stored, rate = _with_defaults(meta["settings"], settings), float(meta["learning_rate"])
        changed = {"learning_rate": rate} if settings.get("learning_rate") == rate else {}  # by a callback
        if differing := differences(stored | changed, settings):
            raise RunFolderError(f"{shown_path(path)}: the training {differing}")
        groups = [group for group in GROUPS if group != "velocity" or meta["velocity"]]
        arrays = read_npz(path, [f"{group}_{key}" for group in groups for key in params], compressed=False)
        there = {group: {key: _array(arrays[f"{group}_{key}"], params[key]) for key in params} for group in groups}
        state = State(
            stored,
            **{group: there.get(group, {}) for group in GROUPS},
            learning_rate=rate,
            step=int(meta["step"]),
            epoch_s=float(meta["epoch_s"]),
            history=_history(known["history"], bool(meta["stopped_early"]), meta.get("step_losses", [])),
            sums=Sums(*map(float, meta.get("sums", ()))),
            during=None if (during := meta.get("during")) is None else (float(during[0]), float(during[1])),
        )
        _check_position(path, state)
        return state
    except (RunFolderError, DataError):
        raise
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, OSError) as error:
        raise DataError(
            f"{shown_path(path)}: is not what tinynet wrote for such a network: {shown_path(f'{error!s:.100}')}"
        ) from error


def _with_defaults(settings: dict[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in settings that older versions did not store; those in `LATER` are taken to be as they are `now`."""
    if not all(isinstance(value, str | int | float | None) for value in settings.values()):
        raise ValueError("a setting that is a list or an object")
    settings.setdefault("keep", "last" if settings.get("patience") is None else "best")
    settings.setdefault("measure", "after")
    return settings | {key: now[key] for key in LATER if key in now and key not in settings}


def _check_whole(path: Path, params: Mapping[str, Array]) -> None:
    """Raise DataError unless the file ends with the digest of all before, and is no larger than one for `params`."""
    largest = len(GROUPS) * sum(param.nbytes for param in params.values()) + MAX_HISTORY + MAX_META + MAX_DIRECTORY
    sha = hashlib.sha256()
    with open_regular_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise DataError(f"has {size:,} bytes, more than such a network can need")
        for begin in range(0, size - DIGEST, BLOCK):
            sha.update(file.read(min(BLOCK, size - DIGEST - begin)))
        if file.read(DIGEST + 1) != sha.hexdigest().encode():
            raise DataError("is cut short or damaged: its checksum does not match")
        file.seek(max(0, size - DIGEST - ARCHIVE_END.size))
        end = file.read(ARCHIVE_END.size).rjust(ARCHIVE_END.size)
        locator, signature, n_directory, n_comment = ARCHIVE_END.unpack(end)
        plain = (signature, n_comment) == (SIGNATURE, DIGEST) and (locator != ZIP64 or size >= 2**31)
        if not plain or n_directory > MAX_DIRECTORY:
            raise DataError("does not end as what tinynet writes")


def _check_position(path: Path, state: State) -> None:
    """Raise ValueError unless step, history and the file's name go together."""
    n_steps = state.history.rows[0].step if state.history.rows else state.step
    into_epoch = state.step - len(state.history) * n_steps
    fits = path.name == file_name(state.step) and 0 <= into_epoch <= n_steps and 0 <= state.epoch_s < math.inf
    rows_fit = all(row.step == row.epoch * n_steps for row in state.history)
    if not (fits and rows_fit and len(state.history.step_losses) in (0, state.step)):
        raise ValueError(f"step {state.step} after {len(state.history)} epochs of {n_steps} steps")


def file_name(step: int) -> str:
    """Return the name of the checkpoint after `step`."""
    return f"checkpoint-{step:09d}.npz"


def _history(table: Array, stopped_early: bool, step_losses: list[float]) -> History:
    n_columns = table.shape[1] if table.ndim == 2 else 0
    if n_columns not in (len(COLUMNS) - 2, len(COLUMNS)) or list(table[:, 0]) != list(range(1, len(table) + 1)):
        raise ValueError(f"a history of shape {table.shape}")
    rows = [Epoch(*(kind(cell) for kind, cell in zip(KINDS[:n_columns], row, strict=True))) for row in table]
    return History(rows, stopped_early, step_losses=[float(loss) for loss in step_losses])


def _array(array: Array, param: Array) -> Array:
    if array.shape != param.shape or array.dtype != np.float64:
        raise ValueError(f"an array of shape {array.shape} and dtype {array.dtype} for weights of {param.shape}")
    return np.array(array)
