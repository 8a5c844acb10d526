"""Event files, read with TensorBoard's own reader: they hold what metrics.csv holds, once."""

from __future__ import annotations

import csv
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorboardX
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX.record_writer import RecordWriter

from tinynet.artifacts.tensorboard import FLUSH_EVERY_S, TAGS, event_file
from tinynet.cli.main import main
from tinynet.training.history import Epoch, History

ON = "training.tensorboard=true"
QUICK = ("training.epochs=3", "network.hidden_units=3", ON)


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def curves(folder: Path | str) -> dict[str, list[tuple[int, float]]]:
    """Return step and value of every point that TensorBoard shows, for each curve."""
    reader = EventAccumulator(str(folder))
    reader.Reload()
    return {tag: [(point.step, point.value) for point in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def recorded(folder: Path | str) -> dict[str, list[tuple[int, float]]]:
    """Return the same from metrics.csv, where an empty cell is not a point."""
    with Path(folder, "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = {tag: [(int(row["epoch"]), row[column]) for row in rows] for tag, column in TAGS.items()}
    points = {tag: [(step, float(cell)) for step, cell in cells if cell] for tag, cells in columns.items()}
    return {tag: cells for tag, cells in points.items() if cells}


def assert_same(shown: dict[str, list[tuple[int, float]]], expected: dict[str, list[tuple[int, float]]]) -> None:
    assert shown.keys() == expected.keys()
    for tag in expected:
        np.testing.assert_allclose(shown[tag], expected[tag], rtol=1e-6, err_msg=tag)  # TensorBoard uses float32


def events_of(folder: Path | str) -> list[Path]:
    return sorted(Path(folder).glob("*tfevents*"))


def epoch(number: int, duration_s: float = 100.0) -> Epoch:
    return Epoch(number, 4 * number, 1 / number, 0.5, 2 / number, 0.25, 0.1, 100, duration_s)


def written(folder: Path, so_far: list[Epoch], then: list[Epoch]) -> None:
    with event_file(folder, History(list(so_far))) as add:
        for row in then:
            add(row)


def test_a_run_leaves_the_curves_of_its_metrics() -> None:
    assert main(["train", "iris", *QUICK, "optimizer.schedule=cosine", "--out", "run", "--quiet"]) == 0
    assert_same(curves("run"), recorded("run"))
    assert [step for step, _ in curves("run")["loss/validation"]] == [1, 2, 3]
    assert sorted(curves("run")) == sorted(TAGS) and len({rate for _, rate in curves("run")["learning_rate"]}) == 3


def test_without_a_validation_part_there_are_no_such_curves() -> None:
    assert main(["train", "iris", *QUICK, "dataset.validation_size=0.0", "--out", "run", "--quiet"]) == 0
    assert_same(curves("run"), recorded("run"))
    assert sorted(curves("run")) == ["accuracy/train", "learning_rate", "loss/train"]


def test_every_run_of_a_sweep_has_its_own_event_file() -> None:
    assert main(["sweep", "iris", "seed=0..2", *QUICK, "--jobs", "2", "--out", "s", "--quiet"]) == 0
    folders = [path for path in Path("s").iterdir() if path.is_dir()]
    assert len(folders) == 3
    for folder in folders:
        assert len(events_of(folder)) == 1
        assert_same(curves(folder), recorded(folder))


def test_a_resumed_run_shows_each_epoch_once(tmp_path: Path) -> None:
    written(tmp_path, [], [epoch(1), epoch(2), epoch(3)])
    watching = EventAccumulator(str(tmp_path))  # a TensorBoard that stays open
    watching.Reload()
    assert [point.step for point in watching.Scalars("loss/train")] == [1, 2, 3]
    written(tmp_path, [epoch(1)], [epoch(2)])
    watching.Reload()
    assert [point.step for point in watching.Scalars("loss/train")] == [1, 2]
    assert curves(tmp_path)["loss/train"] == [(1, 1.0), (2, 0.5)]
    assert [path.stat().st_size > 0 for path in events_of(tmp_path)] == [False, True]


def test_a_resumed_run_leaves_the_curves_of_its_metrics() -> None:
    assert main(["train", "iris", *QUICK, "--out", "run", "--quiet"]) == 0
    assert main(["train", "--out", "run", "--resume", "training.epochs=5", "--quiet"]) == 0
    assert_same(curves("run"), recorded("run"))
    assert [step for step, _ in curves("run")["loss/train"]] == [1, 2, 3, 4, 5]


def test_writing_does_not_follow_a_link_in_a_strangers_run(tmp_path: Path) -> None:
    Path("thesis.txt").write_text("years of work", encoding="utf-8")
    Path("run").mkdir()
    Path("run", "events.out.tfevents.1").symlink_to(tmp_path / "thesis.txt")
    written(Path("run"), [], [epoch(1)])
    assert Path("thesis.txt").read_text(encoding="utf-8") == "years of work"
    assert curves("run")["loss/train"] == [(1, 1.0)]


def test_an_event_file_cut_short_by_a_kill_is_written_again(tmp_path: Path) -> None:
    written(tmp_path, [], [epoch(1), epoch(2)])
    (path,) = events_of(tmp_path)
    path.write_bytes(path.read_bytes()[:-7])
    written(tmp_path, [epoch(1), epoch(2)], [epoch(3)])
    assert [step for step, _ in curves(tmp_path)["loss/train"]] == [1, 2, 3]


def test_the_times_are_those_of_an_uninterrupted_training(tmp_path: Path) -> None:
    written(tmp_path, [epoch(1), epoch(2, 50.0)], [epoch(3, 7.0)])
    reader = EventAccumulator(str(tmp_path))
    reader.Reload()
    first, second, third = (point.wall_time for point in reader.Scalars("loss/train"))
    assert math.isclose(second - first, 50.0, abs_tol=1e-3) and math.isclose(third - second, 7.0, abs_tol=1e-3)
    assert abs(second - time.time()) < 30  # where the resumed part begins


def test_an_epoch_is_visible_while_the_next_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with event_file(tmp_path, History([])) as add:
        add(epoch(1))
        assert [step for step, _ in curves(tmp_path)["loss/train"]] == [1]
        add(epoch(2))
        later = time.monotonic() + FLUSH_EVERY_S
        monkeypatch.setattr(time, "monotonic", lambda: later)
        add(epoch(3))
        assert [step for step, _ in curves(tmp_path)["loss/train"]] == [1, 2, 3]


def test_fault_33_a_full_disk_ends_the_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(path: str) -> Any:
        return RecordWriter("/dev/full")

    monkeypatch.setattr(tensorboardX.record_writer, "RecordWriter", full)
    assert main(["train", "iris", *QUICK, "--out", "run", "--quiet"]) == 3
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("tinynet: failed: run: No space left on device; resume with: ")


def test_a_missing_extra_is_named_before_anything_is_created(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    for words in (["train", "iris", ON], ["sweep", "iris", "seed=0,1", ON], ["sweep", "iris", f"{ON[:-4]}false,true"]):
        assert main(words) == 2
        out, err = capsys.readouterr()
        start = "tinynet: iris and command line: training.tensorboard: needs tensorboardX, "
        assert out == "" and err.startswith(start) and "[tensorboard]" in err
    assert not list(Path().iterdir())
