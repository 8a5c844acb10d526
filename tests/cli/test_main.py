"""The command line: its output, its exit statuses, and never a traceback."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import runpy
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from answers import fault
from rights import unprivileged

import tinynet
from tinynet.cli.main import main
from tinynet.cli.streams import notes_as_lines
from tinynet.config.documentation import commented_preset, key_table, schema_text
from tinynet.config.loading import preset_names, preset_text

GO_ON = "resume with: tinynet train --out x --resume"
QUICK = "training.epochs=2"
TINYNET = str(Path(sys.executable).with_name("tinynet"))


pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def environment(**extra: str) -> dict[str, str]:
    """Return an environment without Python's variables and without a display."""
    own = ("PYTHON", "DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")
    plain = {key: value for key, value in os.environ.items() if not key.startswith(own)}
    return plain | {"PYTHONDONTWRITEBYTECODE": "1"} | extra  # a full disk would leave truncated bytecode behind


def run(*arguments: str, way: Sequence[str] = (TINYNET,), **env: str) -> subprocess.CompletedProcess[str]:
    """Run the real command and return how it ended."""
    return subprocess.run([*way, *arguments], capture_output=True, text=True, check=False, env=environment(**env))


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which tinynet is the command."""
    script = f"set -o pipefail; tinynet() {{ '{TINYNET}' \"$@\"; }}; {command}"
    return run("-c", script, way=["bash"])


# Output


def test_a_run_ends_with_accuracy_time_and_curve(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "iris", QUICK]) == 0
    out, err = capsys.readouterr()
    first, accuracy, guessing, loss, _, weights, duration, curve, report = out.splitlines()
    assert first == "iris: network 4-10-3 (tanh), 83 parameters; 105 training samples"
    assert re.fullmatch(r"test accuracy  \d+\.\d %  \(95 % interval \d+\.\d to \d+\.\d %, 30 samples\)", accuracy)
    assert "33.3 %" in guessing and "loss 1.099" in guessing and re.match(r"test loss      \d\.\d+ nats a sample", loss)
    assert weights.startswith("weights        of epoch 2, the last")
    assert re.fullmatch(
        r"time           \d+\.\d s  \(2 epochs, 14 steps; weight by weight it would take 2,324 loss evaluations\)",
        duration,
    )
    path = Path(curve.removeprefix("curve          "))
    assert path.parent.parent == Path("runs") and path.is_file()
    assert report == f"report         {path.with_name('report.html')}" and path.with_name("report.html").is_file()
    summary = json.loads((path.parent / "summary.json").read_text())
    assert f"{100 * summary['test_accuracy']:.1f} %" in accuracy
    assert err == ""  # no progress bar without a terminal


def test_one_epoch_early_stopping_and_no_test_part_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "iris", "training.epochs=1", "dataset.test_size=0", "--out", "a"]) == 0
    out = capsys.readouterr().out
    assert "test accuracy  not measured: dataset.test_size is 0" in out
    assert "(1 epoch, 9 steps;" in out
    stops = ["training.epochs=500", "training.patience=1", "optimizer.learning_rate=2.0"]
    assert main(["train", "iris", *stops, "--out", "b"]) == 0
    assert re.search(r"\(\d+ epochs, stopped early, \d+ steps;", capsys.readouterr().out)


@pytest.mark.parametrize(
    "words",
    [
        ["train", "iris", QUICK, "seed=3", "--quiet", "--out", "x"],
        ["train", "iris", "--out", "x", QUICK, "--quiet", "seed=3"],
        ["train", "--quiet", "--out=x", "iris", QUICK, "seed = 3"],
    ],
)
def test_options_and_overrides_may_come_in_any_order(words: list[str]) -> None:
    assert main(words) == 0
    config = json.loads(Path("x/config.json").read_text())
    assert (config["seed"], config["training"]["epochs"]) == (3, 2)


def test_presets_are_listed_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [*preset_names(), "csv"]
    assert main(["presets", "moons"]) == 0
    assert capsys.readouterr().out == commented_preset("moons")


def test_the_schema_and_the_key_table_are_printed_or_written(capsys: pytest.CaptureFixture[str]) -> None:
    for options, text in ([], schema_text()), (["--markdown"], key_table()):
        assert main(["schema", *options]) == 0
        assert capsys.readouterr().out == text.rstrip("\n") + "\n"
        for _ in range(2):  # must be written again when keys change
            assert main(["schema", *options, "--output", f"keys{options}"]) == 0
            assert capsys.readouterr() == ("", "")
            assert Path(f"keys{options}").read_text(encoding="utf-8") == text


def test_python_m_tinynet_is_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["tinynet", "presets", "wine"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("tinynet", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out == commented_preset("wine")
    assert runpy.run_module("tinynet.__main__", run_name="imported")["main"] is main
    assert capsys.readouterr().out == ""


def test_fault_39_the_command_works_without_display_or_utf_8() -> None:
    config = {"name": "Größe", "dataset": {"name": "iris"}, "training": {"epochs": 2}}
    Path("my.json").write_text(json.dumps(config), encoding="utf-8")
    ended = run("train", "my.json", "--out", "Ä", MPLBACKEND="nonsense", PYTHONIOENCODING="ascii")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Gr\\xf6\\xdfe: network")
    assert ended.stdout.endswith("curve          \\xc4/loss_curve.png\nreport         \\xc4/report.html\n")
    assert Path("Ä/loss_curve.png").read_bytes().startswith(b"\x89PNG")
    assert main(["train", "my.json", "--quiet", "--out", "second"]) == 0
    assert Path("Ä/model.npz").read_bytes() == Path("second/model.npz").read_bytes()


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["presets", "-h"], ["train", "iris", "--help"]])
def test_help_exits_with_status_0(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: tinynet")


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"tinynet {tinynet.__version__}\n"


# Mistakes: exit status 2, one line, nothing created


def test_a_wrong_command_line_is_answered_in_one_helpful_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words, parts in {
        "": "a command is missing: train or  ... ; see 'tinynet --help'",
        "train": "required: CONFIG; see 'tinynet train --help'",
        "trian iris": "unknown command 'trian'; did you mean 'train'? ... sweep",
        "help": "unknown command 'help'; allowed: train, ",
        "digits": "unknown command 'digits'; did you mean: tinynet train digits;",
        "it's.toml": "tinynet train 'it'\"'\"'s.toml';",
        "train iris --quite": "unknown option '--quite'; did you mean '--quiet'? ... --out, --resume",
        "train iris --epochs 5": "'--epochs' ... write training.epochs=5",
        "train iris --learning-rate=0.1": "'--learning-rate' ... write optimizer.learning_rate=0.1",
        "--quiet train iris": "--quiet must come after the command",
        "train iris --out": "--out: expected one argument; see 'tinynet train --help'",
        "presets iris moons": "too many words: 'moons'; see 'tinynet presets --help'",
        "predict run x.csv dataset.decimal=,": "words: 'dataset.decimal=,'; this command takes no KEY=VALUE",
        "schema --output a\0b": "--output: 'a\\x00b' cannot be written",
        "presets --all": "unknown option '--all'; allowed: --help",
        "train iris lr": "lr: a setting is KEY=VALUE ... write optimizer.learning_rate=0.1",
        "train iris -3": "-3: a setting is KEY=VALUE",
        "train iris moons": "moons: a second CONFIG",
        "train iris network.hidden_units=64,64": "write network.hidden_units=64\n",
        "train iris network.hidden_units=1,000": "write network.hidden_units=1000",
        "train iris seed=٣": "٣ is not a number",
        "train iris ~training.patience": "write training.patience=null",
        "train iris -m seed=0,1": "'tinynet sweep'",
        "train iris dataset.exclude=": "dataset.exclude: has no value",
    }.items():
        line = fault(capsys, *words.split())
        assert line.startswith("command line: ")
        assert all(part in f"{line}\n" for part in parts.split(" ... ")), line


@pytest.mark.parametrize("options", [[], ["--quiet"]])
def test_fault_12_a_batch_size_above_the_data_gives_one_note(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "iris", "training.epochs=5", "training.batch_size=1000", *options]) == 0
    assert capsys.readouterr().err == (
        "tinynet: note: batch_size 1000 is larger than the 105 training samples: one batch an epoch\n"
    )


def test_notes_are_one_line_and_keep_other_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    before = warnings.showwarning
    with notes_as_lines():
        for _ in range(2):
            warnings.warn("first line\nsecond line", stacklevel=1)
    assert capsys.readouterr().err == "tinynet: note: first line second line\n"
    assert warnings.showwarning is before


def test_a_config_fault_is_reported_before_slow_imports() -> None:
    program = (
        "import sys; from tinynet.cli.main import main; status = main(sys.argv[1:]);"
        "print(status, [name for name in ('sklearn', 'matplotlib', 'scipy', 'tqdm', 'joblib') if name in sys.modules])"
    )
    for words, expected in [
        (["train", "digits", "network.hidden_units=0"], "2 []"),
        (["train", "iris", "dataset.test_size=0.89"], "2 ['sklearn', "),  # found when the data are loaded
    ]:
        ended = run("-c", program, *words, way=[sys.executable])
        assert ended.stdout.startswith(expected)


# A run that fails or is interrupted


def test_fault_30_a_run_that_diverges_exits_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ["network.weight_scale=1e200", "network.activation='relu'"]
    assert main(["train", "iris", *overrides, "--out", "x", "--quiet"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "tinynet: the loss became nan in epoch 1, step 1, at learning rate 0.1; "
        "the weights are as large as 2.33e+200: try a smaller weight_scale; "
        "the weights of the last good epoch are in x/model.npz\n"
    )
    assert json.loads(Path("x/summary.json").read_text())["status"] == "diverged"


def test_fault_37_a_folder_read_only_at_the_end_keeps_the_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "iris", QUICK, "--quiet"]) == 0  # an ordinary user may not import from root's folders
    folder = Path("free/x")
    folder.parent.mkdir()
    folder.parent.chmod(0o777)

    def train_and_lose_the_folder(*arguments: Any, **options: Any) -> Any:
        history = tinynet.train(*arguments, **options)
        folder.chmod(0o555)
        return history

    monkeypatch.setattr("tinynet.experiments.run.train", train_and_lose_the_folder)
    with unprivileged():
        assert main(["train", "iris", QUICK, "--out", str(folder)]) == 3
    out, err = capsys.readouterr()
    assert re.search(r"^test accuracy  \d+\.\d %", out, re.M) and "loss_curve" not in out
    assert re.fullmatch(rf"tinynet: failed: {folder}\S*: Permission denied; resume with: \S.*\n", err)
    assert len((folder / "metrics.csv").read_text().splitlines()) == 3


def test_output_to_a_full_disk_exits_with_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = shell("tinynet presets digits >/dev/full")
    assert (ended.returncode, ended.stderr) == (3, "tinynet: failed: stdout: No space left on device\n")
    monkeypatch.setattr(sys, "stdout", Broken(OSError(errno.ENOSPC, "No space left on device")))
    assert main(["train", "iris", QUICK]) == 3
    assert capsys.readouterr().err == ended.stderr


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (MemoryError("2 TiB"), 3, "tinynet: failed: out of memory: 2 TiB\n"),
        (OSError(5, "Input/output error", "digits.csv"), 3, "tinynet: failed: digits.csv: Input/output error\n"),
    ],
)
def test_an_error_before_the_run_gives_one_line(
    error: BaseException, status: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("tinynet.config.building.prepare", fails)
    assert main(["train", "iris"]) == status
    assert capsys.readouterr() == ("", message)
    assert list(Path().iterdir()) == []


def test_an_error_during_the_run_gives_one_line_with_the_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object, **__: object) -> None:
        Path("x/config.json").touch()  # a run that has begun
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tinynet.experiments.run.execute", fails)
    assert main(["train", "iris", "--out", "x", "--quiet"]) == 3
    assert capsys.readouterr() == ("", f"tinynet: failed: x: No space left on device; {GO_ON}\n")


# Streams and terminals


def test_fault_38_with_stderr_closed_an_error_is_not_on_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["train", "irs"]) == 2
    assert capsys.readouterr().out == ""
    assert main(["train", "iris", QUICK]) == 0
    assert capsys.readouterr().out.startswith("iris: network")


def test_fault_38_closed_streams_and_cut_pipes_do_not_stop_a_run() -> None:
    ended = shell(f"tinynet train iris {QUICK} training.batch_size=1000 --out x <&- >&- 2>&-")
    assert ended.returncode == 0
    assert Path("x/loss_curve.png").is_file() and Path("x/metrics.csv").read_text().count("\n") == 3
    on_processes = f"sweep iris seed=0..1 {QUICK} --jobs 2 --quiet --out s 2>&-"
    for command, status in [
        *(("presets >&-", 0), (on_processes, 0), ("train irs >&- 2>&-", 2), ("train irs 2>&1 | true", 2))
    ]:
        ended = shell(f"tinynet {command}")
        assert (ended.returncode, ended.stdout, ended.stderr) == (status, "", "")
    ended = shell("tinynet presets digits | head -1")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == preset_text("digits").splitlines(keepends=True)[0]


class Broken(io.StringIO):
    """A stream that accepts nothing."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def flush(self) -> None:
        raise self.error


def test_fault_38_a_reader_that_closed_its_pipe_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, Broken(BrokenPipeError()))
    assert main(["presets"]) == 0
    assert main(["presets", "x"]) == 2
    assert main(["train", "iris", QUICK, "--out", "x"]) == 0
    assert Path("x/loss_curve.png").is_file()


def test_fault_38_a_locale_without_utf_8_gets_its_line() -> None:
    ended = run("train", "irís", LC_ALL="POSIX", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.match(r"tinynet: \S+: neither a preset nor", ended.stderr)
    assert ended.stderr.count("\n") == 1


def test_an_error_caused_by_an_interrupt_counts_as_an_interrupt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise RuntimeError("release unlocked lock") from None

    monkeypatch.setattr("tinynet.config.building.prepare", broken)
    assert main(["train", "iris"]) == 130
    assert capsys.readouterr() == ("", "tinynet: interrupted\n")
    monkeypatch.setattr("tinynet.config.building.prepare", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["train", "iris"])


def test_a_failure_without_a_file_names_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(options: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tinynet.cli.commands.presets", full)
    assert main(["presets"]) == 3
    assert capsys.readouterr().err == "tinynet: failed: No space left on device\n"
