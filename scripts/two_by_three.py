"""The gradient of the cross-entropy of a 2×3 matrix W, measured, beside the closed form xᵀ(softmax(xW) − t)."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from figure import figure_argument

from tinynet import cross_entropy, numerical_gradient, softmax

figure_path = figure_argument(__doc__, "two_by_three.png")

x = np.array([[0.6, 0.9]])  # one sample of two features
t = np.array([[0, 0, 1]])  # its class, one-hot
W = np.array([[0.47355232, 0.9977393, 0.84668094], [0.85557411, 0.03563661, 0.69422093]])  # as in the textbook


def loss(W: Any) -> float:
    """Return the cross-entropy of softmax(xW) against t, in nats."""
    return cross_entropy(x @ W, t)


measured = numerical_gradient(loss, W)
closed_form = x.T @ (softmax(x @ W) - t)
print(f"loss: {loss(W):.8f} nats")
print(f"measured, by {2 * W.size} evaluations of the loss:\n{measured}")
print(f"closed form:\n{closed_form}")
print(f"largest difference: {np.abs(measured - closed_form).max():.1e}")

_, axes = plt.subplots(1, 3, figsize=(10, 2.8), layout="constrained")
for ax, title, values, number in [
    (axes[0], "measured", measured, "{:+.6f}"),
    (axes[1], "closed form", closed_form, "{:+.6f}"),
    (axes[2], "difference", measured - closed_form, "{:+.1e}"),
]:
    ax.imshow(values, cmap="PuOr", vmin=-1, vmax=1)
    for i, j in np.ndindex(W.shape):
        ax.text(j, i, number.format(values[i, j]), ha="center", va="center")
    ax.set(title=title, xticks=range(3), yticks=range(2), xlabel="class", ylabel="feature")
plt.savefig(figure_path, dpi=150)
