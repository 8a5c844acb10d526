"""The config of a run: read, overridden from the command line, validated, every fault at once."""

from __future__ import annotations

import difflib
import json
import os.path
import re
import reprlib
import shlex
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from tinynet.activations import NAMED, get_activation
from tinynet.errors import ConfigError, did_you_mean

MAX_BYTES = 2**16  # a config is text that somebody wrote
MAX_LINE = 2000  # characters; tomllib's time and memory grow with the square of a dotted key's length
MAX_FAULTS = 20  # reported; whoever made more reads no further
TOO_LARGE = 2**63  # for any count

DatasetName = Literal["digits", "moons", "iris", "wine", "breast_cancer", "circles", "blobs", "csv", "npz"]
OPTIONS: dict[str, tuple[str, ...]] = {
    "moons": ("n_samples", "noise"),
    "circles": ("n_samples", "noise", "factor"),
    "blobs": ("n_samples", "n_features", "centers", "cluster_std"),
    "csv": ("path", "label", "separator", "header"),
    "npz": ("path",),
}


class CombinationError(ValueError):
    """Two values, each of them allowed, exclude each other."""


class Section(BaseModel):
    """Strict types, no unknown keys, no nan or inf."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def _option(description: str, example: Any, **limits: Any) -> Any:
    """Return a field that may be left out; then the example is only shown."""
    return Field(default=None, description=description, examples=[example], **limits)


class DatasetConfig(Section):
    """Which data, how it is scaled and split; then the options of synthetic data, and of files."""

    name: DatasetName = Field(description="the data set")
    scaling: Literal["minmax", "standard", "none"] = Field(
        default="minmax",
        description="of every feature: to [0, 1], or to mean 0 and deviation 1",
    )
    validation_size: float = Field(
        default=0.1, ge=0, lt=1, description="fraction of the samples that is measured after every epoch"
    )
    test_size: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        validate_default=True,
        description="fraction of the samples that is measured once, at the end",
    )
    n_samples: int | None = _option("samples of moons, circles or blobs; unset: 1000", 1000, ge=10, lt=TOO_LARGE)
    noise: float | None = _option("standard deviation of the noise on moons or circles; unset: 0.2 or 0.1", 0.2, ge=0)
    factor: float | None = _option(
        "radius of the inner one of the circles, the outer being 1; unset: 0.5", 0.5, gt=0, lt=1
    )
    n_features: int | None = _option("features of blobs; unset: 2", 2, ge=1, lt=TOO_LARGE)
    centers: int | None = _option("blobs, each of them a class; unset: 3", 3, ge=2, lt=TOO_LARGE)
    cluster_std: float | None = _option("standard deviation of a blob; unset: 1.0", 1.0, ge=0)
    path: str | None = _option(
        "the file of csv or npz, as seen from the config's folder", "data.csv", min_length=1, validate_default=True
    )
    label: int | str | None = _option(
        "column of the labels in a csv, by name or number from 1; unset: -1, the last", -1
    )
    separator: Literal[",", ";", "\t", "|"] | None = _option(
        "what stands between the columns of a csv; unset: what its first line has", ","
    )
    header: bool | None = _option("whether the first line of a csv names its columns; unset: as it looks", True)

    @property
    def options(self) -> dict[str, Any]:
        """The options that were given, for `load_dataset`."""
        return {name: value for name in OPTIONS.get(self.name, ()) if (value := getattr(self, name)) is not None}

    @field_validator("test_size")
    @classmethod
    def _leaves_a_training_part(cls, test_size: float, info: ValidationInfo) -> float:
        validation_size = info.data.get("validation_size", 0.0)
        if validation_size + test_size >= 1:
            raise CombinationError(
                f"validation_size + test_size must be below 1, got {validation_size:g} + {test_size:g}: "
                "nothing is left to train on"
            )
        return test_size

    @field_validator("n_samples", "noise", "factor", "n_features", "centers", "cluster_std", *OPTIONS["csv"])
    @classmethod
    def _belongs_to_the_data_set(cls, value: object, info: ValidationInfo) -> object:
        name = info.data.get("name")
        allowed = OPTIONS.get(name or "", ())
        if name and value is not None and info.field_name not in allowed:
            raise CombinationError(f"{name} has no such option; it has {', '.join(allowed) or 'none'}")
        return value

    @field_validator("path")
    @classmethod
    def _is_given_for_a_file(cls, path: str | None, info: ValidationInfo) -> str | None:
        name = info.data.get("name")
        if path is None and "path" in OPTIONS.get(name or "", ()):
            raise CombinationError(f"missing; {name} needs the file to read, as seen from the config's folder")
        return path

    @field_validator("label", mode="before")
    @classmethod
    def _is_a_name_or_a_number(cls, label: object) -> object:
        if isinstance(label, bool) or not isinstance(label, int | str | None):
            raise ValueError(f"must be a column's name, or its number from 1 (−1 is the last), got {_value(label)}")
        return label

    @field_validator("header")
    @classmethod
    def _names_the_label(cls, header: bool | None, info: ValidationInfo) -> bool | None:
        if header is False and isinstance(label := info.data.get("label"), str):
            raise CombinationError(f"false, but label {_value(label)} is a name, which only a header can give")
        return header


class NetworkConfig(Section):
    """The shape of the network."""

    hidden_units: int = Field(default=50, ge=1, lt=TOO_LARGE, description="neurons of the hidden layer")
    activation: str = Field(
        default="tanh",
        description=f"of the hidden layer: {', '.join(NAMED)} or quantised:LEVELS",
        examples=[*NAMED, "quantised:4"],
    )
    weight_scale: float | None = _option("standard deviation of the first weights; unset: 1 / sqrt(fan-in)", 0.1, ge=0)

    @field_validator("activation")
    @classmethod
    def _is_known(cls, name: str) -> str:
        get_activation(name)
        return name


class GradientConfig(Section):
    """How the difference quotients are formed."""

    h: float = Field(default=1e-4, gt=0, description="step of the central differences, in units of a weight")
    method: Literal["auto", "series", "exact", "loop"] = Field(
        default="auto", description="how they are computed, with the same result; auto is the fastest"
    )

    @field_validator("h")
    @classmethod
    def _changes_a_weight(cls, h: float) -> float:
        if 1.0 + h == 1.0:
            raise ValueError(
                f"too small to change a weight: 1 + h rounds to 1, so every difference is 0; try 1e-4, got {h:g}"
            )
        return h


class OptimizerConfig(Section):
    """The hyper-parameters of SGD."""

    learning_rate: float = Field(
        default=0.1, gt=0, description="a weight moves by this multiple of its velocity a step"
    )
    momentum: float = Field(
        default=0.9, ge=0, lt=1, description="fraction of the velocity that a step keeps; 0 is plain gradient descent"
    )
    nesterov: bool = Field(default=False, description="look ahead along the velocity, as Nesterov does; needs momentum")
    weight_decay: float = Field(default=0.0, ge=0, description="factor of an L2 penalty on every parameter")
    schedule: Literal["constant", "step", "cosine"] = Field(
        default="constant",
        description="of the learning rate: as it is, down in steps, or to 0 along a cosine",
    )
    warmup_epochs: float = Field(
        default=0.0,
        ge=0,
        description="epochs in which the learning rate rises to its value",
    )
    step_epochs: int | None = _option(
        "epochs from fall to fall of the learning rate; schedule step alone",
        10,
        ge=1,
        lt=TOO_LARGE,
        validate_default=True,
    )
    step_factor: float | None = _option(
        "fraction to which it falls; schedule step alone; unset: 0.1",
        0.1,
        gt=0,
        lt=1,
        validate_default=True,
    )

    @field_validator("nesterov")
    @classmethod
    def _has_momentum(cls, nesterov: bool, info: ValidationInfo) -> bool:
        if nesterov and info.data.get("momentum") == 0:
            raise CombinationError("needs a momentum above 0, got momentum 0")
        return nesterov

    @field_validator("step_epochs", "step_factor")
    @classmethod
    def _belongs_to_the_schedule(cls, value: Any, info: ValidationInfo) -> Any:
        schedule = info.data.get("schedule")
        if schedule in ("constant", "cosine") and value is not None:
            raise CombinationError(f"only optimizer.schedule 'step' has it, and the schedule is {schedule!r}")
        if schedule == "step" and value is None:
            if info.field_name == "step_epochs":
                raise CombinationError("missing; optimizer.schedule 'step' needs it, such as 10")
            return 0.1
        return value


class TrainingConfig(Section):
    """How long and in what batches."""

    epochs: int = Field(
        default=20,
        ge=1,
        lt=TOO_LARGE,
        description="passes over the training part, each sample visited once",
    )
    batch_size: int = Field(
        default=100, ge=1, lt=TOO_LARGE, description="samples a step; more than there are means all"
    )
    patience: int | None = _option(
        "epochs without a lower validation loss, after which to stop; keeps the best weights",
        10,
        ge=1,
        lt=TOO_LARGE,
    )


class Config(Section):
    """A whole run. ``config.model_dump()`` gives the resolved values."""

    name: str = Field(default="run", max_length=100, description="of the run and, with the time, of its folder in runs")
    seed: int = Field(default=0, ge=0, lt=2**32, description="of the split, the weights and the order of samples")
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
                f"beginning with a letter, a digit or '_', without '..', got {_value(name)}"
            )
        return name

    @field_validator("training")
    @classmethod
    def _patience_has_validation(cls, training: TrainingConfig, info: ValidationInfo) -> TrainingConfig:
        dataset = info.data.get("dataset")
        if training.patience is not None and dataset is not None and dataset.validation_size == 0:
            raise CombinationError("patience needs validation data, but dataset.validation_size is 0")
        return training

    @field_validator("training")
    @classmethod
    def _is_longer_than_the_warm_up(cls, training: TrainingConfig, info: ValidationInfo) -> TrainingConfig:
        optimizer = info.data.get("optimizer")
        if optimizer is not None and optimizer.warmup_epochs >= training.epochs:
            raise CombinationError(
                f"training.epochs {training.epochs} must be above optimizer.warmup_epochs {optimizer.warmup_epochs:g}"
            )
        return training

    def to_json(self, folder: Path | None = None) -> str:
        """Return the resolved config; read again, from `folder` when it was written there, it gives an equal one.

        A data file is named as seen from `folder` when both are below the current folder, so that a project may
        be moved as a whole; else by its absolute path.
        """
        values = self.model_dump(exclude_none=True)
        here = Path.cwd()
        if folder is not None and self.dataset.path is not None and Path(self.dataset.path).is_relative_to(here):
            target = folder.absolute()
            if target.is_relative_to(here):
                values["dataset"]["path"] = os.path.relpath(self.dataset.path, target)
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


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
        raise ConfigError([f"unknown preset {shown(name)}{did_you_mean(name, names)}"])
    file = resources.files("tinynet.experiments").joinpath("presets").joinpath(f"{name}.toml")
    return file.read_text(encoding="utf-8")


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
    values = _parse(source, _text(source), json_format=source.lower().endswith(".json"))
    overridden, faults = _apply(values, overrides)
    _resolve_path(values, "" if "dataset.path" in overridden else os.path.dirname(source))
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

    best = max([*Config.model_fields, *_dotted_keys(Config)], key=likeness)
    return best if likeness(best)[0] > 0.6 else None


def shown(name: str) -> str:
    """Return a name, key or path for a message: as it is when it is plain, else quoted."""
    return name if re.fullmatch(r"[\w./-]+", name) and len(name) <= 100 else _value(name)


def _text(source: str) -> str:
    """Return the text of a file or a preset."""
    if source.lower().endswith((".toml", ".json")):
        return _read(Path(source))
    presets = preset_names()
    if source in presets:
        return preset_text(source)
    run, hint = os.path.join(source, "config.json"), did_you_mean(source, presets)
    if os.path.isfile(run):
        hint = f"; a run folder's config is {shown(run)}"
    elif "=" in source:
        hint = "; CONFIG comes before KEY=VALUE" + hint
    raise ConfigError([f"{shown(source)}: neither a preset nor a .toml or .json file{hint}"])


def _read(path: Path) -> str:
    name = shown(str(path))
    try:
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
        if len(line_text) > MAX_LINE:
            raise ConfigError([f"{name}: line {number}: longer than {MAX_LINE:,} characters, which no config needs"])
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
        raise ConfigError([f"{shown(source)}: must hold an object with sections, got {_value(values)}"])
    return values


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"key {shown(twice)} stands twice")
    return keys


def _apply(values: dict[str, Any], overrides: Iterable[str]) -> tuple[set[str], list[str]]:
    """Write the overrides into `values`; return their keys, and a fault for each that is none."""
    known, seen, faults = _dotted_keys(Config), set[str](), list[str]()
    for override in overrides:
        key, equals, text = override.partition("=")
        key = key.strip()
        if not equals or not key:
            faults.append(f"command line: {shown(override)}: an override is KEY=VALUE without spaces, such as seed=1")
        elif key not in known:
            siblings = [name for name in known if name.startswith(key.partition(".")[0] + ".")]
            faults.append(f"command line: {_unknown(key, siblings or known)}")
        elif key in seen:
            faults.append(f"command line: {key}: given twice")
        else:
            seen.add(key)
            try:
                _put(values, key.split("."), _toml_value(key, text))
            except ValueError as error:
                faults.append(f"command line: {key}: {error}")
    return seen, faults


def _resolve_path(values: dict[str, Any], folder: str) -> None:
    """Make the path of the data absolute: a file's is as seen from its folder, the command line's from here."""
    dataset = values.get("dataset")
    if isinstance(dataset, dict) and isinstance(path := dataset.get("path"), str) and path:
        dataset["path"] = os.path.abspath(os.path.join(folder, path))


def _toml_value(key: str, text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}") if len(text) <= MAX_LINE else {}
    except (ValueError, RecursionError):
        parsed = {}
    if parsed.keys() != {"value"}:
        raise ValueError(f"{shown(text)} is not a TOML value; {_how_to_write(key, text)}")
    return parsed["value"]


def _how_to_write(key: str, text: str) -> str:
    *section, last = key.split(".")
    annotation = _section(section).model_fields[last].annotation
    kinds = get_args(annotation) or (annotation,)
    if bool in kinds:
        return "write true or false"
    if int in kinds and str not in kinds:
        return "a whole number is written 20"
    if float in kinds:
        return "a number is written 0.1, 20 or 1e-4"
    word = text if text.isprintable() and len(text) <= 80 else "text"
    typed = f"{key}={json.dumps(word, ensure_ascii=False)}"
    return f"a string needs quotes that the shell does not take away: {shlex.quote(typed)}"


def _put(values: dict[str, Any], path: list[str], value: Any) -> None:
    for section in path[:-1]:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            return  # the file's fault, which validation reports
    values[path[-1]] = value


def _dotted_keys(model: type[BaseModel]) -> list[str]:
    keys = []
    for name in model.model_fields:
        inner = _section([name], model)
        keys += [name] if inner is model else [f"{name}.{key}" for key in _dotted_keys(inner)]
    return keys


def _section(location: list[str], model: type[BaseModel] | None = None) -> type[BaseModel]:
    """Return the section at `location`, or the innermost around it."""
    model = Config if model is None else model
    for name in location:
        inner = model.model_fields[name].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return model


def _unknown(key: str, allowed: Iterable[str]) -> str:
    near = nearest_key(key)
    guess = f" did you mean {near!r}?" if near not in (None, key) else ""
    return f"unknown key {shown(key)};{guess} allowed: {', '.join(allowed)}"


def _fault(detail: ErrorDetails, source: str, overridden: set[str]) -> str:
    """Return one line: where, which key, what is allowed, what was received."""
    location, kind, value = [str(part) for part in detail["loc"]], detail["type"], detail["input"]
    key = ".".join(location)
    where = "command line" if key in overridden else shown(source)
    if kind == "extra_forbidden":
        return f"{where}: {_unknown(key, _section(location[:-1]).model_fields)}"
    if kind == "missing":
        return f"{where}: {key}: missing; dataset.name must be one of {', '.join(get_args(DatasetName))}"
    if kind == "value_error":
        error = detail["ctx"]["error"]
        where = origin(source, overridden) if isinstance(error, CombinationError) else where
        return f"{where}: {key}: {_one_line(error)}"
    if kind == "model_type":
        return f"{where}: {key}: must be a section with keys, got {_value(value)}"
    message, guess = re.sub("^(Input|String) should", "must", detail["msg"]), ""
    if kind == "literal_error" and isinstance(value, str):
        near = difflib.get_close_matches(value, re.findall(r"'([^']*)'", detail["ctx"]["expected"]), n=1)
        guess = f"; did you mean {near[0]!r}?" if near else ""
    return f"{where}: {key}: {message}, got {_value(value)}{guess}"


def _value(value: object) -> str:
    """Return a value for a message: in one line, cut when long, and "0.1" not to be taken for 0.1."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, str) and len(value) <= 100 else reprlib.repr(value)


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]
