"""Run folders and reports for tests: made once, copied, and read back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

import tinynet
from tinynet import DivergedError
from tinynet.artifacts.run_folder import create_folder
from tinynet.config.building import prepare
from tinynet.config.loading import load_config
from tinynet.experiments.run import execute
from tinynet.reports.report import write_report

VOID = {"meta", "link", "img", "wbr"}
NASTY = '<script>alert("x")</script>\'&"'


def train(folder: Path, source: str, *overrides: str) -> Path:
    config = load_config(source, overrides)
    with suppress(DivergedError):
        execute(prepare(config), create_folder(str(folder), config.name), report=False)
    return folder


class Reader(HTMLParser):
    """Reads a page and checks that every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page(*folders: str | Path) -> str:
    return write_report(folders, "page.html").read_text(encoding="utf-8")


def words(*folders: str | Path) -> str:
    return Reader(page(*folders)).text


def table(html: str, caption: str) -> list[list[str]]:
    """Return the cells of the table with that caption."""
    (found,) = re.findall(rf"<table[^>]*>\s*<caption>{re.escape(caption)}.*?</table>", html, re.S)
    tree = ElementTree.fromstring(found.replace("<wbr>", "").replace("\u00a0", " "))
    return [["".join(cell.itertext()) for cell in row] for row in tree.iter("tr")]


def charts(html: str) -> dict[str, ElementTree.Element]:
    """Return the pictures of a page by their accessible names."""
    found = {}
    for svg in re.findall(r'<svg viewBox="[^"]*" role="img".*?</svg>', html, re.S):
        tree = ElementTree.fromstring(svg)
        title, description = tree.get("aria-label"), tree.findtext("desc")
        assert title and description and title not in found
        found[title] = tree
    return found


def line(svg: ElementTree.Element, style: str) -> list[tuple[float, float]]:
    """Return the points of the line with those classes."""
    (path,) = (path for path in svg.iter("path") if path.get("class") == style)
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", path.attrib["d"])]


def rewrite(path: str, change: Callable[[Any], object]) -> None:
    values = json.loads(Path(path).read_text(encoding="utf-8"))
    change(values)
    Path(path).write_text(json.dumps(values), encoding="utf-8")


def trained(name: str) -> tuple[tinynet.Dataset, tinynet.TwoLayerNet]:
    """Return the data and the network of a run, without using the report's code."""
    config = json.loads(Path(name, "config.json").read_text())
    parts = {key: config["dataset"][key] for key in ("scaling", "validation_size", "test_size")}
    options = {key: config["dataset"][key] for key in ("n_samples", "noise") if key in config["dataset"]}
    data = tinynet.load_dataset(config["dataset"]["name"], seed=config["seed"], **parts, **options)
    net = tinynet.TwoLayerNet(data.n_features, config["network"]["hidden_units"], data.n_classes)
    with np.load(Path(name, "model.npz")) as model:
        net.params = {key: model[key] for key in net.params}
    return data, net
