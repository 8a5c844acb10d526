"""From the command to its answer: importing tinynet, a mistake in a config, a whole run; beside importing NumPy."""

from __future__ import annotations

import tempfile
from collections import defaultdict

import numpy as np
from tqdm import tqdm

from benchmarks.measure import timed
from benchmarks.one_core import all_cores
from benchmarks.report import Report, Table, duration, spread

INTRODUCTION = """\
Every command is a new process, Python's own start included, that has all cores and one BLAS thread; they take turns."""

ALONE, MISTAKE = 'python -c "import numpy"', "tinynet train digits optimizer.learning_rate=0"
COMMANDS = {
    ALONE: ("-c", "import numpy"),
    'python -c "import tinynet"': ("-c", "import tinynet"),
    MISTAKE: ("-m", "tinynet", "train", "digits", "optimizer.learning_rate=0"),
    "tinynet train digits": ("-m", "tinynet", "train", "digits"),
}


def measure(*, quick: bool = False) -> Report:
    """Time the commands, in turn."""
    n_rounds = 1 if quick else 15
    seconds = defaultdict(list)
    with all_cores():
        for _ in tqdm(range(n_rounds), desc="startup", unit="round", disable=None, leave=False):
            for name, arguments in COMMANDS.items():
                seconds[name].append(_in_an_empty_folder(arguments, 2 if name == MISTAKE else 0))
    cells = [
        [name, duration(float(np.median(taken))), spread(np.divide(taken, seconds[ALONE]))]
        for name, taken in seconds.items()
    ]
    note = f"Rounds: {n_rounds}. Medians, in brackets the quartiles."
    return Report("Start", INTRODUCTION, [Table("Whole processes", ("command", "wall time", "/ numpy"), cells, note)])


def _in_an_empty_folder(arguments: tuple[str, ...], status: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        elapsed, _ = timed(*arguments, status=status, cwd=folder)
    return elapsed
