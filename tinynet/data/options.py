"""What may be asked for of a table, checked: the keys of [dataset] in a config, the options of `load_dataset`."""

from __future__ import annotations

import codecs
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from os import PathLike, fspath
from os.path import expanduser, expandvars
from typing import Any

from tinynet.data.csv_files import DEFAULT_STYLE, SEPARATORS, Style
from tinynet.data.tables import MISSING_MARKS, column_places
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
    """What is made of the columns of a table; each is a key of [dataset] in a config."""

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
    """Return what is asked for of a table's columns, or raise naming the option that cannot be."""
    check_options(name, allowed, given)
    label, header = given.get("label"), given.get("header")
    for option in ("label", "exclude", "categorical"):
        value = given.get(option)
        if option != "label" and not isinstance(value, list | tuple | None):
            raise InvalidTypeError(f"{option} must be a list of columns, got {value!r}")
        for one in [value] if option == "label" else value or ():
            if not isinstance(one, str | None):
                check_integer(option, one, -(2**63))
    if given.get("separator") not in (None, "space"):
        check_choice("separator", given["separator"], (*SEPARATORS, "space"))
    check_choice("decimal", given.get("decimal", "."), (".", ","))
    check_choice("missing", given.get("missing", "impute"), MISSING)
    check_encoding(given.get("encoding", "utf-8"))
    if not isinstance(header, bool | None):
        raise InvalidTypeError(f"header must be True, False or None, got {header!r}")
    if isinstance(label, str) and header is False:
        raise InvalidValueError(f"label {label!r} is a name, which a header must give, but header is False")
    marks = given.get("missing_marks", MISSING_MARKS)
    if not isinstance(marks, list | tuple) or not all(isinstance(mark, str) for mark in marks):
        raise InvalidTypeError(f"missing_marks must be a list of texts, got {marks!r}")
    shape = given.get("image_shape")
    if shape is not None and (not isinstance(shape, list | tuple) or len(shape) != 2):
        raise InvalidTypeError(f"image_shape must be [height, width], got {shape!r}")
    lists = {"exclude": (), "categorical": (), "missing_marks": MISSING_MARKS}
    taken = given | {key: tuple(given.get(key) or default) for key, default in lists.items()}
    taken["label"] = -1 if label is None else label
    taken["max_levels"] = check_integer("max_levels", given.get("max_levels", 50), 2)
    taken["image_shape"] = None if shape is None else tuple(check_integer("image_shape", side, 1) for side in shape)
    style = Style(**{field.name: taken[field.name] for field in fields(Style) if field.name in taken})
    chosen = {field.name: taken[field.name] for field in fields(TableOptions) if field.name in taken}
    return TableOptions(**chosen, style=style)


def check_encoding(encoding: str) -> None:
    """Raise InvalidValueError for a text encoding that Python does not know."""
    with suppress(LookupError, TypeError, ValueError):
        if codecs.lookup(encoding)._is_text_encoding:
            return
    raise InvalidValueError(f"unknown encoding {encoding!r}; any of Python's will do, such as utf-8, cp1252 or big5")


def data_path(path: FilePath | None) -> str:
    """Return the name of a file with its ~ and $VARIABLE expanded."""
    if not isinstance(path, str | PathLike):
        raise InvalidTypeError(f"path must name a file, got {path!r}")
    return expandvars(expanduser(fspath(path)))
