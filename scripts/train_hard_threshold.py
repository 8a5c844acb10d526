"""Train hidden units that are hard thresholds, and draw what the width h of the central difference does."""

import matplotlib.pyplot as plt
from figure import figure_argument

from tinynet import SGD, TwoLayerNet, load_dataset, train

figure_path = figure_argument(__doc__, "train_hard_threshold.png")

WHY = (
    "(L(θ + h) − L(θ − h)) / 2h is the slope of the loss, averaged over [θ − h, θ + h]. A threshold's own slope\n"
    "is 0 nearly everywhere: a narrow average misses its jumps, a wide one meets them in many samples."
)
RUNS = [
    ("sign", 1e-4, ":", "#D55E00"),
    ("sign", 0.2, "-.", "#E69F00"),
    ("sign", 0.5, "-", "#0072B2"),
    ("sign", 1.0, "--", "#009E73"),
    ("tanh", 1e-4, "-", "0.6"),
]

data = load_dataset("digits", seed=0)
figure, ax = plt.subplots(figsize=(8, 5), layout="constrained")
for activation, h, line, colour in RUNS:
    net = TwoLayerNet(data.n_features, 50, data.n_classes, activation=activation, seed=0)
    optimizer = SGD(learning_rate=0.1, momentum=0.9)
    history = train(net, data.X_train, data.y_train, optimizer, epochs=20, batch_size=100, seed=0, h=h)
    accuracy = f"test accuracy {100 * net.accuracy(data.X_test, data.y_test):.1f} %"
    print(f"{activation} units, h = {h:g}: {accuracy}")
    ax.semilogy(
        history["epoch"], history["train_loss"], line, color=colour, label=f"{activation}, h = {h:g}: {accuracy}"
    )
ax.set(xlabel="epoch", ylabel="training loss (nats a sample)", title="digits, 64-50-10")
ax.text(0, -0.14, WHY, transform=ax.transAxes, va="top", fontsize="small")
ax.legend(frameon=False)
plt.savefig(figure_path, dpi=150)
