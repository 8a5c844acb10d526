"""The command line's commands and options, and what it answers to wrong ones."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Collection
from typing import Any, NoReturn

from tinynet.errors import ConfigError, did_you_mean
from tinynet.storage.messages import typed_path


class _Parser(argparse.ArgumentParser):
    """Answers a wrong command line in one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    @property
    def long_options(self) -> list[str]:
        """The options, such as --out."""
        return [option for action in self._actions for option in action.option_strings if option.startswith("--")]

    def error(self, message: str) -> NoReturn:
        see = "" if "; write " in message else f"; see '{self.prog} --help'"
        raise ConfigError([f"command line: {message}{see}"])


def parsed(words: list[str]) -> argparse.Namespace:
    """Return the command and its options.

    Raises
    ------
    ConfigError
        When the words make no command, in one line.
    """
    parser, commands = build_parser()
    named = [word for word in words if not word.startswith("-")]
    if named and named[0] not in commands:
        parser.error(f"unknown command {named[0]!r}{_command_meant(named[0], commands)}")
    options, rest = parser.parse_known_args(words)
    if options.command is None:
        parser.error(f"a command is missing: {' or '.join(commands)}")
    unknown = [word for word in rest if word.startswith("-")]
    words_of = next((name for name in ("overrides", "folders") if hasattr(options, name)), None)
    if unknown or (rest and words_of is None):
        command = commands[options.command]
        command.error(_unrecognized((unknown or rest)[0], command.long_options, words, several="dask" in options))
    if words_of is not None:
        # argparse leaves over the words behind an option
        setattr(options, words_of, [*getattr(options, words_of), *rest])
    if options.command in ("train", "sweep"):
        _place_config(options, commands[options.command])
    return options


def _place_config(options: argparse.Namespace, command: argparse.ArgumentParser) -> None:
    """Require CONFIG, unless --resume is given: then the first word may be an override."""
    if options.resume and options.config is not None and "=" in options.config:
        options.config, options.overrides = None, [options.config, *options.overrides]
    if options.config is None and not options.resume:
        command.error("the following arguments are required: CONFIG")


def _command_meant(word: str, commands: Collection[str]) -> str:
    from tinynet.config.loading import DATA_FILE, preset_names

    is_config = word in preset_names() or word.endswith((".toml", ".json")) or DATA_FILE.search(word)
    return f"; did you mean: tinynet train {typed_path(word)}" if is_config else did_you_mean(word, commands)


def _unrecognized(word: str, options: list[str], words: list[str], *, several: bool) -> str:
    from tinynet.config.hints import nearest_keys, proposal

    name, _, value = word.partition("=")
    if name in ("-m", "--multirun"):
        return "several values of a key are a sweep: 'tinynet sweep'"
    if name in options:
        return f"{name} must come after the command"
    if not name.startswith("-"):
        return f"too many words: {word!r}" + "; this command takes no KEY=VALUE" * ("=" in word)
    likeness, key = nearest_keys(name.strip("-"))[0]
    if likeness <= max(0.6, *(difflib.SequenceMatcher(None, name, option).ratio() for option in options)):
        return f"unknown option {name!r}{did_you_mean(name, options)}"
    following = words[words.index(word) + 1 :][:1]
    text = value or ("" if not following or "=" in following[0] else following[0])
    return f"unknown option {name!r}; a setting has no dashes{proposal(key, text, several=several)}"


def build_parser() -> tuple[_Parser, dict[str, _Parser]]:
    """Return the parser, and that of every command by its name."""
    from tinynet import __version__

    parser = _Parser(prog="tinynet", description="A two-layer network trained by numerical gradients.")
    parser.add_argument("--version", action="version", version=f"tinynet {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    train = commands.add_parser("train", help="train a network and write a run folder")
    train.add_argument("config", metavar="CONFIG", nargs="?", help="a preset, a .toml or .json file, or a data file")
    _add_overrides(train, "KEY=VALUE", "optimizer.learning_rate=0.05")
    train.add_argument("--out", metavar="DIR", help="the run folder (default: runs/NAME-TIME)")
    train.add_argument("--resume", action="store_true", help="resume the run in DIR; CONFIG may be left out")
    train.add_argument("--quiet", action="store_true", help="print notes and errors only")

    sweep = commands.add_parser("sweep", help="train every combination of some settings")
    sweep.add_argument("config", metavar="CONFIG", nargs="?", help="as for train; its [sweep] table may hold axes")
    _add_overrides(sweep, "KEY=V1,V2,...", "optimizer.learning_rate=0.01,0.1 seed=0..4")
    sweep.add_argument("--jobs", metavar="N", type=_n_jobs, help="processes; -1 for all cores (default: 1)")
    sweep.add_argument("--dask", metavar="ADDRESS", help="a Dask scheduler, or 'local' to start a cluster here")
    sweep.add_argument("--out", metavar="DIR", help="the sweep's folder (default: runs/NAME-sweep-TIME)")
    sweep.add_argument("--resume", action="store_true", help="run what is missing in DIR; CONFIG may be left out")
    sweep.add_argument("--no-reports", action="store_true", help="write no page for each run")
    sweep.add_argument("--yes", action="store_true", help="run more than 1,000 combinations")
    sweep.add_argument("--quiet", action="store_true", help="print notes and errors only")

    report = commands.add_parser("report", help="write an HTML report about runs")
    report.add_argument("folders", metavar="DIR", nargs="+", help="a run folder, or a folder of run folders")
    report.add_argument("--output", metavar="FILE", help="the report (default: report.html in DIR)")

    check = commands.add_parser("check", help="check the gradient on a config's network and data")
    check.add_argument("config", metavar="CONFIG", help="as for train")
    _add_overrides(check, "KEY=VALUE", "gradient.h=1e-6")
    check.add_argument("--parity", action="store_true", help="train beside backpropagation and compare the weights")
    check.add_argument("--out", metavar="DIR", help="a folder for the text and a figure (default: none)")

    predict = commands.add_parser("predict", help="label new rows with a trained network")
    predict.add_argument("run", metavar="RUN", help="a run folder")
    predict.add_argument("file", metavar="FILE", help="raw rows: CSV with the features' columns, or .npz with X")
    predict.add_argument("--output", metavar="FILE", help="a CSV file to write (default: stdout)")
    predict.add_argument(
        "--spreadsheet", action="store_true", help="put ' before labels that look like formulas, such as +1a"
    )

    evaluate = commands.add_parser("evaluate", help="score a trained network on a labelled file")
    evaluate.add_argument("run", metavar="RUN", help="a run folder")
    evaluate.add_argument("file", metavar="FILE", help="rows and labels: CSV with the columns trained on, or .npz")
    evaluate.add_argument("--json", action="store_true", help="print the scores as JSON")
    evaluate.add_argument("--output", metavar="FILE", help="an HTML page to write")

    export = commands.add_parser("export", help="write a trained network as an ONNX file")
    export.add_argument("run", metavar="RUN", help="a run folder")
    export.add_argument("file", metavar="FILE", help="the ONNX file to write, such as model.onnx")

    presets = commands.add_parser("presets", help="list the presets, or print one as TOML")
    presets.add_argument("name", metavar="NAME", nargs="?", help="the preset to print")

    schema = commands.add_parser("schema", help="print the config's JSON Schema, for editors")
    schema.add_argument("--output", metavar="FILE", help="write it there")
    schema.add_argument("--markdown", action="store_true", help="a table for readers instead")

    completion = commands.add_parser("completion", help="print a script for the shell's Tab key")
    about = "bash or zsh: tinynet completion bash >> ~/.bashrc"
    completion.add_argument("shell", metavar="SHELL", choices=("bash", "zsh"), help=about)
    return parser, commands.choices


def _add_overrides(command: _Parser, metavar: str, example: str) -> None:
    command.add_argument("overrides", metavar=metavar, nargs="*", help=f"such as {example}")


def _n_jobs(text: str) -> int:
    if re.fullmatch(r"-1|[1-9]\d{0,3}", text, re.ASCII) is None:
        raise argparse.ArgumentTypeError(f"must be from 1 to 9999, or -1 for all cores, got {text!r}")
    return int(text)
