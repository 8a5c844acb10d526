"""The tests of every numbered fault, as docs/reliability.md lists them; run as a script, it updates the page."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.*?) \| (.*?) \|$", re.MULTILINE)


def tests_of_faults() -> dict[int, str]:
    """Return, for every fault, the files with its tests and the number in each."""
    found: dict[int, Counter[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for number in re.findall(r"^def test_fault_(\d\d)_\w+", path.read_text(encoding="utf-8"), re.MULTILINE):
            found.setdefault(int(number), Counter())[path.name] += 1
    return {
        number: ", ".join(f"`{name}`" + (f" ({times})" if times > 1 else "") for name, times in files.items())
        for number, files in found.items()
    }


def current(page: str) -> str:
    """Return the page with the current tests."""
    tests = tests_of_faults()
    return ROW.sub(lambda row: f"| {row[1]} | {row[2]} | {row[3]} | {tests.get(int(row[1]), '')} |", page)


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
