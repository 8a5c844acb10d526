"""The report page of many runs: settings, curves, effects, and the runs that failed."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from pages import NASTY, Reader, charts, line, page, rewrite, table, train


def test_settings_are_listed_best_first_with_medians(runs: Path) -> None:
    html = page("sweep")
    head, *rows = table(html, "Medians")
    best = head.index("validation loss")
    assert len(rows) == 3 and [row[0] for row in rows] == ["1.", "2.", "3."]
    for row in rows[:2]:
        rate = row[head.index("optimizer.learning_rate")]
        losses, accuracies = [], []
        for seed in range(3):
            summary = json.loads(Path(f"sweep/rate={rate},seed={seed}/summary.json").read_text())
            losses.append(summary["final"]["validation_loss"])  # the loss of the tested weights
            accuracies.append(100 * summary["test_accuracy"])
        assert row[best] == f"{np.median(losses):#.3g} ({min(losses):#.3g} to {max(losses):#.3g})"
        median, low, high = (f"{value(accuracies):.1f}" for value in (np.median, min, max))
        assert row[head.index("test accuracy")] == f"{median} % ({low} to {high})"
    medians = [float(row[best].split()[0]) for row in rows[:2]]
    assert medians == sorted(medians)
    assert rows[2][head.index("runs")] == "0 of 1" and rows[2][best] == "—"


def test_runs_are_listed_best_first_and_failed_ones_apart(runs: Path) -> None:
    Path("sweep/.part").mkdir()  # a run that is still running
    Path("sweep/.part/config.json").write_text("{")
    html = page("sweep")
    head, *rows = table(html, "All runs")
    assert len(rows) == 7 and rows[-1][0] == "bad" and rows[-1][-1] == "diverged"
    losses = [float(row[head.index("validation loss")]) for row in rows[:-1]]
    assert losses == sorted(losses)
    assert "Not ended 1" in Reader(html).text


def test_curves_are_medians_by_setting_with_a_band(runs: Path) -> None:
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
    median = np.median(histories, axis=0)
    y = np.array(line(accuracy, "line c0 d0"))[:, 1]
    slope = (y.max() - y.min()) / (median.max() - median.min())
    assert y == pytest.approx(y.min() + slope * (median.max() - median), abs=0.2)


def test_runs_that_stop_early_are_drawn_to_their_common_end(runs: Path) -> None:
    path = Path("sweep/rate=0.03,seed=1/metrics.csv")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    rewrite(str(path.with_name("summary.json")), lambda summary: summary.update(epochs=2))
    drawn = charts(page("sweep"))["Validation accuracy by epoch"]
    lengths = sorted(
        len(re.findall("[ML]", path.attrib["d"])) for path in drawn.iter("path") if "line" in str(path.attrib)
    )
    assert lengths == [2, 5]


def test_each_swept_key_has_a_chart_with_one_dot_per_run(runs: Path) -> None:
    drawn = charts(page("sweep"))
    effect = drawn["test accuracy against optimizer.learning_rate"]
    assert sum(path.get("class") == "dot c0" for path in effect.iter("path")) == 6
    assert len(line(effect, "line c1 d0")) == 2
    description = effect.findtext("desc")
    assert description is not None and description.startswith("Medians: 0.03: ")
    assert "test accuracy against seed" not in drawn  # and none for a key whose other runs never ended
    assert "test accuracy against network.activation" not in drawn


def test_an_effect_chart_shows_words_flags_and_missing_values(runs: Path) -> None:
    for n, (activation, nesterov) in enumerate([("tanh", "true"), ("relu", "false"), ("quantised:5", "true")]):
        overrides = [f"network.activation='{activation}'", f"optimizer.nesterov={nesterov}", "training.epochs=2"]
        train(runs / "words" / str(n), "iris", *overrides, *(["network.weight_scale=0.5"] if n else []))
    drawn = charts(page("words"))
    shown = {key: [text.text for text in svg.iter("text")] for key, svg in drawn.items()}
    assert {"quantised:5", "relu", "tanh"} <= set(shown["test accuracy against network.activation"])
    assert {"false", "true"} <= set(shown["test accuracy against optimizer.nesterov"])
    assert {"—", "0.5"} <= set(shown["test accuracy against network.weight_scale"])


def test_runs_that_differ_only_in_their_seeds_are_one_setting(runs: Path) -> None:
    folders = [f"sweep/rate=0.3,seed={seed}" for seed in range(3)]
    html = page(*folders)
    assert "runs, which differ in nothing but the seed" in html
    assert "all runs (n = 3)" in Reader(html).text and "What each key does" not in html
    shutil.copytree(folders[0], "only/one")
    assert "One run." in (html := page("only")) and "nothing but the seed" not in html


def test_too_many_settings_for_a_chart_get_a_chart_each(runs: Path) -> None:
    for units in range(1, 15):
        train(runs / "wide" / f"{units:02}", "iris", f"network.hidden_units={units}", "training.epochs=2")
    html = page("wide")
    panels = {title: svg for title, svg in charts(html).items() if "hidden_units = " in title}
    assert len(panels) == 12 and "The other 2 settings are in the table" in html
    for svg in panels.values():
        assert {path.get("class") for path in svg.iter("path")} >= {"line c0 d0", "line c1 d1"}
        ticks = [text.text for text in svg.iter("text") if text.get("class") == "end"]
        assert ticks == [text.text for text in next(iter(panels.values())).iter("text") if text.get("class") == "end"]


def test_training_is_beside_validation_on_one_scale(runs: Path) -> None:
    drawn = charts(page("sweep"))
    training, validation = (drawn[f"{part} loss by epoch"] for part in ("Training", "Validation"))
    ticks = [[text.text for text in svg.iter("text") if text.get("class") == "end"] for svg in (training, validation)]
    assert ticks[0] == ticks[1]
    assert line(training, "line c0 d0") != line(validation, "line c0 d0")


def test_fault_60_a_run_that_blew_up_does_not_flatten_the_charts(runs: Path) -> None:
    for seed in range(3):
        train(runs / "blown" / f"good-{seed}", "iris", f"seed={seed}", "training.epochs=3")
    train(runs / "blown" / "other", "iris", "optimizer.learning_rate=0.2", "training.epochs=3")
    train(runs / "blown" / "huge", "iris", "seed=3", "training.epochs=3", "network.weight_scale=1e3")
    html = page("blown")
    assert re.search("Loss far above the others.*: huge", Reader(html).text)
    assert "weight_scale = 1000" in Reader(html).text.partition("Leaves the frame")[2]
    loss = charts(html)["Validation loss by epoch"]
    assert (
        max(
            float(text.text or "") for text in loss.iter("text") if text.get("class") == "end" and text.get("x") == "44"
        )
        < 3
    )
    head, *rows = table(html, "Medians")
    assert [float(row[head.index("validation loss")].split()[0]) < 3 for row in rows] == [True, True, False]


def test_fault_60_a_run_that_blew_up_does_not_move_the_median(runs: Path) -> None:
    path = Path("sweep/rate=0.3,seed=0/metrics.csv")
    lines = path.read_text().splitlines()
    cells = lines[-1].split(",")
    lines[-1] = ",".join([*cells[:2], "1e40", cells[3], "1e40", *cells[5:]])
    path.write_text("\n".join(lines) + "\n")
    head, *rows = table(page("sweep"), "Medians")
    (after,) = (row for row in rows if row[head.index("optimizer.learning_rate")] == "0.3" and "3" in row)
    loss = after[head.index("validation loss")]
    assert float(loss.split()[0]) < 1 and "1.00e+40" in loss


def test_fault_61_runs_on_different_data_are_kept_apart(runs: Path) -> None:
    train(runs / "two" / "iris-1", "iris", "training.epochs=2")
    train(runs / "two" / "iris-2", "iris", "training.epochs=2", "dataset.scaling='none'", "seed=1")
    train(runs / "two" / "wine", "iris", "training.epochs=2", "dataset.name='wine'")
    said = Reader(page("two")).text
    assert "different data sets, which are kept apart: iris; wine" in said
    assert said.count("Best setting") == 2 and "wine: Settings, best first" in said
    assert len(table(page("two/iris-1", "two/iris-2"), "Medians")) == 3  # the same data, scaled differently
    rewrite("two/iris-2/summary.json", lambda summary: summary.update(data_digest="another"))
    rewrite(
        "two/iris-2/config.json", lambda config: (config.update(seed=0), config["dataset"].update(scaling="standard"))
    )
    assert "changed since" in Reader(page("two/iris-1", "two/iris-2")).text


def test_fault_61_runs_that_the_sweep_does_not_name_are_listed(runs: Path) -> None:
    names = sorted(path.name for path in Path("sweep").iterdir() if path.name.startswith("rate=0.3"))
    rows = [f'"{name}",completed,' for name in names]
    Path("sweep/sweep.csv").write_text("\n".join(["run,status,error", *rows]), encoding="utf-8")
    said = Reader(page("sweep")).text
    assert "sweep.csv does not name them: bad, rate=0.03,seed=0" in said


def test_a_row_links_to_the_page_of_its_run(runs: Path) -> None:
    (runs / "sweep" / "rate=0.3,seed=0" / "report.html").write_text("there")
    html = page("sweep")
    assert re.findall(r'<a href="([^"]+)">([^<]+)</a>', html) == [
        ("sweep/rate%3D0.3%2Cseed%3D0/report.html", "rate=0.3,seed=0")
    ]


def test_without_validation_and_test_the_training_loss_decides(runs: Path) -> None:
    for rate in ("0.01", "0.1"):
        parts = ["dataset.validation_size=0", "dataset.test_size=0", "training.epochs=2"]
        train(runs / "plain" / rate, "iris", f"optimizer.learning_rate={rate}", *parts)
    html = page("plain")
    head, first, _ = table(html, "Medians")
    assert "training loss" in head and first[head.index("test accuracy")] == "—"
    assert "Training loss by epoch" in charts(html)
    assert not any("test accuracy" in title for title in charts(html))


def test_a_run_without_validation_does_not_hide_other_curves(runs: Path) -> None:
    for size in ("0", "0.1"):
        train(runs / "mixed" / size, "iris", f"dataset.validation_size={size}", "training.epochs=2")
    html = page("mixed")
    assert [row[1] for row in table(html, "Medians")[1:]] == ["0.1", "0"]  # whatever the losses
    assert [row[0] for row in table(html, "All runs")[1:]] == ["0.1", "0"]
    assert "Validation loss by epoch" in charts(html)
    assert "Training loss by epoch" in charts(html)  # the part that both have


def test_huge_losses_or_no_finished_run_are_still_drawn(runs: Path) -> None:
    train(runs / "sweep" / "huge", "iris", "network.weight_scale=1e299", "training.epochs=5")
    assert "Validation loss by epoch" in charts(page("sweep"))
    assert "<h1>2 runs" in page("sweep/bad", "sweep/bad/../bad", "sweep/huge")
    shutil.copytree("sweep/bad", "only/bad")
    assert "Settings, best first" not in page("only") and "diverged" in page("only")


def test_sweep_csv_says_which_runs_there_are(runs: Path) -> None:
    shutil.copytree("sweep/bad", "sweep/rate=0.3,seed=0.damaged-1")
    names = sorted(path.name for path in Path("sweep").iterdir() if path.name[0] in "br" and "damaged" not in path.name)
    lines = ["run,status,error", *(f'"{name}",completed,' for name in names)]
    lines += ['"lost,seed=9",killed,', f'"broken",failed,"{NASTY.replace(chr(34), chr(34) * 2)}"']
    Path("sweep/sweep.csv").write_text("\n".join(lines), encoding="utf-8")
    html = page("sweep")
    assert len(table(html, "All runs")) == 1 + 7
    assert table(html, "Runs of sweep.csv")[1:] == [["lost,seed=9", "killed", "—"], ["broken", "failed", NASTY]]
    assert "Runs 9 6 finished" in Reader(html).text
