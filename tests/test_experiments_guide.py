"""docs/experiments.md: its commands, run in order, print what stands below them."""

from __future__ import annotations

import doctest
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:This is `([\w./]+)`[^`]*)?^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
TIME = re.compile(r"\b\d+\.\d s\b|\d{8}-\d{6}")  # what differs from run to run


def shell(command: str) -> str:
    """Return what a command prints where tinynet is installed."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env={"PATH": path})
    return result.stdout + result.stderr


def run_python(examples: str) -> None:
    session = doctest.DocTestParser().get_doctest(examples, {}, "experiments.md", None, 0)
    assert doctest.DocTestRunner().run(session).failed == 0


def test_the_guide_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "data", "data")
    commands = 0
    for file, language, block in BLOCK.findall(GUIDE):
        if language == "toml":
            Path(file).write_text(block, encoding="utf-8")
        elif language == "python":
            run_python(block)
        else:
            for command, printed in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, flags=re.MULTILINE):
                assert TIME.sub("TIME", shell(command)) == TIME.sub("TIME", printed), command
                commands += 1
    assert commands >= 5
