"""The versions, machine and BLAS that a run uses, on which the last bits of its numbers depend."""

from __future__ import annotations

import os
import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from tinynet.storage.messages import differences

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


def environment() -> dict[str, Any]:
    """Return versions, platform, and BLAS and its threads."""
    from importlib.metadata import version

    from threadpoolctl import threadpool_info

    from tinynet import __version__

    modules = {"numpy": "numpy", "scipy": "scipy", "scikit-learn": "sklearn"}
    modules |= {"matplotlib": "matplotlib", "pydantic": "pydantic"}
    known = {name: getattr(sys.modules.get(module), "__version__", None) for name, module in modules.items()}
    return {
        "versions": {"python": platform.python_version(), "tinynet": __version__}
        | {name: loaded or version(name) for name, loaded in known.items()},  # `version` reads files
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "blas": [
            {key: library.get(key) for key in ("internal_api", "version", "architecture", "num_threads")}
            for library in threadpool_info()
            if library["user_api"] == "blas"
        ],
    }


def compare_environments(there: dict[str, Any], here: dict[str, Any]) -> None:
    """Warn when a run is resumed with other libraries or on another machine than before."""
    try:
        before, now = _decisive(there), _decisive(here)
    except (LookupError, TypeError, AttributeError):  # damaged: it is about to be replaced
        return
    if differing := differences(before, now):
        last_bits = "the last bits may not be those of a run that was never interrupted"
        warnings.warn(f"the environment {differing}: {last_bits}", stacklevel=2)


def _decisive(environment: dict[str, Any]) -> dict[str, str]:
    """Return what the last bits of a training depend on."""
    kernels = {str(library["architecture"]) for library in environment["blas"]}
    versions = {name: str(environment["versions"][name]) for name in ("tinynet", "numpy")}
    return versions | {"machine": str(environment["machine"]), "processor": " ".join(sorted(kernels))}


@contextmanager
def blas_threads(number: int = 1) -> Iterator[None]:
    """Limit BLAS to `number` threads: the last bits depend on it, and small matrices gain nothing from more."""
    with _libraries().limit(limits=number, user_api="blas"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    """Find the libraries that use threads, once: it takes as long as an epoch, and NumPy's BLAS is loaded already."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
