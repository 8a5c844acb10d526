"""The config of a run: read, overridden from the command line, validated, every fault at once."""

from __future__ import annotations

import json
import re
import reprlib
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from tinynet.activations import get_activation
from tinynet.errors import ConfigError, did_you_mean

MAX_BYTES = 2**20  # a config is text that somebody wrote

DatasetName = Literal["digits", "moons", "iris", "wine", "breast_cancer", "circles", "blobs"]
OPTIONS: dict[str, tuple[str, ...]] = {
    "moons": ("n_samples", "noise"),
    "circles": ("n_samples", "noise", "factor"),
    "blobs": ("n_samples", "n_features", "centers", "cluster_std"),
}


class Section(BaseModel):
    """Strict types, no unknown keys, no nan or inf."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class DatasetConfig(Section):
    """Which data, how it is scaled and split; the last six are options of synthetic data."""

    name: DatasetName
    scaling: Literal["minmax", "standard", "none"] = "minmax"
    validation_size: float = Field(default=0.1, ge=0, lt=1)
    test_size: float = Field(default=0.2, ge=0, lt=1)
    n_samples: int | None = Field(default=None, ge=10)
    noise: float | None = Field(default=None, ge=0)
    factor: float | None = Field(default=None, gt=0, lt=1)
    n_features: int | None = Field(default=None, ge=1)
    centers: int | None = Field(default=None, ge=2)
    cluster_std: float | None = Field(default=None, ge=0)

    @property
    def options(self) -> dict[str, Any]:
        """The options that were given, for `load_dataset`."""
        names = {name for options in OPTIONS.values() for name in options}
        return {name: value for name, value in self if name in names and value is not None}

    @model_validator(mode="after")
    def _sizes_leave_a_training_part(self) -> DatasetConfig:
        if self.validation_size + self.test_size >= 1:
            raise ValueError(
                f"validation_size + test_size must be below 1, got {self.validation_size:g} + {self.test_size:g}: "
                "nothing is left to train on"
            )
        return self

    @model_validator(mode="after")
    def _options_belong_to_the_data_set(self) -> DatasetConfig:
        allowed = OPTIONS.get(self.name, ())
        for name in self.options:
            if name not in allowed:
                raise ValueError(f"{self.name} has no option {name!r}; it has {', '.join(allowed) or 'none'}")
        return self


class NetworkConfig(Section):
    """The shape of the network."""

    hidden_units: int = Field(default=50, ge=1)
    activation: str = "tanh"
    weight_scale: float | None = Field(default=None, ge=0)

    @field_validator("activation")
    @classmethod
    def _is_known(cls, name: str) -> str:
        get_activation(name)
        return name


class GradientConfig(Section):
    """How the difference quotients are formed."""

    h: float = Field(default=1e-4, gt=0)
    method: Literal["auto", "exact", "loop"] = "auto"

    @field_validator("h")
    @classmethod
    def _changes_a_weight(cls, h: float) -> float:
        if 1.0 + h == 1.0:
            raise ValueError("too small to change a weight: 1 + h rounds to 1, so every difference is 0; try 1e-4")
        return h


class OptimizerConfig(Section):
    """The hyper-parameters of SGD."""

    learning_rate: float = Field(default=0.1, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> OptimizerConfig:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0, got momentum 0")
        return self


class TrainingConfig(Section):
    """How long and in what batches; patience is early stopping, in epochs."""

    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=100, ge=1)
    patience: int | None = Field(default=None, ge=1)


class Config(Section):
    """A whole run. ``config.model_dump()`` gives the resolved values."""

    name: str = Field(default="run", max_length=100)
    seed: int = Field(default=0, ge=0, lt=2**32)
    dataset: DatasetConfig
    network: NetworkConfig = NetworkConfig()
    gradient: GradientConfig = GradientConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not re.fullmatch(r"\w[\w .-]*", name) or ".." in name or name != name.strip():
            raise ValueError(
                "a folder is named after it: letters, digits, '_', '-', '.' and spaces, "
                "beginning with a letter, a digit or '_', without '..'"
            )
        return name

    @model_validator(mode="after")
    def _patience_needs_validation(self) -> Config:
        if self.training.patience is not None and self.dataset.validation_size == 0:
            raise ValueError("training.patience needs validation data, but dataset.validation_size is 0")
        return self

    def to_json(self) -> str:
        """Return the resolved config; read again it gives an equal one."""
        return json.dumps(self.model_dump(exclude_none=True), indent=2, ensure_ascii=False) + "\n"


def preset_names() -> list[str]:
    """Return the names of the presets that tinynet brings along."""
    files = resources.files("tinynet.experiments").joinpath("presets").iterdir()
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
        raise ConfigError([f"{_short(name)}: neither a preset nor a .toml or .json file{did_you_mean(name, names)}"])
    return (
        resources.files("tinynet.experiments").joinpath("presets").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    )


def load_config(source: str, overrides: Iterable[str] = ()) -> Config:
    """Read a preset or file, apply KEY=VALUE `overrides`, and validate.

    Parameters
    ----------
    source : str
        A preset's name, or the path of a .toml or .json file.
    overrides : iterable of str
        "dotted.key=VALUE", the value in TOML: 0.1, true, '"relu"'.

    Raises
    ------
    ConfigError
        With every fault: the file or "command line", the dotted key, what was received and what is allowed.

    Examples
    --------
    >>> load_config("digits", ["optimizer.learning_rate=0.05"]).optimizer.learning_rate
    0.05
    """
    path = Path(source)
    if path.suffix in (".toml", ".json"):
        values = _parse(source, _read(path), json_format=path.suffix == ".json")
    else:
        values = _parse(source, preset_text(source), json_format=False)
    from_command_line, faults = _apply(values, overrides)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False)
        faults += [_fault(detail, source, from_command_line) for detail in details]
    if faults:
        raise ConfigError(faults)
    return config


def _read(path: Path) -> str:
    shown = _short(str(path))
    try:
        if path.is_dir():
            raise ConfigError([f"{shown}: is a folder, not a config file"])
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError([f"{shown}: cannot be read: {reason}"]) from error
    if len(content) > MAX_BYTES:
        raise ConfigError([f"{shown}: larger than 1 MiB, which no config is"])
    if not content.strip():
        raise ConfigError([f"{shown}: is empty; 'tinynet presets digits' prints a config to begin with"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{shown}: line {line}: not UTF-8: byte 0x{content[error.start]:02x}"]) from error


def _parse(source: str, text: str, *, json_format: bool) -> dict[str, Any]:
    kind = "JSON" if json_format else "TOML"
    try:
        values = json.loads(text, object_pairs_hook=_unique_keys) if json_format else tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError([f"{_short(source)}: nested too deeply for a config"]) from error
    except ValueError as error:
        raise ConfigError([f"{_short(source)}: not valid {kind}: {_one_line(error)}"]) from error
    if not isinstance(values, dict):
        raise ConfigError([f"{_short(source)}: must hold an object with sections, got {_short(values)}"])
    return values


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"key {_short(key)} stands twice")
    return dict(pairs)


def _apply(values: dict[str, Any], overrides: Iterable[str]) -> tuple[set[str], list[str]]:
    """Write the overrides into `values`; return their keys, and a fault for each that is none."""
    known, seen, faults = _dotted_keys(Config), set[str](), list[str]()
    for override in overrides:
        key, equals, text = override.partition("=")
        key = key.strip()
        if not equals:
            faults.append(f"command line: {_short(override)}: an override is KEY=VALUE, such as seed=1")
        elif key not in known:
            siblings = [name for name in known if name.startswith(key.partition(".")[0] + ".")]
            faults.append(f"command line: unknown key {_short(key)}{did_you_mean(key, siblings or known)}")
        elif key in seen:
            faults.append(f"command line: {key}: given twice")
        else:
            seen.add(key)
            try:
                _put(values, key.split("."), _toml_value(text))
            except ValueError as error:
                faults.append(f"command line: {key}: {error}")
    return seen, faults


def _toml_value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        parsed = {}
    if parsed.keys() != {"value"}:
        word = re.fullmatch(r"[\w:.-]+", text)
        hint = f"; a string needs quotes: '\"{text}\"'" if word else ""
        raise ValueError(f"{_short(text)} is not a TOML value{hint}")
    return parsed["value"]


def _put(values: dict[str, Any], path: list[str], value: Any) -> None:
    for section in path[:-1]:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ValueError(f"{section} is no section in the config file but {_short(inner)}")
        values = inner
    values[path[-1]] = value


def _dotted_keys(model: type[BaseModel]) -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            keys += [f"{name}.{key}" for key in _dotted_keys(inner)]
        else:
            keys.append(name)
    return keys


def _fault(detail: ErrorDetails, source: str, from_command_line: set[str]) -> str:
    """Return one line: where, which key, what is allowed, what was received."""
    location = [str(part) for part in detail["loc"]]
    key = ".".join(location)
    where = "command line" if key in from_command_line else _short(source)
    received = _short(detail["input"])
    if detail["type"] == "extra_forbidden":
        section = _section(location[:-1])
        return f"{where}: unknown key {_short(key)}{did_you_mean(location[-1], section.model_fields)}"
    if detail["type"] == "missing":
        return f"{where}: {key}: missing"
    if detail["type"] == "value_error":
        message = _one_line(detail["ctx"]["error"])
        is_whole_section = not location or isinstance(detail["input"], Mapping)
        if is_whole_section and any(name.startswith(f"{key}." if key else "") for name in from_command_line):
            where += " and command line"
        return f"{where}: {f'{key}: ' if key else ''}{message}{'' if is_whole_section else f', got {received}'}"
    if detail["type"] == "model_type":
        return f"{where}: {key}: must be a section with keys, got {received}"
    message = detail["msg"].replace("Input should be", "must be")
    guess = ""
    if detail["type"] == "literal_error" and isinstance(detail["input"], str):
        allowed = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
        guess = did_you_mean(detail["input"], allowed).partition(" allowed")[0].rstrip(";")
    return f"{where}: {key}: {message}, got {received}{guess}"


def _section(location: list[str]) -> type[BaseModel]:
    model: type[BaseModel] = Config
    for name in location:
        inner = model.model_fields[name].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return model


def _short(value: object) -> str:
    """Return a value for a message: strings as they are when they are plain, cut when long."""
    if isinstance(value, str) and value.isprintable() and len(value) <= 100:
        return value if re.fullmatch(r"[\w./-]+", value) else repr(value)
    return reprlib.repr(value)


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]
