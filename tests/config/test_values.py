"""Values on the command line: what is typed, and how a key of each type reads it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tinynet import ConfigError
from tinynet.cli.main import main
from tinynet.cli.parser import parsed
from tinynet.config.loading import flat, load_config
from tinynet.config.values import dotted_keys, typed_values
from tinynet.experiments.axes import load_grid

READ: dict[str, dict[str, Any]] = {  # one value, as a single run takes it
    "network.activation": {"relu": "relu", '"relu"': "relu", "'relu'": "relu", " relu ": "relu", "quantised:4": ...},
    "name": {"exp1": ..., "2024": ..., "2024-01-02": ..., "true": ..., "a b": ..., "it's": ..., '"null"': "null"},
    "dataset.separator": {",": ..., ";": ..., '"\\t"': "\t", "|": ...},
    "dataset.label": {"species": ..., "-1": -1, "+2": 2, '"2019"': "2019", "1.5": ..., "sepal length (cm)": ...},
    "dataset.path": {"3": ..., "data[1].csv": ..., '"a,b.csv"': "a,b.csv", "C:\\data\\x.csv": ...},
    "optimizer.nesterov": {"true": True, "True": True, "FALSE": False},
    "optimizer.momentum": {".5": 0.5, "0.5": 0.5, "5e-1": 0.5, "0": 0},
    "training.epochs": {"5": 5, "5.": 5, "1e1": 10, "1E1": 10, "10.0": 10, "0x10": 16, "1_000": 1000, "007": 7},
    "training.patience": {"null": None, "3": 3},
}


def test_a_value_is_read_as_the_type_of_its_key() -> None:
    for key, texts in READ.items():
        for text, value in texts.items():
            (read,) = typed_values(key, text)
            expected = text if value is ... else value
            assert read == expected and type(read) is type(expected), f"{key}={text}"


def test_several_values_are_a_list_or_a_range() -> None:
    axes: dict[str, dict[str, list[Any]]] = {
        "seed": {"0..3": [0, 1, 2, 3], "[0,1]": [0, 1], "0..1,7,-1..0": [0, 1, 7, -1, 0], " [ 3 , 1 ] ": [3, 1]},
        "network.activation": {"relu,tanh": ["relu", "tanh"], '[relu,"tanh"]': ["relu", "tanh"]},
        "name": {"\"a,b\",'c,d'": ["a,b", "c,d"], "it's,b": ["it's", "b"], "[a,b": ["[a", "b"]},
        "training.patience": {"null,5": [None, 5]},
        "dataset.label": {"a,1": ["a", 1]},
    }
    for key, texts in axes.items():
        for text, axis in texts.items():
            assert typed_values(key, text) == axis, f"{key}={text}"


def test_fault_08_a_value_that_does_not_fit_its_key_is_refused() -> None:
    refused = {
        "seed": ["", "1,,2", "1,", "[]", "4..0", "1..999999", "ten", "1\nname = 'x'", "[" * 1999, "1" * 3000],
        "name": ['"\\q"'],
        "optimizer.momentum": ["0.1..0.5"],
        "optimizer.nesterov": ["maybe"],
    }
    for key, text in ((key, text) for key, texts in refused.items() for text in texts):
        with pytest.raises(ValueError):
            typed_values(key, text)
        with pytest.raises(ConfigError) as caught:
            load_config("iris", [f"{key}={text}"])
        (fault,) = caught.value.faults
        assert fault.startswith(f"command line: {key}: ") and fault.isprintable() and len(fault) < 400


def test_null_removes_a_key_as_if_it_were_not_in_the_file() -> None:
    for key in dotted_keys():
        if key == "dataset.name":
            continue
        config = load_config("moons", [f"{key}=null"])
        section, _, last = key.rpartition(".")
        owner: Any = getattr(config, section) if section else config
        assert getattr(owner, last) == type(owner).model_fields[last].default
    with pytest.raises(ConfigError, match=r"dataset\.name"):
        load_config("moons", ["dataset.name=null"])


LINES = (Path(__file__).parent / "command_lines.txt").read_text(encoding="utf-8").splitlines()[1:]


def understood(line: str) -> dict[str, Any]:
    """Return what a line changes in the preset: keys and values for train, axes for sweep."""
    options = parsed(shlex.split(line))
    if options.command == "sweep":
        return load_grid(options.config, options.overrides).axes
    preset = flat(load_config(options.config).model_dump())
    config = flat(load_config(options.config, options.overrides).model_dump())
    return {key: value for key, value in config.items() if value != preset[key]}


def test_a_command_line_is_accepted_or_answered_with_one_that_is() -> None:
    assert len(LINES) >= 136
    for line, expected in (map(str.strip, entry.split(" => ")) for entry in LINES):
        try:
            assert understood(line) == json.loads(expected), line
        except ConfigError as error:
            answers = {re.split("; (?:write|to train one run per value:) ", fault)[-1] for fault in error.faults}
            assert answers == {expected}, line
            command = " ".join(line.split()[:2])
            understood(
                expected.removeprefix("tinynet ") if expected.startswith("tinynet ") else f"{command} {expected}"
            )


def test_an_unknown_key_says_where_all_keys_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("iris", ["zzz=3"])
    assert "nearest: " in caught.value.faults[0]
    (command,) = re.findall("'tinynet (.*)' lists all", caught.value.faults[0])
    assert main(command.split()) == 0
    listed = capsys.readouterr().out
    assert all(f"| `{key.rpartition('.')[2]}` |" in listed for key in dotted_keys())


def test_a_list_of_columns_is_a_value_and_a_list_of_lists_an_axis() -> None:
    for text, expected in {
        "a": [["a"]],
        "a,b": [["a", "b"]],
        "[a,2]": [["a", 2]],
        "1..3,x": [[1, 2, 3, "x"]],
        '"",NA': [["", "NA"]],
        "[]": [[]],
        "null": [None],
        "[[a],[b,c]]": [["a"], ["b", "c"]],
        "[a],[]": [["a"], []],
    }.items():
        assert typed_values("dataset.exclude", text) == expected, text


def test_keys_needed_by_one_value_of_an_axis_are_dropped_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["optimizer.schedule=constant,step", "optimizer.step_epochs=5,7", "dataset.name=moons,iris"]
    grid = load_grid("moons", [*words, "dataset.noise=0.3"])
    found = [(s.config.dataset.name, s.config.dataset.noise, s.config.optimizer.step_epochs) for s in grid.combinations]
    assert found == [("moons", 0.3, None), ("iris", None, None)] + [
        (name, noise, epochs) for epochs in (5, 7) for name, noise in (("moons", 0.3), ("iris", None))
    ]
    assert len({setting.folder for setting in grid.combinations}) == 6
    Path("sweep.json").write_text(grid.to_json(), encoding="utf-8")
    assert load_grid("sweep.json") == grid
    with pytest.raises(ConfigError, match=r"optimizer\.step_epochs"):
        load_grid("moons", ["optimizer.schedule=constant", "optimizer.step_epochs=5,7"])
