"""What a config describes, built: data, network, optimizer, schedule."""

from __future__ import annotations

import os.path
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tinynet.config.sections import Config
from tinynet.data.datasets import Dataset, load_dataset
from tinynet.errors import ConfigError, InvalidTypeError, InvalidValueError, check_memory
from tinynet.network import TwoLayerNet
from tinynet.optimizers import SGD
from tinynet.schedules import Schedule, constant, cosine, step
from tinynet.storage.messages import shown_path

SPLIT = ("validation_size", "test_size", "scaling")  # what load_dataset takes beside the options of a data set


@dataclass
class Run:
    """A run that is ready to train; nothing in its config is wrong any more."""

    config: Config
    dataset: Dataset
    net: TwoLayerNet
    optimizer: SGD
    summary: dict[str, Any] | None = None  # what summary.json is to hold, from the end of training on


def prepare(config: Config, source: str = "config") -> Run:
    """Load the data and build the network and the optimizer of `config`, which came from `source`.

    Raises
    ------
    ConfigError
        When the data, the sizes or the hyper-parameters cannot be used. Nothing is written.
    """
    dataset, n = load_data(config, source), config.network
    with _faults_of(f"{source}: network.hidden_units"):
        n_train = len(dataset.X_train)
        check_memory(f"{n.hidden_units:,} hidden units of {n_train:,} samples", 2 * n.hidden_units * n_train)
        sizes = dataset.n_features, n.hidden_units, dataset.n_classes
        net = TwoLayerNet(*sizes, activation=n.activation, weight_scale=n.weight_scale, seed=config.seed)
    o = config.optimizer
    return Run(config, dataset, net, SGD(o.learning_rate, o.momentum, o.nesterov, o.weight_decay))


def load_data(config: Config, source: str = "config") -> Dataset:
    """Load the data of `config`, which came from `source`.

    Raises
    ------
    ConfigError
        When they cannot be used.
    """
    d = config.dataset
    load = load_dataset if d.path is not None else _load_once  # a file may have changed since
    with _faults_of(f"{source}: dataset" if d.path is None else f"{source}: dataset.path", d.path, d.test_path):
        return load(d.name, seed=config.seed, **d.model_dump(include={*SPLIT}), **d.options)


_load_once = lru_cache(maxsize=1)(load_dataset)  # for the runs of a sweep, which share their data with the one before


@contextmanager
def _faults_of(where: str, path: str | None = None, test_path: str | None = None) -> Iterator[None]:
    """Put `where` before every line of a fault; a data file that stands for the config is named once."""
    try:
        yield
    except (InvalidValueError, InvalidTypeError) as error:
        lines = str(error).splitlines()
        if test_path is not None and lines[0].startswith(f"{shown_path(test_path)}: "):
            where = f"{where.removesuffix('path')}test_path"
        elif path is not None and where.startswith((shown_path(path), shown_path(os.path.relpath(path)))):
            where = where.removesuffix(": dataset.path")
            lines = [line.removeprefix(f"{path}: ") for line in lines]
        raise ConfigError([f"{where}: {line}" for line in lines]) from error


def schedule_of(config: Config) -> Schedule:
    """Return the learning rate by epochs done, as the config has it."""
    o, warmup = config.optimizer, config.optimizer.warmup_epochs
    if o.schedule == "cosine":
        return cosine(o.learning_rate, epochs=config.training.epochs, warmup_epochs=warmup)
    if o.step_epochs is not None and o.step_factor is not None:  # a config has them with "step" alone
        return step(o.learning_rate, step_epochs=o.step_epochs, step_factor=o.step_factor, warmup_epochs=warmup)
    return constant(o.learning_rate, warmup_epochs=warmup)
