"""Values on the command line: what is typed, and what a key of each type makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from tinynet import ConfigError
from tinynet.config.loading import load_config
from tinynet.config.values import dotted_keys, typed_values

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
    for key, values in READ.items():
        for text, value in values.items():
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
    for key, values in axes.items():
        for text, axis in values.items():
            assert typed_values(key, text) == axis, f"{key}={text}"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("seed", ""),
        ("seed", "1,,2"),
        ("seed", "1,"),
        ("seed", "[]"),
        ("seed", "4..0"),
        ("seed", "1..999999"),
        ("seed", "ten"),
        ("seed", "1\nname = 'x'"),
        ("seed", "[" * 1999),
        ("seed", "[" * 900 + "]" * 900),
        ("seed", "1" * 3000),
        ("name", '"\\q"'),
        ("optimizer.momentum", "0.1..0.5"),
        ("optimizer.nesterov", "maybe"),
    ],
)
def test_fault_08_what_is_no_value_of_its_key_is_refused(key: str, text: str) -> None:
    with pytest.raises(ValueError):
        typed_values(key, text)
    with pytest.raises(ConfigError) as caught:
        load_config("iris", [f"{key}={text}"])
    (fault,) = caught.value.faults
    assert fault.startswith(f"command line: {key}: ") and fault.isprintable() and len(fault) < 400


def test_null_takes_a_key_away_as_if_it_were_not_in_the_file() -> None:
    for key in dotted_keys():
        if key == "dataset.name":
            continue
        config = load_config("moons", [f"{key}=null"])
        section, _, last = key.rpartition(".")
        owner: Any = getattr(config, section) if section else config
        assert getattr(owner, last) == type(owner).model_fields[last].default
    with pytest.raises(ConfigError, match=r"dataset\.name"):
        load_config("moons", ["dataset.name=null"])
