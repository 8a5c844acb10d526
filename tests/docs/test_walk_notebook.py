"""docs/walk.ipynb: it runs from top to bottom, agrees with the pages, and is stored without outputs."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

DOCS = Path(__file__).parents[2] / "docs"
PATH = DOCS / "walk.ipynb"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Return the outputs of the notebook's cells, in order."""
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(PATH, as_version=4)
    client = NotebookClient(notebook, startup_timeout=300, timeout=300, resources={"metadata": {"path": str(folder)}})
    # figures are shown inline whatever is set in the environment
    client.execute(env=os.environ | {"MPLBACKEND": "agg"})
    assert list(folder.iterdir()) == []
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_the_notebook_is_valid_and_has_no_outputs() -> None:
    notebook = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    assert PATH.stat().st_size < 20_000
    for cell in notebook.cells:
        assert cell.get("outputs", []) == [] and cell.get("execution_count") is None


def test_the_notebook_follows_the_order_of_the_pages_and_links_each() -> None:
    text = "\n".join(cell.source for cell in nbformat.read(PATH, as_version=4).cells if cell.cell_type == "markdown")
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    pages = re.findall(r"^(\d)\. \[([^]]+)\]\(([\w.]+)\)", index, flags=re.MULTILINE)
    assert re.findall(r"^## (\d)\. ([^\n]+)\n\n[^\n]*\[The page\]\(([\w.]+)\)", text, flags=re.MULTILINE) == pages


def test_its_cells_print_the_figures_of_the_pages(outputs: list[Any]) -> None:
    assert {output.get("name", "stdout") for output in outputs} == {"stdout"}
    printed = "".join(output.get("text", "") for output in outputs)
    pages = "".join(page.read_text(encoding="utf-8") for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"])
    slopes = re.search(r"h = 1e-4: (\S+) (\S+)", printed)
    assert slopes and f"({slopes[1]}, {slopes[2]})" in pages
    assert "h = 10e-50: 0.0" in printed and "after 100 steps: [-6.11110793e-10  8.14814391e-10]" in printed
    for accuracy in re.findall(r"test accuracy.*?(\d\d\.\d %)", printed):
        assert accuracy in pages
    (matrix,) = (output.data["text/plain"] for output in outputs if output.output_type == "execute_result")
    assert matrix in pages


def test_its_fast_gradient_equals_that_of_the_loop(outputs: list[Any]) -> None:
    printed = "".join(output.get("text", "") for output in outputs)
    (apart,) = re.findall(r"times as fast; no entry is more than (\S+) apart", printed)
    assert 0 < float(apart) < 1e-10


def test_every_part_draws_the_figure_its_page_has(outputs: list[Any]) -> None:
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 6
