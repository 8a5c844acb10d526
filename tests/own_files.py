"""Data files of any content, and how tinynet answers them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tinynet import DataError, Dataset, TinynetError, load_dataset


def fault(path: Path, **options: Any) -> str:
    """Return the message about a file, without the file name at its start."""
    with pytest.raises(DataError) as info:
        load_dataset(path.suffix[1:], path=path, **options)
    message = str(info.value)
    assert message.startswith(f"{path}: ") and message.isprintable() and len(message) < 1000
    return message.removeprefix(f"{path}: ")


def attempt(path: Path, content: bytes, **options: Any) -> None:
    """Load a file of these bytes: it gives a data set, or an error of tinynet with one line per fault."""
    path.write_bytes(content)
    try:
        assert isinstance(load_dataset(path.suffix[1:], path=path, **options), Dataset)
    except TinynetError as error:
        lines = str(error).splitlines()
        assert len(lines) == 1 or all(line.startswith(f"{path}: ") for line in lines)
