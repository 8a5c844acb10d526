"""The state of a training run on disk: written whole or not at all, kept in two generations, read with distrust."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import struct
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from functools import partial
from io import BytesIO
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.data.samples import Samples
from tinynet.data.tables import read_npz
from tinynet.errors import DamagedError, DataError, InvalidTypeError, InvalidValueError, RunFolderError
from tinynet.network import TwoLayerNet
from tinynet.storage.reading import digest, open_regular_file, shown_path
from tinynet.storage.writing import sync_folder, write_atomically
from tinynet.training.history import COLUMNS, Epoch, History

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

FORMAT = 1
DIGEST = 64  # bytes: SHA-256 of the file before them, in hexadecimal digits; to ZIP they are the archive's comment
SHARE = 50  # a checkpoint at the end of an epoch waits until the training has taken so many times what all of them cost
NAME = re.compile(r"checkpoint-([0-9]{9,18})\.npz")
GROUPS = ("params", "velocity", "good", "best")
MAX_META = 2**20  # bytes
MAX_HISTORY = 2**30  # bytes, 15 million epochs
MAX_DIRECTORY = 2**16  # bytes of the names at the archive's end, every one of which becomes an object in memory
ARCHIVE_END = struct.Struct("<4s16x4s8xL4xH")  # a ZIP64 locator?, signature, size of the directory, of the comment
ZIP64, SIGNATURE = b"PK\x06\x07", b"PK\x05\x06"
MAX_SHOWN = 20  # settings that differ
BLOCK = 2**20  # bytes read at a time
FIRST_COST_S = 0.005  # a guess at what the first checkpoint costs
SIMPLE = str, int, float, type(None)  # what JSON gives back as it was
FUNCTIONS = FunctionType, MethodType, BuiltinFunctionType, type, np.ufunc, partial  # without a state of their own
KINDS: list[Any] = [int if column.type == "int" else float for column in fields(Epoch)]


@dataclass
class State:
    """Everything that going on from a step needs.

    Attributes
    ----------
    settings : dict, what the steps depend on and a resumed run may not change
    step : int, updates so far
    epoch_s : float, seconds spent in the epoch that is not yet in `history`
    learning_rate : float
    history : History
    params, velocity : dicts of arrays, those of the network and the optimizer after `step`
    good, best : dicts of arrays, the weights after the last whole epoch and after the best one
    """

    settings: dict[str, Any]
    step: int
    epoch_s: float
    learning_rate: float
    history: History
    params: Arrays
    velocity: Arrays
    good: Arrays
    best: Arrays


class Keeper:
    """Saves the states of one training run into a folder when they are due, and finds the last one.

    Parameters
    ----------
    folder : Path
    every_s : float, seconds of training between checkpoints inside an epoch; 0 saves every step
    spent_s : float, seconds that it took to prepare for checkpoints

    Notes
    -----
    At the end of an epoch a checkpoint is due once all together, this one and the last of all included, cost no
    more than 2 % of the training: epochs of milliseconds are not saved one by one.
    """

    def __init__(self, folder: Path, every_s: float, spent_s: float = 0.0) -> None:
        self.folder, self.every_s = folder, every_s
        self._begun_at = self._saved_at = time.perf_counter()
        self._spent_s, self._cost_s = spent_s, FIRST_COST_S  # of all checkpoints, of one
        self._saved = 0, 0  # step and epochs of the newest
        self._damaged: set[int] = set()

    def load(self, settings: Mapping[str, Any], params: Mapping[str, Array]) -> State | None:
        """Return the last state that was saved, or None when there is no checkpoint.

        Parameters
        ----------
        settings : mapping, which must be that of the state
        params : mapping of arrays, whose shapes must be those of the state

        Warns
        -----
        UserWarning
            When the newest checkpoint is damaged and the one before is returned.

        Raises
        ------
        DamagedError
            When none can be read.
        RunFolderError
            When one comes from another version, or the settings differ; these are named.
        """
        damage: list[str] = []
        for step, path in reversed(paths(self.folder).items()):
            try:
                state = _read(path, params, settings)
            except DataError as error:
                damage.append(str(error))
                self._damaged.add(step)
                continue
            if damage:  # 6: who called train
                warnings.warn(f"{'; '.join(damage)}; going on from {path.name}, the one before", stacklevel=6)
            self._saved = state.step, len(state.history)
            return state
        if damage:
            raise DamagedError("\n".join(damage))
        return None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was saved or loaded."""
        return self._saved == (0, 0)

    def is_due(self, *, epoch_ended: bool = False) -> bool:
        """Return whether it is time for a checkpoint, or, where an epoch ended, whether one is worth its cost."""
        now = time.perf_counter()
        worth_it = now - self._begun_at >= SHARE * (self._spent_s + 2 * self._cost_s)  # this one, and that at the end
        return now - self._saved_at >= self.every_s or (epoch_ended and worth_it)

    def save(self, state: State) -> None:
        """Write the checkpoint of `state` unless that or a later one is there, and keep the one before, no other.

        Raises
        ------
        OSError
            When it cannot be written; the older ones stay.
        """
        saved, started = (state.step, len(state.history)), time.perf_counter()
        if saved <= self._saved:
            return
        write_atomically(self.folder / _name(state.step), to_bytes(state))
        sync_folder(self.folder)
        there = paths(self.folder)
        self._damaged.discard(state.step)
        older = [step for step in there if step < state.step and step not in self._damaged]
        for step in there.keys() - {state.step, *older[-1:]}:  # a later one could not be read
            if not there[step].is_dir():  # which is nobody's checkpoint
                there[step].unlink(missing_ok=True)
        self._saved, self._saved_at = saved, time.perf_counter()
        self._cost_s = self._saved_at - started
        self._spent_s += self._cost_s


def to_bytes(state: State) -> bytes:
    """Return a checkpoint: an NPZ archive whose comment is the digest of all before it."""
    meta = {
        "format_version": FORMAT,
        "settings": state.settings,
        "step": state.step,
        "epoch_s": state.epoch_s,
        "learning_rate": state.learning_rate,
        "stopped_early": state.history.stopped_early,
        "velocity": bool(state.velocity),
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


def particulars(
    net: TwoLayerNet,
    optimizer: object,
    training: Samples,
    validation: Samples | None,
) -> dict[str, Any]:
    """Return the settings of a state that are read off network, optimizer and data.

    A function has no version that could be compared: that of an activation is known by some of its values.

    Raises
    ------
    InvalidTypeError
        When the optimizer has a state that no checkpoint could keep.
    """
    if not isinstance(getattr(optimizer, "velocity", None), dict):
        raise InvalidTypeError(
            f"checkpoints need an optimizer whose state is its velocity, as SGD's, got {optimizer!r}"
        )
    own = own_attributes(optimizer)
    if besides := [name for name, value in own.items() if not _is_plain(value)]:
        raise InvalidTypeError(
            f"checkpoints need an optimizer whose state is its velocity, as SGD's, got {optimizer!r}, which has "
            f"{', '.join(besides)} besides"
        )
    values = None
    with np.errstate(all="ignore"), suppress(Exception):  # one that raises somewhere is known by its name alone
        values = np.round(net.activation(np.linspace(-10.0, 10.0, 4001)), 6) + 0.0  # the same on every machine; no -0.0
    rate = getattr(optimizer, "learning_rate", None)
    return {
        "network": "-".join(str(size) for size in (*net.params["W1"].shape, len(net.params["b2"]))),
        "activation": net.activation.name,
        "activation's values": digest(values),
        "optimizer": type(optimizer).__qualname__,
        **{name: value if isinstance(value, SIMPLE) else str(value) for name, value in own.items()},
        **({} if rate is None else {"learning_rate": float(rate)}),
        **{
            f"{name} data": digest()
            if part is None
            else digest(np.asarray(part.X, np.float64), part.labels, part.weights)
            for name, part in (("training", training), ("validation", validation))
        },
    }


def own_attributes(optimizer: object) -> dict[str, Any]:
    """Return what an optimizer was made with, which may not change: all but what a checkpoint keeps, and functions."""
    slots = (slot for kind in type(optimizer).__mro__ for slot in np.atleast_1d(getattr(kind, "__slots__", ())))
    own = {str(slot): getattr(optimizer, slot) for slot in slots if hasattr(optimizer, slot)}
    own |= getattr(optimizer, "__dict__", {})
    kept = ("velocity", "learning_rate", "__dict__", "__weakref__")
    return {name: value for name, value in own.items() if name not in kept and not isinstance(value, FUNCTIONS)}


def _is_plain(value: object) -> bool:
    """Return whether a value cannot change by itself."""
    return all(map(_is_plain, value)) if isinstance(value, tuple) else isinstance(value, (*SIMPLE, np.generic))


def paths(folder: Path) -> dict[int, Path]:
    """Return the checkpoints in `folder` by their steps, in order."""
    found = {int(match[1]): path for path in folder.iterdir() if (match := NAME.fullmatch(path.name))}
    return dict(sorted(found.items()))


def _read(path: Path, params: Mapping[str, Array], settings: Mapping[str, Any]) -> State:
    """Return the state in a file, or raise DataError where the file is not exactly what was written.

    Settings come first: those that differ say more than the shapes of weights that do not fit.
    """
    try:
        _check_whole(path, params)
        known = read_npz(path, ["meta", "history"], compressed=False)
        meta = json.loads(known["meta"][:MAX_META].tobytes())
        if meta["format_version"] != FORMAT:
            raise RunFolderError(
                f"{shown_path(path)}: has format version {_shown(meta['format_version'])}, and this tinynet "
                f"reads {FORMAT}; resume with the version of tinynet that wrote it, or a newer one"
            )
        if not all(isinstance(value, str | int | float | None) for _, value in meta["settings"].items()):
            raise ValueError("a setting that is a list or an object")
        there = meta["settings"]
        if "learning_rate" in there and settings.get("learning_rate") == meta["learning_rate"]:
            there = there | {"learning_rate": meta["learning_rate"]}  # a callback has changed it since
        _check_settings(path, there, settings)
        groups = [group for group in GROUPS if group != "velocity" or meta["velocity"]]
        wanted = {group: {key: f"{group}_{key}" for key in params} for group in groups}
        arrays = read_npz(path, [name for names in wanted.values() for name in names.values()], compressed=False)
        state = State(
            settings=meta["settings"],
            step=int(meta["step"]),
            epoch_s=float(meta["epoch_s"]),
            learning_rate=float(meta["learning_rate"]),
            history=_history(known["history"], bool(meta["stopped_early"])),
            **{
                group: {key: _array(arrays[name], params[key]) for key, name in wanted.get(group, {}).items()}
                for group in GROUPS
            },
        )
        _check_position(path, state)
        return state
    except (RunFolderError, DataError):
        raise
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, OSError) as error:
        raise DataError(
            f"{shown_path(path)}: is not what tinynet wrote for such a network: {_shown(error, 100)}"
        ) from error


def _check_settings(path: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    differing = [
        f"{_shown(key)} ({_shown(there.get(key, 'absent'))} there, {_shown(here.get(key, 'absent'))} here)"
        for key in {**here, **there}
        if not _are_same(there.get(key), here.get(key))
    ]
    if differing:
        more = f" and {len(differing) - MAX_SHOWN} more" if len(differing) > MAX_SHOWN else ""
        raise RunFolderError(
            f"{shown_path(path)}: was made with another {', another '.join(differing[:MAX_SHOWN])}{more}"
        )


def _are_same(there: object, here: object) -> bool:
    return there == here or (there != there and here != here)  # nan


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
    if (
        path.name != _name(state.step)
        or not 0 <= into_epoch <= n_steps
        or any(row.step != row.epoch * n_steps for row in state.history)
        or not (math.isfinite(state.epoch_s) and state.epoch_s >= 0)
    ):
        raise ValueError(f"step {state.step} after {len(state.history)} epochs of {n_steps} steps")


def _shown(value: object, length: int = 60) -> str:
    return shown_path(f"{value!s:.{length}}")


def _name(step: int) -> str:
    return f"checkpoint-{step:09d}.npz"


def _history(table: Array, stopped_early: bool) -> History:
    if table.ndim != 2 or table.shape[1] != len(COLUMNS) or list(table[:, 0]) != list(range(1, len(table) + 1)):
        raise ValueError(f"a history of shape {table.shape}")
    rows = [Epoch(*(kind(cell) for kind, cell in zip(KINDS, row, strict=True))) for row in table]
    return History(rows, stopped_early)


def _array(array: Array, param: Array) -> Array:
    if array.shape != param.shape or array.dtype != np.float64:
        raise ValueError(f"an array of shape {array.shape} and dtype {array.dtype} for weights of {param.shape}")
    return np.array(array)
