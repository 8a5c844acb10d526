"""Configs: presets, files, overrides, and what each fault of FAULTS.md gets."""

from __future__ import annotations

import inspect
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rights import unprivileged

from tinynet import ConfigError, RunFolderError, TinynetError
from tinynet.config.loading import check_same, load_config, nearest_key, origin, preset_names, preset_text
from tinynet.config.sections import OPTIONS, Config, DatasetConfig, GradientConfig
from tinynet.config.values import dotted_keys
from tinynet.data.datasets import DATASETS, OWN
from tinynet.network import METHODS

IRIS = '[dataset]\nname = "iris"\n'

Faults = Callable[..., tuple[str, ...]]


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Return a function that gives the faults of a config text and overrides."""
    monkeypatch.chdir(tmp_path)

    def of(text: str | bytes = IRIS, *overrides: str, file: str = "my.toml") -> tuple[str, ...]:
        Path(file).write_bytes(text.encode() if isinstance(text, str) else text)
        with pytest.raises(ConfigError) as caught:
            load_config(file, overrides)
        found = caught.value.faults
        assert found and all(fault.isprintable() and len(fault) < 1000 for fault in found)
        assert str(caught.value) == "\n".join(found)
        return found

    return of


# Presets and files that are right


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_and_says_what_it_is(name: str) -> None:
    assert load_config(name).name == name
    assert load_config(name).dataset.name == name.partition("-")[0]
    assert preset_text(name).startswith("# ")


def test_the_presets_are_the_promised_ones() -> None:
    assert preset_names() == ["breast_cancer", "digits", "digits-2bit", "digits-sign", "iris", "moons", "wine"]


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_that_was_printed_into_a_file_is_the_same_config(name: str, tmp_path: Path) -> None:
    file = tmp_path / "copy.toml"
    file.write_text(preset_text(name), encoding="utf-8")
    assert load_config(str(file)) == load_config(name)


@pytest.mark.parametrize("name", preset_names())
def test_a_config_that_was_written_as_json_is_the_same_config(name: str, tmp_path: Path) -> None:
    config = load_config(name, ['name="Ärger 3"', "network.weight_scale=1", "training.patience=7"])
    file = tmp_path / "config.JSON"
    file.write_text(config.to_json(), encoding="utf-8")
    assert load_config(str(file)) == config
    assert json.loads(config.to_json())["network"]["weight_scale"] == 1.0
    assert "null" not in config.to_json()


def test_a_dataset_is_all_that_a_config_must_name(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(IRIS)
    config = load_config(str(tmp_path / "my.toml"))
    assert (config.seed, config.gradient.h, config.training.epochs) == (0, 1e-4, 20)


def test_a_schedule_of_steps_divides_by_ten_unless_told() -> None:
    steps = ['optimizer.schedule="step"', "optimizer.step_epochs=7"]
    assert load_config("iris", steps).optimizer.step_factor == 0.1
    assert load_config("iris", [*steps, "optimizer.step_factor=0.3"]).optimizer.step_factor == 0.3
    assert load_config("iris").optimizer.step_factor is None


def test_a_warm_up_may_take_all_epochs_but_a_little() -> None:
    assert load_config("iris", ["optimizer.warmup_epochs=1.9", "training.epochs=2"]).optimizer.warmup_epochs == 1.9


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("my.toml", '"$schema" = "config.schema.json"\n' + IRIS),
        ("my.toml", "#:schema config.schema.json\n" + IRIS),
        ("my.json", '{"$schema": "config.schema.json", "dataset": {"name": "iris"}}'),
    ],
)
def test_what_tells_an_editor_the_schema_is_no_setting(file: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "plain.toml").write_text(IRIS)
    (tmp_path / file).write_text(text)
    assert load_config(str(tmp_path / file)) == load_config(str(tmp_path / "plain.toml"))


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_bytes(b"\xef\xbb\xbf" + IRIS.replace("\n", "\r\n").encode())
    assert load_config(str(tmp_path / "my.toml")).dataset.name == "iris"


def test_overrides_take_the_place_of_what_stands_in_the_file() -> None:
    config = load_config(
        "moons",
        [
            "optimizer.learning_rate=0.5",
            "training.epochs = 3",
            "network.activation='quantised:4'",
            "optimizer.nesterov=true",
            "dataset.noise=1 # too much",
        ],
    )
    assert config.optimizer.learning_rate == 0.5
    assert (config.training.epochs, config.network.activation) == (3, "quantised:4")
    assert config.optimizer.nesterov is True
    assert config.dataset.options == {"n_samples": 1000, "noise": 1.0}
    assert config.optimizer.momentum == load_config("moons").optimizer.momentum


def test_the_path_of_the_data_is_as_seen_from_the_config_and_on_the_command_line_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    Path("sub/my.toml").write_text('[dataset]\nname = "csv"\npath = "flowers.csv"\n', encoding="utf-8")
    assert load_config("sub/my.toml").dataset.path == str(tmp_path / "sub" / "flowers.csv")
    assert load_config("sub/my.toml", ["dataset.path='own.csv'"]).dataset.path == str(tmp_path / "own.csv")


def test_an_override_may_name_a_section_that_the_file_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(IRIS)
    assert load_config(str(tmp_path / "my.toml"), ["training.epochs=2"]).training.epochs == 2


def test_the_config_and_the_library_allow_the_same_names() -> None:
    fields = DatasetConfig.model_fields
    assert set(get_args(fields["name"].annotation)) == {*DATASETS, *OWN}
    assert set(get_args(GradientConfig.model_fields["method"].annotation)) == set(METHODS)
    for name, loader in DATASETS.items():
        options = [option for option in inspect.signature(loader).parameters if option != "seed"]
        assert list(OPTIONS.get(name, ())) == options
    assert all(OPTIONS[name] == OWN[name] for name in OWN)


# Faults, by their numbers in FAULTS.md


def test_fault_01_a_file_that_is_missing(faults: Faults) -> None:
    for name, hint in [("missing.toml", ""), ("digits.toml", "; the preset is called digits"), ("a/b.json", "")]:
        with pytest.raises(ConfigError) as caught:
            load_config(name)
        assert caught.value.faults == (f"{name}: cannot be read: No such file or directory{hint}",)
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, TinynetError)


def test_fault_01_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "my.toml").mkdir()
    with pytest.raises(ConfigError, match=r"my\.toml: cannot be read: Is a directory"):
        load_config(str(tmp_path / "my.toml"))


def test_fault_01_the_folder_of_a_run_instead_of_its_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    with pytest.raises(
        ConfigError, match=r"runs: neither a preset nor a \.toml, \.json or data file; allowed: breast_cancer"
    ):
        load_config("runs")
    Path("runs/config.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"; the config of that run folder is runs/config.json$"):
        load_config("runs")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("file/my.toml", "Not a directory"),
        ("x" * 300 + ".toml", "File name too long"),
        ("nul\0.toml", "embedded null"),
        ("loop.toml", "Too many levels of symbolic links"),
        ("secret.toml", "Permission denied"),
        ("pipe.toml", "it is a pipe"),
    ],
)
def test_fault_01_a_file_that_cannot_be_read(
    name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    Path("file").touch()
    Path("loop.toml").symlink_to("loop.toml")
    os.mkfifo("pipe.toml")
    Path("secret.toml").write_text(IRIS)
    Path("secret.toml").chmod(0)
    with unprivileged(), pytest.raises(ConfigError, match=f"cannot be read: {reason}") as caught:
        load_config(name)
    assert caught.value.faults[0].isprintable()


@pytest.mark.parametrize("content", [b"", b" \n\t\n", b"\n"])
def test_fault_01_a_file_that_is_empty(content: bytes, faults: Faults) -> None:
    assert faults(content) == ("my.toml: is empty; 'tinynet presets digits' prints a config to begin with",)


def test_fault_01_a_file_of_comments_alone(faults: Faults) -> None:
    assert faults("# nothing\n") == (
        "my.toml: dataset: missing; dataset.name must be one of "
        "digits, moons, iris, wine, breast_cancer, circles, blobs, csv, npz",
    )


@pytest.mark.parametrize(
    ("file", "text", "place"),
    [
        ("my.toml", "seed = 1\nname = iris\n", "(at line 2, column 8)"),
        ("my.toml", "seed = 1\nseed = 2\n", "(at line 2, column 9)"),
        ("my.toml", "seed = 1\nname = ", "(at line 2, column 8)"),
        ("my.toml", "[dataset", "(at line 1, column 9)"),
        ("my.toml", "name = '\0'", "(at line 1, column 9)"),
        ("my.json", '{"seed": 1,\n "name": iris}', "line 2 column 10 (char 21)"),
        ("my.json", '{"seed": 1', "line 1 column 11 (char 10)"),
        ("my.json", "\0", "line 1 column 1 (char 0)"),
    ],
)
def test_fault_02_a_file_that_is_no_toml_or_json_is_answered_with_the_place(
    file: str, text: str, place: str, faults: Faults
) -> None:
    (fault,) = faults(text, file=file)
    assert fault.startswith(f"{file}: not valid {file[3:].upper()}: ")
    assert fault.endswith(place)


def test_fault_02_json_that_holds_no_object_or_a_key_twice(faults: Faults) -> None:
    assert faults("[1, 2]", file="my.json") == ("my.json: must hold an object with sections, got [1, 2]",)
    assert faults('"iris"', file="my.json") == ("my.json: must hold an object with sections, got 'iris'",)
    twice = '{"seed": 1, "training": {"epochs": 3, "batch_size": 1, "epochs": 4}}'
    assert faults(twice, file="my.json") == ("my.json: not valid JSON: key epochs stands twice",)


def test_fault_03_a_file_that_is_not_utf_8(faults: Faults) -> None:
    assert faults(b'# fine\nname = "\xe9"\n') == ("my.toml: line 2: not UTF-8: byte 0xe9",)
    assert faults(b"\n\n\xe9") == ("my.toml: line 3: not UTF-8: byte 0xe9",)
    assert faults(IRIS.encode("utf-16")) == ("my.toml: line 1: not UTF-8: byte 0xff",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            IRIS + "[trainning]\nepochs = 1\n",
            "unknown key trainning; did you mean 'training'? "
            "allowed: name, seed, dataset, network, gradient, optimizer, training",
        ),
        (
            IRIS + "[optimizer]\nmomentun = 0.5\n",
            "unknown key optimizer.momentun; did you mean 'optimizer.momentum'? "
            "allowed: learning_rate, momentum, nesterov, weight_decay, schedule, "
            "warmup_epochs, step_epochs, step_factor",
        ),
        (
            "epochs = 1\n" + IRIS,
            "unknown key epochs; did you mean 'training.epochs'? "
            "allowed: name, seed, dataset, network, gradient, optimizer, training",
        ),
        (
            IRIS + "[network]\nlearning_rate = 1\n",
            "unknown key network.learning_rate; did you mean 'optimizer.learning_rate'? "
            "allowed: hidden_units, activation, weight_scale",
        ),
        (IRIS + "[gradient]\nzzz = 1\n", "unknown key gradient.zzz; allowed: h, method"),
        (
            '"a\\u001b[31m" = 1\n' + IRIS,
            "unknown key 'a\\x1b[31m'; allowed: name, seed, dataset, network, gradient, optimizer, training",
        ),
    ],
)
def test_fault_04_an_unknown_section_or_key_is_answered_with_the_nearest(
    text: str, expected: str, faults: Faults
) -> None:
    assert faults(text) == (f"my.toml: {expected}",)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("lr", "optimizer.learning_rate"),
        ("optimizer.lr", "optimizer.learning_rate"),
        ("Learning_Rate", "optimizer.learning_rate"),
        ("epoch", "training.epochs"),
        ("optimiser.momentum", "optimizer.momentum"),
        ("dataset.nme", "dataset.name"),
        ("nme", "name"),
        ("data", "dataset"),
        ("zzz", None),
        ("", None),
    ],
)
def test_fault_04_the_nearest_key_is_found_wherever_it_belongs(written: str, meant: str | None) -> None:
    assert nearest_key(written) == meant


@pytest.mark.parametrize(
    ("section", "line", "expected"),
    [
        ("optimizer", 'learning_rate = "0.1"', "optimizer.learning_rate: must be a valid number, got '0.1'"),
        ("optimizer", "learning_rate = true", "optimizer.learning_rate: must be a valid number, got true"),
        ("optimizer", "nesterov = 1", "optimizer.nesterov: must be a valid boolean, got 1"),
        ("training", "epochs = 1.5", "training.epochs: must be a valid integer, got 1.5"),
        ("training", "epochs = 2.0", "training.epochs: must be a valid integer, got 2.0"),
        ("training", "epochs = true", "training.epochs: must be a valid integer, got true"),
        ("training", "epochs = [3]", "training.epochs: must be a valid integer, got [3]"),
        ("network", "activation = 3", "network.activation: must be a valid string, got 3"),
        ("network", "weight_scale = 1979-05-27", "network.weight_scale: must be a valid number, got "),
        ("gradient", "method = false", "gradient.method: must be 'auto', 'series', 'exact' or 'loop', got false"),
    ],
)
def test_fault_05_a_value_of_the_wrong_type(section: str, line: str, expected: str, faults: Faults) -> None:
    (fault,) = faults(f"{IRIS}[{section}]\n{line}\n")
    assert fault.startswith(f"my.toml: {expected}")


def test_fault_05_a_section_that_is_a_value_and_a_value_that_is_a_section(faults: Faults) -> None:
    assert faults("training = 3\n" + IRIS) == ("my.toml: training: must be a section with keys, got 3",)
    assert faults("training = 3\n" + IRIS, "training.epochs=2") == (
        "my.toml: training: must be a section with keys, got 3",
    )
    assert faults(IRIS + "[seed]\na = 1\n") == ("my.toml: seed: must be a valid integer, got {'a': 1}",)
    assert faults('{"dataset": {"name": "iris"}, "seed": null}', file="my.json") == (
        "my.json: seed: must be a valid integer, got None",
    )


@pytest.mark.parametrize(
    ("override", "allowed"),
    [
        ("optimizer.learning_rate=0", "must be greater than 0, got 0"),
        ("optimizer.learning_rate=-0.1", "must be greater than 0, got -0.1"),
        ("optimizer.learning_rate=inf", "must be a finite number, got inf"),
        ("optimizer.learning_rate=nan", "must be a finite number, got nan"),
        ("optimizer.momentum=1", "must be less than 1, got 1"),
        ("optimizer.momentum=-0.5", "must be greater than or equal to 0, got -0.5"),
        ("optimizer.weight_decay=-1", "must be greater than or equal to 0, got -1"),
        ("optimizer.warmup_epochs=-1", "must be greater than or equal to 0, got -1"),
        ("optimizer.warmup_epochs=inf", "must be a finite number, got inf"),
        ("optimizer.step_epochs=0", "must be greater than or equal to 1, got 0"),
        ("optimizer.step_factor=0", "must be greater than 0, got 0"),
        ("optimizer.step_factor=1", "must be less than 1, got 1"),
        ("training.epochs=0", "must be greater than or equal to 1, got 0"),
        ("training.batch_size=0", "must be greater than or equal to 1, got 0"),
        ("training.patience=0", "must be greater than or equal to 1, got 0"),
        ("gradient.h=0", "must be greater than 0, got 0"),
        ("gradient.h=nan", "must be a finite number, got nan"),
        (
            "gradient.h=1e-17",
            "too small to change a weight: 1 + h rounds to 1, so every difference is 0; try 1e-4, got 1e-17",
        ),
        ("network.hidden_units=0", "must be greater than or equal to 1, got 0"),
        ("network.weight_scale=-1", "must be greater than or equal to 0, got -1"),
        ("dataset.test_size=1", "must be less than 1, got 1"),
        ("dataset.validation_size=-0.1", "must be greater than or equal to 0, got -0.1"),
        ("seed=-1", "must be greater than or equal to 0, got -1"),
        ("seed=4294967296", "must be less than 4294967296, got 4294967296"),
    ],
)
def test_fault_06_a_value_out_of_range(override: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("iris", [override])
    assert caught.value.faults == (f"command line: {override.partition('=')[0]}: {allowed}",)


def test_fault_06_a_section_that_is_left_out_is_checked_against_the_others(faults: Faults) -> None:
    (fault,) = faults(f"{IRIS}[optimizer]\nwarmup_epochs = 50\n")
    assert fault.startswith("my.toml: training: training.epochs 20 must be above optimizer.warmup_epochs")


def test_fault_06_the_smallest_h_that_changes_a_weight_is_allowed() -> None:
    assert load_config("iris", ["gradient.h=2.3e-16"]).gradient.h == 2.3e-16


def test_fault_06_parts_that_leave_nothing_to_train_on(faults: Faults) -> None:
    message = (
        "dataset.test_size: validation_size + test_size must be below 1, got 0.9 + 0.2: nothing is left to train on"
    )
    assert faults(IRIS + "validation_size = 0.9\n") == (f"my.toml: {message}",)
    assert faults(IRIS, "dataset.validation_size=0.9") == (f"my.toml and command line: {message}",)


@pytest.mark.parametrize(
    ("text", "override", "expected"),
    [
        (
            IRIS,
            "training.patience=3 dataset.validation_size=0",
            "my.toml and command line: training: patience needs validation data, but dataset.validation_size is 0",
        ),
        (
            IRIS + "[training]\npatience = 3\nkeep = 'last'",
            "",
            "my.toml: training: keep 'last' and patience exclude each other: patience keeps the best weights",
        ),
        (
            IRIS + "[training]\nkeep = 'best'",
            "dataset.validation_size=0",
            "my.toml and command line: training: keep 'best' needs validation data, but dataset.validation_size is 0",
        ),
        (
            IRIS + "[optimizer]\nnesterov = true\nmomentum = 0",
            "",
            "my.toml: optimizer.nesterov: needs a momentum above 0, got momentum 0",
        ),
        (IRIS + "noise = 0.1", "", "my.toml: dataset.noise: iris has no such option; it has none"),
        (
            IRIS + "[optimizer]\nstep_epochs = 5",
            "",
            "my.toml: optimizer.step_epochs: only optimizer.schedule 'step' has it, and the schedule is 'constant'",
        ),
        (
            IRIS + "[optimizer]\nstep_factor = 0.5",
            "optimizer.schedule='cosine'",
            "my.toml and command line: optimizer.step_factor: only optimizer.schedule 'step' has it, "
            "and the schedule is 'cosine'",
        ),
        (
            IRIS + "[optimizer]\nschedule = 'step'",
            "",
            "my.toml: optimizer.step_epochs: missing; optimizer.schedule 'step' needs it, such as 10",
        ),
        (
            IRIS + "[optimizer]\nwarmup_epochs = 3",
            "training.epochs=3",
            "my.toml and command line: training: training.epochs 3 must be above optimizer.warmup_epochs 3",
        ),
        (
            '[dataset]\nname = "moons"\nfactor = 0.1',
            "",
            "my.toml: dataset.factor: moons has no such option; it has n_samples, noise",
        ),
    ],
)
def test_fault_06_values_that_exclude_each_other(text: str, override: str, expected: str, faults: Faults) -> None:
    assert faults(text, *override.split()) == (expected,)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            'dataset.name="digit"',
            "must be 'digits', 'moons', 'iris', 'wine', 'breast_cancer', 'circles', 'blobs', 'csv' or 'npz', "
            "got 'digit'; did you mean 'digits'?",
        ),
        ('dataset.scaling="min_max"', "must be 'minmax', 'standard' or 'none', got 'min_max'; did you mean 'minmax'?"),
        ('optimizer.schedule="cosin"', "must be 'constant', 'step' or 'cosine', got 'cosin'; did you mean 'cosine'?"),
        ('gradient.method="exakt"', "must be 'auto', 'series', 'exact' or 'loop', got 'exakt'; did you mean 'exact'?"),
        (
            'network.activation="rleu"',
            "unknown activation 'rleu'; did you mean 'relu'? allowed: "
            "tanh, sigmoid, relu, silu, identity, sign, quantised:4",
        ),
        ('network.activation="quantised:1"', "quantised levels must be at least 2, got 1"),
    ],
)
def test_fault_07_an_unknown_name_is_answered_with_the_nearest_and_all(override: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("iris", [override])
    assert caught.value.faults == (f"command line: {override.partition('=')[0]}: {expected}",)


def test_fault_07_a_name_that_is_near_to_nothing_is_answered_with_all() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("iris", ['dataset.scaling="zzz"'])
    assert caught.value.faults == ("command line: dataset.scaling: must be 'minmax', 'standard' or 'none', got 'zzz'",)


def test_fault_07_an_unknown_preset_is_answered_with_the_nearest() -> None:
    names = "breast_cancer, digits, digits-2bit, digits-sign, iris, moons, wine"
    with pytest.raises(ConfigError) as caught:
        load_config("digit")
    assert caught.value.faults == (
        f"digit: neither a preset nor a .toml, .json or data file; did you mean 'digits'? allowed: {names}",
    )
    with pytest.raises(ConfigError) as caught:
        preset_text("digit")
    assert caught.value.faults == (f"unknown preset digit; did you mean 'digits'? allowed: {names}",)
    with pytest.raises(ConfigError, match="file; CONFIG comes before KEY=VALUE; allowed: "):
        load_config("seed=1", ["iris"])


@pytest.mark.parametrize("override", ["seed", "=", "=1", "", "-5", "seed:1"])
def test_fault_08_an_override_without_key_or_equals_sign(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("iris", [override])
    (fault,) = caught.value.faults
    assert fault.startswith("command line: ")
    assert fault.endswith(": an override is KEY=VALUE without spaces, such as seed=1")


def test_fault_08_an_override_of_an_unknown_key() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("iris", ["optimizer.lr=0.1", "learning_rate=0.1", "training=1", "seed.x=1"])
    in_section, elsewhere, section, value = caught.value.faults
    assert in_section == (
        "command line: unknown key optimizer.lr; did you mean 'optimizer.learning_rate'? allowed: "
        "optimizer.learning_rate, optimizer.momentum, optimizer.nesterov, optimizer.weight_decay, optimizer.schedule, "
        "optimizer.warmup_epochs, optimizer.step_epochs, optimizer.step_factor"
    )
    assert elsewhere.startswith(
        "command line: unknown key learning_rate; did you mean 'optimizer.learning_rate'? allowed: name, seed, dataset."
    )
    assert section == (
        "command line: unknown key training; allowed: training.epochs, training.batch_size, training.patience, "
        "training.keep, training.class_weight, training.measure, training.threads, training.checkpoint_every_s, "
        "training.tensorboard"
    )
    assert value.startswith("command line: unknown key seed.x; allowed: name, seed, ")


def test_fault_08_an_override_that_is_given_twice() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("iris", ["seed=1", "seed = 1"])
    assert caught.value.faults == ("command line: seed: given twice",)


def test_fault_13_a_number_beyond_every_machine_is_refused(faults: Faults) -> None:
    for key in ("network.hidden_units", "training.epochs", "training.batch_size", "training.patience"):
        (fault,) = faults(IRIS, f"{key}=0xffffffffffffffff")
        assert fault == f"command line: {key}: must be less than {2**63}, got {2**64 - 1}"
    (fault,) = faults(f"{IRIS}[network]\nhidden_units = 0x{'f' * 1900}\n")
    assert fault.startswith("my.toml: network.hidden_units: must be less than")
    (fault,) = faults(IRIS, "optimizer.learning_rate=1" + "0" * 400)
    assert fault.startswith("command line: optimizer.learning_rate: must be a ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# " + "x" * 5000, "my.toml: line 1: longer than 2,000 characters, which no config needs"),
        ("\n" + "a." * 1500 + "a = 1", "my.toml: line 2: longer than 2,000 characters, which no config needs"),
        ("a = " + "[" * 1990, "my.toml: nested too deeply for a config"),
        ("#\n" * 40_000, "my.toml: larger than 64 KiB, which no config is"),
    ],
)
def test_fault_14_what_no_config_holds_is_refused(text: str, expected: str, faults: Faults) -> None:
    assert faults(text) == (expected,)


def test_fault_14_what_is_as_long_as_is_allowed_is_read(tmp_path: Path) -> None:
    file, longest = tmp_path / "my.toml", "#" * 2000 + "\n"
    n_lines, rest = divmod(2**16 - len(IRIS), len(longest))
    file.write_text(IRIS + n_lines * longest + rest * "#")
    assert file.stat().st_size == 2**16 and load_config(str(file)) == load_config(str(file), ["seed=0"])
    assert load_config("iris", ["training.epochs=5" + 1999 * " "]).training.epochs == 5


def test_fault_14_deeply_nested_json_is_refused(faults: Faults) -> None:
    assert faults("[\n" * 30_000, file="my.json") == ("my.json: nested too deeply for a config",)


def test_fault_14_a_file_of_100_megabytes_is_refused_without_being_read(tmp_path: Path) -> None:
    file = tmp_path / "large.toml"
    with file.open("wb") as sparse:
        sparse.truncate(100_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match="larger than 64 KiB"):
            load_config(str(file))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10**6


@pytest.mark.parametrize("file", ["my.toml", "my.json"])
def test_fault_14_a_file_of_faults_is_answered_with_the_first_and_their_number(file: str, faults: Faults) -> None:
    def found(n_keys: int) -> tuple[str, ...]:
        keys = [f"key{number}" for number in range(n_keys)]
        toml = "\n".join(f"{key} = 1" for key in keys)
        return faults(toml if file == "my.toml" else json.dumps(dict.fromkeys(keys, 1), indent=0), file=file)

    assert len(found(3000)) == 21
    assert found(3000)[-1] == f"{file}: 2981 more faults"  # with the dataset that is missing
    assert len(found(19)) == 20 and "more" not in found(19)[-1]


def test_fault_14_a_dotted_key_of_a_thousand_parts_is_refused(faults: Faults) -> None:
    (fault,) = faults(IRIS + ".".join("a" * 990) + " = 1\n")
    assert fault.startswith("my.toml: unknown key dataset.a; allowed: name, scaling, ")


@pytest.mark.parametrize(
    "name",
    ["../up", "a/b", "a\\b", "..", "a..b", ".", ".hidden", "-rf", "", " a", "a ", "a\tb", "a\nb", "\x1b", "~", "$x"],
)
def test_fault_15_a_name_that_makes_no_good_folder(name: str, faults: Faults) -> None:
    (fault,) = faults(json.dumps({"name": name, "dataset": {"name": "iris"}}), file="my.json")
    assert fault == (
        "my.json: name: a folder is named after it: letters, digits, '_', '-', '.' and spaces, "
        f"beginning with a letter, a digit or '_', without '..', got {name!r}"
    )


def test_fault_15_a_name_that_is_too_long(faults: Faults) -> None:
    (fault,) = faults(f'name = "{"x" * 101}"\n{IRIS}')
    assert fault.startswith("my.toml: name: must have at most 100 characters, got 'xxx")


def test_fault_15_a_file_with_an_odd_name_is_shown_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_config("a\n\x1b[31mb.toml")
    assert caught.value.faults == ("'a\\n\\x1b[31mb.toml': cannot be read: No such file or directory",)
    assert (origin("a" * 100, []), origin("a" * 101, [])[0]) == ("a" * 100, "'")


@pytest.mark.parametrize("name", ["run", "Größe 2", "2024-01-02", "v1.2_final", "数"])
def test_a_name_that_makes_a_good_folder_is_allowed(name: str) -> None:
    assert load_config("iris", [f"name={json.dumps(name)}"]).name == name


def test_all_faults_of_a_config_are_reported_together(faults: Faults) -> None:
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
    assert [fault.split(": ")[:2] for fault in found] == [
        ["command line", "unknown key lr; did you mean 'optimizer.learning_rate'? allowed"],
        ["command line", "seed"],
        ["command line", "training.patience"],
        ["my.toml", "name"],
        ["my.toml", "dataset.scaling"],
        ["my.toml and command line", "dataset.test_size"],
        ["my.toml and command line", "dataset.noise"],
        ["my.toml", "network.activation"],
        ["my.toml", "gradient.h"],
        ["command line", "optimizer.learning_rate"],
        ["my.toml and command line", "optimizer.nesterov"],
        ["my.toml", "training.epochs"],
        ["my.toml", "training.batch_size"],
        ["my.toml", "unknown key sed; did you mean 'seed'? allowed"],
    ]


def test_fault_11_a_key_that_a_run_was_begun_without_is_absent_there() -> None:
    with pytest.raises(RunFolderError, match=r"^run was begun with another config: a\.b \(absent there, 3 here\)$"):
        check_same("run", {"seed": 0}, {"seed": 0, "a.b": 3})
    long = "/somewhere" * 10
    with pytest.raises(RunFolderError, match=r"path \(…\S*/here\.csv there, …\S*/there\.csv here\)$"):
        check_same("run", {"path": f"{long}/here.csv"}, {"path": f"{long}/there.csv"})
    several = r"config: seed \(0 there, 1 here\), a\.b \(3 there, absent here\)$"
    with pytest.raises(RunFolderError, match=several):
        check_same("run", {"seed": 0, "a.b": 3}, {"seed": 1})


def test_of_a_long_value_that_differs_the_end_is_told() -> None:
    whole = "/" + "x" * 55 + ".csv"
    with pytest.raises(RunFolderError) as caught:
        check_same("run", {"dataset.path": whole}, {"dataset.path": f"/{whole}"})
    assert len(whole) == 60 and f"dataset.path ({whole} there, …{whole[1:]} here)" in str(caught.value)


def test_the_origin_of_a_config_names_file_and_command_line() -> None:
    assert origin("my.toml", []) == "my.toml"
    assert origin("my own.toml", ["seed=1"]) == "'my own.toml' and command line"


# Whatever is in a file or on the command line, the answer is a Config or a ConfigError

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


def config_or_faults(source: str, overrides: list[str]) -> None:
    try:
        config = load_config(source, overrides)
    except ConfigError as error:
        assert error.faults and all(fault.isprintable() for fault in error.faults)
    else:
        Path("again.json").write_text(config.to_json(), encoding="utf-8")
        assert load_config("again.json") == config


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(LINES, max_size=8).map("\n".join) | st.text(), OVERRIDES)
def test_any_toml_is_a_config_or_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, overrides: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("any.toml").write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    config_or_faults("any.toml", overrides)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given((SECTIONED | JSON_VALUES).map(json.dumps).map(str.encode) | st.binary(), OVERRIDES)
def test_any_json_is_a_config_or_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, overrides: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("any.json").write_bytes(content)
    config_or_faults("any.json", overrides)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.builds("{}={}".format, KEYS, WORDS), max_size=2) | OVERRIDES)
def test_any_overrides_of_a_preset_are_a_config_or_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config_or_faults("moons", overrides)
