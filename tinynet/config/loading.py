"""The config of a run: read from a file, overridden from the command line, and validated."""

from __future__ import annotations

import difflib
import glob
import json
import os.path
import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from importlib import resources
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tinynet.config.hints import preset_names as preset_names
from tinynet.config.hints import proposal, unknown_key
from tinynet.config.overrides import read_overrides
from tinynet.config.sections import CombinationError, Config, DatasetName, shown_value
from tinynet.config.values import MAX_LENGTH, plain_name, put
from tinynet.data.csv_files import other_kind
from tinynet.data.options import data_path
from tinynet.errors import ConfigError, DataError, RunFolderError, did_you_mean
from tinynet.storage.messages import differences, shown_path
from tinynet.storage.reading import open_regular_file, read_text

MAX_TOML, MAX_JSON = 2**16, 2**22  # bytes; people write TOML by hand, and tinynet writes config.json and sweep.json
DATA_FILE = re.compile(r"(.*)\.(csv|tsv|txt|data|npz)(\.gz)?", re.IGNORECASE | re.DOTALL)
OWN_TABLE = "Your own table, from a file: 'tinynet presets csv > mine.toml', and put its name there."
MAX_FAULTS = 20  # reported


def preset_text(name: str) -> str:
    """Return a preset as TOML text.

    Raises
    ------
    ConfigError
        For an unknown name, with the nearest one.
    """
    names = preset_names()
    if name not in names:
        raise ConfigError([f"unknown preset {shown_path(name)}{did_you_mean(name, names)}"])
    file = resources.files("tinynet.config").joinpath("presets").joinpath(f"{name}.toml")
    return file.read_text(encoding="utf-8")


def load_config(source: str, overrides: Iterable[str] = ()) -> Config:
    """Read a preset or file, apply KEY=VALUE `overrides`, and validate.

    Parameters
    ----------
    source : str
        A preset's name, or the path of a .toml or .json file, or of a data file: .csv, .tsv, .txt, .data or .npz.
    overrides : iterable of str
        "dotted.key=VALUE", such as network.activation=relu or optimizer.learning_rate=0.1.

    Raises
    ------
    ConfigError
        With every fault: the file or "command line", the dotted key, what was received and what is allowed.

    Examples
    --------
    >>> load_config("digits", ["optimizer.learning_rate=0.05"]).optimizer.learning_rate
    0.05
    """
    return config_from(read_values(source), source, overrides)


def config_from(values: dict[str, Any], source: str, overrides: Iterable[str] = ()) -> Config:
    """Return the config that `values` of `source` give with KEY=VALUE `overrides`; they are changed in place.

    Raises
    ------
    ConfigError
        As `load_config` does.
    """
    overridden, faults = read_overrides(overrides, source)
    for key, value in overridden.items():
        put(values, key, value)
    if overridden.keys() & {"dataset.path", "dataset.test_path"}:
        resolve_path(values)
    if values.pop("sweep", None) is not None:
        faults.append(f"{shown_path(source)}: sweep: belongs to many runs; 'tinynet sweep' runs them")
    return validated(values, source, overridden, faults)


def check_same(folder: str, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise RunFolderError when values by dotted key differ from those with which the run in `folder` began."""
    if differing := changes(before, now):
        raise RunFolderError(f"{shown_path(folder)}: the config {differing}")


def changes(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Return the `differences` of two configs, but for where the data lie: what they hold is compared elsewhere."""
    moved = {key: before[key] for key in ("dataset.path", "dataset.test_path") if key in before and key in now}
    return differences(before, now | moved)


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested `values` by dotted key."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def read_values(source: str) -> dict[str, Any]:
    """Return what a preset or a file holds, not yet validated."""
    if DATA_FILE.fullmatch(source) and source not in preset_names():
        return data_file_values(source)
    values = parsed_file(source)
    resolve_path(values, os.path.dirname(source))
    return values


def parsed_file(source: str) -> dict[str, Any]:
    """Return what a preset or a file holds; the path of its data is relative to the config's folder."""
    is_json, name = source.lower().endswith(".json"), shown_path(source)
    text = _text(source, MAX_JSON if is_json else MAX_TOML)
    if long := [] if is_json else [n for n, line in enumerate(text.split("\n"), 1) if len(line) > MAX_LENGTH]:
        raise ConfigError([f"{name}: line {long[0]}: longer than {MAX_LENGTH:,} characters, which no config needs"])
    try:
        values = json.loads(text, object_pairs_hook=_unique_keys) if is_json else tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError([f"{name}: nested too deeply for a config"]) from error
    except ValueError as error:
        lines = text.split("\n")
        end = f"at line {len(lines)}, column {len(lines[-1]) + 1}"
        message = _one_line(error).replace("at end of document", end)
        raise ConfigError([f"{name}: not valid {'JSON' if is_json else 'TOML'}: {message}"]) from error
    if not isinstance(values, dict):
        raise ConfigError([f"{name}: must hold an object with sections, got {shown_value(values)}"])
    values.pop("$schema", None)  # only editors use it
    return values


def data_file_values(path: str) -> dict[str, Any]:
    """Return the config that a data file stands for: its own name, and standard scaling."""
    name, kind = os.path.basename(path), "npz" if path.lower().endswith(".npz") else "csv"
    values: dict[str, Any] = {"name": plain_name(DATA_FILE.sub(r"\1", name)) or "table"}
    values["dataset"] = {"name": kind, "path": path, "scaling": "standard"}
    resolve_path(values)
    return values


def validated(
    values: dict[str, Any],
    source: str,
    overridden: Mapping[str, Any],
    faults: Iterable[str] = (),
    *,
    several: bool = False,
) -> Config:
    """Return `values` of `source` as a config, or raise ConfigError with all that is wrong, `faults` included.

    `overridden` has the keys of the command line; `several` says that it has a list of values for each, as in a sweep.
    """
    faults = list(faults)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False)
        faults += [_fault(detail, source, overridden, several=several) for detail in details[:MAX_FAULTS]]
        if len(details) > MAX_FAULTS:
            faults.append(f"{shown_path(source)}: {len(details) - MAX_FAULTS} more faults")
    if faults:
        raise ConfigError(faults)
    return config


def origin(source: str, overrides: Collection[str]) -> str:
    """Return where the values of a config come from, for messages."""
    return shown_path(source) + (" and command line" if overrides else "")


def _text(source: str, most: int) -> str:
    """Return the text of a preset, or of a file of `most` bytes or fewer."""
    presets, name = preset_names(), shown_path(source)
    if source in presets:
        return preset_text(source)
    if not source.lower().endswith((".toml", ".json")):
        hint = did_you_mean(source, presets)
        if inside := sorted(glob.glob(os.path.join(glob.escape(source), "config.*"))):
            hint = f"; the config of that run folder is {shown_path(inside[0])}"
        elif "=" in source:
            hint = "; CONFIG comes before KEY=VALUE" + hint
        with suppress(DataError), open_regular_file(source) as file:
            if what := other_kind(file.read(16)):
                hint = f"; it {what}"
        raise ConfigError([f"{name}: neither a preset nor a .toml, .json or data file{hint}"])
    try:
        text = read_text(source, most)
    except DataError as error:
        is_preset = isinstance(error.__cause__, FileNotFoundError) and source[:-5] in presets
        raise ConfigError([f"{error}; the preset is called {source[:-5]}" if is_preset else str(error)]) from error
    if not text.strip():
        raise ConfigError([f"{name}: is empty; 'tinynet presets digits' prints a config to begin with"])
    return text


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"key {shown_path(twice)} is there twice")
    return keys


def resolve_path(values: dict[str, Any], folder: str = "") -> None:
    """Make the path of the data absolute: a file's is relative to the config, the command line's to this folder."""
    dataset = values.get("dataset")
    if not isinstance(dataset, dict):
        return
    for key in ("path", "test_path"):
        if isinstance(path := dataset.get(key), str) and path:
            dataset[key] = absolute_path(path, folder)


def absolute_path(path: str, folder: str) -> str:
    """Return the absolute path of a file that is given relative to `folder`, as `data_path` reads it."""
    return os.path.abspath(data_path(path, folder))


def _fault(detail: ErrorDetails, source: str, overridden: Mapping[str, Any], *, several: bool) -> str:
    """Return one line: where, which key, what is allowed, what was received, and what to type instead."""
    kind, value = detail["type"], detail["input"]
    key = ".".join(part for part in detail["loc"] if isinstance(part, str))
    where, hint = shown_path(source), ""
    if key in overridden:
        typed = overridden[key] if several else [overridden[key]]
        where, hint = "command line", proposal(key, ",".join(map(str, typed)), several=several)
    if kind == "extra_forbidden":
        return f"{where}: {unknown_key(key, [] if '.' in key else Config.model_fields)}"
    if kind == "missing":
        return f"{where}: {key}: missing; dataset.name must be one of {', '.join(get_args(DatasetName))}"
    if kind == "value_error":
        error = detail["ctx"]["error"]
        if isinstance(error, CombinationError):
            return f"{origin(source, overridden)}: {key}: {_one_line(error)}"
        return f"{where}: {key}: {_one_line(error)}{hint}"
    if kind == "model_type":
        return f"{where}: {key}: must be a section with keys, got {shown_value(value)}"
    message = re.sub("^(Input|List|String) should", "must", detail["msg"].partition(" after validation")[0])
    if kind == "literal_error" and isinstance(value, str) and not hint:
        near = difflib.get_close_matches(value, re.findall(r"'([^']*)'", detail["ctx"]["expected"]), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{where}: {key}: {message}, got {shown_value(value)}{hint}"


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]
