"""The documentation of a config: the JSON Schema, the table of keys, and the comments in the presets."""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tinynet import ConfigError
from tinynet.config.documentation import commented_preset, key_table, schema, schema_text
from tinynet.config.loading import load_config, preset_names, preset_text
from tinynet.config.sections import OPTIONS
from tinynet.config.values import dotted_keys
from tinynet.data.bundled import DATASETS

DOCS = Path(__file__).parents[2] / "docs"
VALIDATOR = jsonschema.Draft202012Validator(schema())


def nested(key: str, value: Any) -> dict[str, Any]:
    """Return a config for iris with one more value."""
    config: dict[str, Any] = {"dataset": {"name": "iris"}}
    section, _, last = key.rpartition(".")
    (config.setdefault(section, {}) if section else config)[last] = value
    return config


def keys_in(text: str, line: str) -> list[str]:
    """Return the dotted keys of the lines that match, in a text with [section] lines or headings."""
    section, found = "", []
    for heading, key in re.findall(rf"^(?:#* ?\[(\w+)\].*|{line})", text, re.MULTILINE):
        section = f"{heading}." if heading else section
        found += [section + key] if key else []
    return found


# The schema


def test_the_schema_is_valid_and_names_its_dialect() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert json.loads(schema_text()) == schema()
    assert schema()["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_conforms_to_the_schema(name: str) -> None:
    VALIDATOR.validate(tomllib.loads(preset_text(name)))
    VALIDATOR.validate(tomllib.loads(commented_preset(name)))
    VALIDATOR.validate(json.loads(load_config(name).to_json()))


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("seed", 2**32 - 1, 2**32),
        ("dataset.name", "moons", "mons"),
        ("dataset.test_size", 0, 1),
        ("dataset.path", "x", ""),
        ("dataset.label", -1, 1.5),
        ("dataset.label", "diagnosis", True),
        ("dataset.separator", "\t", " "),
        ("network.hidden_units", 3, "3"),
        ("optimizer.learning_rate", 1e-9, 0),
        ("training.epochs", 1, 1.5),
        ("optimizer.learning_rate", 1, None),
        ("training", {}, 3),
    ],
)
def test_the_schema_accepts_and_refuses_what_a_config_does(key: str, good: Any, bad: Any, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    owner = next((name for name, options in OPTIONS.items() if key.removeprefix("dataset.") in options), "")
    for value, is_good in ((good, True), (bad, False)):
        config = nested(key, value)
        if owner:  # the data set that has this option
            config["dataset"] |= {"name": owner} | ({"path": "x"} if owner == "csv" and key != "dataset.path" else {})
        file.write_text(json.dumps(config))
        assert VALIDATOR.is_valid(config) is is_good
        if is_good:
            load_config(str(file))
        else:
            with pytest.raises(ConfigError):
                load_config(str(file))


def test_the_schema_refuses_an_unknown_key() -> None:
    assert not VALIDATOR.is_valid(nested("epochs", 3))
    assert not VALIDATOR.is_valid(nested("training.epoch", 3))
    assert not VALIDATOR.is_valid({})


# The table of keys


def test_the_table_in_the_docs_is_current() -> None:
    assert (DOCS / "config.md").read_text(encoding="utf-8") == key_table()


def test_the_table_lists_every_key_once_with_all_details() -> None:
    assert keys_in(key_table(), r"\| `(\w+)` \|.*") == dotted_keys()
    rows = [line.split(" | ") for line in key_table().splitlines() if line.startswith("| `")]
    assert all(len(row) == 5 for row in rows)
    for row in (
        "| `name` | string | must be given | digits, moons, ",
        "| `momentum` | number | `0.9` | >= 0 and < 1 | ",
        "| `patience` | integer | unset | >= 1 | ",
        "| `label` | integer or string | unset |  | ",
        r"""| `separator` | string | unset | ",", ";", "\t", "\|", space | """,
    ):
        assert f"\n{row}" in key_table()
    assert all(kind and default and meaning.rstrip(" |") for _, kind, default, _, meaning in rows)


@pytest.mark.parametrize("name", ["moons", "circles", "blobs"])
def test_synthetic_data_options_state_their_values_when_unset(name: str) -> None:
    for option in OPTIONS[name]:
        default = inspect.signature(DATASETS[name]).parameters[option].default
        (row,) = (line for line in key_table().splitlines() if line.startswith(f"| `{option}` "))
        assert re.search(rf"unset: (\S+ or )?{default}\b", row)


# The presets


@pytest.mark.parametrize("name", preset_names())
def test_a_printed_preset_loads_the_same_and_explains_every_key(name: str, tmp_path: Path) -> None:
    text = commented_preset(name)
    (tmp_path / "my.toml").write_text(text, encoding="ascii")  # whatever the locale
    assert load_config(str(tmp_path / "my.toml")) == load_config(name)
    assert keys_in(text, r"(?:# )?(\w+) = .+ # \S.*") == dotted_keys()
    assert max(map(len, text.splitlines())) <= 120
    assert text.splitlines()[0] == preset_text(name).splitlines()[0]


def test_a_commented_key_can_be_uncommented(tmp_path: Path) -> None:
    file, tried = tmp_path / "my.toml", 0
    for data, others in {"moons": "factor|n_features", "circles": "n_features", "blobs": "noise|factor"}.items():
        text = commented_preset("moons").replace('name = "moons"', f'name = "{data}"')
        text = re.sub(rf"^(?:# )?((?:{others}|noise) = )", r"# \1", text, flags=re.MULTILINE)
        text = text.replace('schedule = "constant"', 'schedule = "step"').replace("# step_epochs", "step_epochs")
        allowed = {*OPTIONS[data], "weight_scale", "step_factor", "patience"}
        for key in re.findall(r"^# (\w+) = ", text, flags=re.MULTILINE):
            if key in allowed:
                file.write_text(re.sub(rf"^# {key} = ", f"{key} = ", text, flags=re.MULTILINE))
                load_config(str(file))
                tried += 1
    assert tried >= 12
