"""How much faster numerical_gradient is with two workers, by how long one evaluation of f takes."""

import time
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from figure import figure_argument

from tinynet import numerical_gradient


def f(terms: int, x: Any) -> Any:
    """Return a Fourier sum; the more terms, the slower f."""
    return sum(np.sin(k * x).sum() / k for k in range(1, terms))


def gradient(terms: int, workers: int) -> tuple[float, bytes]:
    """Return how many seconds the gradient of f at 25 numbers takes, and its bits."""
    started = time.perf_counter()
    result = numerical_gradient(partial(f, terms), np.linspace(0, 1, 25), workers=workers)
    return time.perf_counter() - started, result.tobytes()


figure_path = figure_argument(__doc__, "workers.png")
gradient(10, workers=2)  # starts the two processes, which then stay
speeds = {}
for terms in [25, 75, 250, 750]:
    pairs = [(gradient(terms, workers=1), gradient(terms, workers=2)) for _ in range(3)]  # in turn; the best counts
    serial, parallel = (min(seconds for seconds, _ in side) for side in zip(*pairs, strict=True))
    cost = 1000 * serial / 50  # 25 numbers, two evaluations each
    speeds[cost] = serial / parallel
    bits = "the same bits" if len({bits for pair in pairs for _, bits in pair}) == 1 else "other bits"
    print(f"f of {cost:.2f} ms: 2 workers are {speeds[cost]:.2f} times as fast and give {bits}")
_, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
ax.semilogx(list(speeds), list(speeds.values()), "o-", color="#0072B2")
ax.grid(alpha=0.3)
ax.set(xlabel="one evaluation of f (ms)", ylabel="serial time / time with 2 workers", ylim=(0, 2))
plt.savefig(figure_path, dpi=150)
