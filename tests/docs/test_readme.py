"""The documents at the root: their code runs as printed, their commands exist, and they stay short."""

from __future__ import annotations

import argparse
import doctest
import re
import shlex
from contextlib import redirect_stdout
from pathlib import Path

import matplotlib.image
import pictures
import pytest

from tinynet.cli import commands
from tinynet.cli import main as cli
from tinynet.config.loading import load_config
from tinynet.experiments.axes import load_grid

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, block in BLOCKS if not language for line in block.splitlines()]


@pytest.mark.parametrize(("name", "most"), [("README.md", 120), ("CONTRIBUTING.md", 80)])
def test_a_document_is_short(name: str, most: int) -> None:
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= most


def test_the_python_examples_in_the_readme_run_as_printed() -> None:
    examples = "".join(block for language, block in BLOCKS if language == "python")
    session = doctest.DocTestParser().get_doctest(examples, {}, "README.md", "README.md", 0)
    result = doctest.DocTestRunner().run(session)
    assert result.failed == 0 and result.attempted == len(session.examples) >= 5


@pytest.mark.parametrize("end", ["tinynet train digits", "python -m pytest"])
def test_one_line_near_the_top_installs_and_runs_the_main_command(end: str) -> None:
    (line,) = (line for line in COMMANDS if line.endswith(end))
    assert README.splitlines().index(line) < 30
    assert line.startswith("python3 -m venv .venv && .venv/bin/python -m pip install ")


def test_every_command_in_the_readme_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trained, swept = [], []

    def only_read(options: argparse.Namespace) -> int:
        trained.append("resumed" if options.resume else load_config(options.config, options.overrides).name)
        return cli.DONE

    def only_combine(options: argparse.Namespace) -> int:
        swept.append(len(load_grid(options.config, options.overrides).combinations))
        return cli.DONE

    monkeypatch.setattr(commands, "train", only_read)
    monkeypatch.setattr(commands, "predict", lambda *_: cli.DONE)
    monkeypatch.setattr(commands, "export", lambda *_: cli.DONE)
    monkeypatch.setattr(commands, "check", lambda *_: cli.DONE)
    monkeypatch.setattr(commands, "sweep", only_combine)
    for line in COMMANDS:
        command = re.match(r"(?:.*/bin/)?tinynet (.*?)(?: > (\S+))?(?: +#.*)?$", line)
        if command is not None:
            with Path(command[2] or "shown").open("w", encoding="utf-8") as output, redirect_stdout(output):
                assert cli.main(shlex.split(command[1])) == cli.DONE
    assert trained == ["digits", "digits", "moons", "resumed"]
    assert swept == [15, 100]


def test_the_readme_names_every_room_and_script() -> None:
    cells = re.findall(r"^\| (`[\w./]+`(?:, `[\w./]+`)*) \|", README, re.MULTILINE)
    table = re.findall(r"`([\w.]+/?)`", " ".join(cells))
    rooms = {path.name + "/" * path.is_dir() for path in (ROOT / "tinynet").iterdir() if path.name[0] not in "_."}
    assert sorted(table) == sorted(rooms - {"py.typed"})
    assert {path.name for path in (ROOT / "scripts").glob("*.py")} <= set(re.findall(r"`(\w+\.py)`", README))


def test_every_file_the_readme_names_exists() -> None:
    named = set(re.findall(r"`(?:\w+/)?(\w+\.py)`", README))
    assert named <= {path.name for folder in ("tinynet", "scripts") for path in (ROOT / folder).rglob("*.py")}
    for link in re.findall(r"\]\(([^):]+)\)", README):
        assert (ROOT / link).is_file()
    height, width, _ = matplotlib.image.imread(ROOT / "docs" / "images" / "digits_loss_curve.png").shape
    assert width > height > 400


def test_the_chinese_readme_keeps_step_with_the_english_one() -> None:
    chinese = (ROOT / "README.zh-TW.md").read_text(encoding="utf-8")
    assert re.findall(r"^```(\w*)\n(.*?)^```$", chinese, flags=re.MULTILINE | re.DOTALL) == BLOCKS
    for what, pattern in {
        "headings": r"^#+(?= )",
        "links": r"\]\(((?!README)[^)]+)\)",
        "names": r"(?<!`)`([^`\n]+)`(?!`)",
        "figures": r"(?<=\| )(?:[\d,.]+(?:e-\d+)?(?: \(.*?\))?)(?= \|)",
    }.items():
        english, theirs = (sorted(re.findall(pattern, text, re.MULTILINE)) for text in (README, chinese))
        assert english == theirs and len(english) >= 5, what
    assert "](README.zh-TW.md)" in README and "](README.md)" in chinese
    assert len(re.findall(r"[\u4e00-\u9fff]", chinese)) > 800


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_file_named_on_a_developer_page_exists(name: str) -> None:
    named = re.findall(r"`((?:[\w-]+/)*[\w-]+\.(?:py|md))`", (ROOT / name).read_text(encoding="utf-8"))
    assert len(named) > 10
    for path in named:
        assert any((ROOT / folder / path).is_file() for folder in ("", "tinynet")), path


def test_the_pictures_of_a_run_show_the_figures_in_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "digits"]) == cli.DONE
    current = pictures.figures(capsys.readouterr().out)
    assert pictures.figures(README) == current
    for picture in pictures.PICTURES:  # python tests/pictures.py draws them
        assert pictures.figures_of(picture) == current, picture
