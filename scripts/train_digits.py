"""Train a two-layer network on handwritten digits: its gradient is never derived, only measured."""

import matplotlib.pyplot as plt
import numpy as np
from figure import figure_argument

from tinynet import SGD, TwoLayerNet, load_dataset, plot_loss_curve, train

figure_path = figure_argument(__doc__, "train_digits.png")

data = load_dataset("digits", seed=0)
net = TwoLayerNet(data.n_features, 50, data.n_classes, activation="tanh", seed=0)
print(f"{len(data.X_train)} training images, {net.n_parameters} weights and biases")
print(f"before training: loss {net.loss(data.X_train, data.y_train):.3f} nats a sample")
history = train(
    net,
    data.X_train,
    data.y_train,
    SGD(learning_rate=0.1, momentum=0.9),
    epochs=20,
    batch_size=100,
    seed=0,
    validation=(data.X_validation, data.y_validation),
)
for row in history.rows[4::5]:
    print(f"epoch {row.epoch}: loss {row.train_loss:.3f}, validation accuracy {100 * row.validation_accuracy:.1f} %")
print(f"test accuracy: {100 * net.accuracy(data.X_test, data.y_test):.1f} % of {len(data.X_test)} images")

figure = plt.figure(figsize=(10, 4), layout="constrained")
left, right = figure.subfigures(1, 2, squeeze=False)[0]
plot_loss_curve(history, left.subplots())
predicted = net.predict(data.X_test)
wrong = np.flatnonzero(predicted != data.y_test)
right.suptitle(f"{len(wrong)} of {len(predicted)} test images are misread, such as", fontsize="medium")
for ax, i in zip(right.subplots(2, 4).flat, wrong, strict=False):
    ax.imshow(data.X_test[i].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"{data.y_test[i]} read as {predicted[i]}", fontsize="small")
    ax.axis("off")
plt.savefig(figure_path, dpi=150)
