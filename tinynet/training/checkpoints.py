"""Checkpoints: where and when a training is saved, put back, and ended by a signal between two steps."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.data.samples import Samples, ScaledRows, dense
from tinynet.errors import (
    DamagedError,
    DataError,
    DivergedError,
    Interrupted,
    InvalidTypeError,
    InvalidValueError,
    RunFolderError,
    check_number,
)
from tinynet.network import TwoLayerNet
from tinynet.storage.locks import Check, only_writer
from tinynet.storage.messages import shown_path
from tinynet.storage.reading import digest
from tinynet.storage.writing import make_folder, sync_folder, write_atomically
from tinynet.training.history import History
from tinynet.training.interrupts import deferred_signals
from tinynet.training.state import State, Sums, file_name, paths, read_state, to_bytes

Array = npt.NDArray[Any]

SHARE = 50  # a checkpoint at the end of an epoch waits until the training has taken so many times what all of them cost
FIRST_COST_S = 0.005  # a guess at what the first checkpoint costs
SIMPLE = str, int, float, type(None)  # what JSON gives back as it was
FUNCTIONS = FunctionType, MethodType, BuiltinFunctionType, type, np.ufunc, partial  # without a state of their own


@dataclass(frozen=True)
class Checkpoints:
    """Where a training saves its state, how often, and whether it resumes from there.

    A checkpoint is written at the end of epochs, as often as that costs no more than 2 % of the training, and
    inside long ones. The optimizer's state must be its ``velocity``, as that of `SGD` is. An error or a signal
    before the first checkpoint leaves network and optimizer as they were.

    Parameters
    ----------
    folder : path, made if need be
    every_s : float of at least 0, default 30
        Seconds of training between checkpoints inside an epoch; 0 saves every step.
    settings : mapping of text and numbers, optional
        What else a training that is resumed must have in common with this one, by name: the version of a function
        of your own, for example. A difference is refused and named.
    resume : bool, default False
        Resume from the last checkpoint in the folder, or begin when there is none yet, and end in the same bits
        as a training that was never interrupted. `epochs` alone may differ from before.
    on_start : callable, optional
        Called before the first step, when the folder is locked, with the `History` that will be returned: empty, or
        what was resumed.
    writer : callable, optional
        What `tinynet.storage.locks.only_writer` has yielded, where the lock of the folder is held already; None means
        that the training takes it.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        When `every_s` is not such a number.
    """

    folder: str | os.PathLike[str]
    every_s: float = 30.0
    settings: Mapping[str, str | float | None] = field(default_factory=dict)
    resume: bool = False
    on_start: Callable[[History], object] | None = None
    writer: Check | None = None

    def __post_init__(self) -> None:
        """Check what can be checked before a training."""
        check_number("every_s", self.every_s, 0.0)
        for name, value in self.settings.items():
            if not isinstance(name, str) or not isinstance(value, str | int | float | None):
                raise InvalidTypeError(
                    f"settings of checkpoints must be text and numbers by name, got {name!r}: {value!r}"
                )

    @contextmanager
    def session(
        self, state: State, net: TwoLayerNet, optimizer: Any, data: tuple[Samples, Samples | None], epochs: int
    ) -> Iterator[Callable[..., None]]:
        """Put the last checkpoint into `state` when it is to be resumed; yield what is called between steps.

        It saves `state` when a checkpoint is due, and ends the training when a signal has come. Where a second
        signal or a loss of nan has ended a step under way, the state after the last whole epoch is saved.
        """
        started = time.perf_counter()
        found = settings_of(net, optimizer, *data)  # in which an optimizer may have a seed of its own
        state.settings |= {
            f"optimizer's {key}" if key in state.settings else key: value for key, value in found.items()
        }
        if twice := self.settings.keys() & state.settings.keys():
            raise InvalidValueError(
                f"settings of checkpoints: {min(twice)!r} is compared already; give yours another name"
            )
        state.settings |= self.settings
        attributes = own_attributes(optimizer)
        keeper = Keeper(Path(self.folder), self.every_s, time.perf_counter() - started)
        if state.settings["schedule"]:  # which sets the rate, whatever it is before
            state.settings.pop("learning_rate", None)
        whole = -1, 0, 0.0, dict[str, Array]()  # epochs, step, rate and velocity at the end of the last whole epoch
        make_folder(keeper.folder)
        with (
            only_writer(keeper.folder) if self.writer is None else nullcontext(self.writer) as check,
            deferred_signals() as stop,
            _put_back(state, optimizer, keeper),
        ):
            if self.resume:
                _resume(state, optimizer, keeper, epochs)
            elif paths(keeper.folder):
                where = shown_path(keeper.folder)
                raise RunFolderError(f"{where} holds checkpoints already; resume=True goes on from them")

            def save() -> None:
                check()
                if (now := own_attributes(optimizer)) != attributes:
                    raise InvalidTypeError(
                        f"checkpoints keep the velocity of an optimizer and its rate, but {optimizer!r} changes more "
                        f"as it trains: it has {now}, and began with {attributes}"
                    )
                keeper.save(state)

            def pause(*, epoch_ended: bool = False, ended: bool = False) -> None:
                nonlocal whole
                state.learning_rate, state.velocity = rate_of(optimizer), optimizer.velocity
                if epoch_ended:
                    whole = len(state.history), state.step, state.learning_rate, copied(state.velocity)
                stopped = stop()
                if stopped or ended or keeper.is_due(epoch_ended=epoch_ended):
                    save()
                if stopped:
                    raise stopped

            try:
                if self.on_start is not None:
                    self.on_start(state.history)
                yield pause
            except (DivergedError, Interrupted):
                n_whole, state.step, state.learning_rate, state.velocity = whole
                if n_whole == len(state.history):
                    state.epoch_s, state.sums = 0.0, Sums()
                    save()
                raise


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
        self.saved = 0, 0  # step and epochs of the newest
        self._damaged: dict[int, str] = {}  # by step, how

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
        for step, path in reversed(paths(self.folder).items()):
            try:
                state = read_state(path, params, settings)
            except DataError as error:
                self._damaged[step] = str(error)
                continue
            if self._damaged:
                damage = "; ".join(self._damaged.values())
                warnings.warn(f"{damage}; resuming from {path.name}, the one before", stacklevel=6)  # who called train
            self.saved = state.step, len(state.history)
            return state
        if self._damaged:
            raise DamagedError("\n".join(self._damaged.values()))
        return None

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
        if saved <= self.saved:
            return
        write_atomically(self.folder / file_name(state.step), to_bytes(state))
        sync_folder(self.folder)
        there = paths(self.folder)
        self._damaged.pop(state.step, None)
        older = [step for step in there if step < state.step and step not in self._damaged]
        for step in there.keys() - {state.step, *older[-1:]}:  # a later one could not be read
            if not there[step].is_dir():  # which is nobody's checkpoint
                there[step].unlink(missing_ok=True)
        self.saved, self._saved_at = saved, time.perf_counter()
        self._cost_s = self._saved_at - started
        self._spent_s += self._cost_s


@contextmanager
def _put_back(state: State, optimizer: Any, keeper: Keeper) -> Iterator[None]:
    """Leave network and optimizer as they were when the block fails, so that it may be tried again with both.

    Once a checkpoint exists, only the learning rate is restored; a retry resumes from the checkpoint.
    """
    kept, rate = optimizer.velocity, rate_of(optimizer)
    params, velocity = copied(state.params), copied(kept)
    try:
        yield
    except BaseException:
        _set_rate(optimizer, rate)
        if keeper.saved == (0, 0):  # nothing
            state.params.update(params)
            kept.clear()
            kept.update(velocity)
            optimizer.velocity = kept
        raise


def _resume(state: State, optimizer: Any, keeper: Keeper, epochs: int) -> None:
    """Put the last checkpoint, if there is one, into `state`, the network and the optimizer behind it."""
    saved = keeper.load(state.settings, state.params)
    if saved is None:
        return
    if len(saved.history) > epochs:
        raise InvalidValueError(f"epochs must be at least the {len(saved.history)} that were trained, got {epochs}")
    state.params.update(saved.params)
    vars(state).update(vars(saved) | {"params": state.params})
    optimizer.velocity = saved.velocity
    _set_rate(optimizer, saved.learning_rate)
    rows = saved.history.rows
    # Where training continues, the last epoch so far is no longer the final one, which is measured after its end.
    if saved.during and rows and len(rows) < epochs and not saved.history.stopped_early:
        rows[-1] = replace(rows[-1], train_loss=saved.during[0], train_accuracy=saved.during[1])


def rate_of(optimizer: object) -> float:
    """Return the learning rate of an optimizer, nan where it has none."""
    return float(getattr(optimizer, "learning_rate", math.nan))


def _set_rate(optimizer: Any, rate: float) -> None:
    """Give an optimizer that has a learning rate this one, where it is another."""
    if not math.isnan(rate_of(optimizer)) and rate_of(optimizer) != rate:
        optimizer.learning_rate = rate


def copied(params: Mapping[str, Array]) -> dict[str, Array]:
    """Return a copy of every array."""
    return {key: param.copy() for key, param in params.items()}


def settings_of(net: TwoLayerNet, optimizer: object, training: Samples, validation: Samples | None) -> dict[str, Any]:
    """Return the settings of a state that are read off network, optimizer and data.

    A function has no version that could be compared: that of an activation is known by some of its values.

    Raises
    ------
    InvalidTypeError
        When the optimizer has a state that no checkpoint could keep.
    """
    own = own_attributes(optimizer)
    besides = [name for name, value in own.items() if not _is_plain(value)]
    if besides or not isinstance(getattr(optimizer, "velocity", None), dict):
        also = f", which has {', '.join(besides)} besides" if besides else ""
        raise InvalidTypeError(
            f"checkpoints need an optimizer whose state is its velocity, as SGD's, got {optimizer!r}{also}"
        )
    values = None
    with np.errstate(all="ignore"), suppress(Exception):  # one that raises somewhere is known by its name alone
        values = np.round(net.activation(np.linspace(-10.0, 10.0, 4001)), 6) + 0.0  # the same on every machine; no -0.0
    settings: dict[str, Any] = {
        "network": "-".join(str(size) for size in (*net.params["W1"].shape, len(net.params["b2"]))),
        "activation": net.activation.name,
        "activation's values": digest(values),
        "optimizer": type(optimizer).__qualname__,
    }
    settings |= {name: value if isinstance(value, SIMPLE) else str(value) for name, value in own.items()}
    if not math.isnan(rate := rate_of(optimizer)):
        settings["learning_rate"] = rate
    for name, part in (("training", training), ("validation", validation)):
        settings[f"{name} data"] = digest() if part is None else digest(_as_float(part.X), part.labels, part.weights)
    return settings


def _as_float(X: Any) -> Any:
    """Return `X` as numbers of float64, block by block where it is of another type."""
    X = X if isinstance(X, ScaledRows) else dense(X)
    return X if X.dtype == np.float64 else ScaledRows(X, np.arange(len(X)))


def own_attributes(optimizer: object) -> dict[str, Any]:
    """Return what an optimizer was made with: no functions, and not what checkpoints keep or a step sets anew."""
    slots = (slot for kind in type(optimizer).__mro__ for slot in np.atleast_1d(getattr(kind, "__slots__", ())))
    own = {str(slot): getattr(optimizer, slot) for slot in slots if hasattr(optimizer, slot)}
    own |= getattr(optimizer, "__dict__", {})
    kept = ("velocity", "learning_rate", "update_norm", "__dict__", "__weakref__")
    return {name: value for name, value in own.items() if name not in kept and not isinstance(value, FUNCTIONS)}


def _is_plain(value: object) -> bool:
    """Return whether a value cannot change by itself."""
    return all(map(_is_plain, value)) if isinstance(value, tuple) else isinstance(value, (*SIMPLE, np.generic))
