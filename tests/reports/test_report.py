"""The report file: where it is written, that it is safe and repeatable, and messages about damaged folders."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from answers import fault
from pages import NASTY, Reader, page, rewrite

from tinynet import RunFolderError
from tinynet.artifacts.stored_runs import read_runs
from tinynet.cli.main import main
from tinynet.reports import report as report_module
from tinynet.reports.html import GENERATOR
from tinynet.reports.report import write_report
from tinynet.reports.run_page import run_page

# The command


def test_a_report_goes_into_its_folder_or_a_given_file(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "iris"]) == 0
    assert capsys.readouterr().out == "report         iris/report.html\n"
    assert Path("iris/report.html").read_bytes() == write_report(["iris"], "x.html").read_bytes()
    assert main(["report", "iris", "moons"]) == 0
    assert main(["report", "iris", "--output", "own.html", "moons"]) == 0
    assert Path("report.html").read_bytes() == Path("own.html").read_bytes()


def test_a_run_writes_the_report_that_the_command_would_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("moons", "digits"):
        assert main(["train", name, "training.epochs=2", "--quiet", "--out", name]) == 0
        written = Path(name, "report.html").read_bytes()
        assert write_report([name], "again.html").read_bytes() == written


def test_a_run_that_diverges_also_has_a_report(tmp_path: Path) -> None:
    huge = ["network.activation='relu'", "network.weight_scale=1e300", "optimizer.learning_rate=100.0", "seed=1"]
    assert main(["train", "iris", *huge, "--out", str(tmp_path / "bad")]) == 3
    assert "The loss or its gradient stopped being finite" in (tmp_path / "bad" / "report.html").read_text("utf-8")
    assert "must hold finite numbers up to 1e+150" in write_report(tmp_path / "bad").read_text("utf-8")


def test_a_report_that_cannot_be_written_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(report_module, "write_atomically", full)
    assert main(["train", "iris", "training.epochs=1", "--quiet", "--out", "x"]) == 3
    go_on = "resume with: tinynet train --out x --resume"
    assert capsys.readouterr().err == f"tinynet: failed: x/report.html: No space left on device; {go_on}\n"
    assert Path("x/model.npz").is_file()


# The file


FORBIDDEN = {"script", "iframe", "object", "embed", "form", "base", "video", "audio", "source", "template"}


@pytest.mark.parametrize("folder", ["digits", "moons", "sweep"])
def test_a_report_holds_no_script_and_nothing_from_elsewhere(folder: str, runs: Path) -> None:
    html = page(folder)
    reader = Reader(html)
    assert not {tag for tag, _ in reader.tags} & FORBIDDEN
    for tag, attributes in reader.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes), tag
        for name in ("src", "href", "action", "data", "srcset") if tag != "a" else ():
            assert (attributes.get(name) or "data:,").startswith("data:"), tag
    assert not re.search(r"@import|url\(|https?://|javascript:", html)
    ((_, policy),) = ((tag, a) for tag, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert (policy["content"] or "").startswith("default-src 'none'; style-src 'sha256-")
    assert html.startswith("<!DOCTYPE html>") and '<html lang="en">' in html


@pytest.mark.parametrize("folder", ["digits", "sweep"])
def test_the_same_folder_gives_the_same_bytes_from_anywhere(
    folder: str, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = page(folder)
    monkeypatch.chdir(tmp_path)
    assert page(f"runs/{folder}") == first
    assert page(tmp_path / "runs" / folder) == first


def test_user_text_is_escaped_everywhere(runs: Path) -> None:
    environment = {"platform": NASTY, NASTY: [NASTY], "versions": {NASTY: NASTY}}
    Path("iris/environment.json").write_text(json.dumps(environment), encoding="utf-8")
    rewrite("iris/summary.json", lambda summary: summary.update(status=NASTY))
    name = NASTY.replace("/", "")
    for n in ("1", "2"):
        shutil.copytree("iris", f"{n}{name}")
    for html in (page(f"1{name}"), page(f"1{name}", f"2{name}")):
        reader = Reader(html)
        assert "script" not in {tag for tag, _ in reader.tags}
        assert "<script" not in html and NASTY in reader.text and name in reader.text


def test_class_names_are_escaped_everywhere(runs: Path) -> None:
    for folder in ("digits", "moons"):
        ((stored,), _) = read_runs([Path(folder)])
        run = report_module.rebuilt(stored)
        assert not isinstance(run, str)
        names = tuple(f"{NASTY}{k}" for k in range(run.dataset.n_classes))
        features = tuple(f"{NASTY}x{k}" for k in range(run.dataset.n_features))
        nasty = replace(run, dataset=replace(run.dataset, class_names=names, feature_names=features))
        html = run_page(stored, nasty).decode()
        assert "<script" not in html and f"{NASTY}1" in Reader(html).text
        assert "script" not in {tag for tag, _ in Reader(html).tags}


def test_a_folder_whose_name_is_not_utf_8_is_reported(runs: Path) -> None:
    Path("iris").rename("iris\udcff")
    assert "run folder iris\\udcff" in page("iris\udcff")


def test_two_hundred_runs_fit_into_three_megabytes(runs: Path) -> None:
    epochs = Path("digits/metrics.csv").read_text().splitlines()
    cells = epochs[1].split(",")
    long = [epochs[0], *(",".join([str(n), *cells[1:2], str(2 / n), *cells[3:]]) for n in range(1, 301))]
    for n in range(200):
        folder = Path("many", f"run-{n:03}")
        folder.mkdir(parents=True)
        for name in ("config.json", "summary.json"):
            shutil.copy(Path("digits", name), folder)
        config = json.loads((folder / "config.json").read_text())
        config["network"]["hidden_units"] = n + 1
        (folder / "config.json").write_text(json.dumps(config))
        rewrite(str(folder / "summary.json"), lambda summary: summary.update(epochs=300))
        (folder / "metrics.csv").write_text("\n".join(long) + "\n")
    assert len(page("many").encode()) < 3e6


# Faults


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere: cannot be read: No such file or directory"),
        (["iris/config.json"], "iris/config.json: is a file"),
        (["empty"], "empty: no run in it"),
        (["iris", "--output", "no/x.html"], "no/x.html: cannot be written: there is no folder no"),
        (["iris", "--output", "empty"], "empty: is a folder; name a file"),
        (["iris", "--output", "iris/config.json"], "iris/config.json: exists and is not a report of tinynet"),
        (["iris", "--out", "x"], "command line: unknown option '--out'; did you mean '--output'?"),
    ],
)
def test_a_wrong_command_line_is_answered_in_one_line(
    arguments: list[str], said: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    assert fault(capsys, "report", *arguments).startswith(said)


def test_a_pipe_is_never_replaced(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe")
    end = os.open("pipe", os.O_RDWR)
    os.write(end, GENERATOR.encode() * 100)
    assert fault(capsys, "report", "iris", "--output", "pipe").startswith(
        "pipe: exists and is not a report of tinynet; "
    )
    os.close(end)


def put(path: str, content: str | bytes) -> Callable[[], object]:
    return lambda: Path(path).write_bytes(content if isinstance(content, bytes) else content.encode())


def cut(path: str, last: int) -> Callable[[], object]:
    return lambda: Path(path).write_bytes(Path(path).read_bytes()[:last])


def cell(column: int, value: str) -> Callable[[], object]:
    def change() -> None:
        lines = Path("iris/metrics.csv").read_text().splitlines()
        cells = lines[2].split(",")
        cells[column] = value
        lines[2] = ",".join(cells)
        Path("iris/metrics.csv").write_text("\n".join(lines) + "\n")

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (put("iris/summary.json", "{"), "iris/summary.json: is damaged: not valid JSON"),
        (put("iris/summary.json", "[1]"), "iris/summary.json: is damaged: must be an object"),
        (put("iris/summary.json", "{}"), "iris/summary.json: is damaged: status: missing"),
        (
            lambda: rewrite("iris/summary.json", lambda summary: summary["test_scores"].pop("loss")),
            "iris/summary.json: is damaged: test_scores.loss: missing",
        ),
        (put("iris/summary.json", b"\xff"), "iris/summary.json: line 1: not UTF-8"),
        (put("iris/environment.json", "3"), "iris/environment.json: is damaged: must be an object"),
        (put("iris/metrics.csv", "a,b\n1,2\n"), "iris/metrics.csv: line 1: is damaged: the columns must be epoch,step"),
        (cell(2, "abc"), "iris/metrics.csv: line 3: is damaged: train_loss: must be a valid number"),
        (cell(0, "1,1"), "iris/metrics.csv: line 3: is damaged: must have 11 cells, got 12"),
        (cut("iris/metrics.csv", -1), "iris/metrics.csv: line 5: is damaged: cut short"),
        (
            lambda: rewrite("iris/summary.json", lambda summary: summary.update(epochs=5)),
            "iris/metrics.csv: is damaged: has 4 epochs, iris/summary.json has 5",
        ),
        (lambda: Path("iris/metrics.csv").unlink(), "iris/metrics.csv: cannot be read: No such file or directory"),
        (cut("iris/model.npz", -200), "iris/model.npz: not an NPZ archive, or a damaged one: File is not a zip file"),
    ],
)
def test_a_damaged_file_is_named(
    damage: Callable[[], object], said: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage()
    answer = fault(capsys, "report", "iris")
    assert said.partition("/")[2] in answer and answer.isprintable()


def test_a_damaged_sweep_csv_is_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("sweep/sweep.csv").write_text("a,b\n1,2\n")
    assert fault(capsys, "report", "sweep").startswith("sweep/sweep.csv: is damaged: ")
    for content in ("", "run,status\n", "run,status\n,\n"):
        Path("sweep/sweep.csv").write_text(content)
        assert fault(capsys, "report", "sweep").startswith("sweep/sweep.csv: names no run; remove it")


def test_all_damaged_runs_of_a_sweep_are_named_together(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        Path(f"sweep/rate=0.3,seed={seed}/summary.json").write_text("{")
    assert main(["report", "sweep", "nowhere"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [sum(word in line for line in lines) for word in ("nowhere", "seed=0", "seed=1", "seed=2")] == [1, 1, 1, 1]
    assert len(lines) == 4 and not Path("report.html").exists()
    for n in range(30):
        shutil.copytree("sweep/rate=0.3,seed=0", f"sweep/copy{n}")
    with pytest.raises(RunFolderError, match="13 more faults") as error:
        write_report(["sweep"])
    assert len(str(error.value).splitlines()) == 21


def test_a_run_that_contains_other_runs_reports_on_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["iris", "--out", "runs"], ["moons"], ["moons", "seed=1"]):
        assert main(["train", *words, "training.epochs=1", "--quiet"]) == 0
    assert main(["train", "--out", "runs", "--resume", "training.epochs=2", "--quiet"]) == 0
    assert "<h1>iris" in Path("runs/report.html").read_text(encoding="utf-8")
