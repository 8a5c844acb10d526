"""The slopes of 0.01x² + 0.1x by difference quotients, and how the error of a slope depends on the step h."""

import warnings
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from figure import figure_argument

from tinynet import NumericalWarning, numerical_diff


def f(x: Any) -> Any:
    """Return the parabola of the textbook, whose slope is 0.02x + 0.1."""
    return 0.01 * x**2 + 0.1 * x


figure_path = figure_argument(__doc__, "numerical_diff.png")
_, (curve, errors) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=(2, 3), layout="constrained")
x, steps = np.linspace(0, 20, 101), 10.0 ** np.arange(-1, -50, -1)  # 0.1 to 10e-50
curve.plot(x, f(x), "ko-", markevery=[25, 50], label="f(x) = 0.01x² + 0.1x")
for at, line, colour in [(5, "--", "#0072B2"), (10, "-.", "#D55E00")]:
    print(f"slope at {at}: {(slope := numerical_diff(f, at))}, forward {numerical_diff(f, at, scheme='forward')}")
    curve.axline((at, f(at)), slope=slope, color=colour, ls=line, label=f"tangent at {at}: slope {slope:.3f}")
errors.axvspan(steps[-1], 4e-16, color="0.93", label="5 + h rounds to 5, the quotient is 0")
for g, slope, scheme, line, colour, label in [
    (lambda x: np.sin(x), np.cos(5), "forward", "s-", "#D55E00", "sin, forward: the formula's error is of order h"),
    (lambda x: np.sin(x), np.cos(5), "central", "o-", "#0072B2", "sin, central: of order h²"),
    (f, 0.2, "central", "^:", "#009E73", "f, central: on a parabola there is none, only rounding"),
]:
    with warnings.catch_warnings(record=True, action="always", category=NumericalWarning) as caught:
        error = np.abs([numerical_diff(g, 5, h, scheme) - slope for h in steps])
    lost = [str(warning.message) for warning in caught if "x + h rounds to x" in str(warning.message)]
    errors.loglog(steps, error, line, color=colour, markersize=4, label=label)
print(f"{len(lost)} of {len(steps)} steps h are lost: {lost[-1]}")
curve.set(xlabel="x", ylabel="f(x)")
errors.set(xlabel="step h (at 10e-50 as at 1e-20)", ylabel="error of the slope at 5", xlim=(1e-20, 1), ylim=(1e-22, 9))
curve.legend()
errors.legend(loc="lower left")
plt.savefig(figure_path, dpi=150)
