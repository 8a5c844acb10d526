"""Between the steps of a training: the last state put back, checkpoints saved, signals heard."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy.typing as npt

from tinynet.data.samples import Samples
from tinynet.errors import DivergedError, Interrupted, InvalidTypeError, InvalidValueError, RunFolderError, check_number
from tinynet.network import TwoLayerNet
from tinynet.storage.locks import only_writer
from tinynet.storage.reading import shown_path
from tinynet.storage.writing import make_folder
from tinynet.training.checkpoints import Keeper, State, own_attributes, particulars, paths
from tinynet.training.interrupts import held_back

Array = npt.NDArray[Any]


@contextmanager
def pauses(
    state: State,
    net: TwoLayerNet,
    optimizer: Any,
    data: tuple[Samples, Samples | None],
    checkpoint_dir: str | os.PathLike[str] | None,
    every_s: float,
    own_settings: Mapping[str, str | float | None],
    resumed_epochs: int | None,
) -> Iterator[Callable[..., None]]:
    """Put the last checkpoint into `state` when it is to reach `resumed_epochs`; yield what is called between steps.

    It saves `state` when a checkpoint is due, and ends the training when a signal has come. Where a second signal or
    a loss of nan has ended a step under way, the state after the last whole epoch is saved.
    """
    if checkpoint_dir is None:
        if resumed_epochs is not None:
            raise InvalidValueError("resume needs checkpoint_dir, the folder with the checkpoints")
        yield lambda **_: None
        return
    check_number("checkpoint_every_s", every_s, 0.0)
    started = time.perf_counter()
    found = particulars(net, optimizer, *data)  # in which an optimizer may have a seed of its own
    state.settings |= {f"optimizer's {key}" if key in state.settings else key: value for key, value in found.items()}
    state.settings |= _checked(own_settings, state.settings)
    attributes = own_attributes(optimizer)
    keeper = Keeper(Path(checkpoint_dir), every_s, time.perf_counter() - started)
    if state.settings["schedule"]:  # which sets the rate, whatever it is before
        state.settings.pop("learning_rate", None)
    whole = -1, 0, 0.0, dict[str, Array]()  # epochs, step, rate and velocity at the end of the last whole epoch
    make_folder(keeper.folder)
    with (
        only_writer(keeper.folder, ".training.lock") as check,
        held_back() as stop,
        _put_back(state, optimizer, keeper),
    ):
        if resumed_epochs is not None:
            _resume(state, optimizer, keeper, resumed_epochs)
        elif paths(keeper.folder):
            where = shown_path(keeper.folder)
            raise RunFolderError(f"{where} holds checkpoints already; resume=True goes on from them")

        def save() -> None:
            check()
            if (now := own_attributes(optimizer)) != attributes:
                raise InvalidTypeError(
                    f"checkpoints keep the velocity of an optimizer and its rate, but {optimizer!r} changes more as it "
                    f"trains: it has {now}, and began with {attributes}"
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
            yield pause
        except (DivergedError, Interrupted):
            epochs, state.step, state.learning_rate, state.velocity = whole
            if epochs == len(state.history):
                state.epoch_s = 0.0
                save()
            raise


def _checked(own: Mapping[str, Any], settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings that a user compares besides, or raise an error where they are not to be used."""
    for name, value in own.items():
        if not isinstance(name, str) or not isinstance(value, str | int | float | None):
            raise InvalidTypeError(f"checkpoint_settings must be text and numbers by name, got {name!r}: {value!r}")
        if name in settings:
            raise InvalidValueError(f"checkpoint_settings: {name!r} is compared already; give yours another name")
    return own


@contextmanager
def _put_back(state: State, optimizer: Any, keeper: Keeper) -> Iterator[None]:
    """Leave network and optimizer as they were when the block fails, so that it may be tried again with both.

    Where something was saved, that is where the training goes on from: then it is the rate alone, which must be the
    same again.
    """
    kept, rate = optimizer.velocity, rate_of(optimizer)
    params, velocity = copied(state.params), copied(kept)
    try:
        yield
    except BaseException:
        if not math.isnan(rate) and rate_of(optimizer) != rate:
            optimizer.learning_rate = rate
        if keeper.is_empty:
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
    optimizer.velocity = saved.velocity
    if hasattr(optimizer, "learning_rate") and rate_of(optimizer) != saved.learning_rate:
        optimizer.learning_rate = saved.learning_rate
    state.settings = saved.settings
    state.step, state.epoch_s, state.learning_rate = saved.step, saved.epoch_s, saved.learning_rate
    state.history, state.good, state.best = saved.history, saved.good, saved.best


def rate_of(optimizer: object) -> float:
    """Return the learning rate of an optimizer, nan where it has none."""
    return float(getattr(optimizer, "learning_rate", math.nan))


def copied(params: Mapping[str, Array]) -> dict[str, Array]:
    """Return a copy of every array."""
    return {key: param.copy() for key, param in params.items()}
