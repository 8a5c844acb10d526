"""What made a loss infinite: the inputs' size, the step h, the first weights, or the learning rate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tinynet.data.samples import Samples, dense
from tinynet.network import TwoLayerNet

ORDINARY = 10.0  # a rate, or a mean square of inputs or weights: less of these is not to blame
MAX_ROWS = 100_000  # to try on
Params = dict[str, npt.NDArray[Any]]


def advice(net: TwoLayerNet, samples: Samples, h: float, rate: float, first: Params | None = None) -> str:
    """Return what to change, found by trying.

    Parameters
    ----------
    net : TwoLayerNet, whose weights are those before the first step that went wrong
    samples : Samples that were being trained on or measured
    h, rate : float, step of the differences and learning rate (in all: divided by 1 − momentum), nan without
    first : dict of arrays, optional; the initial weights, where they may be to blame
    """
    X = np.asarray(dense(samples.X, slice(MAX_ROWS)), np.float64)
    samples = Samples(X, samples.labels[:MAX_ROWS])
    largest, weight = float(np.abs(X).max()), max(float(np.abs(param).max()) for param in net.params.values())
    inputs = f"the inputs are as large as {largest:.3g}: scale them, to [0, 1] for example"
    weights = f"the weights are as large as {weight:.3g}: try a smaller weight_scale"
    with np.errstate(all="ignore"):
        if not math.isfinite(net.evaluate(samples)[0]):  # before any step, or after the last one that was measured
            if first is None:
                return "try a smaller learning rate"
            unit = Samples(X / max(largest, 1.0), samples.labels)
            return inputs if largest > weight or math.isfinite(net.evaluate(unit)[0]) else weights
        few = Samples(X[:100], samples.labels[:100])
        if h > 1e-4 and not _has_gradient(net, few, h) and _has_gradient(net, few, 1e-4):
            return f"h = {h:g} moves a weight too far: try 1e-4"
        if first is not None and not _has_gradient(net, few, h):
            return inputs if largest > weight else weights
        sizes = {"try a smaller learning rate": ORDINARY if math.isnan(rate) else max(rate, ORDINARY)}
        sizes[inputs] = float(np.mean(X**2))
        if first is not None:
            sizes[weights] = max(float(np.mean(first[key] ** 2)) * len(first[key]) for key in ("W1", "W2"))
    return max(sizes, key=sizes.__getitem__)  # the rate that is stable falls with the squares of inputs and weights


def _has_gradient(net: TwoLayerNet, samples: Samples, h: float) -> bool:
    return all(np.isfinite(grad).all() for grad in net.quotients(samples, h, "auto").values())
