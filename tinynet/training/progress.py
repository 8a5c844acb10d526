"""A progress bar on stderr, where somebody can see it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def progress_bar(total: int, done: int, unit: str, wanted: bool) -> Callable[[str | None], None]:
    """Return a function that counts one more, with a text behind the bar, or closes the bar when given None."""
    if not wanted or sys.stderr is None:
        return lambda text: None
    from tqdm import tqdm

    bar: Any = tqdm(total=total, initial=done, unit=unit, disable=None, dynamic_ncols=True)

    def show(text: str | None) -> None:
        if text is None:
            bar.close()
            return
        bar.set_postfix_str(text, refresh=False)
        bar.update()

    return show
