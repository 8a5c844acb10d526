"""One core for the whole process, and the words that say what it ran on. NumPy is not imported here."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

# the last one is XLA's: it sizes JAX's thread pool, whatever XLA_FLAGS says
THREAD_LIMITS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NPROC")
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
PACKAGES = ("numpy", "scipy", "scikit-learn", "numdifftools", "jax", "torch")


def limit_to_one_core() -> None:
    """Give every library one thread, and the process one core where the system can bind it.

    To be called before NumPy, JAX or PyTorch are imported.
    """
    os.environ.update(dict.fromkeys(THREAD_LIMITS, "1"))
    if CORES is not None:
        os.sched_setaffinity(0, {max(CORES)})


@contextmanager
def all_cores() -> Iterator[None]:
    """Give this process and those it starts meanwhile every core that there was, with one BLAS thread as before."""
    if CORES is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def blas_threads(n: int) -> Iterator[None]:
    """Give BLAS `n` threads meanwhile, and every core that there was where it is more than one."""
    if n == 1:
        yield
        return
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    with all_cores(), threadpool_limits(n, user_api="blas"):
        yield


def describe() -> str:
    """Return processor, system, versions and BLAS threads in one line."""
    installed = []
    for package in PACKAGES:
        try:
            installed.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            installed.append(f"{package} not installed")
    system = f"{_processor()}, {platform.system()}, Python {platform.python_version()}"
    return f"{system}; {', '.join(installed)}; {_cores()}; {_blas_threads()}."


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _cores() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0
    return f"{cores} core{'s' if cores != 1 else ''} for the process"


def _blas_threads() -> str:
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return "BLAS threads not verified (threadpoolctl not installed)"
    pools = sorted({f"{pool['internal_api']} {pool['num_threads']}" for pool in threadpool_info()})
    return f"threads: {', '.join(pools)}"
