"""How far a training is: a progress bar where somebody can see it, a line now and then where a log is kept."""

from __future__ import annotations

import importlib.util
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tinynet.training.history import Epoch

LINE_EVERY_S = 30.0
LINE_SHARE = 0.1  # of all; a line waits for both


@contextmanager
def progress_bar(
    total: int, done: int, unit: str, wanted: bool | Callable[[str], object]
) -> Iterator[Callable[[str], None]]:
    """Yield a function that counts one more, with a text behind the bar.

    Where stderr is not a terminal nothing is shown, but `wanted`, if it is a function, is given a line now and then.
    """
    notebook = _in_notebook()
    if not wanted or sys.stderr is None:
        yield lambda text: None
    elif callable(wanted) and not notebook and not sys.stderr.isatty():
        yield _lines(total, done, unit, wanted)
    else:
        from tqdm import notebook as in_notebook
        from tqdm import tqdm

        widgets = notebook and importlib.util.find_spec("ipywidgets") is not None
        kind: Any = in_notebook.tqdm if widgets else tqdm
        hidden = False if notebook else None  # None: where stderr is not a terminal
        with kind(total=total, initial=done, unit=unit, disable=hidden, dynamic_ncols=True) as bar:

            def show(text: str) -> None:
                bar.set_postfix_str(text, refresh=False)
                bar.update()

            yield show


def epoch_figures(row: Epoch) -> str:
    """Return what stands behind the progress bar, in few columns."""
    loss, accuracy = f"loss={row.train_loss:.4f}", f"accuracy={row.train_accuracy:.4f}"
    if math.isnan(row.validation_loss):
        return f"{loss}, {accuracy}"
    return f"{loss} (validation {row.validation_loss:.4f}), {accuracy} ({row.validation_accuracy:.4f})"


def _lines(total: int, done: int, unit: str, write: Callable[[str], object]) -> Callable[[str], None]:
    written, written_at = done, time.monotonic()

    def show(text: str) -> None:
        nonlocal done, written, written_at
        done += 1
        if done - written >= LINE_SHARE * total and time.monotonic() - written_at >= LINE_EVERY_S:
            written, written_at = done, time.monotonic()
            write(f"{unit} {done} of {total}: {text}")

    return show


def _in_notebook() -> bool:
    """Return whether this runs in a kernel that a notebook talks to."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")
