"""The report page of one run: it agrees with the run folder, complete or not."""

from __future__ import annotations

import base64
import csv
import json
import math
import re
import shutil
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from pages import Reader, charts, line, page, rewrite, table, train, trained, words
from sklearn import metrics

import tinynet
from tinynet.artifacts.stored_runs import read_runs
from tinynet.reports.predictions import prediction_sections
from tinynet.reports.run_page import run_page
from tinynet.reports.scores import score


def test_the_headline_shows_the_figures_of_the_summary(runs: Path) -> None:
    summary = json.loads(Path("iris/summary.json").read_text())
    said = words("iris")
    assert f"Test accuracy {100 * summary['test_accuracy']:.1f} %" in said
    assert f"{round(30 * summary['test_accuracy'])} of 30 right" in said
    assert f"Test loss {summary['test_loss']:#.4g} nats a sample" in said
    assert "Weights of epoch 4 the last, and that of the lowest validation loss" in said
    assert f"Macro F1 {summary['test_scores']['macro_f1']:.3f}" in said and "By guessing 33.3 %" in said
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
        assert np.ptp(np.diff(x)) <= 0.11  # the epochs are evenly spaced, up to the written digit
        slope = (y[-1] - y[0]) / (values[-1] - values[0])
        assert slope < 0 and y == pytest.approx(y[0] + slope * (values - values[0]), abs=0.11)
    description = drawn["Loss by epoch"].findtext("desc")
    assert description is not None and f"{float(rows[-1]['validation_loss']):.4g} at the end" in description


def test_a_wide_loss_range_and_a_changing_rate_get_own_charts(runs: Path) -> None:
    more = {"Loss by epoch on a logarithmic scale", "Learning rate by epoch"}
    assert not more & set(charts(page("iris")))
    lines = Path("iris/metrics.csv").read_text().splitlines()
    for i, rate in enumerate(("0.1", "0.05", "0.02", "0.01"), 1):
        cells = lines[i].split(",")
        lines[i] = ",".join([*cells[:2], "0.001" if i == 4 else cells[2], *cells[3:6], rate, *cells[7:]])
    Path("iris/metrics.csv").write_text("\n".join(lines) + "\n")
    logarithmic, rates = (charts(page("iris"))[title] for title in sorted(more, reverse=True))
    assert {"0.01", "0.1", "1"} <= {label.text for label in logarithmic.iter("text")}
    assert len(line(rates, "line c2 d0")) == 4
    assert "0.1 after epoch 1, 0.01 at the end" in (rates.findtext("desc") or "")


def test_a_run_of_two_epochs_shows_its_loss_by_step(runs: Path) -> None:
    train(runs / "short", "iris", "training.epochs=2", "training.batch_size=20")
    losses = json.loads(Path("short/summary.json").read_text())["step_losses"]
    drawn = charts(page("short"))
    assert "Loss by epoch" not in drawn and "Accuracy by epoch" in drawn
    x, y = np.array(line(drawn["Loss by step"], "line c0 d0")).T
    assert len(losses) == 12 and np.ptp(np.diff(x)) <= 0.11
    assert y == pytest.approx(
        y[0] + (y[-1] - y[0]) / (losses[-1] - losses[0]) * (np.array(losses) - losses[0]), abs=0.11
    )
    notes = [path.findtext("title") for path in drawn["Loss by step"].iter("path") if path.get("class") == "dot c2"]
    assert [note and note.split(":")[0] for note in notes] == [f"validation after epoch {n}" for n in (1, 2)]


def test_the_test_figures_match_scikit_learn(runs: Path) -> None:
    data, net = trained("digits")
    predicted, html = net.predict(data.X_test), page("digits")
    head, *rows = table(html, "Confusion matrix")
    assert head == ["true", *data.class_names] and [row[0] for row in rows] == [*data.class_names]
    counts = [[int(cell.replace("·", "0")) for cell in row[1:]] for row in rows]
    assert counts == metrics.confusion_matrix(data.y_test, predicted).tolist()
    by_class = metrics.precision_recall_fscore_support(data.y_test, predicted)
    for row, *scores, n_samples in zip(table(html, "Precision")[1:], *by_class, strict=True):
        assert row[1:] == [str(n_samples), *(f"{100 * value:.1f} %" for value in scores)]


def test_fault_58_a_class_with_recall_0_gets_a_warning(runs: Path) -> None:
    data, net = trained("iris")
    net.params["b2"][:] = [1e3, 0.0, 0.0]
    with np.load("iris/model.npz") as model:
        arrays = dict(model) | net.params
    np.savez("iris/model.npz", **arrays)
    loss = net.loss(data.X_test, data.y_test)
    rewrite("iris/summary.json", lambda summary: summary.update(test_loss=loss, test_accuracy=1 / 3))
    html = page("iris")
    _, *rows = table(html, "Precision")
    assert [row[2] for row in rows] == ["33.3 %", "—", "—"]
    assert html.count('<span class="bad">0 %') == 2


def test_the_worst_mistakes_are_shown_as_images_worst_first(runs: Path) -> None:
    data, net = trained("digits")
    probabilities = net.predict_proba(data.X_test)
    own = probabilities[np.arange(len(data.y_test)), data.y_test]
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != data.y_test)
    worst = wrong[np.argsort(own[wrong])][:12]
    html = page("digits")
    alts = re.findall(r'<img src="data:image/png;base64,[^"]+" alt="test sample (\d+), class (\d)"', html)
    assert [int(sample) for sample, _ in alts] == worst.tolist()
    (picture, *_) = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    assert imread(BytesIO(base64.b64decode(picture))).shape == (8, 8, 4)
    assert b"matplotlib" not in base64.b64decode(picture)  # without matplotlib's version, which would change the bytes
    first = worst[0]
    said = f"{data.y_test[first]}, taken for {probabilities[first].argmax()} ({100 * probabilities[first].max():.0f} %)"
    assert said in html and f"{len(wrong)} of 359 test samples were misread" in html
    assert "The weights from the image to all 50 hidden units" in html
    assert "First layer" not in page("iris") and "Worst mistakes" not in page("iris")


def test_a_decision_boundary_is_in_the_units_of_its_features(runs: Path) -> None:
    drawn = charts(page("moons"))["Decision boundary"]
    (plane,) = drawn.iter("image")
    assert plane.attrib["href"].startswith("data:image/png;base64,")
    assert sum(path.attrib["d"].count("M") for path in drawn.iter("path") if "dot" in path.attrib["class"]) == 200
    data, _ = trained("moons")
    raw = data.X_test * data.scaling.scale + data.scaling.offset
    labels = [float(text.text or "") for text in drawn.iter("text") if re.fullmatch(r"[-\d.]+", text.text or "")]
    assert min(labels) > raw.min() - 0.5 and max(labels) < raw.max() + 0.5 and max(labels) > 1.5
    assert "Decision boundary" not in charts(page("iris"))


def test_the_page_has_config_environment_and_command(runs: Path) -> None:
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
    assert "Weights of epoch 1 the last" in said
    assert "Test accuracy" not in said and "First layer" in said
    train(runs / "flat", "moons", "dataset.test_size=0", "training.epochs=1")
    assert "300 of the 900 training samples" in words("flat")


def test_too_many_classes_have_no_confusion_matrix(runs: Path) -> None:
    Path("many.toml").write_text(
        'name = "many"\n[dataset]\nname = "blobs"\ncenters = 45\n[training]\nepochs = 1\n', encoding="utf-8"
    )
    train(runs / "many", "many.toml")
    html = page("many")
    assert "A confusion matrix of 45 classes would be unreadable." in html
    assert len(table(html, "Precision")) == 46


def test_a_perfect_network_has_no_mistakes_to_show() -> None:
    data = tinynet.load_dataset("digits")
    logits = np.eye(10)[data.y_test]
    assert (
        "Every test sample was read correctly."
        in prediction_sections(data, logits, score(data.y_test, logits, np.ones(10)))[1]
    )


def test_a_history_with_gaps_and_without_an_end_is_drawn(runs: Path) -> None:
    lines = Path("iris/metrics.csv").read_text().splitlines()
    cells = lines[1].split(",")
    rows = [
        ",".join(
            [str(n), cells[1], "nan" if n % 7 == 0 else str(1 / n), cells[3], "inf" if n == 5 else "", "", *cells[6:]]
        )
        for n in range(1, 2001)
    ]
    Path("iris/metrics.csv").write_text("\n".join([lines[0], *rows]) + "\n")
    rewrite("iris/summary.json", lambda summary: summary.update(epochs=2000))
    points = line(charts(page("iris"))["Loss by epoch"], "line c0 d0")
    assert 150 < len(points) <= 202 and points[0][0] < 65 and points[-1][0] > 370
    assert all(math.isfinite(y) for _, y in points)


# Incomplete folders


def test_a_killed_run_is_reported_with_what_it_left(runs: Path) -> None:
    for name in ("summary.json", "model.npz", "environment.json"):
        Path("iris", name).unlink()
    content = Path("iris/metrics.csv").read_bytes()
    Path("iris/metrics.csv").write_bytes(content[:-30])  # in the middle of a line
    html = page("iris")
    said = Reader(html).text
    assert "Status unfinished" in said and "tinynet train --out iris --resume" in said
    assert "The folder holds no model.npz" in said
    assert len(line(charts(html)["Loss by epoch"], "line c0 d0")) == 3
    Path("iris/metrics.csv").unlink()
    assert "No epoch has ended, so there is nothing to draw." in words("iris")


def test_a_long_run_has_its_time_in_minutes_and_hours(runs: Path) -> None:
    for seconds, shown in ((59.94, "59.9 s"), (59.97, "1 min 00 s"), (125.4, "2 min 05 s"), (3725.0, "1 h 02 min")):
        rewrite("iris/summary.json", partial(dict.update, duration_s=seconds))
        assert f"Time {shown} 28 steps" in words("iris")


def test_fault_43_a_run_folder_that_was_moved_gives_the_same_report(runs: Path) -> None:
    before = page("digits")
    Path("elsewhere").mkdir()
    Path("digits").rename("elsewhere/digits")
    assert page("elsewhere/digits") == before


def test_a_run_that_kept_no_remarks_gets_them_with_its_page(runs: Path) -> None:
    train(runs / "worse", "iris", "optimizer.learning_rate=50.0", "training.epochs=2")
    before = page("worse")
    rewrite("worse/summary.json", lambda summary: summary.pop("remarks"))
    assert page("worse") == before and "The training loss ended at" in before and "1 remark above" in words("worse")


def test_only_the_page_of_a_running_run_refreshes(runs: Path) -> None:
    stored = replace(read_runs([Path("iris")])[0][0], summary=None, running=True)
    html = run_page(stored, "under way").decode()
    assert '<meta http-equiv="refresh" content="5">' in html and "Status running" in Reader(html).text
    assert 'class="bad"' not in html and "--resume" not in html and "refresh" not in page("iris")


def test_a_run_that_was_never_tested_shows_its_network(runs: Path) -> None:
    never = {"status": "interrupted", "test_loss": None, "test_accuracy": None}
    rewrite("moons/summary.json", lambda summary: summary.update(never))
    html = page("moons")
    assert "The test part is measured once" in html and "Confusion" not in html
    assert "Decision boundary" in charts(html)


@pytest.mark.parametrize("change", ["fewer", "scaled", "renamed", "relabelled"])
def test_changed_data_are_detected_without_a_test_part(change: str, runs: Path) -> None:
    rows = [f"{i % 9},{i % 7},{'ab'[i % 2]}" for i in range(120)]
    Path("two.csv").write_text("\n".join(["x,y,class", *rows]), encoding="utf-8")
    parts = "scaling = 'standard'\nvalidation_size = 0\ntest_size = 0"
    Path("two.toml").write_text(f"[dataset]\nname = 'csv'\npath = 'two.csv'\n{parts}\n[training]\nepochs = 2\n")
    train(runs / "two", "two.toml")
    assert "Decision boundary" in page("two")
    match change:
        case "fewer":
            rows = rows[:-4]
        case "relabelled":
            rows = [row.replace("a", "c") for row in rows]
        case "scaled":
            rows = [f"1{row}" for row in rows]
    header = "x,z,class" if change == "renamed" else "x,y,class"
    Path("two.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    said = words("two")
    assert "they have changed since, and are not shown" in said and "Decision boundary" not in said


def test_your_own_file_is_shown_while_it_is_unchanged(runs: Path) -> None:
    source = Path(__file__).parents[2] / "data" / "breast_cancer.csv"
    shutil.copy(source, "own.csv")
    Path("own.toml").write_text('name = "own"\n[dataset]\nname = "csv"\npath = "own.csv"\n[training]\nepochs = 2\n')
    html = page(train(runs / "own", "own.toml"))
    assert table(html, "Confusion matrix")[0] == ["true", "benign", "malignant"]
    assert dict(table(html, "config.json"))["dataset.path"] == "../own.csv"
    (groups,) = {*re.findall("Groups of ([0-9, ]+) samples; the dotted", html)}
    assert sum(map(int, groups.split(","))) == 114 and groups.count(",") <= 9
    lines = source.read_text().splitlines(keepends=True)
    names = {"benign": "malignant", "malignant": "benign"}
    swapped = [re.sub("benign|malignant", lambda name: names[name[0]], line) for line in lines[-20:]]
    Path("own.csv").write_text("".join([*lines[:-20], *swapped]))
    assert "they have changed since" in words("own")
    Path("own.csv").write_text("".join(lines[:-50]))
    assert "they have changed since" in words("own")
    Path("own.csv").unlink()
    said = words("own")
    assert "cannot be found here, so nothing can be predicted again: dataset.path" in said and "Loss by step" in said
