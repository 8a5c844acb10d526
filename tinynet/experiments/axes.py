"""The grid of a sweep: axes from the command line or the config's [sweep] table, and a config for each combination."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os.path
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from tinynet.config.hints import proposal, unknown_key
from tinynet.config.loading import MAX_FAULTS, absolute_path, flat, read_values, validated
from tinynet.config.overrides import read_overrides
from tinynet.config.sections import ONLY_WITH, Config
from tinynet.config.values import MAX_RANGE, RANGE, dotted_keys, kind_of, put, typed_values
from tinynet.errors import ConfigError
from tinynet.storage.messages import shown_path

MANY = 1000  # combinations; more need --yes
MAX_LABEL = 100  # characters of a folder's name before its hash
READ_AT_A_GLANCE = 20  # values of an axis; more are written as a range


@dataclass(frozen=True)
class Combination:
    """One combination: the values that vary, the whole config, and the name of its run folder."""

    values: dict[str, Any]
    config: Config
    folder: str


@dataclass(frozen=True)
class Grid:
    """All combinations of a sweep; `axes` holds the keys with more than one value."""

    axes: dict[str, list[Any]]
    combinations: list[Combination]

    @property
    def name(self) -> str:
        """The name of the first config."""
        return self.combinations[0].config.name

    def to_json(self, folder: Path | None = None) -> str:
        """Return a config with a "sweep" table; read again, from `folder` if written there, it gives an equal grid."""
        owners = {owner for owner, _ in ONLY_WITH.values()} & set(self.axes)
        kinds = {tuple(one.values[owner] for owner in owners): one.config for one in reversed(self.combinations)}
        common: dict[str, Any] = {}
        for config in kinds.values():  # each has keys that the others do not need
            for key, value in flat(json.loads(config.to_json(folder))).items():
                put(common, key, value)
        for key in self.axes:
            put(common, key, None)
        axes = {key: _as_range(values) for key, values in self.axes.items()}
        return json.dumps(common | {"sweep": axes}, indent=2, ensure_ascii=False) + "\n"


def load_grid(source: str, words: Iterable[str] = (), *, many: bool = False) -> Grid:
    """Read a preset or file and its [sweep] table, apply KEY=V1,V2,... and validate every combination.

    Parameters
    ----------
    source : str, as for `load_config`
    words : iterable of str
        "dotted.key=V1,V2,...", values or ranges of whole numbers, "0..4" with both ends. A single
        value is an override. A word takes the place of the table's axis of the same key.
    many : bool, allow more than 1,000 combinations

    Raises
    ------
    ConfigError
        With every distinct fault of any combination; nothing is written.

    Examples
    --------
    >>> grid = load_grid("digits", ["optimizer.learning_rate=0.1,0.3", "seed=0..2"])
    >>> len(grid.combinations), grid.combinations[-1].values
    (6, {'optimizer.learning_rate': 0.3, 'seed': 2})
    """
    return grid_of(read_values(source), source, words, many=many)


def grid_of(values: dict[str, Any], source: str, words: Iterable[str] = (), *, many: bool = False) -> Grid:
    """Return the grid that `values` of `source` give with their "sweep" table and `words`: see `load_grid`."""
    table, table_faults = _table_axes(values.pop("sweep", {}))
    typed, typed_faults = _typed_axes(words, source)
    faults = dict.fromkeys([*(f"{shown_path(source)}: sweep{fault}" for fault in table_faults), *typed_faults])
    resolve_axes(table, os.path.dirname(source))
    resolve_axes(typed)
    axes = table | typed
    number, chosen = math.prod(map(len, axes.values())), list[dict[str, Any]]()
    if number > (MAX_RANGE if many else MANY):
        limit = f"more than {MAX_RANGE:,} are refused" if many else f"more than {MANY:,} are run with --yes"
        faults[f"command line: {number:,} combinations; {limit}"] = None
    else:
        chosen = _distinct(axes, values)
    if not faults and number == 1:
        example = "optimizer.learning_rate=0.01,0.03 or seed=0..4"
        faults[
            f"{'command line' if typed else 'sweep'}: nothing varies; give a key several values, such as {example}"
        ] = None
    varying = {key: axis for key, axis in axes.items() if len(axis) > 1}
    combinations = []
    for changes in chosen:
        combined = copy.deepcopy(values)
        for key, value in changes.items():
            put(combined, key, value)
        try:
            config = validated(combined, source, typed, several=True)
        except ConfigError as error:
            faults |= dict.fromkeys(error.faults)
            if len(faults) > MAX_FAULTS:
                break
        else:
            changed = {key: changes[key] for key in varying}
            combinations.append(Combination(changed, config, _folder_name(changed, config)))
    if faults:
        raise ConfigError(list(faults)[:MAX_FAULTS])
    return Grid(varying, combinations)


def resolve_axes(axes: dict[str, Any], folder: str = "") -> None:
    """Make the paths of data that vary absolute, as `resolve_path` does for one config."""
    for key in axes.keys() & {"dataset.path", "dataset.test_path"}:
        paths = axes[key] if isinstance(axes[key], list) else [axes[key]]
        axes[key] = [absolute_path(path, folder) if isinstance(path, str) else path for path in paths]


def _distinct(axes: dict[str, list[Any]], values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every combination once; a key that belongs to another value of an axis is None, which leaves it out."""
    held = set(flat(values)) | set(axes)
    needed = {key: ONLY_WITH[key] for key in ONLY_WITH if key in held and len(axes.get(ONLY_WITH[key][0], ())) > 1}
    found: dict[str, dict[str, Any]] = {}
    for chosen in product(*axes.values()):
        combination = dict(zip(axes, chosen, strict=True))
        combination |= {key: None for key, (owner, names) in needed.items() if combination[owner] not in names}
        found.setdefault(repr(combination) if needed else str(len(found)), combination)
    return list(found.values())


def short_names(keys: Collection[str]) -> dict[str, str]:
    """Return a short name for each key: its last part, or all of it where another key ends alike."""
    lasts = [key.rpartition(".")[2] for key in keys]
    return {key: last if lasts.count(last) == 1 else key for key, last in zip(keys, lasts, strict=True)}


def _as_range(values: list[Any]) -> Any:
    """Return a long run of consecutive whole numbers as "0..99", other values as they are."""
    if len(values) <= READ_AT_A_GLANCE or {type(value) for value in values} != {int}:
        return values
    return f"{values[0]}..{values[-1]}" if values == list(range(values[0], values[-1] + 1)) else values


def _typed_axes(words: Iterable[str], source: str) -> tuple[dict[str, list[Any]], list[str]]:
    """Return the axes of the command line, and what is wrong with them."""
    read, faults = read_overrides(words, source, several=True)
    axes = dict[str, list[Any]]()
    for key, values in read.items():
        try:
            axes[key] = _checked_axis(values)
        except ValueError as error:
            faults.append(f"command line: {key}: {error}{proposal(key, ','.join(map(str, values)), several=True)}")
    return axes, faults


def _table_axes(table: Any) -> tuple[dict[str, list[Any]], list[str]]:
    """Return the axes of a [sweep] table, and what is wrong with them."""
    if not isinstance(table, dict):
        return {}, [f": must be a table of keys and their values, got {table!r:.100}"]
    axes, faults, known = {}, [], dotted_keys()
    for key, value in _flat(table):
        if key not in known or key in axes:
            faults.append(f".{key}: given twice" if key in axes else f": {unknown_key(key)}")
            continue
        try:
            is_range = isinstance(value, str) and RANGE.fullmatch(value.strip())
            axes[key] = _checked_axis(typed_values(key, value) if is_range else _as_axis(key, value))
        except ValueError as error:
            faults.append(f".{key}: {error}")
    return axes, faults


def _as_axis(key: str, value: Any) -> list[Any]:
    """Return the values of an axis in a [sweep] table as a list; for a key that holds a list, a list of lists."""
    is_one = not isinstance(value, list) or (kind_of(key).is_list and not all(isinstance(one, list) for one in value))
    return [value] if is_one else value


def _flat(table: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every value with its dotted key, whether that was quoted or a table of its own."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{inner}", innermost) for inner, innermost in _flat(value))
        else:
            yield key, value


def _checked_axis(values: list[Any]) -> list[Any]:
    if not values:
        raise ValueError("has no value; an axis is a list such as [0.01, 0.03], or a range such as '0..4'")
    marks = [
        (type(value) is bool, value if isinstance(value, int | float) else repr(value)) for value in values
    ]  # 1 == True
    twice = [str(mark) for (_, mark), count in Counter(marks).items() if count > 1]
    if twice:
        raise ValueError(
            f"{', '.join(twice[:3]):.160}{' and more' * (len(twice) > 3)} given twice; every run is run once"
        )
    return values


def _folder_name(changed: dict[str, Any], config: Config) -> str:
    """Return a name of plain characters that says what varies, with a hash of the config."""
    names = short_names(changed)
    label = "-".join(f"{names[key]}={'null' if value is None else value}" for key, value in changed.items())
    plain = re.sub(r"\.{2,}", "_", re.sub(r"[^\w.=+-]", "_", label, flags=re.ASCII))[:MAX_LABEL]
    values = config.model_dump(exclude={"dataset": {"path"}} if "dataset.path" not in changed else None)
    if "dataset.test_path" not in changed:
        values["dataset"]["test_path"] = None
    content = json.dumps(values, sort_keys=True)  # without the paths of the data, since a project may be moved
    return f"{plain}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
