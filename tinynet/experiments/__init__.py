"""Runs and sweeps. Four functions do in a script what the command does; each is imported when it is first used."""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    from tinynet.experiments.from_python import load_run, run_experiment, run_sweep
    from tinynet.reports.report import write_report

__all__ = ["load_run", "run_experiment", "run_sweep", "write_report"]


def __getattr__(name: str) -> object:
    """Import one of the four functions."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tinynet.experiments import from_python

    return getattr(from_python, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
