"""The pages in docs/: all commands and examples, run in order, print what the page shows below them."""

from __future__ import annotations

import doctest
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from itertools import pairwise
from pathlib import Path

import pytest
from programs import Run

from tinynet.cli.main import main

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INDEX = (DOCS / "README.md").read_text(encoding="utf-8")
PAGES = re.findall(r"\]\(([\w.]+\.md)\)", INDEX)  # in reading order
WALK = re.findall(r"^\d\. \[[^]]+\]\(([\w.]+)\)", INDEX, flags=re.MULTILINE)
BLOCK = re.compile(r"(?:This is `([\w./]+)`[^`]*)?^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", flags=re.MULTILINE)
TIME = re.compile(r"\b\d+\.\d s\b|\d{8}-\d{6}")  # what differs from run to run
SCRIPT = re.compile(r"python scripts/(\w+)\.py docs/images/\1\.png")
ELSEWHERE = {"api.md"}  # its examples are doctests where they are written
VARYING = {"check.md"}  # timings and rounding, which tests/checking/test_network_check.py compares


def printed_by(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a command prints; plain tinynet commands run in this process."""
    if command.startswith("tinynet ") and not set(command) & set("|<>;&*$"):
        main(shlex.split(command)[1:])
        return "".join(capsys.readouterr())
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env={"PATH": path})
    return result.stdout + result.stderr


def run_python(examples: str, names: dict[str, object], page: str) -> None:
    """Run examples with `names` defined, and add the names that they define."""
    session = doctest.DocTestParser().get_doctest(examples, names, page, None, 0)
    assert session.examples
    assert doctest.DocTestRunner().run(session, clear_globs=False).failed == 0
    names.update(session.globs)


@pytest.mark.filterwarnings("ignore::tinynet.NumericalWarning")  # warnings go to stderr, which no page shows
def test_typing_the_pages_in_order_prints_what_they_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run_script: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("data", "docs", "scripts"):
        shutil.copytree(ROOT / folder, folder)
    for page in (page for page in PAGES if page not in ELSEWHERE):
        with warnings.catch_warnings():  # the warning filters of a page end with it
            typed(page, capsys, run_script)


def typed(page: str, capsys: pytest.CaptureFixture[str], run_script: Run) -> None:
    """Type everything a page shows, and compare the output."""
    names: dict[str, object] = {}
    for file, language, block in BLOCK.findall((DOCS / page).read_text(encoding="utf-8")):
        if file:
            assert not Path(file).exists(), f"{page}: another page has written {file}"
            Path(file).write_text(block, encoding="utf-8")
        elif language == "python":
            run_python(block, names, page)
        else:
            for command, printed in COMMAND.findall(block):
                script = SCRIPT.fullmatch(command)
                output = run_script(script[1])[0] if script else printed_by(command, capsys)
                is_as_printed = TIME.sub("TIME", output) == TIME.sub("TIME", printed)
                assert is_as_printed or page in VARYING, f"{page}: {command}:\n{output}"


def test_the_index_lists_every_page_and_the_readme_links_the_index() -> None:
    listed = set(re.findall(r"\]\(([\w.]+)\)", INDEX))
    assert listed == {path.name for path in DOCS.iterdir() if path.is_file()} - {"README.md"}
    assert len(PAGES) == len(set(PAGES)) == len(listed) - 1
    assert "docs/README.md" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_page_of_the_walk_is_short_and_leads_to_the_next() -> None:
    own = [page for page in WALK if page != "fast_gradient.md"]
    assert len(WALK) == 6 and len(own) == 5
    for page in own:
        text = (DOCS / page).read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 92, page
        pictures = re.findall(r"^!\[.+\]\(images/", text, re.MULTILINE)
        assert 1 <= len(COMMAND.findall(text)) <= len(pictures) <= 2, page
        assert "```python\n>>> " in text, page
    for page, following in pairwise(WALK[:5]):
        assert re.search(rf"^Next: \[.*\]\({following}\)", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_the_links_of_a_page_are_not_broken(page: str) -> None:
    text = BLOCK.sub("", (DOCS / page).read_text(encoding="utf-8"))
    for target, heading in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
        path = DOCS / target if target else DOCS / page
        assert path.is_file(), target
        assert not heading or heading in anchors(path.read_text(encoding="utf-8")), heading
    for script in re.findall(r"scripts/(\w+\.py)", text):
        assert (ROOT / "scripts" / script).is_file(), script


def anchors(text: str) -> set[str]:
    """Return the names by which GitHub links to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
