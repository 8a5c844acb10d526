"""The options of a table, checked: the keys of [dataset] in a config, the arguments of `load_dataset`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from os import PathLike
from os.path import exists, expanduser, expandvars, join
from typing import Any

from tinynet.data.csv_files import DEFAULT_STYLE, SEPARATORS, Style
from tinynet.data.tables import column_places
from tinynet.errors import InvalidTypeError, InvalidValueError, check_choice, check_integer, did_you_mean
from tinynet.storage.reading import FilePath

Place = str | int  # of a column: its name, or its number from 1, or from the end below 0

IMPUTE, DROP, REFUSE = MISSING = ("impute", "drop", "refuse")
FRAME_OPTIONS = ("label", "exclude", "categorical", "missing", "missing_marks", "max_levels", "image_shape")
OWN = {
    "csv": ("path", *FRAME_OPTIONS, "separator", "header", "encoding", "decimal", "test_path"),
    "npz": ("path", *FRAME_OPTIONS[1:], "test_path"),
}


@dataclass(frozen=True)
class TableOptions:
    """What becomes of the columns of a table; each field is a key of [dataset] in a config."""

    label: Place = -1
    exclude: tuple[Place, ...] = ()
    categorical: tuple[Place, ...] = ()
    missing: str = IMPUTE
    max_levels: int = 50
    image_shape: tuple[int, int] | None = None
    style: Style = DEFAULT_STYLE

    def as_text(self, names: list[str]) -> list[int]:
        """Return the places of the columns that are text even if they hold numbers alone: labels and codes."""
        return column_places(names, [self.label], "label") + column_places(names, self.categorical, "categorical")


DEFAULT_OPTIONS = TableOptions()


def check_options(name: str, allowed: Collection[str], given: Mapping[str, Any]) -> None:
    """Raise InvalidTypeError for an option that is none of `allowed`, with the nearest."""
    for option in given:
        if option not in allowed:
            hint = did_you_mean(option, allowed) if allowed else "; it takes none"
            raise InvalidTypeError(f"{name} has no option {option!r}{hint}")


def table_options(name: str, allowed: Collection[str], given: dict[str, Any]) -> TableOptions:
    """Return the options of a table, or raise an error that names the wrong one."""
    check_options(name, allowed, given)
    asked = {**vars(DEFAULT_STYLE), **vars(DEFAULT_OPTIONS)}
    asked |= {option: value for option, value in given.items() if value is not None}
    for option in ("exclude", "categorical", "missing_marks"):
        if not isinstance(asked[option], list | tuple):
            raise InvalidTypeError(f"{option} must be a list, got {asked[option]!r}")
        asked[option] = tuple(asked[option])
    for option in ("label", "exclude", "categorical"):
        for one in (asked["label"],) if option == "label" else asked[option]:
            if not isinstance(one, str):
                check_integer(option, one, -(2**63))
    for option, choices in {"decimal": (".", ","), "missing": MISSING, "separator": (*SEPARATORS, "space")}.items():
        if asked[option] is not None:
            check_choice(option, asked[option], choices)
    check_encoding(asked["encoding"])
    label, header, marks, shape = (asked[option] for option in ("label", "header", "missing_marks", "image_shape"))
    if not isinstance(header, bool | None):
        raise InvalidTypeError(f"header must be True, False or None, got {header!r}")
    if isinstance(label, str) and header is False:
        raise InvalidValueError(f"label {label!r} is a name, which a header must give, but header is False")
    if not all(isinstance(mark, str) for mark in marks):
        raise InvalidTypeError(f"missing_marks must be a list of texts, got {marks!r}")
    check_integer("max_levels", asked["max_levels"], 2)
    if shape is not None:
        if not isinstance(shape, list | tuple) or len(shape) != 2:
            raise InvalidTypeError(f"image_shape must be [height, width], got {shape!r}")
        asked["image_shape"] = tuple(check_integer("image_shape", side, 1) for side in shape)
    asked["style"] = Style(**{field.name: asked[field.name] for field in fields(Style)})
    return TableOptions(**{field.name: asked[field.name] for field in fields(TableOptions)})


def check_encoding(encoding: str) -> None:
    """Raise InvalidValueError for a text encoding that Python does not know."""
    try:
        "".encode(encoding)
    except (LookupError, TypeError, ValueError) as error:
        advice = "any name that Python knows will do, such as utf-8, cp1252 or big5"
        raise InvalidValueError(f"unknown encoding {encoding!r}; {advice}") from error


def data_path(path: FilePath | None, folder: str = "") -> str:
    """Return the name of a file in `folder`, with ~ and $VARIABLE expanded unless there is a file of that very name."""
    if not isinstance(path, str | PathLike):
        raise InvalidTypeError(f"path must name a file, got {path!r}")
    there = join(folder, path)
    return there if exists(there) else join(folder, expandvars(expanduser(path)))
