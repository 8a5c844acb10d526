"""docs/reliability.md: its table names the tests of every fault, and its examples run."""

from __future__ import annotations

import doctest

from fault_table import PAGE, ROW, current

TEXT = PAGE.read_text(encoding="utf-8")


def test_every_fault_has_a_test_and_the_table_is_current() -> None:
    rows = ROW.findall(TEXT)
    numbers = [int(number) for number, *_ in rows]
    assert numbers == sorted(set(numbers)) and numbers[:43] == list(range(1, 44))
    assert all(tests for *_, tests in rows)
    assert current(TEXT) == TEXT, "run python tests/fault_table.py"


def test_the_examples_run() -> None:
    example = TEXT.partition("```python\n")[2].partition("```")[0]
    session = doctest.DocTestParser().get_doctest(example, {}, "reliability.md", None, 0)
    assert session.examples and doctest.DocTestRunner().run(session).failed == 0
