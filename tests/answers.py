"""What answers a command line that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinynet.cli.main import main


def fault(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line that answers a wrong command line; check that nothing is created or changed."""
    before = {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")}
    assert main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == "" and {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")} == before
    (line,) = err.splitlines()
    assert line.isprintable()
    return line.removeprefix("tinynet: ")
