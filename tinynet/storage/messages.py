"""How messages show paths and values."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import Any

MAX_SHOWN = 300  # characters of a path in a message
MAX_DIFFERING = 20  # values that a message names


def shown_path(path: str | os.PathLike[str]) -> str:
    """Return a path or a name for a message: on one line whatever is in it, and cut when it is very long."""
    text = os.fspath(path)
    text = text if len(text) <= MAX_SHOWN else f"{text[:100]}…{text[101 - MAX_SHOWN :]}"
    return text if text and text.isprintable() else repr(text)


def differences(stored: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return "differs in KEY (x in the folder, y now), ...", or "" when nothing differs; nan is the same as nan."""
    absent = "absent"
    found = [
        f"{shown_path(key)} ({shortened(stored.get(key, absent))} in the folder, {shortened(now.get(key, absent))} now)"
        for key in {**stored, **now}
        if not _are_same(stored.get(key), now.get(key))
    ]
    more = f" and {len(found) - MAX_DIFFERING} more" if len(found) > MAX_DIFFERING else ""
    return f"differs in {', '.join(found[:MAX_DIFFERING])}{more}" if found else ""


def _are_same(there: object, here: object) -> bool:
    return there == here or (there != there and here != here)  # nan


def shortened(value: object, most: int = 60) -> str:
    """Return a value for a message; of a long path the end tells more."""
    text = str(value)
    return shown_path(text if len(text) <= most else f"…{text[1 - most :]}")


def typed_path(path: str | os.PathLike[str]) -> str:
    """Return a path as it is typed into bash, on one line whatever is in it."""
    text = os.fspath(path)
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + repr(b'"' + os.fsencode(text))[3:]  # the quote lets repr escape every ' in it; bash reads the rest
