"""A progress bar on stderr, where somebody can see it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def progress_bar(total: int, done: int, unit: str, wanted: bool) -> Iterator[Callable[[str], None]]:
    """Yield a function that counts one more, with a text behind the bar."""
    if not wanted or sys.stderr is None:
        yield lambda text: None
        return
    from tqdm import tqdm

    bar: Any
    with tqdm(total=total, initial=done, unit=unit, disable=None, dynamic_ncols=True) as bar:

        def show(text: str) -> None:
            bar.set_postfix_str(text, refresh=False)
            bar.update()

        yield show
