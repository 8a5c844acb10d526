"""docs/api.md: every public name with its docstring, as the script writes the page today."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import tinynet
from tinynet import schedules

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "write_api_page.py"
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
ENTRIES = dict(re.findall(r"^##+ (\S+)\n(.*?)(?=^##|\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))


def test_the_page_is_current_and_its_script_is_short() -> None:
    written = subprocess.run([sys.executable, "-W", "error", str(SCRIPT)], capture_output=True, check=True)
    assert written.stdout.decode() == PAGE, "python scripts/write_api_page.py > docs/api.md"
    assert len(SCRIPT.read_text(encoding="utf-8").splitlines()) <= 40


def test_every_public_name_has_an_entry_with_its_docstring() -> None:
    for name in tinynet.__all__:
        thing = getattr(tinynet, name)
        docstring = inspect.getdoc(thing) or ""
        assert docstring.split("\n\n")[0].replace("::", ":") in ENTRIES[name], name
        if inspect.isfunction(thing):
            sections = re.findall(r"^(\w+)\n---", docstring, re.MULTILINE)
            assert all(parameter in ENTRIES[name] for parameter in inspect.signature(thing).parameters), name
            assert all(f"**{section}**" in ENTRIES[name] for section in sections), name
        for key, value in vars(thing).items() if inspect.isclass(thing) else ():
            if key[0] != "_" and (inspect.isfunction(value) or isinstance(value, property)):
                assert f"{name}.{key}" in ENTRIES


def test_names_that_pages_import_from_modules_have_entries() -> None:
    functions = {name for name, thing in vars(schedules).items() if inspect.isfunction(thing) and name[0] != "_"}
    own = {name for name in functions if getattr(schedules, name).__module__ == "tinynet.schedules"}
    assert {"constant"} < own and {f"schedules.{name}" for name in own} <= ENTRIES.keys()
    for page in (ROOT / "docs").glob("*.md"):
        for module, names in re.findall(r"from tinynet\.([\w.]+) import ([\w, ]+)", page.read_text(encoding="utf-8")):
            assert {f"{module}.{name}" for name in names.split(", ")} <= ENTRIES.keys(), page.name
