"""The report: what stands in it, that it is safe and whole, and what is said when a folder is not."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import tinynet
from tinynet import DivergedError, RunFolderError
from tinynet.cli import main
from tinynet.experiments import report as report_module
from tinynet.experiments.config import load_config
from tinynet.experiments.records import read_records
from tinynet.experiments.report import write_report
from tinynet.experiments.run import create_folder, execute, prepare

VOID = {"meta", "link", "img", "wbr"}
NASTY = '<script>alert("x")</script>\'&"'


def train(folder: Path, source: str, *overrides: str) -> Path:
    config = load_config(source, overrides)
    with suppress(DivergedError):
        execute(prepare(config), create_folder(str(folder), config.name))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folders that the tests copy: three runs, and a sweep in which one run diverged."""
    root = tmp_path_factory.mktemp("made")
    train(root / "iris", "iris", "training.epochs=4")
    train(root / "digits", "digits", "training.epochs=3")
    train(root / "moons", "moons", "training.epochs=3")
    for rate in ("0.03", "0.3"):
        for seed in ("0", "1", "2"):
            overrides = [f"optimizer.learning_rate={rate}", f"seed={seed}", "training.epochs=5"]
            train(root / "sweep" / f"rate={rate},seed={seed}", "iris", *overrides)
    huge = ["optimizer.learning_rate=3.0", "network.activation='relu'", "optimizer.momentum=0.99"]
    train(root / "sweep" / "bad", "iris", *huge, "training.epochs=5", "network.weight_scale=1e200", "seed=1")
    return root


@pytest.fixture
def runs(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the folders, in which the test stands."""
    shutil.copytree(made, tmp_path / "runs")
    monkeypatch.chdir(tmp_path / "runs")
    return tmp_path / "runs"


class Reader(HTMLParser):
    """Reads a page and holds that every tag is closed."""

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
    tree = ElementTree.fromstring(found.replace("<wbr>", ""))
    return [["".join(cell.itertext()) for cell in row] for row in tree.iter("tr")]


def charts(html: str) -> dict[str, ElementTree.Element]:
    """Return the pictures of a page by their accessible names."""
    found = {}
    for svg in re.findall(r'<svg viewBox="[^"]*" role="img">.*?</svg>', html, re.S):
        tree = ElementTree.fromstring(svg)
        title, description = tree.findtext("title"), tree.findtext("desc")
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


def fault(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line that answers a wrong command line, which changes nothing."""
    before = {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")}
    assert main(["report", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")} == before
    (only,) = err.splitlines()
    return only.removeprefix("tinynet: ")


# The command


def test_the_report_of_a_run_stands_in_its_folder(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "iris"]) == 0
    assert capsys.readouterr().out == "report         iris/report.html\n"
    assert Path("iris/report.html").read_bytes() == write_report(["iris"], "x.html").read_bytes()


def test_that_of_several_runs_in_the_current_folder_or_where_it_is_wanted(runs: Path) -> None:
    assert main(["report", "iris", "moons"]) == 0
    assert main(["report", "iris", "--output", "own.html", "moons"]) == 0
    assert Path("report.html").read_bytes() == Path("own.html").read_bytes()
    assert main(["report", "sweep"]) == 0
    assert "<h1>sweep</h1>" in Path("sweep/report.html").read_text(encoding="utf-8")


def test_a_run_that_is_trained_gets_the_report_that_the_command_would_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("iris", "moons", "digits"):
        assert main(["train", name, "training.epochs=2", "--quiet", "--out", name]) == 0
        written = Path(name, "report.html").read_bytes()
        assert write_report([name], "again.html").read_bytes() == written


def test_a_run_that_diverges_or_is_interrupted_has_a_report_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    huge = ["network.activation='relu'", "network.weight_scale=1e300", "optimizer.learning_rate=100.0", "seed=1"]
    assert main(["train", "iris", *huge, "--out", "bad"]) == 3
    assert "The loss or its gradient stopped being finite" in Path("bad/report.html").read_text(encoding="utf-8")

    def interrupted(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tinynet.experiments.run.train", interrupted)
    assert main(["train", "iris", "--out", "cut"]) == 130
    report = Reader(Path("cut/report.html").read_text(encoding="utf-8")).text
    assert "The run was interrupted" in report and "No epoch has ended" in report


def test_a_report_that_cannot_be_written_fails_the_run_with_its_files_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(report_module, "write_atomically", full)
    assert main(["train", "iris", "training.epochs=1", "--quiet", "--out", "x"]) == 3
    assert capsys.readouterr().err == "tinynet: the run failed: x/report.html: No space left on device\n"
    assert Path("x/model.npz").is_file()
    assert "cannot be written: No space left on device" in fault(capsys, "x")


# One run


def test_the_headline_says_what_the_summary_holds(runs: Path) -> None:
    summary = json.loads(Path("iris/summary.json").read_text())
    said = words("iris")
    assert f"Test accuracy {100 * summary['test_accuracy']:.1f} %" in said
    assert f"{round(30 * summary['test_accuracy'])} of 30 right" in said
    assert f"Test loss {summary['test_loss']:#.4g} nats a sample" in said
    assert f"Best epoch {summary['best']['epoch']} of 4; validation loss" in said
    assert "Parameters 83" in said and "Status completed" in said
    assert "105 training, 15 validation and 30 test samples" in said


def test_the_curves_are_those_of_metrics_csv(runs: Path) -> None:
    with Path("iris/metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    drawn = charts(page("iris"))
    for title, column, style in (
        ("Loss by epoch", "train_loss", "line c0 d0"),
        ("Loss by epoch", "validation_loss", "line c1 d1"),
        ("Accuracy by epoch", "train_accuracy", "line c0 d0"),
    ):
        x, y = np.array(line(drawn[title], style)).T
        values = np.array([float(row[column]) for row in rows])
        assert np.ptp(np.diff(x)) <= 0.11  # the epochs are evenly apart, to the digit that is written
        slope = (y[-1] - y[0]) / (values[-1] - values[0])
        assert slope < 0 and y == pytest.approx(y[0] + slope * (values - values[0]), abs=0.11)
    description = drawn["Loss by epoch"].findtext("desc")
    assert description is not None and f"{float(rows[-1]['validation_loss']):.4g} at the end" in description


def test_a_logarithmic_twin_is_drawn_where_the_losses_span_more_than_a_decade(runs: Path) -> None:
    assert "Loss by epoch on a logarithmic scale" not in charts(page("iris"))
    text = Path("iris/metrics.csv").read_text().splitlines()
    cells = text[-1].split(",")
    cells[2] = "0.001"
    Path("iris/metrics.csv").write_text("\n".join([*text[:-1], ",".join(cells)]) + "\n")
    twin = charts(page("iris"))["Loss by epoch on a logarithmic scale"]
    assert {"0.01", "0.1", "1"} <= {label.text for label in twin.iter("text")}


def test_the_learning_rate_is_drawn_only_if_it_changes(runs: Path) -> None:
    assert "Learning rate by epoch" not in charts(page("iris"))
    lines = Path("iris/metrics.csv").read_text().splitlines()
    for i, rate in enumerate(("0.1", "0.05", "0.02", "0.01"), 1):
        cells = lines[i].split(",")
        lines[i] = ",".join([*cells[:6], rate, *cells[7:]])
    Path("iris/metrics.csv").write_text("\n".join(lines) + "\n")
    drawn = charts(page("iris"))["Learning rate by epoch"]
    assert len(line(drawn, "line c2 d0")) == 4
    assert drawn.findtext("desc") == "From 0.1 in epoch 1 to 0.01 in epoch 4."


def trained(name: str) -> tuple[tinynet.Dataset, tinynet.TwoLayerNet]:
    """Return the data and the network of a run, put together without the report's help."""
    config = json.loads(Path(name, "config.json").read_text())
    parts = {key: config["dataset"][key] for key in ("scaling", "validation_size", "test_size")}
    options = {key: config["dataset"][key] for key in ("n_samples", "noise") if key in config["dataset"]}
    data = tinynet.load_dataset(config["dataset"]["name"], seed=config["seed"], **parts, **options)
    net = tinynet.TwoLayerNet(data.n_features, config["network"]["hidden_units"], data.n_classes)
    with np.load(Path(name, "model.npz")) as model:
        net.params = {key: model[key] for key in net.params}
    return data, net


def test_the_confusion_matrix_counts_every_test_sample(runs: Path) -> None:
    data, net = trained("digits")
    head, *rows = table(page("digits"), "Confusion matrix")
    assert head == ["true", *data.class_names]
    predicted = net.predict(data.X_test)
    for k, (name, *cells) in enumerate(rows):
        counts = [sum(predicted[data.y_test == k] == j) for j in range(10)]
        assert (name, [int(cell.replace("·", "0")) for cell in cells]) == (data.class_names[k], counts)


def test_precision_and_recall_are_those_of_scikit_learn(runs: Path) -> None:
    from sklearn.metrics import precision_score, recall_score

    data, net = trained("digits")
    predicted = net.predict(data.X_test)
    precision = precision_score(data.y_test, predicted, average=None)
    recall = recall_score(data.y_test, predicted, average=None)
    _, *rows = table(page("digits"), "Precision")
    assert [row[2:] for row in rows] == [
        [f"{100 * p:.1f} %", f"{100 * r:.1f} %"] for p, r in zip(precision, recall, strict=True)
    ]


def test_a_class_that_is_never_predicted_has_no_precision(runs: Path) -> None:
    data, net = trained("iris")
    net.params["b2"][:] = [1e3, 0.0, 0.0]
    with np.load("iris/model.npz") as model:
        arrays = dict(model) | net.params
    np.savez("iris/model.npz", **arrays)
    loss = net.loss(data.X_test, data.y_test)
    rewrite("iris/summary.json", lambda summary: summary.update(test_loss=loss, test_accuracy=1 / 3))
    _, *rows = table(page("iris"), "Precision")
    assert [row[2:] for row in rows] == [["33.3 %", "100.0 %"], ["—", "0.0 %"], ["—", "0.0 %"]]


def test_the_worst_mistakes_are_shown_as_images_the_worst_first(runs: Path) -> None:
    data, net = trained("digits")
    probabilities = net.predict_proba(data.X_test)
    own = probabilities[np.arange(len(data.y_test)), data.y_test]
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != data.y_test)
    worst = wrong[np.argsort(own[wrong])][:12]
    html = page("digits")
    alts = re.findall(r'<img src="data:image/png;base64,[^"]+" alt="test sample (\d+), class (\d)">', html)
    assert [int(sample) for sample, _ in alts] == worst.tolist()
    first = worst[0]
    said = f"{data.y_test[first]}, taken for {probabilities[first].argmax()} ({100 * probabilities[first].max():.0f} %)"
    assert said in html and f"{len(wrong)} of 359 test samples were misread" in html


def test_images_are_shown_with_the_first_layer_and_other_data_without(runs: Path) -> None:
    assert "The weights from the image to all 50 hidden units" in page("digits")
    assert "First layer" not in page("iris") and "Worst mistakes" not in page("iris")


def test_two_features_give_a_decision_boundary_in_their_own_units(runs: Path) -> None:
    drawn = charts(page("moons"))["Decision boundary"]
    (plane,) = drawn.iter("image")
    assert plane.attrib["href"].startswith("data:image/png;base64,")
    assert sum(path.get("transform") is not None for path in drawn.iter("path")) == 200
    data, _ = trained("moons")
    raw = data.X_test * data.scaling.scale + data.scaling.offset
    labels = [float(text.text or "") for text in drawn.iter("text") if re.fullmatch(r"[-\d.]+", text.text or "")]
    assert min(labels) > raw.min() - 0.5 and max(labels) < raw.max() + 0.5 and max(labels) > 1.5
    assert "Decision boundary" not in charts(page("iris"))


def test_config_environment_and_the_command_that_repeats_the_run_are_there(runs: Path) -> None:
    html = page("iris")
    assert "<code>tinynet train config.json</code>" in html
    settings = dict(table(html, "config.json"))
    assert (settings["optimizer.learning_rate"], settings["network.activation"]) == ("0.1", "tanh")
    assert settings["optimizer.nesterov"] == "false"
    assert dict(table(html, "environment.json"))["versions.tinynet"] == tinynet.__version__


def test_without_a_test_part_the_page_says_so(runs: Path) -> None:
    train(runs / "no", "digits", "dataset.test_size=0", "dataset.validation_size=0", "training.epochs=1")
    said = words("no")
    assert "There is none: dataset.test_size is 0." in said
    assert "Best epoch 1 of 1; training loss" in said
    assert "Test accuracy" not in said and "First layer" in said
    train(runs / "flat", "moons", "dataset.test_size=0", "training.epochs=1")
    assert "300 of the 900 training samples" in words("flat")


def test_many_classes_have_no_matrix_that_nobody_could_read(runs: Path) -> None:
    Path("many.toml").write_text(
        'name = "many"\n[dataset]\nname = "blobs"\ncenters = 45\n[training]\nepochs = 1\n', encoding="utf-8"
    )
    train(runs / "many", "many.toml")
    html = page("many")
    assert "A confusion matrix of 45 classes would be unreadable." in html
    assert len(table(html, "Precision")) == 46


def test_a_perfect_network_has_no_mistakes_to_show(runs: Path) -> None:
    data, _ = trained("digits")
    Path("digits/summary.json").unlink()
    record = read_records([Path("digits")])[0][0]
    run = report_module.rebuilt(record)
    assert not isinstance(run, str)
    from tinynet.experiments.portrait import _mistakes

    sure = np.eye(10)[data.y_test]
    assert "Every test sample was read correctly." in _mistakes(run.dataset, sure, sure.argmax(axis=1))


# What a folder may lack


def test_a_run_that_was_killed_is_reported_with_what_is_there(runs: Path) -> None:
    for name in ("summary.json", "model.npz", "environment.json"):
        Path("iris", name).unlink()
    content = Path("iris/metrics.csv").read_bytes()
    Path("iris/metrics.csv").write_bytes(content[:-30])  # in the middle of a line
    html = page("iris")
    said = Reader(html).text
    assert "Status unfinished" in said and "it is still going, or it was killed" in said
    assert "The folder holds no model.npz" in said
    assert len(line(charts(html)["Loss by epoch"], "line c0 d0")) == 3
    Path("iris/metrics.csv").unlink()
    assert "No epoch has ended, so there is nothing to draw." in words("iris")


def test_a_run_that_was_never_tested_shows_its_network_but_no_test_part(runs: Path) -> None:
    never = {"status": "interrupted", "test_loss": None, "test_accuracy": None}
    rewrite("moons/summary.json", lambda summary: summary.update(never))
    html = page("moons")
    assert "The test part is measured once" in html and "Confusion" not in html
    assert "Decision boundary" in charts(html)


def test_fault_43_a_run_folder_that_was_moved_gives_the_same_report(runs: Path) -> None:
    before = page("digits")
    Path("elsewhere").mkdir()
    Path("digits").rename("elsewhere/digits")
    assert page("elsewhere/digits") == before
    Path("elsewhere/digits").rename("elsewhere/renamed")
    assert page("elsewhere/renamed") == before.replace("run folder digits", "run folder renamed").replace(
        "In the run folder, digits", "In the run folder, renamed"
    )


def test_data_that_changed_since_are_not_shown(runs: Path) -> None:
    rewrite("digits/config.json", lambda config: config.update(seed=5))
    said = words("digits")
    assert "they have changed since, and are not shown" in said
    assert "Confusion" not in said and "Worst mistakes" not in said
    rewrite("iris/config.json", lambda config: config["dataset"].update(name="wine"))
    assert "do not fit the network of model.npz" in words("iris")


def test_data_that_cannot_be_had_are_left_out_with_the_reason(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(config: Any) -> None:
        raise tinynet.ConfigError(["config: dataset: own.csv: no such file"])

    monkeypatch.setattr(report_module, "prepare", gone)
    said = words("iris")
    assert "The data of this run cannot be found here, so nothing can be predicted again: dataset: own.csv" in said
    assert "Loss by epoch" in said and "tinynet train config.json" in said


# Many runs


def test_settings_stand_best_first_with_mean_and_deviation_over_seeds(runs: Path) -> None:
    html = page("sweep")
    head, *rows = table(html, "Settings")
    best = head.index("validation loss")
    assert len(rows) == 3 and [row[0] for row in rows] == ["1.", "2.", "3."]
    for row in rows[:2]:
        rate = row[head.index("optimizer.learning_rate")]
        losses, accuracies = [], []
        for seed in range(3):
            summary = json.loads(Path(f"sweep/rate={rate},seed={seed}/summary.json").read_text())
            losses.append(summary["best"]["validation_loss"])
            accuracies.append(100 * summary["test_accuracy"])
        assert row[best] == f"{np.mean(losses):#.3g} ± {np.std(losses, ddof=1):.2g}"
        assert row[head.index("test accuracy")] == f"{np.mean(accuracies):.1f} ± {np.std(accuracies, ddof=1):.1f} %"
    means = [float(row[best].split()[0]) for row in rows[:2]]
    assert means == sorted(means)
    assert rows[2][head.index("runs")] == "0 of 1" and rows[2][best] == "—"


def test_every_run_is_listed_best_first_and_those_that_failed_apart(runs: Path) -> None:
    html = page("sweep")
    head, *rows = table(html, "All runs")
    assert len(rows) == 7 and rows[-1][0] == "bad" and rows[-1][-1] == "diverged"
    losses = [float(row[head.index("validation loss")]) for row in rows[:-1]]
    assert losses == sorted(losses)
    ((name, status, *_),) = table(html, "Left out")[1:]
    assert (name, status) == ("bad", "diverged")
    assert "Not ended 1" in Reader(html).text


def test_curves_are_means_by_setting_with_a_band_and_the_number_of_runs(runs: Path) -> None:
    html = page("sweep")
    said = Reader(html).text
    assert said.count("(n = 3)") == 2
    accuracy = charts(html)["Validation accuracy by epoch"]
    bands = [path for path in accuracy.iter("path") if (path.get("class") or "").startswith("band")]
    assert len(bands) == 2
    histories = []
    label = said[: said.index("(n = 3)")].split("learning_rate = ")[-1].split(",")[0]
    for seed in range(3):
        with Path(f"sweep/rate={label},seed={seed}/metrics.csv").open(newline="") as file:
            histories.append([float(row["validation_accuracy"]) for row in csv.DictReader(file)])
    mean = np.mean(histories, axis=0)
    y = np.array(line(accuracy, "line c0 d0"))[:, 1]
    slope = (y.max() - y.min()) / (mean.max() - mean.min())
    assert y == pytest.approx(y.min() + slope * (mean.max() - mean), abs=0.2)


def test_runs_of_one_setting_that_stop_early_are_averaged_as_far_as_all_go(runs: Path) -> None:
    path = Path("sweep/rate=0.03,seed=1/metrics.csv")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    drawn = charts(page("sweep"))["Validation accuracy by epoch"]
    lengths = sorted(
        len(re.findall("[ML]", path.attrib["d"])) for path in drawn.iter("path") if "line" in str(path.attrib)
    )
    assert lengths == [2, 5]


def test_each_swept_key_has_an_effect_chart_with_a_dot_a_run(runs: Path) -> None:
    drawn = charts(page("sweep"))
    effect = drawn["test accuracy against optimizer.learning_rate"]
    assert sum(path.get("class") == "dot c0" for path in effect.iter("path")) == 6
    assert len(line(effect, "line c1 d0")) == 2
    description = effect.findtext("desc")
    assert description is not None and description.startswith("Means: 0.03: ")
    assert "test accuracy against seed" not in drawn  # and none for a key whose other value never ended
    assert "test accuracy against network.activation" not in drawn


def test_words_flags_and_missing_values_stand_side_by_side_on_an_effect_chart(runs: Path) -> None:
    for n, (activation, nesterov) in enumerate([("tanh", "true"), ("relu", "false"), ("quantised:5", "true")]):
        overrides = [f"network.activation='{activation}'", f"optimizer.nesterov={nesterov}", "training.epochs=2"]
        train(runs / "words" / str(n), "iris", *overrides, *(["network.weight_scale=0.5"] if n else []))
    drawn = charts(page("words"))
    shown = {key: [text.text for text in svg.iter("text")] for key, svg in drawn.items()}
    assert {"quantised:5", "relu", "tanh"} <= set(shown["test accuracy against network.activation"])
    assert {"false", "true"} <= set(shown["test accuracy against optimizer.nesterov"])
    assert {"—", "0.5"} <= set(shown["test accuracy against network.weight_scale"])


def test_runs_that_differ_in_their_seeds_alone_are_one_setting(runs: Path) -> None:
    folders = [f"sweep/rate=0.3,seed={seed}" for seed in range(3)]
    html = page(*folders)
    assert "3 runs of 1 setting; they differ in nothing but the seed" in html
    assert "all runs (n = 3)" in Reader(html).text and "What each key does" not in html


def test_more_settings_than_colours_leave_the_rest_faint(runs: Path) -> None:
    for units in range(1, 12):
        train(runs / "wide" / f"{units:02}", "iris", f"network.hidden_units={units}", "training.epochs=2")
    html = page("wide")
    accuracy = charts(html)["Validation accuracy by epoch"]
    styles = [path.get("class") or "" for path in accuracy.iter("path")]
    assert styles.count("line c6 faint") == 3
    assert len({style for style in styles if re.fullmatch(r"line c\d d\d", style)}) == 8
    assert "the 3 settings behind them" in html


def test_without_validation_and_test_the_training_loss_decides(runs: Path) -> None:
    for rate in ("0.01", "0.1"):
        parts = ["dataset.validation_size=0", "dataset.test_size=0", "training.epochs=2"]
        train(runs / "plain" / rate, "iris", f"optimizer.learning_rate={rate}", *parts)
    html = page("plain")
    head, first, _ = table(html, "Settings")
    assert "training loss" in head and first[head.index("test accuracy")] == "—"
    assert "Training loss by epoch" in charts(html)
    assert not any("test accuracy" in title for title in charts(html))


def test_a_sweep_with_huge_losses_or_no_finished_run_is_still_drawn(runs: Path) -> None:
    train(runs / "sweep" / "huge", "iris", "network.weight_scale=1e299", "training.epochs=5")
    assert "Validation loss by epoch, on a logarithmic scale" in charts(page("sweep"))
    html = page("sweep/bad", "sweep/bad/../bad", "sweep/huge")
    assert "2 runs of" in html
    shutil.copytree("sweep/bad", "only/bad")
    assert "Settings, best first" not in page("only") and "diverged" in page("only")


def test_sweep_csv_says_which_folders_are_runs_and_which_left_none(runs: Path) -> None:
    shutil.copytree("sweep/bad", "sweep/rate=0.3,seed=0.damaged-1")
    Path("sweep/.part").mkdir()
    Path("sweep/.part/config.json").write_text("{")
    names = sorted(path.name for path in Path("sweep").iterdir() if path.name[0] in "br" and "damaged" not in path.name)
    lines = ["run,status,error", *(f'"{name}",completed,' for name in names)]
    lines += ['"lost,seed=9",killed,', f'"broken",failed,"{NASTY.replace(chr(34), chr(34) * 2)}"']
    Path("sweep/sweep.csv").write_text("\n".join(lines), encoding="utf-8")
    html = page("sweep")
    assert len(table(html, "All runs")) == 1 + 7
    assert table(html, "Runs of sweep.csv")[1:] == [["lost,seed=9", "killed", "—"], ["broken", "failed", NASTY]]
    assert "Runs 9 6 came to their end" in Reader(html).text


# The file


FORBIDDEN = {
    "script",
    "iframe",
    "object",
    "embed",
    "form",
    "base",
    "video",
    "audio",
    "source",
    "template",
    "foreignobject",
}


@pytest.mark.parametrize("folder", ["iris", "digits", "moons", "sweep"])
def test_a_report_holds_no_script_and_nothing_from_elsewhere(folder: str, runs: Path) -> None:
    html = page(folder)
    reader = Reader(html)
    assert not {tag for tag, _ in reader.tags} & FORBIDDEN
    for tag, attributes in reader.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes), tag
        for name in ("src", "href", "action", "data", "srcset"):
            assert (attributes.get(name) or "data:,").startswith("data:"), tag
    assert not re.search(r"@import|url\(|https?://|javascript:", html)
    ((_, policy),) = ((tag, a) for tag, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert (policy["content"] or "").startswith("default-src 'none'; style-src 'sha256-")
    assert html.startswith("<!DOCTYPE html>") and '<html lang="en">' in html


@pytest.mark.parametrize("folder", ["iris", "digits", "moons", "sweep"])
def test_the_same_folder_gives_the_same_bytes_from_wherever(
    folder: str, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = page(folder)
    monkeypatch.chdir(tmp_path)
    assert page(f"runs/{folder}") == first
    assert page(tmp_path / "runs" / folder) == first


def test_what_somebody_wrote_is_escaped_wherever_it_stands(runs: Path) -> None:
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


def test_names_of_classes_are_escaped_in_tables_captions_and_charts(runs: Path) -> None:
    from dataclasses import replace

    from tinynet.experiments.portrait import run_page

    for folder in ("digits", "moons"):
        ((record,), _) = read_records([Path(folder)])
        run = report_module.rebuilt(record)
        assert not isinstance(run, str)
        names = tuple(f"{NASTY}{k}" for k in range(run.dataset.n_classes))
        features = tuple(f"{NASTY}x{k}" for k in range(run.dataset.n_features))
        nasty = replace(run, dataset=replace(run.dataset, class_names=names, feature_names=features))
        html = run_page(record, nasty).decode()
        assert "<script" not in html and f"{NASTY}1" in Reader(html).text
        assert "script" not in {tag for tag, _ in Reader(html).tags}


def test_a_folder_whose_name_is_no_utf_8_is_reported(runs: Path) -> None:
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
        (folder / "metrics.csv").write_text("\n".join(long) + "\n")
    assert len(page("many").encode()) < 3e6


# Faults


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere: cannot be read: No such file or directory"),
        (["iris/config.json"], "iris/config.json: is a file; a report is made of a run folder, or of a folder of them"),
        (["empty"], "empty: no run in it: neither config.json nor a folder that holds one"),
        (["iris", "--output", "no/x.html"], "no/x.html: cannot be written: there is no folder no"),
        (["iris", "--output", "empty"], "empty: is a folder; --output names a file"),
        (
            ["iris", "--output", "iris/config.json"],
            "iris/config.json: exists and is no report of tinynet; choose another file with --output",
        ),
        ([], "command line: the following arguments are required: DIR; see 'tinynet report --help'"),
        (
            ["iris", "--out", "x"],
            "command line: unknown option '--out'; did you mean '--output'? allowed: --help, --output",
        ),
    ],
)
def test_a_wrong_command_line_is_answered_in_one_line(
    arguments: list[str], said: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    assert fault(capsys, *arguments).startswith(said)


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
        (put("iris/summary.json", "{"), "iris/summary.json: is damaged: not valid JSON: Expecting"),
        (put("iris/summary.json", "[1]"), "iris/summary.json: is damaged: must be a valid dictionary"),
        (put("iris/summary.json", "[" * 100_000), "iris/summary.json: is damaged: not valid JSON"),
        (put("iris/summary.json", "{}"), "iris/summary.json: is damaged: status: missing"),
        (put("iris/summary.json", b"\xff"), "iris/summary.json: is damaged: not valid JSON: 'utf-8' codec"),
        (put("iris/environment.json", "3"), "iris/environment.json: is damaged: must be a valid dictionary"),
        (put("iris/config.json", "{"), "iris/config.json: not valid JSON"),
        (put("iris/metrics.csv", "a,b\n1,2\n"), "iris/metrics.csv: line 1: is damaged: the columns must be epoch,step"),
        (put("iris/metrics.csv", b"\xff\n"), "iris/metrics.csv: is damaged: not UTF-8"),
        (cell(2, "abc"), "iris/metrics.csv: line 3: is damaged: train_loss: must be a valid number"),
        (cell(0, "1.5"), "iris/metrics.csv: line 3: is damaged: epoch: must be a valid integer"),
        (cell(0, "1,1"), "iris/metrics.csv: line 3: is damaged: 9 cells belong there, got 10"),
        (cut("iris/metrics.csv", -1), "iris/metrics.csv: line 5: is damaged: cut short"),
        (lambda: Path("iris/metrics.csv").unlink(), "iris/metrics.csv: cannot be read: No such file or directory"),
        (cut("iris/model.npz", -200), "iris/model.npz: is damaged: File is not a zip file"),
        (put("iris/model.npz", b""), "iris/model.npz: is damaged"),
    ],
)
def test_a_damaged_file_is_named(
    damage: Callable[[], object], said: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage()
    for way in ([], ["--output", "x.html"]):
        answer = fault(capsys, "iris", *way)
        assert said.partition("/")[2] in answer and answer.isprintable()


def test_a_damaged_sweep_csv_is_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("sweep/sweep.csv").write_text("a,b\n1,2\n")
    assert fault(capsys, "sweep") == "sweep/sweep.csv: is damaged: 'run'"


def test_all_damaged_runs_of_a_sweep_are_named_at_once(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_a_history_with_gaps_and_without_end_is_drawn(runs: Path) -> None:
    lines = Path("iris/metrics.csv").read_text().splitlines()
    cells = lines[1].split(",")
    rows = [
        ",".join(
            [str(n), cells[1], "nan" if n % 7 == 0 else str(1 / n), cells[3], "inf" if n == 5 else "", "", *cells[6:]]
        )
        for n in range(1, 2001)
    ]
    Path("iris/metrics.csv").write_text("\n".join([lines[0], *rows]) + "\n")
    points = line(charts(page("iris"))["Loss by epoch"], "line c0 d0")
    assert 200 < len(points) <= 252 and points[0][0] < 65 and points[-1][0] > 370
    assert all(math.isfinite(y) for _, y in points)
