"""Configs: presets, files, overrides, and the answer to each fault in a config."""

from __future__ import annotations

import inspect
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rights import unprivileged

from tinynet import ConfigError, RunFolderError, TinynetError
from tinynet.config.hints import nearest_key
from tinynet.config.loading import check_same, load_config, origin, preset_names, preset_text
from tinynet.config.sections import OPTIONS, Config, DatasetConfig, GradientConfig
from tinynet.config.values import dotted_keys
from tinynet.data.bundled import DATASETS
from tinynet.data.options import OWN
from tinynet.network import METHODS

IRIS = '[dataset]\nname = "iris"\n'

Faults = Callable[..., tuple[str, ...]]


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def faults(text: str | bytes | None = IRIS, *overrides: str, file: str = "my.toml") -> tuple[str, ...]:
    """Return the faults of a config text with overrides; without a text, of the preset or file `file`."""
    if text is not None:
        Path(file).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load_config(file, overrides)
    found = caught.value.faults
    assert found and all(fault.isprintable() and len(fault) < 1000 for fault in found)
    assert str(caught.value) == "\n".join(found)
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, TinynetError)
    return found


def check_fault(parts: str, text: str | bytes | None = IRIS, *overrides: str, file: str = "my.toml") -> None:
    """Check that there is one fault: it begins with the first of `parts` and has all of them in order."""
    (fault,) = faults(text, *overrides, file=file)
    rest, expected = fault, parts.split(" ... ")
    assert fault.startswith(expected[0]), fault
    for part in expected:
        assert part in rest, (part, fault)
        rest = rest.partition(part)[2]


# Valid presets and files


def test_every_preset_survives_being_written_and_read() -> None:
    assert preset_names() == ["breast_cancer", "digits", "digits-2bit", "digits-sign", "iris", "moons", "wine"]
    for name in preset_names():
        config = load_config(name)
        assert config.name == name and config.dataset.name == name.partition("-")[0]
        assert preset_text(name).startswith("# ")
        Path("copy.toml").write_text(preset_text(name), encoding="utf-8")
        assert load_config("copy.toml") == config
        config = load_config(name, ["name=Ärger 3", "network.weight_scale=1", "training.patience=7"])
        Path("config.JSON").write_text(config.to_json(), encoding="utf-8")
        assert load_config("config.JSON") == config
        assert json.loads(config.to_json())["network"]["weight_scale"] == 1.0
        assert "null" not in config.to_json()


def test_a_config_needs_nothing_but_a_dataset() -> None:
    plain, schema = "[dataset]\r\nname = 'iris'\r\n", '"$schema" = "config.schema.json"\n'
    Path("my.toml").write_text(plain)
    config = load_config("my.toml")
    assert (config.seed, config.gradient.h, config.training.epochs) == (0, 1e-4, 20)
    for text in (schema + IRIS, "#:schema config.schema.json\n" + IRIS, "\ufeff" + plain):
        Path("my.toml").write_text(text, encoding="utf-8")
        assert load_config("my.toml") == config
    Path("my.json").write_text('{"$schema": "config.schema.json", "dataset": {"name": "iris"}}')
    assert load_config("my.json") == config


def test_a_schedule_of_steps_divides_by_ten_unless_told() -> None:
    steps = ["optimizer.schedule=step", "optimizer.step_epochs=7"]
    assert load_config("iris", steps).optimizer.step_factor == 0.1
    assert load_config("iris", [*steps, "optimizer.step_factor=0.3"]).optimizer.step_factor == 0.3
    assert load_config("iris").optimizer.step_factor is None


def test_overrides_replace_the_values_in_the_file() -> None:
    words = ["optimizer.learning_rate=0.5", "training.epochs = 3", "network.activation='quantised:4'"]
    config = load_config("moons", [*words, "optimizer.nesterov=true", "dataset.noise=1 # too much"])
    assert (config.optimizer.learning_rate, config.optimizer.nesterov) == (0.5, True)
    assert (config.training.epochs, config.network.activation) == (3, "quantised:4")
    assert config.dataset.options == {"n_samples": 1000, "noise": 1.0}
    assert config.optimizer.momentum == load_config("moons").optimizer.momentum
    Path("my.toml").write_text(IRIS)
    assert load_config("my.toml", ["training.epochs=2"]).training.epochs == 2  # a section that the file does not have


def test_a_path_is_relative_to_the_config_or_the_command_line(tmp_path: Path) -> None:
    Path("sub").mkdir()
    Path("sub/my.toml").write_text('[dataset]\nname = "csv"\npath = "flowers.csv"\n', encoding="utf-8")
    assert load_config("sub/my.toml").dataset.path == str(tmp_path / "sub" / "flowers.csv")
    for path in ("own.csv", "../own.csv"):
        assert load_config("sub/my.toml", [f"dataset.path={path}"]).dataset.path == str((tmp_path / path).resolve())


def test_the_config_and_the_library_allow_the_same_names() -> None:
    fields = DatasetConfig.model_fields
    assert set(get_args(fields["name"].annotation)) == {*DATASETS, *OWN}
    assert set(get_args(GradientConfig.model_fields["method"].annotation)) == set(METHODS)
    for name, loader in DATASETS.items():
        options = [option for option in inspect.signature(loader).parameters if option != "seed"]
        assert list(OPTIONS.get(name, ())) == options
    assert all(OPTIONS[name] == OWN[name] for name in OWN)


# Faults in files


def test_fault_01_a_file_that_cannot_be_read_is_named_with_the_reason() -> None:
    Path("folder.toml").mkdir()
    Path("loop.toml").symlink_to("loop.toml")
    os.mkfifo("pipe.toml")
    Path("secret.toml").write_text(IRIS)
    Path("secret.toml").chmod(0)
    for name, reason in {
        "digits.toml": "No such file or directory; the preset is called digits",
        "a/b.json": "No such file or directory",
        "loop.toml": "Too many levels of symbolic links",
        "secret.toml": "Permission denied",
        "a\n\x1b[31mb.toml": "No such file",
    }.items():
        with unprivileged():
            (fault,) = faults(None, file=name)
        assert f": cannot be read: {reason}" in fault
    for name in ("folder.toml", "pipe.toml", "nul\0.toml"):
        (fault,) = faults(None, file=name)
        assert fault.endswith(": is not a file")


def test_fault_01_the_folder_of_a_run_instead_of_its_config() -> None:
    Path("runs").mkdir()
    check_fault("runs: neither a preset nor a  ... allowed: breast_cancer", None, file="runs")
    Path("runs/config.json").write_text("{}")
    check_fault("runs: neither ... the config of that run folder is runs/config.json", None, file="runs")


def test_fault_01_a_workbook_instead_of_a_table_is_named() -> None:
    check_fault("my.xlsx: neither ... ; it is a ZIP archive (an .xlsx ...  save", b"PK\3\4", file="my.xlsx")


def test_fault_01_a_file_without_content_is_refused() -> None:
    for content in (b"", b" \n\t\n", b"\n"):
        check_fault("my.toml: is empty; 'tinynet presets digits' prints a config", content)
    check_fault("my.toml: dataset: missing; dataset.name must be one of  ... digits, moons", "# nothing\n")


def test_fault_02_invalid_toml_or_json_is_answered_with_the_place() -> None:
    for text, place in {
        "seed = 1\nname = iris\n": "(at line 2, column 8)",
        "seed = 1\nname = ": "(at line 2, column 8)",
        "name = '\0'": "(at line 1, column 9)",
    }.items():
        check_fault(f"my.toml: not valid TOML:  ... {place}", text)
    for text, place in {
        '{"seed": 1,\n "name": iris}': "line 2 column 10 (char 21)",
        '{"seed": 1': "line 1 column 11 (char 10)",
        '{"seed": 1, "training": {"epochs": 3, "epochs": 4}}': "key epochs",
    }.items():
        check_fault(f"my.json: not valid JSON:  ... {place}", text, file="my.json")
    for text, shown in {"[1, 2]": "[1, 2]", '"iris"': "'iris'"}.items():
        check_fault(f"my.json: must hold an object with sections, got {shown}", text, file="my.json")


def test_fault_03_a_file_that_is_not_utf_8_is_answered_with_the_line() -> None:
    for content, place in {
        b'# fine\nname = "\xe9"\n': "line 2: not UTF-8: byte 0xe9",
        b"\n\n\xe9": "line 3: not UTF-8: byte 0xe9",
        IRIS.encode("utf-16"): "line 1: not UTF-8: byte 0xff",
    }.items():
        check_fault(f"my.toml: {place}", content)


def test_fault_04_an_unknown_key_is_answered_with_the_nearest() -> None:
    for text, parts in {
        IRIS + "[trainning]\nepochs = 1\n": "trainning; nearest: training, ",
        IRIS + "[optimizer]\nmomentun = 0.5\n": "optimizer.momentun; nearest: optimizer.momentum, ",
        "epochs = 1\n" + IRIS: "epochs; nearest: training.epochs, ",
        IRIS + "[gradient]\nzzz = 1\n": "gradient.zzz; nearest: ",
        '"a\\u001b[31m" = 1\n' + IRIS: "'a\\x1b[31m'; nearest: ",
    }.items():
        check_fault(f"my.toml: unknown key {parts} ... tinynet schema --markdown", text)
    for written, meant in {
        "lr": "optimizer.learning_rate",
        "Learning_Rate": "optimizer.learning_rate",
        "epoch": "training.epochs",
        "optimiser.momentum": "optimizer.momentum",
        "nme": "name",
        "zzz": None,
    }.items():
        assert nearest_key(written) == meant


def test_fault_05_a_value_of_the_wrong_type_is_refused() -> None:
    for line, message in {
        'optimizer.learning_rate = "0.1"': "must be a valid number, got '0.1'",
        "optimizer.nesterov = 1": "must be a valid boolean, got 1",
        "training.epochs = 1.5": "must be a valid integer, got 1.5",
        "training.epochs = [3]": "must be a valid integer, got [3]",
        "network.weight_scale = 1979-05-27": "must be a valid number, got ",
        "gradient.method = false": "must be 'auto', 'series', 'exact' or 'loop', got false",
        "training = 3": "must be a section with keys, got 3",
        "seed.a = 1": "must be a valid integer, got {'a': 1}",
    }.items():
        key = line.partition(" =")[0].removesuffix(".a")
        check_fault(f"my.toml: {key}: {message}", f"{line}\n{IRIS}")
    check_fault("my.toml: training: must be a section", "training = 3\n" + IRIS, "training.epochs=2")
    check_fault("my.json: seed: ... got None", '{"dataset": {"name": "iris"}, "seed": null}', file="my.json")


def test_fault_06_a_value_out_of_range_is_refused() -> None:
    for override, allowed in {
        "optimizer.learning_rate=0": "greater than 0",
        "optimizer.learning_rate=inf": "a finite number",
        "optimizer.momentum=1": "less than 1",
        "training.epochs=0": "greater than or equal to 1",
        "training.patience=0": "greater than or equal to 1",
        "gradient.h=0": "greater than 0",
        "gradient.h=1e-17": "too small to change a weight",
        "network.hidden_units=0": "greater than or equal to 1",
        "dataset.test_size=1": "less than 1",
        "seed=4294967296": "less than 4294967296",
    }.items():
        key, _, value = override.partition("=")
        check_fault(f"command line: {key}:  ... {allowed} ... got {value}", IRIS, override)
    assert load_config("iris", ["gradient.h=2.3e-16"]).gradient.h == 2.3e-16


def test_fault_06_values_that_exclude_each_other_are_refused() -> None:
    check_fault("my.toml: training: training.epochs 20 ... warmup_epochs", f"{IRIS}[optimizer]\nwarmup_epochs = 50\n")
    check_fault("my.toml: dataset.test_size:  ... 0.9 + 0.2", IRIS + "validation_size = 0.9\n")
    for text, words, parts in [
        ("", "dataset.validation_size=0.9", "dataset.test_size:  ... 0.9 + 0.2"),
        ("", "training.patience=3 dataset.validation_size=0", "training: patience ... dataset.validation_size is 0"),
        ("[training]\npatience = 3", "training.keep=last", "training: keep 'last' and patience exclude each other"),
        ("[training]\nkeep = 'best'", "dataset.validation_size=0", "training: keep 'best' needs validation data"),
        ("[optimizer]\nnesterov = true", "optimizer.momentum=0", "optimizer.nesterov: needs a momentum above 0"),
        ("noise = 0.1", "seed=0", "dataset.noise: applies only to dataset.name 'moons' ... 'iris'"),
        (
            "",
            "optimizer.step_epochs=5",
            "optimizer.step_epochs: applies only to optimizer.schedule 'step' ... 'constant'",
        ),
        (
            "",
            "optimizer.step_factor=0.5 optimizer.schedule=cosine",
            "optimizer.step_factor: applies only to ... 'cosine'",
        ),
        ("", "optimizer.schedule=step", "optimizer.step_epochs: missing ... optimizer.step_epochs=10"),
        ("[optimizer]\nwarmup_epochs = 3", "training.epochs=3", "training: training.epochs 3 ... warmup_epochs 3"),
        (
            "",
            "dataset.name=moons dataset.factor=0.1",
            "dataset.factor: applies only to dataset.name 'circles' ... 'moons'",
        ),
    ]:
        check_fault(f"my.toml and command line: {parts}", IRIS + text, *words.split())
    assert load_config("iris", ["optimizer.warmup_epochs=1.9", "training.epochs=2"]).optimizer.warmup_epochs == 1.9


def test_fault_06_an_option_of_another_data_set_is_refused() -> None:
    for words, message in {
        "dataset.name=csv": "path: missing; csv needs the file to read",
        "dataset.path=x.csv": "path: applies only to dataset.name 'csv' or 'npz'; here it is 'iris'",
        "dataset.name=npz dataset.path=x dataset.header=true": "header: applies only to dataset.name 'csv'",
        "dataset.name=csv dataset.path=x dataset.separator=:": "separator: must be ',', ';', '\\t', ",
    }.items():
        (fault,) = faults(None, *words.split(), file="iris")
        assert f": dataset.{message}" in fault


def test_fault_07_an_unknown_name_is_answered_with_all_names() -> None:
    for line, parts in {
        "dataset.name = 'digit'": "'digits', 'moons', 'iris' ... got 'digit'; did you mean 'digits'?",
        "dataset.scaling = 'min_max'": "'minmax', 'standard' or 'none' ... did you mean 'minmax'?",
        "dataset.scaling = 'zzz'": "'minmax', 'standard' or 'none' ... got 'zzz'",
        "gradient.method = 'exakt'": "'exact' or 'loop' ... did you mean 'exact'?",
        "network.activation = 'rleu'": "'rleu'; did you mean 'relu'? ... tanh, sigmoid",
        "network.activation = 'quantised:1'": "at least 2, got 1",
    }.items():
        text = line if line.startswith("dataset.name") else f"{line}\ndataset.name = 'iris'"
        check_fault(f"my.toml: {line.partition(' =')[0]}:  ... {parts}", text)
    for name in ("digit", "Digits", "digits.yaml"):
        check_fault(f"{name}: neither ... did you mean 'digits'? ... breast_cancer, digits, ", None, file=name)
    check_fault("'': neither", None, file="")
    check_fault("seed=1: neither ... CONFIG comes before KEY=VALUE", None, "iris", file="seed=1")
    with pytest.raises(ConfigError, match="unknown preset digit; did you mean 'digits'"):
        preset_text("digit")


def test_fault_08_an_override_that_cannot_be_parsed_is_refused() -> None:
    for word in ("seed", "=", "=1", "", "-5", "seed:1"):
        check_fault("command line:  ... KEY=VALUE in one word; write seed=", IRIS, word)
    check_fault("command line: seed: given twice", IRIS, "seed=1", "seed = 1")
    check_fault("command line: unknown key training; nearest: training.", IRIS, "training=1")


def test_fault_13_a_number_beyond_every_machine_is_refused() -> None:
    for key in ("network.hidden_units", "training.epochs", "training.batch_size", "training.patience"):
        check_fault(f"command line: {key}: must be less than {2**63}, got {2**64 - 1}", IRIS, f"{key}={2**64 - 1:#x}")
    check_fault("my.toml: network.hidden_units: must be less than", f"{IRIS}[network]\nhidden_units = 0x{'f' * 1900}\n")
    check_fault("command line: optimizer.learning_rate: must be a ", IRIS, "optimizer.learning_rate=1" + "0" * 400)


def test_fault_14_excessive_length_and_nesting_are_refused() -> None:
    check_fault("my.toml: line 1: longer than 2,000 characters", "# " + "x" * 5000)
    check_fault("my.toml: line 2: longer than 2,000 characters", "\n" + "a." * 1500 + "a = 1")
    check_fault("my.toml: nested too deeply", "a = " + "[" * 1990)
    check_fault("my.toml: larger than 64 KiB", "#\n" * 40_000)
    check_fault("my.json: nested too deeply", "[\n" * 30_000, file="my.json")
    check_fault("my.toml: unknown key dataset.a; nearest", IRIS + ".".join("a" * 990) + " = 1\n")


def test_fault_14_the_longest_allowed_values_are_read() -> None:
    longest = "#" * 2000 + "\n"
    n_lines, rest = divmod(2**16 - len(IRIS), len(longest))
    Path("my.toml").write_text(IRIS + n_lines * longest + rest * "#")
    assert Path("my.toml").stat().st_size == 2**16 and load_config("my.toml") == load_config("my.toml", ["seed=0"])
    assert load_config("iris", ["training.epochs=5" + 1999 * " "]).training.epochs == 5


def test_a_written_config_of_any_length_is_read_again() -> None:
    path = f"/{'deep/' * 500}own.csv"
    text = json.dumps({"dataset": {"name": "csv", "path": path, "exclude": [f"column {n}" for n in range(6500)]}})
    Path("one.json").write_text(text, encoding="utf-8")
    config = load_config("one.json")
    Path("again.json").write_text(config.to_json(), encoding="utf-8")
    assert load_config("again.json") == config and config.dataset.path == path


def test_fault_14_a_file_of_100_megabytes_is_not_read() -> None:
    with Path("large.toml").open("wb") as sparse:
        sparse.truncate(100_000_000)
    tracemalloc.start()
    try:
        check_fault("large.toml: larger than 64 KiB", None, file="large.toml")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10**6


def test_fault_14_a_config_with_many_faults_lists_the_first_20() -> None:
    for file in ("my.toml", "my.json"):
        for n_keys, n_faults in ((3000, 21), (19, 20)):
            keys = [f"key{number}" for number in range(n_keys)]
            text = json.dumps(dict.fromkeys(keys, 1), indent=0) if file == "my.json" else " = 1\n".join([*keys, ""])
            found = faults(text, file=file)
            assert len(found) == n_faults  # one of them is the missing dataset
            assert ("2981 more faults" in found[-1]) == (n_keys == 3000)


def test_fault_15_names_that_no_folder_can_have_are_refused() -> None:
    odd = ["../up", "a\\b", "..", "a..b", ".", ".hidden", "-rf", "", " a", "a ", "a\tb", "a\nb", "\x1b", "~", "$x"]
    for name in odd:
        text = json.dumps({"name": name, "dataset": {"name": "iris"}})
        check_fault(f"my.json: name: a folder is named after it ... got {name!r}", text, file="my.json")
    check_fault("my.toml: name: must have at most 100 characters", f'name = "{"x" * 101}"\n{IRIS}')
    for name in ("run", "Größe 2", "2024-01-02", "v1.2_final", "数"):
        assert load_config("iris", [f"name={name}"]).name == name


def test_all_faults_of_a_config_are_reported_together() -> None:
    text = """
name = "../x"
sed = 1
[dataset]
name = "iris"
scaling = "minmx"
noise = 1.0
test_size = 0.95
[network]
activation = "rleu"
[gradient]
h = 1e-20
[optimizer]
momentum = 0
nesterov = true
[training]
epochs = 0
batch_size = "100"
"""
    found = faults(text, "optimizer.learning_rate=0", "lr=1", "seed", "training.patience=x")
    assert [" ".join(fault.split(": ")[:2]).partition(";")[0] for fault in found] == [
        "command line unknown key lr",
        "command line seed",
        "command line training.patience",
        "my.toml name",
        "my.toml dataset.scaling",
        "my.toml and command line dataset.test_size",
        "my.toml and command line dataset.noise",
        "my.toml network.activation",
        "my.toml gradient.h",
        "command line optimizer.learning_rate",
        "my.toml and command line optimizer.nesterov",
        "my.toml training.epochs",
        "my.toml training.batch_size",
        "my.toml unknown key sed",
    ]


def test_fault_11_keys_that_differ_from_the_runs_config_are_named() -> None:
    long = "/somewhere" * 10
    cases: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
        (
            {"path": f"{long}/here.csv"},
            {"path": f"{long}/there.csv"},
            ["path (…", "/here.csv in the folder, …", "/there.csv"],
        ),
        ({"seed": 0, "a.b": 3}, {"seed": 1}, ["seed (0 in the folder, 1 now)", "a.b (3 in the folder, absent now)"]),
        ({"path": "x" * 60}, {"path": "y" + "x" * 60}, [f"path ({'x' * 60} in the folder, …{'x' * 59} now)"]),
    ]
    for before, now, parts in cases:
        with pytest.raises(RunFolderError) as caught:
            check_same("run", before, now)
        assert all(part in str(caught.value) for part in ["run: the config differs in", *parts])


def test_the_origin_of_a_config_names_file_and_command_line() -> None:
    assert origin("my.toml", []) == "my.toml"
    assert origin("my own.toml", ["seed=1"]) == "my own.toml and command line"


# Random files and command lines give a Config or a ConfigError

KEYS = st.sampled_from([*dotted_keys(), "dataset", "training", "x", "network.x"])
WORDS = st.sampled_from(["1", "0", "-1", "0.5", "1e400", "nan", "true", '"iris"', '"moons"', '"relu"', '"quantised:3"'])
ODD_WORDS = st.sampled_from(
    ["[]", "[[1]]", "{a.b=1}", "1979-05-27", "07:32:00", "0x10", '""', '"\\u0000"', "relu", "9" * 50]
)
LINES = st.one_of(
    st.builds("{} = {}".format, KEYS, WORDS | ODD_WORDS),
    st.sampled_from(["[dataset]", "[training]", "[[network]]", "[a.b]", "", "# x", 'name = "moons"', "epochs = 1"]),
    st.text(max_size=30),
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["iris", "moons"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
SECTIONED = st.dictionaries(
    st.sampled_from([*Config.model_fields]),
    JSON_VALUES | st.dictionaries(KEYS.map(lambda key: key.rpartition(".")[2]), JSON_VALUES, max_size=5),
)
OVERRIDES = st.lists(
    st.builds("{}={}".format, KEYS, WORDS | ODD_WORDS | st.text(max_size=20)) | st.text(max_size=20), max_size=4
)
TOML_TEXTS = st.lists(LINES, max_size=8).map("\n".join) | st.text()
JSON_TEXTS = (SECTIONED | JSON_VALUES).map(json.dumps).map(str.encode) | st.binary()


def config_or_faults(source: str, overrides: list[str]) -> None:
    try:
        config = load_config(source, overrides)
    except ConfigError as error:
        assert error.faults and all(fault.isprintable() for fault in error.faults)
    else:
        Path("again.json").write_text(config.to_json(), encoding="utf-8")
        assert load_config("again.json") == config


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TOML_TEXTS, JSON_TEXTS, OVERRIDES)
def test_any_file_gives_a_config_or_a_config_error(text: str, content: bytes, overrides: list[str]) -> None:
    Path("any.toml").write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    config_or_faults("any.toml", overrides)
    Path("any.json").write_bytes(content)
    config_or_faults("any.json", overrides)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.builds("{}={}".format, KEYS, WORDS), max_size=2) | OVERRIDES)
def test_any_overrides_give_a_config_or_a_config_error(overrides: list[str]) -> None:
    config_or_faults("moons", overrides)
