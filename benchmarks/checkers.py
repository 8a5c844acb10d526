"""Gradients broken on purpose, and right ones, through `check_gradient` and the checkers of SciPy, PyTorch and JAX."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Table
from tinynet import check_gradient
from tinynet.checking.mistakes import UNDECIDED

Function = Callable[[Any], Any]
Checker = Callable[[Function, Any, Any], bool | None]  # of f, its gradient and x: right, wrong, or no answer

LARGEST = 1000  # entries of x: on more, checkers that visit every entry take minutes
NOT_INSTALLED = "not installed"


def compare() -> Table:
    """Return how many broken gradients each checker finds, and how many right ones it accuses."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from gradient_cases import BROKEN, RIGHT

    broken, right = (
        [
            case.arguments
            for name, case in cases.items()
            if "ignored" not in name and _fits(*case.arguments, **case.options)
        ]
        for cases in (BROKEN, RIGHT)
    )
    rows = []
    for name, checker in CHECKERS.items():
        try:
            of_broken, of_right = ([_verdict(checker, *case) for case in cases] for cases in (broken, right))
        except ImportError:
            rows.append([name, *[NOT_INSTALLED] * 3])
            continue
        open_ones = f"{of_broken.count(None)} / {of_right.count(None)}"
        rows.append([name, f"{of_broken.count(False)} of {len(broken)}", str(of_right.count(False)), open_ones])
    columns = ("checker", "broken, found", f"right, accused of {len(right)}", "no answer, broken / right")
    note = (
        f"{len(broken)} of {len(BROKEN)} broken and {len(right)} of {len(RIGHT)} right gradients: those that every "
        f"checker can be asked about, of one array of at most {LARGEST:,} entries, by an f that reads its argument."
    )
    return Table("Broken and right gradients", columns, rows, note)


def _fits(f: Any, grad: Any, *x: Any, **options: Any) -> bool:
    """Say whether all checkers can be asked: a plain function of one array, not too large."""
    return callable(f) and len(x) == 1 and not options and not isinstance(x[0], dict) and np.size(x[0]) <= LARGEST


def _verdict(checker: Checker, f: Function, grad: Any, x: Any) -> bool | None:
    """Return what a checker says; where it, or f, raises there is no answer."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            x = np.array(x)
            return checker(f, grad(x.copy()) if callable(grad) else grad, x)
    except ImportError:
        raise
    except Exception:
        return None


def _tinynet(f: Function, grad: Any, x: Any) -> bool | None:
    report = check_gradient(f, grad, x)
    said = [mistake for mistake in report.mistakes if mistake.kind != UNDECIDED]
    return False if said else True if report.ok else None


def _float64(x: Any, grad: Any) -> tuple[Any, Any]:
    return np.array(x, dtype=np.float64), np.array(grad, dtype=np.float64).reshape(np.shape(x))


def _scipy(f: Function, grad: Any, x: Any) -> bool | None:
    x, grad = _float64(x, grad)
    from scipy.optimize import check_grad

    off = check_grad(lambda v: float(f(v.reshape(x.shape))), lambda _: grad.ravel(), x.ravel())
    return None if np.isnan(off) else bool(off <= 1e-5 * max(1.0, float(np.linalg.norm(grad))))


def _torch(f: Function, grad: Any, x: Any) -> bool | None:
    x, grad = _float64(x, grad)
    import torch
    from torch.autograd.gradcheck import GradcheckError

    given = {
        "forward": staticmethod(lambda _, w: torch.tensor(np.float64(f(w.detach().numpy().copy())))),
        "backward": staticmethod(lambda _, upper: upper * torch.tensor(grad)),
    }
    function: Any = type("Given", (torch.autograd.Function,), given)
    try:
        return bool(torch.autograd.gradcheck(function.apply, torch.tensor(x, requires_grad=True)))
    except GradcheckError:
        return False


def _jax(f: Function, grad: Any, x: Any) -> bool | None:
    x, grad = _float64(x, grad)
    import jax
    from jax.test_util import check_vjp

    jax.config.update("jax_enable_x64", True)

    def value(v: Any) -> Any:
        return np.float64(f(np.array(v)))

    try:
        check_vjp(value, lambda v: (value(v), lambda upper: (np.asarray(upper) * grad,)), (x,))
    except AssertionError:
        return False
    return True


CHECKERS: dict[str, Checker] = {
    "`check_gradient`": _tinynet,
    "`scipy.optimize.check_grad`": _scipy,
    "`torch.autograd.gradcheck`": _torch,
    "`jax.test_util.check_vjp`": _jax,
}
