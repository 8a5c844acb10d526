"""The report in a real browser: it renders, nothing overflows or is fetched, and the console stays empty."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pages
import pytest
from browser import CHROMIUM, Page, browser

from tinynet.reports.report import write_report

WITHOUT = "no chromium on this machine ('apt-get install chromium'); .ci/run installs it"
pytestmark = pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason=WITHOUT)

WIDTHS = (400, 1400)
REPORTS = ("iris", "digits", "moons", "sweep")
LONG = "a_name_without_any_space_that_is_far_too_long_for_a_telephone_" * 2


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a report of each kind, with names of the maximal length."""
    root = tmp_path_factory.mktemp("reports")

    def train(folder: str, source: str, *overrides: str) -> None:
        epochs = f"training.epochs={2 if folder == 'iris' else 3}"  # one run has a chart of the loss by step
        pages.train(root / folder, source, *overrides, epochs, f'name="{LONG[:100]}"')

    train("iris", "iris")
    train("digits", "digits")
    train("moons", "moons")
    for units in range(1, 11):
        for seed in (0, 1):
            long = f"sweep/{LONG}{units}-{seed}"
            rate = f"optimizer.learning_rate={0.01 * units}"
            train(long, "iris", f"network.hidden_units={units}", f"seed={seed}", rate, f"gradient.h={1e-5 * units}")
    train("sweep/bad", "iris", "network.activation='relu'", "network.weight_scale=1e300", "seed=1")
    for name in REPORTS:
        write_report([root / name])
    return root


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.fail(WITHOUT)
    with browser() as tab:
        yield tab


def complaints(page: Page) -> list[object]:
    """Return the messages in the console and the log, including uncaught errors."""
    told = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    return [event for event in page.events if event["method"] in told]


def requests(page: Page) -> list[str]:
    """Return the requested addresses, without those inside the file."""
    asked = [
        event["params"]["request"]["url"] for event in page.events if event["method"] == "Network.requestWillBeSent"
    ]
    return [address for address in asked if not address.startswith("data:")]


STICKING_OUT = """
[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll table, svg') &&
    e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML.slice(0, 200))
"""


CUT_OR_PALE = """
(() => {
  const luminance = c => c.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const numbers = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const over = (top, below) => [0, 1, 2].map(i => (top[3] ?? 1) * top[i] + (1 - (top[3] ?? 1)) * below[i]);
  const paper = e => e === null ? [255, 255, 255] :
    over(numbers(getComputedStyle(e).backgroundColor), paper(e.parentElement));
  const found = [];
  for (const e of document.querySelectorAll('main *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.closest('title, desc')) continue;
    const style = getComputedStyle(e), ink = numbers(e.closest('svg') ? style.fill : style.color);
    const [dark, light] = [luminance(over(ink, paper(e))), luminance(paper(e))].sort((a, b) => a - b);
    if ((light + 0.05) / (dark + 0.05) < 4.5) found.push('pale: ' + e.outerHTML.slice(0, 150));
    const cut = () => found.push('cut: ' + e.outerHTML.slice(0, 150)), at = e.getBoundingClientRect();
    const box = e.closest('svg')?.getBoundingClientRect();
    if (!box && style.display !== 'inline' && e.scrollWidth > e.clientWidth + 1) cut();
    if (box && (at.left < box.left - 1 || at.right > box.right + 1 || at.bottom > box.bottom + 1)) cut();
  }
  return found;
})()
"""


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", REPORTS)
def test_a_report_renders_at_both_widths_and_in_both_schemes(
    name: str, width: int, dark: bool, reports: Path, page: Page
) -> None:
    file = reports / name / "report.html"
    page.open(file, width, dark=dark)
    assert page.value("innerWidth") == width
    assert page.value("document.documentElement.scrollWidth") <= width
    assert page.value(STICKING_OUT) == []
    assert page.value(CUT_OR_PALE) == []
    assert requests(page) == [file.resolve().as_uri()]
    assert complaints(page) == []
    assert page.value("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    sizes = page.value("[...document.querySelectorAll('svg[role=img]')].map(s => s.getBoundingClientRect().width)")
    assert sizes and min(sizes) > 300
    ink, paper = page.value(
        "(s => [s.color, s.backgroundColor].map(c => c.match(/\\d+/g).slice(0, 3).map(Number)))"
        "(getComputedStyle(document.body))"
    )
    assert sum(ink) > sum(paper) + 300 if dark else sum(paper) > sum(ink) + 300


@pytest.mark.parametrize("name", REPORTS)
def test_a_printed_report_is_dark_on_light_and_fits(name: str, reports: Path, page: Page) -> None:
    page.open(reports / name / "report.html", 720, dark=True)
    assert page.value("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    page.send("Emulation.setEmulatedMedia", media="print", features=[dark])
    assert page.value("document.documentElement.scrollWidth") <= 720
    assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.send("Emulation.setEmulatedMedia", media="")


@pytest.mark.parametrize("name", REPORTS)
def test_every_picture_has_an_accessible_name(name: str, reports: Path, page: Page) -> None:
    page.open(reports / name / "report.html", 1400)
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    pictures = [node for node in nodes if node.get("role", {}).get("value") == "image" and not node["ignored"]]
    assert len(pictures) >= page.value("document.querySelectorAll('svg[role=img], img').length") > 1
    assert all(len(picture["name"]["value"]) > 10 for picture in pictures)


def test_a_script_injected_into_the_page_does_not_run(reports: Path, page: Page, tmp_path: Path) -> None:
    html = (reports / "iris" / "report.html").read_text(encoding="utf-8")
    script = '<script>document.title = "run"</script><img src="x" onerror="document.title = 1">'
    (tmp_path / "tampered.html").write_text(html.replace("</main>", script + "</main>"), encoding="utf-8")
    page.open(tmp_path / "tampered.html", 1400)
    assert page.value("document.title").endswith("tinynet report")
    assert complaints(page)  # so console messages do arrive


def test_the_checks_detect_overflow_and_requests(reports: Path, page: Page, tmp_path: Path) -> None:
    html = (reports / "iris" / "report.html").read_text(encoding="utf-8")
    policy = html[html.index("<meta http-equiv") : html.index('<meta name="generator"')]
    wide = '<canvas width="900"></canvas><img src="there.png" alt=""><p style="color: #999">pale</p>'
    wide += '<svg viewBox="0 0 9 9"><text x="8" y="5">cut off</text></svg>'
    (tmp_path / "wide.html").write_text(html.replace(policy, "").replace("</main>", wide + "</main>"), encoding="utf-8")
    page.open(tmp_path / "wide.html", 400)
    assert page.value("document.documentElement.scrollWidth") > 400
    assert len(page.value(STICKING_OUT)) == 1
    assert sorted(found[:4] for found in page.value(CUT_OR_PALE)) == ["cut:", "pale"]
    assert requests(page)[1:] == [(tmp_path / "there.png").as_uri()]
