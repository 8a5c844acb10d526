"""The config of a run: read, overridden from the command line, validated, every fault at once."""

from __future__ import annotations

import difflib
import errno
import glob
import json
import os.path
import re
import shlex
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tinynet.config.sections import CombinationError, Config, DatasetName, shown_value
from tinynet.config.sections import shown as shown
from tinynet.config.values import MAX_LENGTH, dotted_keys, put, typed_values
from tinynet.errors import ConfigError, RunFolderError, did_you_mean

MAX_BYTES = 2**16  # a config is text that somebody wrote
DATA_FILE = re.compile(r"(.*)\.(csv|tsv|txt|data|npz)(\.gz)?", re.IGNORECASE | re.DOTALL)
OWN_TABLE = "Your own table, from a file: 'tinynet presets csv > mine.toml', and put its name there."
MAX_FAULTS = 20  # reported; whoever made more reads no further


def preset_names() -> list[str]:
    """Return the names of the presets that tinynet brings along."""
    files = resources.files("tinynet.config").joinpath("presets").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def preset_text(name: str) -> str:
    """Return a preset as TOML text.

    Raises
    ------
    ConfigError
        For an unknown name, with the nearest one.
    """
    names = preset_names()
    if name not in names:
        raise ConfigError([f"unknown preset {shown(name)}{did_you_mean(name, names)}"])
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
    overridden, faults = _apply(values, overrides, source)
    if overridden & {"dataset.path", "dataset.test_path"}:
        resolve_path(values)
    if values.pop("sweep", None) is not None:
        faults.append(f"{shown(source)}: sweep: belongs to many runs; 'tinynet sweep' runs them")
    return validated(values, source, overridden, faults)


def check_same(folder: str, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise RunFolderError where values by dotted key differ from those that `folder` was begun with."""
    differing = [
        f"{key} ({_end(before.get(key, 'absent'))} there, {_end(now.get(key, 'absent'))} here)"
        for key in before | now
        if before.get(key) != now.get(key)
    ]
    if differing:
        raise RunFolderError(f"{shown(folder)} was begun with another config: {', '.join(differing)}")


def _end(value: object) -> str:
    """Return a value for a message; of a long path the end tells more."""
    return text if len(text := str(value)) <= 60 else f"…{text[-59:]}"


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
    """Return what a preset or a file holds; the path of its data is as seen from its folder."""
    return _parse(source, _text(source), json_format=source.lower().endswith(".json"))


def data_file_values(path: str) -> dict[str, Any]:
    """Return the config that a data file stands for: its own name, and standard scaling."""
    name, kind = os.path.basename(path), "npz" if path.lower().endswith(".npz") else "csv"
    stem = re.sub(r"[^\w-]+", "-", DATA_FILE.sub(r"\1", name)).strip("-")
    values: dict[str, Any] = {"name": stem[:100] or "table"}
    values["dataset"] = {"name": kind, "path": path, "scaling": "standard"}
    resolve_path(values)
    return values


def validated(values: dict[str, Any], source: str, overridden: set[str], faults: Iterable[str] = ()) -> Config:
    """Return `values` of `source` as a config, or raise ConfigError with all that is wrong, `faults` included."""
    faults = list(faults)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False)
        faults += [_fault(detail, source, overridden) for detail in details[:MAX_FAULTS]]
        if len(details) > MAX_FAULTS:
            faults.append(f"{shown(source)}: {len(details) - MAX_FAULTS} more faults")
    if faults:
        raise ConfigError(faults)
    return config


def origin(source: str, overrides: Collection[str]) -> str:
    """Return where the values of a config come from, for messages."""
    return shown(source) + (" and command line" if overrides else "")


def nearest_key(key: str) -> str | None:
    """Return the dotted key or section that somebody who wrote `key` may have meant, wherever it belongs."""
    section, _, last = key.lower().rpartition(".")

    def likeness(name: str) -> tuple[float, bool]:
        known_section, _, known = name.rpartition(".")
        initials = "".join(word[0] for word in known.split("_"))  # lr
        is_short_form = len(last) > 1 and last == initials
        return is_short_form or difflib.SequenceMatcher(None, last, known).ratio(), section == known_section

    best = max([*Config.model_fields, *dotted_keys()], key=likeness)
    return best if likeness(best)[0] > 0.6 else None


def _text(source: str) -> str:
    """Return the text of a file or a preset."""
    if source.lower().endswith((".toml", ".json")):
        return _read(Path(source))
    presets = preset_names()
    if source in presets:
        return preset_text(source)
    hint = did_you_mean(source, presets)
    if inside := sorted(glob.glob(os.path.join(glob.escape(source), "config.*"))):
        hint = f"; the config of that run folder is {shown(inside[0])}"
    elif "=" in source:
        hint = "; CONFIG comes before KEY=VALUE" + hint
    raise ConfigError([f"{shown(source)}: neither a preset nor a .toml, .json or data file{hint}"])


def _read(path: Path) -> str:
    name = shown(str(path))
    try:
        if path.is_fifo():  # which could keep us waiting for ever
            raise OSError(errno.EINVAL, "it is a pipe")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        is_preset = isinstance(error, FileNotFoundError) and str(path.with_suffix("")) in preset_names()
        hint = f"; the preset is called {path.stem}" if is_preset else ""
        raise ConfigError([f"{name}: cannot be read: {reason}{hint}"]) from error
    if len(content) > MAX_BYTES:
        raise ConfigError([f"{name}: larger than {MAX_BYTES // 1024} KiB, which no config is"])
    if not content.strip():
        raise ConfigError([f"{name}: is empty; 'tinynet presets digits' prints a config to begin with"])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{name}: line {line}: not UTF-8: byte 0x{content[error.start]:02x}"]) from error
    for number, line_text in enumerate(text.split("\n"), 1):
        if len(line_text) > MAX_LENGTH:
            raise ConfigError([f"{name}: line {number}: longer than {MAX_LENGTH:,} characters, which no config needs"])
    return text


def _parse(source: str, text: str, *, json_format: bool) -> dict[str, Any]:
    kind = "JSON" if json_format else "TOML"
    try:
        values = json.loads(text, object_pairs_hook=_unique_keys) if json_format else tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError([f"{shown(source)}: nested too deeply for a config"]) from error
    except ValueError as error:
        lines = text.split("\n")
        end = f"at line {len(lines)}, column {len(lines[-1]) + 1}"
        message = _one_line(error).replace("at end of document", end)
        raise ConfigError([f"{shown(source)}: not valid {kind}: {message}"]) from error
    if isinstance(values, dict):
        values.pop("$schema", None)  # the editor's
    else:
        raise ConfigError([f"{shown(source)}: must hold an object with sections, got {shown_value(values)}"])
    return values


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"key {shown(twice)} stands twice")
    return keys


def _apply(values: dict[str, Any], overrides: Iterable[str], source: str) -> tuple[set[str], list[str]]:
    """Write the overrides into `values`; return their keys, and a fault for each that is none."""
    texts, faults = override_texts(overrides)
    for key, text in texts.items():
        try:
            put(values, key, _one_value(key, text, source))
        except ValueError as error:
            faults.append(f"command line: {key}: {error}")
    return set(texts), faults


def _one_value(key: str, text: str, source: str) -> Any:
    """Return the value of `key` for a single run."""
    values = typed_values(key, text)
    if len(values) > 1:
        sweep = shlex.join(["tinynet", "sweep", source, f"{key}={text}"])
        hint = f"; {sweep} runs each" if sweep.isprintable() else ""
        raise ValueError(f"{len(values)} values, and one run has one{hint}")
    return values[0]


def override_texts(overrides: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Return the text behind every KEY= of the command line, and a fault for each override that is none."""
    known, texts, faults = dotted_keys(), dict[str, str](), list[str]()
    for override in overrides:
        key, equals, text = override.partition("=")
        key = key.strip()
        if not equals or not key:
            faults.append(f"command line: {shown(override)}: an override is KEY=VALUE without spaces, such as seed=1")
        elif key not in known:
            siblings = [name for name in known if name.startswith(key.partition(".")[0] + ".")]
            faults.append(f"command line: {unknown_key(key, siblings or known)}")
        elif key in texts:
            faults.append(f"command line: {key}: given twice")
        else:
            texts[key] = text
    return texts, faults


def resolve_path(values: dict[str, Any], folder: str = "") -> None:
    """Make the path of the data absolute: a file's is as seen from its folder, the command line's from here."""
    dataset = values.get("dataset")
    if not isinstance(dataset, dict):
        return
    for key in ("path", "test_path"):
        if isinstance(path := dataset.get(key), str) and path:
            dataset[key] = absolute_path(path, folder)


def absolute_path(path: str, folder: str) -> str:
    """Return the absolute path of a file as seen from `folder`; ~ and $VARIABLE are expanded."""
    return os.path.abspath(os.path.join(folder, os.path.expandvars(os.path.expanduser(path))))


def _section(location: list[str], model: type[BaseModel] | None = None) -> type[BaseModel]:
    """Return the section at `location`, or the innermost around it."""
    model = Config if model is None else model
    for name in location:
        inner = model.model_fields[name].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return model


def unknown_key(key: str, allowed: Iterable[str]) -> str:
    """Return the message for a key that is none of `allowed`."""
    near = nearest_key(key)
    guess = f" did you mean {near!r}?" if near not in (None, key) else ""
    return f"unknown key {shown(key)};{guess} allowed: {', '.join(allowed)}"


def _fault(detail: ErrorDetails, source: str, overridden: set[str]) -> str:
    """Return one line: where, which key, what is allowed, what was received."""
    location, kind, value = [str(part) for part in detail["loc"]], detail["type"], detail["input"]
    key = ".".join(location)
    where = "command line" if key in overridden else shown(source)
    if kind == "extra_forbidden":
        return f"{where}: {unknown_key(key, _section(location[:-1]).model_fields)}"
    if kind == "missing":
        return f"{where}: {key}: missing; dataset.name must be one of {', '.join(get_args(DatasetName))}"
    if kind == "value_error":
        error = detail["ctx"]["error"]
        where = origin(source, overridden) if isinstance(error, CombinationError) else where
        return f"{where}: {key}: {_one_line(error)}"
    if kind == "model_type":
        return f"{where}: {key}: must be a section with keys, got {shown_value(value)}"
    message, guess = re.sub("^(Input|String) should", "must", detail["msg"]), ""
    if kind == "literal_error" and isinstance(value, str):
        near = difflib.get_close_matches(value, re.findall(r"'([^']*)'", detail["ctx"]["expected"]), n=1)
        guess = f"; did you mean {near[0]!r}?" if near else ""
    return f"{where}: {key}: {message}, got {shown_value(value)}{guess}"


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]
