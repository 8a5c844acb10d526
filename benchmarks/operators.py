"""check_gradient on PyTorch's operators: right gradients by autograd, and each with 1 % added to one entry.

    python -m benchmarks.operators [--samples 3] [NAME ...]

Needs torch, from the extra `bench`, and the package expecttest of its tests. Where PyTorch's own gradcheck refuses the
gradient, a refusal here does not count.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinynet import check_gradient
from tinynet.errors import TinynetError

LARGEST = 400  # entries of an input, all together


def samples(names: list[str], count: int) -> Iterator[tuple[str, Callable[..., Any], list[Any]]]:
    """Yield operators, as functions of float64 tensors, with inputs from PyTorch's own tests."""
    from torch import Tensor, float64, is_tensor, manual_seed
    from torch.testing._internal.common_methods_invocations import op_db

    for op in op_db:
        if not op.supports_autograd or float64 not in op.dtypes or (names and op.name not in names):
            continue
        manual_seed(0)
        taken = 0
        for sample in op.sample_inputs("cpu", float64, requires_grad=True):
            moved = [t for t in (sample.input, *sample.args) if is_tensor(t) and t.requires_grad]
            size = sum(t.numel() for t in moved)
            if not moved or not 0 < size <= LARGEST or any(t.dtype is not float64 for t in moved):
                continue

            def call(*tensors: Tensor, op: Any = op, sample: Any = sample) -> Any:
                given = iter(tensors)
                arguments = [
                    next(given) if is_tensor(t) and t.requires_grad else t for t in (sample.input, *sample.args)
                ]
                out = sample.output_process_fn_grad(op(*arguments, **sample.kwargs))
                outs = out if isinstance(out, list | tuple) else [out]
                return [o for o in outs if is_tensor(o) and o.dtype is float64]

            yield op.name, call, moved
            taken += 1
            if taken == count:
                break


def judge(call: Callable[..., Any], tensors: list[Any]) -> tuple[bool, bool, bool] | None:
    """Return whether check_gradient and gradcheck take the gradient, and whether 1 % in an entry is found."""
    import torch

    leaves = [t.detach().clone().requires_grad_() for t in tensors]
    weights = [torch.linspace(0.5, 1.5, o.numel(), dtype=o.dtype).reshape(o.shape) for o in call(*leaves)]

    def total(*given: Any) -> Any:
        return sum((o * w).sum() for o, w in zip(call(*given), weights, strict=True))

    value = total(*leaves)
    if not weights or not torch.is_tensor(value) or not torch.isfinite(value):
        return None
    gradients = torch.autograd.grad(value, leaves, allow_unused=True)
    arrays = [np.array(t.detach().numpy()) for t in leaves]
    right = [np.zeros(a.shape) if g is None else np.array(g.numpy()) for a, g in zip(arrays, gradients, strict=True)]

    def f(*given: Any) -> float:
        torch.manual_seed(0)
        with torch.no_grad():
            return float(total(*(torch.from_numpy(np.array(a)) for a in given)))

    if f(*arrays) != f(*arrays):
        return None
    taken = check_gradient(f, tuple(right), *arrays) if len(arrays) > 1 else check_gradient(f, right[0], arrays[0])
    try:
        peer = torch.autograd.gradcheck(total, leaves, raise_exception=False)
    except (RuntimeError, ValueError):
        peer = False
    which = int(np.argmax([np.abs(g).max(initial=0.0) for g in right]))
    place = np.unravel_index(np.abs(right[which]).argmax(), right[which].shape)
    if not np.abs(right[which]).max(initial=0.0) > 1e-6 or not np.isfinite(right[which][place]):
        return taken.ok, peer, True
    right[which][place] *= 1.01
    found = check_gradient(f, tuple(right) if len(arrays) > 1 else right[0], *arrays)
    return taken.ok, peer, bool(found.wrong)


def main() -> None:
    """Print what was refused and missed, and how many of how many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="operators; all of them without")
    parser.add_argument("--samples", type=int, default=3, help="inputs of each operator")
    options = parser.parse_args()
    operators, tried, refused, missed, skipped = set(), 0, [], [], 0
    for name, call, tensors in samples(options.names, options.samples):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                verdict = judge(call, tensors)
        except (TinynetError, RuntimeError, TypeError, ValueError, IndexError) as error:
            print(f"{name}: skipped, {type(error).__name__}: {str(error).splitlines()[0][:100]}", flush=True)
            verdict = None
        if verdict is None:
            skipped += 1
            continue
        operators.add(name)
        tried += 1
        taken, peer, found = verdict
        if not taken:
            print(f"{name}: refused{'' if peer else ', as by gradcheck'}", flush=True)
        refused += [name] if peer and not taken else []
        missed += [name] if taken and not found else []
    print(f"{len(operators)} operators, {tried} inputs ({skipped} skipped)")
    print(f"right ones refused where gradcheck passes: {len(refused)} {sorted(set(refused))}")
    print(f"errors of 1 % missed: {len(missed)} {sorted(set(missed))}")


if __name__ == "__main__":
    main()
