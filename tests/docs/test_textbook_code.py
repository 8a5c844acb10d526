"""Programs in the style of the textbook's chapter 4: a reader's own code runs unchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tinynet import TwoLayerNet, gradient_descent, load_dataset, numerical_diff, numerical_gradient

Array = npt.NDArray[Any]


def softmax(a: Array) -> Array:
    e = np.exp(a - np.max(a, axis=-1, keepdims=True))
    return np.asarray(e / np.sum(e, axis=-1, keepdims=True))


def cross_entropy_error(y: Array, t: Array) -> float:
    y, t = np.atleast_2d(y), np.atleast_2d(t)
    return float(-np.sum(t * np.log(y + 1e-7)) / len(y))


class SimpleNet:
    """A reader's own matrix of weights."""

    def __init__(self) -> None:
        self.W = np.array([[0.47355232, 0.9977393, 0.84668094], [0.85557411, 0.03563661, 0.69422093]])

    def loss(self, x: Array, t: Array) -> float:
        return cross_entropy_error(softmax(np.dot(x, self.W)), t)


def function_1(x: Any) -> Any:
    return 0.01 * x**2 + 0.1 * x


def function_2(x: Array) -> Any:
    return x[0] ** 2 + x[1] ** 2


def test_slopes_and_gradients_match_the_figures_in_the_book() -> None:
    slopes = [numerical_diff(function_1, x) for x in (5, 10)]
    assert slopes == pytest.approx([0.1999999999990898, 0.2999999999986347], abs=2e-12)  # the book divides by 2h
    for x in ([3.0, 4.0], [0.0, 2.0], [3.0, 0.0]):
        assert str(numerical_gradient(function_2, np.array(x))) == str(2 * np.array(x))


@pytest.mark.filterwarnings("ignore::tinynet.NumericalWarning")
def test_gradient_descent_ends_where_the_book_says() -> None:
    for lr, end in [(0.1, "[-6.11110793e-10  8.14814391e-10]"), (1e-10, "[-2.99999994  3.99999992]")]:
        assert str(gradient_descent(function_2, init_x=np.array([-3.0, 4.0]), lr=lr, step_num=100)) == end
    end = gradient_descent(function_2, np.array([-3.0, 4.0]), 10.0, 100)
    assert end == pytest.approx([-2.58983747e13, -1.29524862e12], rel=0.3)  # x + h is x there; mostly rounding


def test_f_may_ignore_its_argument_and_read_the_weights_itself() -> None:
    net, x, t = SimpleNet(), np.array([0.6, 0.9]), np.array([0, 0, 1])
    before = net.W.copy()

    def f(W: Array) -> float:
        return net.loss(x, t)

    dW = numerical_gradient(f, net.W)
    figures = [[0.21924763, 0.14356247, -0.36281009], [0.32887144, 0.2153437, -0.54421514]]
    np.testing.assert_allclose(dW, figures, atol=2e-7)  # the 1e-7 in the book's log
    assert np.array_equal(net.W, before)


def test_the_books_update_line_changes_the_networks_weights(rng: np.random.Generator) -> None:
    net = TwoLayerNet(6, 4, 3, seed=0)
    x, t = rng.standard_normal((5, 6)), np.eye(3)[[0, 2, 1, 1, 0]]
    grads = net.numerical_gradient(x, t)
    for key in ("W1", "b1", "W2", "b2"):
        loop = numerical_gradient(lambda W: net.loss(x, t), net.params[key])
        assert loop.shape == net.params[key].shape
        np.testing.assert_allclose(grads[key], loop, atol=1e-10)


def test_the_training_loop_in_the_book_learns_the_digits(rng: np.random.Generator) -> None:
    data = load_dataset("digits")
    (x_train, t_train), (x_test, t_test) = (
        (X, np.eye(10)[y]) for X, y in [(data.X_train, data.y_train), (data.X_test, data.y_test)]
    )
    network = TwoLayerNet(64, 50, 10, weight_scale=0.01, activation="sigmoid", seed=0)
    iters_num, batch_size, learning_rate = 600, 100, 1.0
    train_loss_list, test_acc_list = [], []
    for i in range(iters_num):
        batch_mask = rng.choice(x_train.shape[0], batch_size)
        x_batch, t_batch = x_train[batch_mask], t_train[batch_mask]
        grad = network.numerical_gradient(x_batch, t_batch)
        for key in ("W1", "b1", "W2", "b2"):
            network.params[key] -= learning_rate * grad[key]
        train_loss_list.append(network.loss(x_batch, t_batch))
        if i % 100 == 0:
            test_acc_list.append(network.accuracy(x_test, t_test))
    assert abs(train_loss_list[0] - np.log(10)) < 0.1 and train_loss_list[-1] < 0.5
    assert test_acc_list[0] < 0.3 and test_acc_list[-1] > 0.9
