"""The downhill directions of x0² + x1², and gradient descent along them with three learning rates."""

import warnings
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from figure import figure_argument

from tinynet import NumericalWarning, gradient_descent, numerical_gradient


def f(x: Any) -> Any:
    """Return the bowl of the textbook; its gradient is 2x."""
    return x[0] ** 2 + x[1] ** 2


figure_path = figure_argument(__doc__, "gradient_field.png")
for place in [(3, 4), (0, 2), (3, 0)]:
    print(f"gradient at {place}: {numerical_gradient(f, place)}")

_, (field, distance) = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
points = np.mgrid[-4:4:13j, -4:4:13j].reshape(2, -1).T
fine = np.mgrid[-4.4:4.4:100j, -4.4:4.4:100j]
field.contour(*fine, f(fine), levels=8, colors="0.8")
field.quiver(*points.T, *-np.array([numerical_gradient(f, point) for point in points]).T, color="#0072B2", angles="xy")

for lr, marker, colour in [(0.1, "o", "#D55E00"), (10.0, "s", "black"), (1e-10, "^", "#009E73")]:
    with warnings.catch_warnings(record=True, action="always", category=NumericalWarning) as caught:
        end, path = gradient_descent(f, [-3.0, 4.0], lr=lr, step_num=100, return_path=True)
    print(f"lr {lr:g}: 100 steps from (-3, 4) end at {end}")
    for warning in caught:  # so far out that x + h is x: the measured gradient is 0 and x stays where it is
        print(f"    warned: {warning.message}")
    distance.semilogy(np.hypot(*path.T), marker, color=colour, markersize=3, label=f"learning rate {lr:g}")
    if lr == 0.1:
        field.plot(*path.T, "o-", color=colour, markersize=4)
field.set(xlabel="x0", ylabel="x1", aspect="equal", title="100 steps from (−3, 4), learning rate 0.1")
distance.set(xlabel="step", ylabel="distance from the minimum", title="the same at three learning rates")
distance.legend(loc="lower left")
plt.savefig(figure_path, dpi=150)
