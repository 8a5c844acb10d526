"""Train on two interleaving half moons, and draw the loss curve and the boundary that the network found."""

import matplotlib.pyplot as plt
from figure import figure_argument

from tinynet import SGD, TwoLayerNet, load_dataset, plot_decision_boundary, plot_loss_curve, train

figure_path = figure_argument(__doc__, "train_moons.png")

data = load_dataset("moons", seed=0, n_samples=1000, noise=0.2, scaling="standard")
net = TwoLayerNet(2, 32, 2, activation="tanh", seed=0)
history = train(
    net,
    data.X_train,
    data.y_train,
    SGD(learning_rate=0.1, momentum=0.9),
    epochs=60,
    batch_size=50,
    seed=0,
    validation=(data.X_validation, data.y_validation),
)
first, last = history.rows[0], history.rows[-1]
print(f"training loss: {first.train_loss:.3f} after epoch 1, {last.train_loss:.3f} after epoch {last.epoch}")
print(f"test accuracy: {100 * net.accuracy(data.X_test, data.y_test):.1f} %")

_, (curve, plane) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
plot_loss_curve(history, curve)
plot_decision_boundary(net, data.X_test, data.y_test, plane)
plane.set(xlabel="feature 0 (standard deviations)", ylabel="feature 1 (standard deviations)", title="test samples")
plt.savefig(figure_path, dpi=150)
