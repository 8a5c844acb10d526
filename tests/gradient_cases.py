"""Gradients to check: wrong ones, each with its mistake, and right ones from every hard case."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinynet import TwoLayerNet, softmax

RNG = np.random.default_rng(7)
NORMAL = RNG.standard_normal((6, 4))
SQUARE = RNG.standard_normal((5, 5))
LEFT = RNG.standard_normal((9, 6))
LABELS = np.array([0, 1, 2, 3, 0, 1])
SAMPLES = RNG.standard_normal((12, 5))
CLASSES = np.arange(12) % 3


@dataclass
class Case:
    """The arguments of `check_gradient`, the kind of mistake that it must name, if any, and where."""

    arguments: tuple[Any, ...]
    kind: str = ""
    where: str = "x"
    options: dict[str, Any] = field(default_factory=dict)


class Network:
    """A textbook network: tanh, softmax, cross-entropy, and backpropagation with an optional mistake."""

    def __init__(self, mistake: str = "", eps: float = 0.0, activation: str = "tanh") -> None:
        rng = np.random.default_rng(3)
        self.mistake, self.eps, self.activation = mistake, eps, activation
        self.params = {"W1": rng.standard_normal((5, 4)), "b1": rng.standard_normal(4) / 5}
        self.params |= {"W2": 3 * rng.standard_normal((4, 3)), "b2": rng.standard_normal(3) / 5}

    def forward(self, X: Any) -> tuple[Any, Any]:
        a = X @ self.params["W1"] + self.params["b1"]
        z = np.maximum(a, 0) if self.activation == "relu" else np.tanh(a)
        return z, softmax(z @ self.params["W2"] + self.params["b2"])

    def loss(self, X: Any, y: Any) -> float:
        _, p = self.forward(X)
        return float(-np.log(p[np.arange(len(X)), y] + self.eps).mean())

    def gradient(self, X: Any, y: Any) -> dict[str, Any]:
        z, p = self.forward(X)
        p[np.arange(len(X)), y] -= 1
        p /= 1 if self.mistake == "1/n missing" else len(X) ** 2 if self.mistake == "1/n twice" else len(X)
        slope = (z > 0) if self.activation == "relu" else 1 if self.mistake == "no slope" else 1 - z**2
        back = (p @ self.params["W2"].T) * slope
        bias = {"first": back[0], "all": np.full(4, back.sum()), "other": np.array([0.3, -0.1, 0.2, 0.5])}
        gradient = {
            "W1": X.T @ back,
            "b1": bias.get(self.mistake, back.sum(axis=0)),
            "W2": z.T @ p,
            "b2": p.sum(axis=0),
        }
        if self.mistake == "flipped":
            gradient["W2"] *= -1
        return {key: array.astype(np.float64) for key, array in gradient.items()}


def cube(x: Any) -> Any:
    return np.sum(x * x * x)


def cube_gradient(x: Any) -> Any:
    return 3 * x**2


def product(W: Any) -> Any:
    return np.sum(np.sin(LEFT[:, : len(W)] @ W))


def product_gradient(W: Any) -> Any:
    return LEFT[:, : len(W)].T @ np.cos(LEFT[:, : len(W)] @ W)


def cross_entropy(eps: float = 0.0) -> Callable[[Any], Any]:
    def loss(logits: Any) -> Any:
        return -np.log(softmax(logits)[np.arange(len(logits)), LABELS[: len(logits)]] + eps).sum()

    return loss


def cross_entropy_gradient(logits: Any) -> Any:
    p = softmax(logits)
    p[np.arange(len(logits)), LABELS[: len(logits)]] -= 1
    return p


def log_sum_exp(logits: Any) -> Any:
    top = logits.max()
    return top + np.log(np.exp(logits - top).sum())


def unshifted_softmax(logits: Any) -> Any:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.exp(logits) / np.exp(logits).sum()


def spoiled(f: Any, gradient: Any, x: Any, place: Any, change: Any, kind: str, where: str = "x") -> Case:
    """Return a case whose gradient is changed in one place."""

    def wrong(x: Any) -> Any:
        g = np.array(gradient(x))
        g[place] = change(g[place])
        return g

    return Case((f, wrong, x), kind, where)


def dropout(x: Any) -> Any:
    return np.sum(x**2 * (RNG.random(x.shape) > 0.5))


def relu_sum(x: Any) -> Any:
    return np.maximum(x, 0).sum()


def rosenbrock(x: Any) -> Any:
    return np.sum(1e6 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def rosenbrock_gradient(x: Any) -> Any:
    g, inner = np.zeros_like(x), 2e6 * (x[1:] - x[:-1] ** 2)
    g[1:] += inner
    g[:-1] -= 2 * x[:-1] * inner + 2 * (1 - x[:-1])
    return g


def in_float32(x: Any) -> float:
    return float(np.sum(np.sin(x.astype(np.float32)), dtype=np.float32))


def partly_in_float32(x: Any) -> float:
    return float(np.sum(np.exp(np.asarray(np.sin(x.astype(np.float32)), dtype=np.float64))))


def far_parabola(x: Any) -> Any:
    return np.sum((100 + x) ** 2 - 200 * x)


def far_gradient_in_float32(x: Any) -> Any:
    return 2 * (100 + x.astype(np.float32)) - 200


def leaky_sum(x: Any) -> Any:
    return np.where(x > 0, x, 0.01 * x).sum()


def unguarded_sinc(x: Any) -> Any:
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.pi * x * np.cos(np.pi * x) - np.sin(np.pi * x)) / (np.pi * x**2)


def overflowing(x: Any) -> Any:
    with np.errstate(invalid="ignore", over="ignore"):
        return 1 - ((np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))) ** 2


def confident(z: Any) -> Any:
    return log_sum_exp(z) - z[0]


def log_determinant(A: Any) -> Any:
    return 2 * np.log(np.diag(np.linalg.cholesky((A + A.T) / 2))).sum()


def up_to_one(x: Any) -> Any:
    return np.where(x <= 1, x**2, np.nan).sum()


def inside_one(x: Any) -> Any:
    if x.min() < 0 or x.max() > 1:
        raise KeyError("beyond the bounds")
    return np.sum(np.sqrt(x * (1 - x) + 0.01))


def inside_one_gradient(x: Any) -> Any:
    return (1 - 2 * x) / (2 * np.sqrt(x * (1 - x) + 0.01))


def standardised(x: Any) -> Any:
    return np.sum((x - x.mean()) / np.sqrt(x.var() + 1e-5))


def cosine(x: Any) -> Any:
    y = NORMAL[1][: len(x)]
    return x @ y / np.sqrt((x @ x) * (y @ y))


def nested_sum(p: Any) -> Any:
    return sum(np.sum(array**2) / 2 for array in p["a"])


NESTED = {"a": [NORMAL[0].copy(), NORMAL[1, :1].copy()]}
VECTORS = np.linalg.qr(SQUARE)[0]
NEARLY_SINGULAR = (VECTORS * [1e-9, 0.5, 1, 2, 3]) @ VECTORS.T
PROBABILITIES = np.array([1e-6, 3e-6, 1e-4, 0.02, 0.3])
WIDE = np.random.default_rng(8).standard_normal((80, 120))

BROKEN = {
    "a sign": Case((cube, lambda x: -3 * x**2, NORMAL), "sign flipped"),
    "a sign and a factor": Case((cube, lambda x: -6 * x**2, NORMAL), "sign flipped"),
    "the sign of one array": Case((Network("flipped"), SAMPLES, CLASSES), "sign flipped", "W2"),
    "a sign, by complex steps": Case((cube, -3 * NORMAL**2, NORMAL), "sign flipped", options={"method": "complex"}),
    "a sign, extrapolated": Case((cube, -3 * NORMAL**2, NORMAL), "sign flipped", options={"method": "richardson"}),
    "a square one transposed": Case((product, lambda W: product_gradient(W).T, SQUARE), "transposed"),
    "an oblong one in the other order": Case(
        (product, lambda W: product_gradient(W).T.reshape(W.shape), NORMAL), "transposed"
    ),
    "transposed and doubled": Case((product, lambda W: 2 * product_gradient(W).T, SQUARE), "transposed"),
    "doubled": Case((cube, lambda x: 6 * x**2, NORMAL), "constant factor"),
    "halved": Case((lambda x: np.sum(x**2), lambda x: x, NORMAL), "constant factor"),
    "1/n missing": Case((Network("1/n missing"), SAMPLES, CLASSES), "constant factor", "W1, W2, b1, b2"),
    "1/n twice": Case((Network("1/n twice"), SAMPLES, CLASSES), "constant factor", "W1, W2, b1, b2"),
    "a factor, where f is in float32": Case((in_float32, lambda x: 1000 * np.cos(x), NORMAL), "constant factor"),
    "the mean's 1/n missing": Case((lambda x: np.mean(x**3), cube_gradient, NORMAL), "constant factor"),
    "left at zero": Case((cube, lambda x: np.zeros(x.shape), NORMAL), "left at zero"),
    "a bias of the first sample": Case((Network("first"), SAMPLES, CLASSES), "bias not summed over the samples", "b1"),
    "a bias summed over the units": Case((Network("all"), SAMPLES, CLASSES), "bias not summed over the samples", "b1"),
    "ε in the log of f": Case((lambda p: -np.sum(np.log(p + 1e-7)), lambda p: -1 / p, PROBABILITIES), "ε inside a log"),
    "ε in the gradient of a log": Case(
        (lambda p: -np.sum(np.log(p)), lambda p: -1 / (p + 1e-7), PROBABILITIES), "ε inside a log"
    ),
    "ε for rows of logits": Case((cross_entropy(1e-7), cross_entropy_gradient, 4 * NORMAL), "ε inside a log"),
    "ε for one sample": Case((cross_entropy(1e-7), cross_entropy_gradient, 9 * NORMAL[2:3]), "ε inside a log"),
    "ε in the loss of a network": Case((Network(eps=1e-6), SAMPLES, CLASSES), "ε inside a log", "W1, W2, b1, b2"),
    "a softmax that overflows": Case((log_sum_exp, unshifted_softmax, 5000 * NORMAL), "softmax without its shift"),
    "an infinite entry": spoiled(cube, cube_gradient, NORMAL, (1, 2), lambda g: g * np.inf, "not finite"),
    "a row": spoiled(product, product_gradient, NORMAL, 3, lambda g: 0 * g, "one row wrong", "x[3, :]"),
    "a row's sign": spoiled(product, product_gradient, NORMAL, 5, lambda g: -g, "one row wrong", "x[5, :]"),
    "a column": spoiled(product, product_gradient, NORMAL, np.s_[:, 2], lambda g: g + 1, "one column wrong", "x[:, 2]"),
    "an entry": spoiled(product, product_gradient, NORMAL, (1, 3), lambda g: g * 1.001, "one entry wrong", "x[1, 3]"),
    "a row of 80, sampled": spoiled(cube, cube_gradient, WIDE, 17, lambda g: g / 3, "one row wrong", "x[17, :]"),
    "a column of 120, sampled": spoiled(
        cube, cube_gradient, WIDE, np.s_[:, 111], lambda g: 2 * g, "one column wrong", "x[:, 111]"
    ),
    "an entry of 9,600": spoiled(
        cube, cube_gradient, WIDE, (55, 100), lambda g: g + 1, "one entry wrong", "x[55, 100]"
    ),
    "an entry beside a kink": Case(
        (lambda x: np.maximum(x, 0).sum(), np.array([0.0, 1, 5]), np.array([-1.0, 2, 0])), "one entry wrong", "x[2]"
    ),
    "float32 throughout": Case(
        (far_parabola, lambda x: far_gradient_in_float32(x).astype(float), NORMAL), "float32 inside"
    ),
    "float32 in a product": Case(
        (lambda x: far_parabola(x) / 3, lambda x: far_gradient_in_float32(x).astype(float) / 3, NORMAL),
        "float32 inside",
    ),
    "dropout": Case((dropout, lambda x: 2 * x, NORMAL), "function not deterministic", "f"),
    "a gradient of other samples each time": Case(
        (cube, lambda x: 3 * x**2 * (RNG.random(x.shape) > 0.5), NORMAL), "function not deterministic", "grad, x"
    ),
    "an f that does not use its argument": Case(
        (lambda _: 3.0, lambda x: 2 * x, [1.0, 2.0]), "function does not use x"
    ),
    "the slope of tanh forgotten": Case((Network("no slope"), SAMPLES, CLASSES), "no known pattern", "W1, b1"),
    "7 for x^1.5 at 0": Case((lambda x: np.sum(x**1.5), [7.0], [0.0]), "no known pattern"),
    "7 for the infinite slope of a cube root": Case((np.cbrt, 7.0, 0.0), "no known pattern"),
    "0/0": Case((lambda x: np.sum(np.sinc(x)), unguarded_sinc, [0.0, 0.3]), "not finite"),
    "tanh as a ratio that overflows": Case((lambda x: np.sum(np.tanh(x)), overflowing, [800.0, 1.0]), "not finite"),
    "a maximum's slope for all": Case((np.max, np.ones(4), [1.0, 2.0, 0.5, 0.1]), "given to all entries"),
    "a maximum's slope shared": Case((np.max, np.full(4, 0.25), [1.0, 2.0, 0.5, 0.1]), "no known pattern"),
    "no mask, all inactive": Case((relu_sum, np.ones(5), -np.arange(1.0, 6)), "not 0 where f is flat"),
    "no mask, some inactive": Case((relu_sum, np.ones(4), [-3.0, 1.0, -2.0, 5.0]), "not 0 where f is flat"),
    "a small slope left out": Case((lambda x: x[0] + 1e-6 * x[1], [1.0, 0.0], [1.0, 1.0]), "one entry wrong", "x[1]"),
    "the same by a function": Case(
        (lambda x: x[0] + 1e-6 * x[1], lambda x: np.array([1.0, 0.0]), [1.0, 1.0]), "one entry wrong", "x[1]"
    ),
    "2 in a million too large": Case((lambda x: np.sum(x**2), lambda x: 2 * x * (1 + 2e-6), NORMAL), "constant factor"),
    "2 in a million, one number": Case((lambda x: x**2, lambda x: 2 * x * (1 + 2e-6), 0.83255), "no known pattern"),
    "saturated and unshifted": Case(
        (confident, lambda z: unshifted_softmax(z) - [1, 0, 0], [1000.0, 1.0, 2.0]), "softmax without its shift"
    ),
    "a logarithm that raises": Case((math.log, lambda x: 2 / x, 0.5), "constant factor"),
    "a logarithm that raises near by": Case((math.log, lambda x: 2 / x, 1e-8), "constant factor"),
    "an arcsine that raises": Case((math.asin, lambda x: 2 / np.sqrt(1 - x * x), 0.9999), "constant factor"),
    "one of three logarithms": Case(
        (lambda x: sum(map(math.log, x)), lambda x: 1 / x + [0, 0, 0.1], [1e-8, 1.0, 3.0]), "one entry wrong", "x[2]"
    ),
    "a determinant near 0": Case((log_determinant, lambda A: 2 * np.linalg.inv(A), NEARLY_SINGULAR), "constant factor"),
    "a label forgotten at margin 40": Case((confident, softmax, [40.0, 0.0, 0.5]), "one entry wrong", "x[0]"),
    "beyond the domain of nan": Case((up_to_one, lambda x: 3 * x, [1.0, 0.5]), "constant factor"),
    "within bounds": Case(
        (inside_one, lambda x: 1.01 * inside_one_gradient(x), [0.0, 0.5, 1.0, 1e-9]),
        "constant factor",
        options={"bounds": (0, 1)},
    ),
    "rounded to a millionth": Case(
        (lambda x: np.round(np.sin(x).sum(), 6), lambda x: np.cos(x) + x, NORMAL[0]), "no known pattern"
    ),
    "nan, in one of 9,600": spoiled(cube, cube_gradient, WIDE, (7, 7), lambda g: np.nan, "not finite"),
    "a bias of other numbers": Case((Network("other"), SAMPLES, CLASSES), "no known pattern", "b1"),
    "a nested array": Case(
        (nested_sum, lambda p: {"a": [p["a"][0], 2 * p["a"][1]]}, NESTED), "constant factor", "a[1]"
    ),
    "the second of two arguments": Case(
        (np.dot, lambda a, b: (b, 2 * a), NORMAL[0], NORMAL[1]), "constant factor", "[1]"
    ),
} | {
    f"{factor} at x of {size:g}": Case(
        (lambda x: np.sum(np.sin(x)), lambda x, factor=factor: factor * np.cos(x), size * NORMAL[0]),
        "sign flipped" if factor < 0 else "constant factor",
    )
    for size in (1e-8, 1e-4, 1e4, 1e6, 1e8)
    for factor in (-1, 1.001)
}


SINGLE_X = NORMAL.astype(np.float32)
STORED = RNG.standard_normal(5)
READ_ONLY = NORMAL.copy()
READ_ONLY.flags.writeable = False
HILBERT = 1 / (np.arange(8)[:, None] + np.arange(8) + 1)
MOONLIKE = TwoLayerNet(5, 4, 3, seed=1)
SIGNS = TwoLayerNet(5, 4, 3, activation="sign", seed=1)

RIGHT = (
    {
        "a smooth function": Case((cube, cube_gradient, NORMAL)),
        "an array instead of a function": Case((cube, 3 * NORMAL**2, NORMAL)),
        "saturated units": Case(
            (lambda x: np.tanh(x).sum(), lambda x: 1 - np.tanh(x) ** 2, np.array([40.0, -40.0, 9.0, 0.1]))
        ),
        "all units saturated": Case(
            (lambda x: np.tanh(x).sum(), lambda x: 1 - np.tanh(x) ** 2, np.array([40.0, -50.0]))
        ),
        "a kink, its left slope": Case((relu_sum, lambda x: (x > 0) * 1.0, np.array([0.0, 1.0, -1.0]))),
        "a kink, its right slope": Case((relu_sum, lambda x: (x >= 0) * 1.0, np.array([0.0, 1.0, -1.0]))),
        "a kink, half way": Case((relu_sum, lambda x: (np.sign(x) + 1) / 2, np.array([0.0, 1.0, -1.0]))),
        "just beside a kink": Case(
            (relu_sum, lambda x: (x > 0) * 1.0, np.array([1e-13, -1e-13, 1.0, 1e-7, -1e-6, 1e-3]))
        ),
        "kinks within the steps": Case(
            (lambda x: np.abs(x).sum() + np.sum(x**2), lambda x: np.sign(x) + 2 * x, np.array([1e-5, -3e-8, 2.0, 1e-9]))
        ),
        "the larger of equal ones": Case((np.max, np.array([1.0, 0.0, 0.0]), np.array([2.0, 2.0, 1.0]))),
        "x of 1e-12": Case((lambda x: np.sum(np.sin(1e12 * x)), lambda x: 1e12 * np.cos(1e12 * x), 1e-12 * NORMAL)),
        "x of 1e12": Case((lambda x: np.sum(np.sin(1e-12 * x)), lambda x: 1e-12 * np.cos(1e-12 * x), 1e12 * NORMAL)),
        "x of 1e-200": Case((lambda x: np.sum((1e200 * x) ** 2), lambda x: 2e200 * (1e200 * x), 1e-200 * NORMAL)),
        "values of 1e-200": Case((lambda x: 1e-200 * np.sum(x**3), lambda x: 3e-200 * x**2, NORMAL)),
        "values of 1e200": Case((lambda x: 1e200 * np.sum(x**3), lambda x: 3e200 * x**2, NORMAL)),
        "sizes from 1e-9 to 1e9": Case(
            (
                lambda x: np.sum(np.sin(x / [1e-9, 1.0, 1e9])),
                lambda x: np.cos(x / [1e-9, 1.0, 1e9]) / [1e-9, 1.0, 1e9],
                np.array([1e-9, 1.0, 1e9]),
            )
        ),
        "a large constant": Case((lambda x: 1e8 + cube(x), cube_gradient, NORMAL)),
        "digits lost inside": Case((lambda x: np.sum((1e7 + x) - 1e7) + cube(x), lambda x: 1 + 3 * x**2, NORMAL)),
        "x of float32": Case((lambda x: np.sum(np.sin(x)), np.cos, NORMAL.astype(np.float32))),
        "x of float32, ignored": Case((lambda _: np.sum(np.sin(SINGLE_X)), lambda _: np.cos(SINGLE_X), SINGLE_X)),
        "f in float32": Case((in_float32, np.cos, NORMAL)),
        "f partly in float32": Case((partly_in_float32, lambda x: np.exp(np.sin(x)) * np.cos(x), NORMAL)),
        "a gradient of float32": Case((lambda x: np.sum(np.sin(x)), lambda x: np.cos(x).astype(np.float32), NORMAL)),
        "a gradient of float32 that lost digits": Case((far_parabola, far_gradient_in_float32, NORMAL)),
        "a constant": Case((lambda x: 3.0, lambda x: 0 * x, NORMAL)),
        "the bottom of a bowl": Case((lambda x: np.sum(x**2), lambda x: 2 * x, np.zeros((2, 3)))),
        "a flat bottom": Case(
            (lambda x: np.sum((x - 1) ** 4), lambda x: 4 * (x - 1) ** 3, np.array([1.0, 1.0 + 1e-4, 2.0]))
        ),
        "a jump far away": Case((lambda x: np.sum(x**2 + 5 * (x > 1.5)), lambda x: 2 * x, np.array([1.0, 1.45, -2.0]))),
        "stairs, on a step": Case((lambda x: np.floor(x).sum(), lambda x: 0 * x, np.array([0.3, 1.6, -0.5]))),
        "a jump at x": Case((lambda x: np.sum(x + np.sign(x)), lambda x: 0 * x + 1, np.array([0.0, 1.0, 2.0]))),
        "Rosenbrock's valley": Case((rosenbrock, rosenbrock_gradient, np.array([1.1, 1.21, 1.4641, 2.1436]))),
        "the end of Rosenbrock's valley": Case((rosenbrock, rosenbrock_gradient, np.ones(5))),
        "a Hilbert matrix": Case((lambda x: x @ HILBERT @ x / 2, lambda x: HILBERT @ x, np.linspace(-1, 1, 8))),
        "a fast oscillation": Case((lambda x: np.sum(np.sin(1e5 * x)), lambda x: 1e5 * np.cos(1e5 * x), NORMAL)),
        "steep at zero": Case((lambda x: np.sum(np.sin(1e6 * x)), lambda x: 1e6 * np.cos(1e6 * x), np.zeros(30))),
        "the edge of a domain": Case((lambda x: np.sum(np.log(x)), lambda x: 1 / x, np.array([1e-8, 1e-3, 1.0, 3.0]))),
        "logits of 1e4": Case((log_sum_exp, softmax, np.array([1e4, 1e4 + 1, -1e4]))),
        "one number": Case((lambda x: np.exp(x), np.exp(0.7), 0.7)),
        "integers": Case((lambda x: np.sum(x**2), [2, 4], [1, 2])),
        "a read-only array": Case((cube, 3 * NORMAL**2, READ_ONLY)),
        "every other column": Case((cube, 3 * NORMAL[:, ::2] ** 2, NORMAL.copy()[:, ::2])),
        "an argument that is ignored": Case((lambda _: cube(STORED), lambda _: 3 * STORED**2, STORED)),
        "no entries": Case((lambda x: 1.0, np.zeros((0, 3)), np.zeros((0, 3)))),
        "9,600 entries, sampled": Case((cube, cube_gradient, WIDE)),
        "9,600 kinks, sampled": Case((relu_sum, lambda x: (x > 0) * 1.0, np.zeros(WIDE.shape))),
        "complex steps": Case((cube, cube_gradient, NORMAL), options={"method": "complex"}),
        "complex steps of a nested array": Case((nested_sum, lambda p: p, NESTED), options={"method": "complex"}),
        "complex steps where f is not analytic": Case(
            (lambda x: np.sum(np.abs(x) ** 2 * x), cube_gradient, NORMAL), options={"method": "complex"}
        ),
        "extrapolation": Case(
            (lambda x: np.sum(np.exp(x)), np.exp, NORMAL), options={"method": "richardson", "rtol": 1e-10}
        ),
        "extrapolation beside a kink": Case(
            (lambda x: relu_sum(x) + cube(x), lambda x: (x > 0) + 3 * x**2, np.array([1e-3, 1.0])),
            options={"method": "richardson"},
        ),
        "a step of one's own": Case((cube, cube_gradient, NORMAL), options={"h": 1e-3}),
        "backpropagation, tanh": Case((Network(), SAMPLES, CLASSES)),
        "backpropagation, relu": Case((Network(activation="relu"), SAMPLES, CLASSES)),
        "TwoLayerNet": Case((MOONLIKE, SAMPLES, CLASSES)),
        "TwoLayerNet with hard thresholds": Case((SIGNS, SAMPLES, CLASSES), options={"h": 0.5}),
        "noise of the last digits": Case(
            (lambda x: np.sum(x**2) * (1 + 1e-14 * RNG.standard_normal()), lambda x: 2 * x, NORMAL)
        ),
        "√x at 0": Case((lambda x: np.sum(np.sqrt(x)), [np.inf, 0.5], [0.0, 1.0])),
        "∛x at 0": Case((lambda x: np.sum(np.cbrt(x)), [np.inf, 1 / 3], [0.0, 1.0])),
        "−√x at 0, raising": Case((lambda x: -math.sqrt(x), -np.inf, 0.0)),
        "x^1.5 at 0": Case((lambda x: np.sum(x**1.5), [0.0, 1.5], [0.0, 1.0])),
        "arcsine near 1": Case((math.asin, 1 / math.sqrt(1 - 0.9999**2), 0.9999)),
        "logarithms that raise": Case((lambda x: sum(map(math.log, x)), lambda x: 1 / x, [1e-8, 1.0, 50.0])),
        "a determinant near 0": Case((log_determinant, np.linalg.inv, NEARLY_SINGULAR)),
        "nan above": Case((up_to_one, lambda x: 2 * x, [1.0, 0.5])),
        "within bounds": Case((inside_one, inside_one_gradient, [0.0, 0.5, 1.0, 1e-9]), options={"bounds": (0, 1)}),
        "layer norm of one feature": Case((standardised, [0.0], [1.3])),
        "layer norm, but for rounding": Case((standardised, 1e-17 * NORMAL[0], NORMAL[1])),
        "cosine of parallel vectors": Case((cosine, 1e-17 * NORMAL[0], 3 * NORMAL[1])),
        "cosine of one feature": Case((cosine, [0.0], [0.7])),
        "a sum of softmax": Case((lambda z: np.sum(softmax(z)), lambda z: 0 * z, NORMAL[0])),
        "the softmax saturated": Case((confident, lambda z: softmax(z) - [1, 0, 0], [1000.0, 1.0, 2.0])),
        "rounded to a millionth": Case((lambda x: np.round(np.sin(x).sum(), 6), np.cos, NORMAL[0])),
        "one layer in float32": Case(
            (
                lambda x: np.tanh((x.astype(np.float32) @ SQUARE.astype(np.float32)).astype(np.float64)).sum(),
                lambda x: SQUARE @ (1 - np.tanh(x @ SQUARE) ** 2),
                SQUARE[0].copy(),
            )
        ),
        "a nested array": Case((nested_sum, lambda p: p, NESTED)),
        "two arguments": Case((np.dot, lambda a, b: (b, a), NORMAL[0], NORMAL[1])),
    }
    | {
        f"{name} at x of {size:g}": Case((f, gradient, size * NORMAL[0]))
        for size in (1e-8, 1e-4, 1e3, 1e4, 1e6, 1e8)
        for name, f, gradient in (
            ("sin", lambda x: np.sum(np.sin(x)), np.cos),
            ("log|x|", lambda x: np.sum(np.log(np.abs(x))), lambda x: 1 / x),
            ("x³ + x", lambda x: np.sum(x**3 + x), lambda x: 3 * x**2 + 1),
        )
    }
    | {
        f"margin {margin}": Case((confident, lambda z: softmax(z) - [1, 0, 0], [float(margin), 0.0, 0.5]))
        for margin in (10, 20, 24, 36, 38, 40, 100, 700)
    }
)
