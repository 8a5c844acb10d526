"""Where h = 1e-4 fails, what is said of it, and what h="auto" gives: errors of slopes at x from 1e-6 to 1e10."""

import warnings
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from figure import figure_argument

from tinynet import NumericalWarning, numerical_diff

figure_path = figure_argument(__doc__, "automatic_step.png")

FUNCTIONS: dict[str, Any] = {  # each with its slope
    "log x": (np.log, lambda x: 1 / x),
    "x²": (np.square, lambda x: 2 * x),
    "sin x": (np.sin, np.cos),
    "sin 10⁴x": (lambda x: np.sin(1e4 * x), lambda x: 1e4 * np.cos(1e4 * x)),
}
points = 10.0 ** np.arange(-6, 10.1, 0.5)
figure, panels = plt.subplots(1, 4, figsize=(12, 3.8), sharey=True, layout="constrained")
for ax, (name, (f, slope)) in zip(panels, FUNCTIONS.items(), strict=True):
    h: Any
    for h, line, colour in [(1e-4, "o-", "#D55E00"), ("auto", "s-", "#0072B2")]:
        errors, warned = [], []
        for x in points:
            with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
                warnings.simplefilter("always", NumericalWarning)
                errors.append(abs(numerical_diff(f, x, h) / slope(x) - 1))
            warned.append(bool(caught))
        shown = np.clip(np.nan_to_num(errors, nan=1.0), 1e-16, 10.0)
        ax.loglog(points, shown, line, color=colour, markersize=4, label=f"h = {h}")
        ax.loglog(points[warned], shown[warned], "kx", label="warned" if h == 1e-4 else None)
        print(f"{name}, h = {h}: median error {np.median(shown):.0e}, {sum(warned)} of {len(points)} warned")
    ax.set(title=name, xlabel="x", ylim=(1e-17, 100))
    ax.grid(alpha=0.3, linewidth=0.6)
panels[0].set(ylabel="relative error of the slope")
panels[0].legend(frameon=False, fontsize="small")
plt.savefig(figure_path, dpi=150)
