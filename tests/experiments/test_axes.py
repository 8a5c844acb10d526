"""The grid of a sweep: how axes are written, the answer to each fault, and the names of run folders."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tinynet import ConfigError
from tinynet.config.loading import load_config, preset_text
from tinynet.experiments.axes import Grid, load_grid

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def with_table(table: str, name: str = "mine.toml") -> str:
    """Write the iris preset with a [sweep] table and return its path."""
    Path(name).write_text(f"{preset_text('iris')}\n[sweep]\n{table}\n", encoding="utf-8")
    return name


def values(grid: Grid) -> list[list[Any]]:
    return [list(setting.values.values()) for setting in grid.combinations]


def faults(*words: str, source: str = "iris", many: bool = False) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_grid(source, words, many=many)
    for fault in caught.value.faults:
        assert fault.isprintable() and len(fault) < 1000
    return caught.value.faults


# How axes are written


def test_every_combination_appears_once_with_the_last_axis_fastest() -> None:
    grid = load_grid("iris", ["optimizer.learning_rate=0.1,0.3", "seed=0,5"])
    assert values(grid) == [[0.1, 0], [0.1, 5], [0.3, 0], [0.3, 5]]
    assert [s.config.seed for s in grid.combinations] == [0, 5, 0, 5]
    assert [s.config.optimizer.learning_rate for s in grid.combinations] == [0.1, 0.1, 0.3, 0.3]


def test_the_table_of_the_config_does_the_same_as_the_command_line() -> None:
    quoted = load_grid(with_table('"optimizer.learning_rate" = [0.1, 0.3]\nseed = "0..2"\ntraining.epochs = 3'))
    typed = load_grid("iris", ["optimizer.learning_rate=0.1,0.3", "seed=0..2", "training.epochs=3"])
    assert quoted == typed
    assert load_grid(with_table('optimizer.learning_rate = [0.1, 0.3]\nseed = "0..2"\ntraining.epochs = 3')) == typed


def test_the_command_line_replaces_an_axis_of_the_table() -> None:
    source = with_table('"optimizer.learning_rate" = [0.1, 0.3]\nseed = "0..2"')
    assert load_grid(source, ["seed=7"]).axes == {"optimizer.learning_rate": [0.1, 0.3]}
    assert {s.config.seed for s in load_grid(source, ["seed=7"]).combinations} == {7}


def test_the_json_of_a_grid_loads_the_same_grid() -> None:
    words = ['dataset.name="moons","circles"', "dataset.noise=0.1", "seed=0..1", "dataset.n_samples=50"]
    grid = load_grid("iris", words)
    Path("sweep.json").write_text(grid.to_json(), encoding="utf-8")
    again = load_grid("sweep.json")
    assert again.axes == grid.axes and again.combinations == grid.combinations
    assert again.to_json() == grid.to_json()


def test_train_refuses_a_config_with_a_sweep_table() -> None:
    with pytest.raises(ConfigError, match=r"^mine\.toml: sweep: belongs to many runs; 'tinynet sweep' runs them$"):
        load_config(with_table('seed = "0..2"'))


def test_a_data_path_is_relative_to_where_it_is_written() -> None:
    Path("deep").mkdir()
    Path("deep/a.toml").write_text('[dataset]\nname = "csv"\n[sweep]\ndataset.path = ["a.csv", "../b.csv"]\n')
    here = Path.cwd()
    assert load_grid("deep/a.toml").axes["dataset.path"] == [f"{here}/deep/a.csv", f"{here}/b.csv"]
    (first, _) = load_grid("deep/a.toml", ['dataset.path="c.csv"', "seed=0,1"]).combinations
    assert first.config.dataset.path == f"{here}/c.csv"


def test_a_moved_project_keeps_the_names_of_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("one/sweep").mkdir(parents=True)
    Path("one/a.toml").write_text(
        'dataset = {name = "csv", path = "a.csv", test_path = "b.csv"}\nsweep.seed = "0..1"\n'
    )
    monkeypatch.chdir("one")
    grid = load_grid("a.toml")
    Path("sweep/sweep.json").write_text(grid.to_json(Path("sweep")))
    Path("../one").rename("../two")
    monkeypatch.chdir("../two")
    moved = load_grid("sweep/sweep.json")
    dataset = moved.combinations[0].config.dataset
    assert (dataset.path, dataset.test_path) == (str(Path("a.csv").absolute()), str(Path("b.csv").absolute()))
    assert [setting.folder for setting in moved.combinations] == [setting.folder for setting in grid.combinations]


# Faults


def test_fault_09_a_bad_axis_is_answered_in_one_line() -> None:
    for word, parts in {
        "seed=": ["seed: has no value"],
        "seed=1,,2": ["seed: has no value 2 of 3"],
        "seed=1,2,1": ["seed: 1 given twice"],
        "seed=0..3,2": ["seed: 2 given twice"],
        "optimizer.momentum=0,0.0": ["optimizer.momentum: 0 given twice"],
        "seed=4..0": ["seed: 4..0", "seed=0..4"],
        "seed=1..999999": ["seed: 1..999999 has 999,999 values", "100,000"],
        "optimizer.momentum=0.1..0.5": ["optimizer.momentum: 0.1..0.5", "optimizer.momentum=0.1,0.5"],
        "seed=1..1": ["nothing varies", "seed=0..4"],
        "training.epochs=0..2": ["training.epochs: must be greater than or equal to 1, got 0"],
        "seed=[1],[1]": ["seed: ", "[1]"],
    }.items():
        (line,) = faults(word)
        assert line.startswith(f"command line: {parts[0]}") and parts[-1] in line


def test_fault_09_a_bad_table_is_answered_with_the_file_name() -> None:
    for table, start in {
        "seed = []": "sweep.seed: has no value",
        "seed = [1, 1]": "sweep.seed: 1 given twice",
        'seed = "3..1"': "sweep.seed: 3..1",
        "optimizer.momentun = [0, 0.5]": "sweep: unknown key optimizer.momentun; nearest: optimizer.momentum, ",
        "training.epochs = [1, 0]": "training.epochs: must be greater than or equal to 1, got 0",
    }.items():
        (line,) = faults(source=with_table(table))
        assert line.startswith(f"mine.toml: {start}")


def test_a_sweep_key_that_is_not_a_table_is_refused() -> None:
    Path("a.json").write_text(json.dumps({"dataset": {"name": "iris"}, "sweep": [1]}), encoding="utf-8")
    assert faults("seed=0..1", source="a.json") == ("a.json: sweep: must be a table of keys and their values, got [1]",)


def test_true_and_1_are_different_values() -> None:
    assert "given twice" not in "".join(faults("optimizer.nesterov=true,1"))


def test_faults_of_axes_and_config_are_reported_together_once() -> None:
    Path("bad.toml").write_text('[dataset]\nname = "iris"\nscalin = "none"\n', encoding="utf-8")
    words = ["optimizer.momentum=1,0.5,2", "seed=0..3", "training.epochs=1,1", "nonsense=1"]
    lines = faults(*words, source="bad.toml")
    assert len(lines) == len(set(lines)) == 5
    for part, line in zip(["nonsense", "given twice", "scalin", "got 1", "got 2"], lines, strict=True):
        assert part in line


def test_no_more_than_twenty_faults_are_reported() -> None:
    assert len(faults("training.epochs=-24..0")) == 20


def test_a_combination_whose_values_exclude_each_other_is_found() -> None:
    (fault,) = faults("dataset.test_size=0.2,0.6", "dataset.validation_size=0.1,0.5")
    assert "0.5 + 0.6" in fault


def test_fault_09_more_than_a_thousand_combinations_need_yes() -> None:
    words = ["training.epochs=1..1001"]
    assert faults(*words) == ("command line: 1,001 combinations; more than 1,000 are run with --yes",)
    assert len(load_grid("iris", words, many=True).combinations) == 1001
    assert len(load_grid("iris", ["training.epochs=1..1000"]).combinations) == 1000
    words = ["training.epochs=1..1000", "seed=0..100"]
    assert faults(*words, many=True) == ("command line: 101,000 combinations; more than 100,000 are refused",)


# The names of run folders


def test_a_folder_is_named_by_what_changed_and_a_hash() -> None:
    first, second = (
        load_grid("iris", ["optimizer.learning_rate=0.1,0.3", "seed=0..1", f"training.epochs={epochs}"]).combinations
        for epochs in (3, 4)
    )
    assert re.fullmatch(r"learning_rate=0\.3-seed=1-[0-9a-f]{8}", first[-1].folder)
    assert len({setting.folder for setting in first + second}) == 8


def test_keys_with_the_same_ending_are_written_out() -> None:
    for setting in load_grid("iris", ['name="a","b"', 'dataset.name="iris","wine"', "seed=0,1"]).combinations:
        assert re.match(r"name=[ab]-dataset\.name=(iris|wine)-seed=[01]-", setting.folder)


def test_fault_15_a_folder_name_is_plain_and_short() -> None:
    grid = load_grid("iris", ['network.activation="quantised:3","quantised:5"', f'name="{"é b" * 30}","a.b"'])
    for setting in grid.combinations:
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.=+-]{1,130}", setting.folder) and ".." not in setting.folder
    names = sorted(setting.folder for setting in grid.combinations)
    assert all(one != other for one, other in pairwise(names))


def test_fault_09_an_axis_given_twice_in_the_table_is_refused(tmp_path: Path) -> None:
    file, base = tmp_path / "my.json", {"dataset": {"name": "iris"}}
    table = {"optimizer": {"momentum": [0.1, 0.2]}, "optimizer.momentum": [0.5, 0.6]}
    file.write_text(json.dumps(base | {"sweep": table}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"sweep\.optimizer\.momentum: given twice"):
        load_grid(str(file))
