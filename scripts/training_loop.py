"""The training loop written out, as in the textbook: a mini-batch, its gradient, a step downhill, and again."""

import matplotlib.pyplot as plt
import numpy as np
from figure import figure_argument

from tinynet import SGD, TwoLayerNet, load_dataset

figure_path = figure_argument(__doc__, "training_loop.png")

data = load_dataset("digits", seed=0)
x_train, t_train = data.X_train, np.eye(10)[data.y_train]  # one-hot labels
batch_size, steps = 100, 400
steps_per_epoch = -(-len(x_train) // batch_size)

net = TwoLayerNet(64, 50, 10, seed=0)
optimizer = SGD(learning_rate=0.5)
rng = np.random.default_rng(0)
losses, train_accuracy, validation_accuracy = [], [], []
for step in range(1, steps + 1):
    batch = rng.choice(len(x_train), batch_size)
    grads = net.numerical_gradient(x_train[batch], t_train[batch])
    optimizer.update(net.params, grads)
    losses.append(net.loss(x_train[batch], t_train[batch]))
    if step % 100 == 0:
        print(f"step {step}: loss of the batch {losses[-1]:.3f} nats a sample")
    if step % steps_per_epoch == 0:
        train_accuracy.append(100 * net.accuracy(x_train, t_train))
        validation_accuracy.append(100 * net.accuracy(data.X_validation, data.y_validation))
print(f"test accuracy: {100 * net.accuracy(data.X_test, data.y_test):.1f} % of {len(data.X_test)} images")

epochs = range(1, len(train_accuracy) + 1)
_, (loss, accuracy) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
loss.plot(losses, color="#0072B2", linewidth=1)
loss.set(xlabel="step", ylabel="loss of the batch (nats a sample)", ylim=(0, None))
accuracy.plot(epochs, train_accuracy, "o-", color="#0072B2", markersize=4, label="training")
accuracy.plot(epochs, validation_accuracy, "s--", color="#D55E00", markersize=4, fillstyle="none", label="validation")
accuracy.set(xlabel="epoch", ylabel="accuracy (%)", ylim=(80, 101))
accuracy.legend(loc="lower right")
plt.savefig(figure_path, dpi=150)
