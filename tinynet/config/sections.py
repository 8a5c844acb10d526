"""The keys of a config: their types, ranges and meanings, and which values exclude one another.

Descriptions are shown in printed presets, in the JSON Schema and in docs/config.md.
"""

from __future__ import annotations

import json
import os.path
import re
import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from tinynet.activations import NAMED, get_activation
from tinynet.data.options import OWN, check_encoding
from tinynet.data.tables import MISSING_MARKS

TOO_LARGE = 2**63  # for any count

DatasetName = Literal["digits", "moons", "iris", "wine", "breast_cancer", "circles", "blobs", "csv", "npz"]
OPTIONS: dict[str, tuple[str, ...]] = {
    "moons": ("n_samples", "noise"),
    "circles": ("n_samples", "noise", "factor"),
    "blobs": ("n_samples", "n_features", "centers", "cluster_std"),
} | OWN
ONLY_WITH: dict[str, tuple[str, list[str]]] = {  # a key, and the values of another key for which it has a meaning
    "optimizer.step_epochs": ("optimizer.schedule", ["step"]),
    "optimizer.step_factor": ("optimizer.schedule", ["step"]),
    **{
        f"dataset.{option}": ("dataset.name", [name for name in OPTIONS if option in OPTIONS[name]])
        for options in OPTIONS.values()
        for option in options
    },
}


class CombinationError(ValueError):
    """Two values, each of them allowed, exclude each other."""


class Section(BaseModel):
    """Strict types, no unknown keys, no nan or inf."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)

    @field_validator("*")
    @classmethod
    def _belongs_to_what_is_chosen(cls, value: Any, info: ValidationInfo) -> Any:
        section = cls.__name__.removesuffix("Config").lower()
        owner, names = ONLY_WITH.get(f"{section}.{info.field_name}", ("", []))
        chosen = info.data.get(owner.rpartition(".")[2])
        if value is not None and chosen is not None and chosen not in names:
            has = f", which has {', '.join(OPTIONS.get(chosen, ())) or 'no options'}" if owner == "dataset.name" else ""
            known = " or ".join(map(repr, names))
            raise CombinationError(f"applies only to {owner} {known}; here it is {chosen!r}{has}")
        return value


def _is_a_place(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"must be a column's name, or its number from 1 (−1 is the last), got {shown_value(value)}")
    return value


Place = Annotated[int | str, BeforeValidator(_is_a_place)]  # of a column


def _key(default: Any, description: str, example: Any = None, **limits: Any) -> Any:
    """Return a field; where the default is None it may be left out, and the example is shown."""
    return Field(default=default, description=description, examples=None if example is None else [example], **limits)


Count = Annotated[int, Field(ge=1, lt=TOO_LARGE)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
InsideUnit = Annotated[float, Field(gt=0, lt=1)]


class DatasetConfig(Section):
    """Which data, how it is scaled and split; then the options of synthetic data, and of files."""

    name: DatasetName = Field(description="the data set")
    scaling: Literal["minmax", "standard", "none"] = _key(
        "minmax", "of every feature: to [0, 1], or to mean 0 and deviation 1"
    )
    validation_size: Fraction = _key(0.1, "fraction of the samples that is measured after every epoch")
    test_size: Fraction = _key(0.2, "fraction of the samples that is measured once, at the end")
    n_samples: int | None = _key(None, "samples of moons, circles or blobs; unset: 1000", 1000, ge=10, lt=TOO_LARGE)
    noise: NotNegative | None = _key(
        None, "standard deviation of the noise on moons or circles; unset: 0.2 or 0.1", 0.2
    )
    factor: InsideUnit | None = _key(None, "radius of the inner one of the circles, the outer being 1; unset: 0.5", 0.5)
    n_features: Count | None = _key(None, "features of blobs; unset: 2", 2)
    centers: int | None = _key(None, "blobs, each of them a class; unset: 3", 3, ge=2, lt=TOO_LARGE)
    cluster_std: NotNegative | None = _key(None, "standard deviation of a blob; unset: 1.0", 1.0)
    path: str | None = _key(None, "the file of csv or npz, relative to the config's folder", "data.csv", min_length=1)
    label: Place | None = _key(
        None, "column of the labels in a table, by name or number from 1, -1 being the last; unset: the last", -1
    )
    header: bool | None = _key(None, "whether the first line of a csv names its columns; unset: as it looks", True)
    exclude: list[Place] | None = _key(None, "columns of a table that are left out, by name or number", ["id"])
    categorical: list[Place] | None = _key(
        None, "columns of numbers that are codes: they become columns of 0 and 1, as text does", ["zip_code"]
    )
    missing: Literal["impute", "drop", "refuse"] | None = _key(
        None,
        "gaps in features: filled (median; text: a level of its own), their rows left out, or refused; unset: impute",
        "impute",
    )
    missing_marks: list[str] | None = _key(
        None,
        f"what a gap looks like, without blanks around it; unset: {', '.join(map(json.dumps, MISSING_MARKS))}",
        list(MISSING_MARKS),
    )
    max_levels: int | None = _key(
        None, "a text column with more levels than this is refused; unset: 50", 50, ge=2, lt=TOO_LARGE
    )
    separator: Literal[",", ";", "\t", "|", "space"] | None = _key(
        None, "what stands between the columns of a csv; unset: what its first lines have", ","
    )
    encoding: str | None = _key(None, "text encoding of a csv, any name that Python knows; unset: utf-8", "cp1252")
    decimal: Literal[".", ","] | None = _key(None, '"," for numbers like 1.234,5 in a csv; unset: "."', ",")
    image_shape: list[Count] | None = _key(
        None, "height and width, where the columns are pixels", [28, 28], min_length=2, max_length=2
    )
    test_path: str | None = _key(
        None, "a file with the test part; test_size has no meaning then", "test.csv", min_length=1
    )

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

    @field_validator("encoding")
    @classmethod
    def _is_known_to_python(cls, encoding: str | None) -> str | None:
        if encoding is not None:
            check_encoding(encoding)
        return encoding

    @field_validator("path")
    @classmethod
    def _is_given_for_a_file(cls, path: str | None, info: ValidationInfo) -> str | None:
        name = info.data.get("name")
        if path is None and "path" in OPTIONS.get(name or "", ()):
            raise CombinationError(f"missing; {name} needs the file to read, relative to the config's folder")
        return path


class NetworkConfig(Section):
    """The shape of the network."""

    hidden_units: Count = _key(50, "neurons of the hidden layer")
    activation: str = Field(
        default="tanh",
        description=f"of the hidden layer: {', '.join(NAMED)} or quantised:LEVELS",
        examples=[*NAMED, "quantised:4"],
    )
    weight_scale: NotNegative | None = _key(
        None, "standard deviation of the first weights; unset: 1 / sqrt(fan-in)", 0.1
    )

    @field_validator("activation")
    @classmethod
    def _is_known(cls, name: str) -> str:
        get_activation(name)
        return name


class GradientConfig(Section):
    """How the difference quotients are formed."""

    h: Positive = _key(1e-4, "step of the central differences, in units of a weight")
    method: Literal["auto", "series", "exact", "loop"] = _key(
        "auto", "how they are computed, with the same result; auto is the fastest"
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

    learning_rate: Positive = _key(0.1, "a weight moves by this multiple of its velocity a step")
    momentum: Fraction = _key(0.9, "fraction of the velocity that a step keeps; 0 is plain gradient descent")
    nesterov: bool = _key(False, "look ahead along the velocity, as Nesterov does; needs momentum")
    weight_decay: NotNegative = _key(0.0, "factor of an L2 penalty on every parameter")
    schedule: Literal["constant", "step", "cosine"] = _key(
        "constant", "of the learning rate: as it is, down in steps, or to 0 along a cosine"
    )
    warmup_epochs: NotNegative = _key(0.0, "epochs in which the learning rate rises to its value")
    step_epochs: Count | None = _key(None, "epochs between drops of the learning rate (schedule 'step' only)", 10)
    step_factor: InsideUnit | None = _key(None, "factor of each drop (schedule 'step' only); unset: 0.1", 0.1)

    @field_validator("nesterov")
    @classmethod
    def _has_momentum(cls, nesterov: bool, info: ValidationInfo) -> bool:
        if nesterov and info.data.get("momentum") == 0:
            raise CombinationError("needs a momentum above 0, got momentum 0")
        return nesterov

    @field_validator("step_epochs", "step_factor")
    @classmethod
    def _is_what_steps_need(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None or info.data.get("schedule") != "step":
            return value
        if info.field_name == "step_factor":
            return 0.1
        raise CombinationError("missing; optimizer.schedule 'step' needs it, such as optimizer.step_epochs=10")


class TrainingConfig(Section):
    """How long and in what batches."""

    epochs: Count = _key(20, "passes over the training part, each sample visited once")
    batch_size: Count = _key(100, "samples a step; more than there are means all")
    patience: Count | None = _key(
        None, "epochs without a lower validation loss, after which to stop; keeps the best weights", 10
    )
    keep: Literal["last", "best"] | None = _key(
        None,
        "weights a run ends with: of the last epoch, or of the lowest validation loss; unset: best with patience",
        "best",
    )
    class_weight: Literal["none", "balanced"] = _key(
        "none", "balanced: all classes weigh the same in the training part"
    )
    measure: Literal["after", "during"] = _key(
        "after", "when an epoch's training loss is measured: after it, or during it by its batches, which is faster"
    )
    threads: Count = _key(1, "threads of BLAS; the last bits depend on it")
    checkpoint_every_s: NotNegative = _key(
        30.0, "seconds of training between checkpoints inside an epoch; 0 saves every step"
    )
    tensorboard: bool = _key(False, "write an event file for TensorBoard; needs the extra tensorboard")

    @property
    def keeps_best(self) -> bool:
        """Whether a run ends with the weights of its lowest validation loss."""
        return self.keep == "best" or self.patience is not None


class Config(Section):
    """A whole run. ``config.model_dump()`` gives the resolved values."""

    name: str = _key("run", "of the run and, with the time, of its folder in runs", max_length=100)
    seed: int = _key(0, "of the split, the weights and the order of samples", ge=0, lt=2**32)
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
                f"beginning with a letter, a digit or '_', without '..', got {shown_value(name)}"
            )
        return name

    @field_validator("training")
    @classmethod
    def _goes_with_the_others(cls, training: TrainingConfig, info: ValidationInfo) -> TrainingConfig:
        dataset, optimizer = info.data.get("dataset"), info.data.get("optimizer")
        if training.patience is not None and dataset is not None and dataset.validation_size == 0:
            raise CombinationError("patience needs validation data, but dataset.validation_size is 0")
        if training.keep == "last" and training.patience is not None:
            raise CombinationError("keep 'last' and patience exclude each other: patience keeps the best weights")
        if training.keep == "best" and dataset is not None and dataset.validation_size == 0:
            raise CombinationError("keep 'best' needs validation data, but dataset.validation_size is 0")
        if optimizer is not None and optimizer.warmup_epochs >= training.epochs:
            raise CombinationError(
                f"training.epochs {training.epochs} must be above optimizer.warmup_epochs {optimizer.warmup_epochs:g}"
            )
        return training

    def to_json(self, folder: Path | None = None) -> str:
        """Return the resolved config; read again, from `folder` when it was written there, it gives an equal one.

        A data file is named relative to `folder` when both are below the current folder, so that a project may
        be moved as a whole; else, or when `folder` is reached by a symbolic link, by its absolute path.
        """
        values = self.model_dump(exclude_none=True)
        here = Path.cwd()
        for key in ("path", "test_path"):
            path = getattr(self.dataset, key)
            if folder is not None and path is not None and Path(path).is_relative_to(here):
                target = folder.resolve()  # from behind a symbolic link, ".." would lead elsewhere
                if target.is_relative_to(here) and target == Path(os.path.abspath(folder)):
                    values["dataset"][key] = os.path.relpath(path, target)
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def shown_value(value: object) -> str:
    """Return a value for a message: on one line, cut when long, with quotes around text, so that "0.1" is not 0.1."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, str) and len(value) <= 100 else reprlib.repr(value)
