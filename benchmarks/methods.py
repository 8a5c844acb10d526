"""Every way to the gradient that is compared, as a function without arguments, ready to be timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.backpropagation import Backpropagation
from benchmarks.problems import Problem
from tinynet import numerical_gradient
from tinynet.losses import mean_loss

Array = npt.NDArray[Any]
Run = Callable[[], Any]

CHUNKS = (1, 8, 32, 64, 256)  # perturbed networks computed at once; the fastest of them is taken
CHUNK_VALUES = 2**25  # of float64 at most in a chunk's largest array: 256 MB


@dataclass(frozen=True)
class Method:
    """A row of the table: `prepare` compiles and allocates, what it returns is timed.

    An entrywise method returns the wanted entries one after the other, at a cost in proportion to
    their number; any other returns the whole gradient, by parameter or as such a vector.
    """

    name: str
    kind: str  # "quotient" (L(θ + h) − L(θ − h)) / 2h, or "derivative"
    entrywise: bool
    prepare: Callable[[Problem], Run]


def as_vector(result: Any, problem: Problem) -> Array:
    """Return the wanted entries of what a method returned."""
    if isinstance(result, dict):
        return np.concatenate([np.asarray(result[key]).reshape(-1) for key in problem.net.params])[problem.entries]
    return np.asarray(result)


def loop(problem: Problem) -> Run:
    """Set up the loop, two forward passes a weight: tinynet.numerical_gradient."""
    net, X, labels = problem.net, problem.X, problem.labels
    weights = problem.theta[problem.entries]  # a view: perturbing it moves the network
    return lambda: numerical_gradient(lambda _: mean_loss(net._logits(X), labels), weights, problem.h)


def scipy_approx_derivative(problem: Problem) -> Run:
    """Set up SciPy's finite differences, as its optimizers use them."""
    from scipy.optimize._numdiff import approx_derivative

    f, x = _function_of_entries(problem)
    return lambda: approx_derivative(f, x, method="3-point", abs_step=problem.h)


def numdifftools_gradient(problem: Problem) -> Run:
    """Set up numdifftools with one step and no extrapolation: the same quotient."""
    import numdifftools

    f, x = _function_of_entries(problem)
    gradient = numdifftools.Gradient(f, step=problem.h, method="central", order=2, num_steps=1)
    return lambda: gradient(x)


def jax_vmap(problem: Problem) -> Run:
    """Set up JAX, compiled: lax.map over chunks of perturbed networks that vmap computes at once."""
    import jax
    import jax.numpy as jnp

    params, loss = _jax_problem(problem)
    h = problem.h

    def quotients(params: Any, indices: Any, chunk: int) -> Any:
        def at(key: str) -> Callable[[Any], Any]:
            def quotient(index: Any) -> Any:
                def moved(step: float) -> Any:
                    param = params[key]
                    return loss(params | {key: param.reshape(-1).at[index].add(step).reshape(param.shape)})

                return (moved(h) - moved(-h)) / (2 * h)

            return quotient

        return jnp.concatenate([jax.lax.map(at(key), indices[key], batch_size=chunk) for key in keys])

    compiled = jax.jit(quotients, static_argnums=2)
    indices = {key: jnp.asarray(index) for key, index in _entries_by_key(problem).items()}
    keys = list(indices)  # a dict comes out of jit sorted

    def with_chunk(chunk: int) -> Run:
        return lambda: jax.block_until_ready(compiled(params, indices, chunk))

    return _fastest_chunk(problem, with_chunk)


def torch_vmap(problem: Problem) -> Run:
    """Set up PyTorch: torch.func.vmap over chunks of perturbed networks."""
    import torch

    params, loss = _torch_problem(problem)
    h, indices = problem.h, {key: torch.as_tensor(index) for key, index in _entries_by_key(problem).items()}

    def of_key(key: str, chunk: int) -> Any:
        param = params[key]

        def quotient(move: Any) -> Any:
            step = move.reshape(param.shape)
            return (loss(params | {key: param + step}) - loss(params | {key: param - step})) / (2 * h)

        def moves(some: Any) -> Any:
            return torch.zeros(len(some), param.numel(), dtype=param.dtype).scatter_(1, some[:, None], h)

        return torch.cat([torch.func.vmap(quotient)(moves(some)) for some in indices[key].split(chunk)])

    def with_chunk(chunk: int) -> Run:
        def run() -> Any:
            with torch.no_grad():
                return torch.cat([of_key(key, chunk) for key in indices])

        return run

    return _fastest_chunk(problem, with_chunk)


def tinynet_exact(problem: Problem) -> Run:
    """Set up tinynet's exact differences, every weight's own."""
    return _tinynet(problem, "exact")


def tinynet_auto(problem: Problem) -> Run:
    """Set up tinynet's gradient as a training step calls it: the arguments are checked already."""
    return _tinynet(problem, "auto")


def tinynet_public(problem: Problem) -> Run:
    """Set up tinynet's gradient as a user calls it, who gets the checks of the arguments with it."""
    return lambda: problem.net.numerical_gradient(problem.X, problem.labels, h=problem.h)


def numpy_backpropagation(problem: Problem) -> Run:
    """Set up the chain rule in NumPy, which everything is measured against."""
    shape = problem.shape
    backpropagation = Backpropagation(len(problem.X), shape.n_features, shape.hidden_units, shape.n_classes)
    return lambda: backpropagation(problem.net.params, problem.X, problem.labels)


def torch_backpropagation(problem: Problem) -> Run:
    """Set up the chain rule by PyTorch's autograd."""
    import torch

    params, loss = _torch_problem(problem)
    for param in params.values():
        param.requires_grad_()
    return lambda: dict(zip(params, torch.autograd.grad(loss(params), list(params.values())), strict=True))


def jax_grad(problem: Problem) -> Run:
    """Set up the chain rule by JAX, compiled."""
    import jax

    params, loss = _jax_problem(problem)
    compiled = jax.jit(jax.grad(loss))
    return lambda: jax.block_until_ready(compiled(params))


METHODS = (
    Method("loop", "quotient", True, loop),
    Method("SciPy approx_derivative", "quotient", True, scipy_approx_derivative),
    Method("numdifftools", "quotient", True, numdifftools_gradient),
    Method("JAX jit + vmap", "quotient", True, jax_vmap),
    Method("torch.func vmap", "quotient", True, torch_vmap),
    Method("tinynet exact", "quotient", False, tinynet_exact),
    Method("tinynet auto", "quotient", False, tinynet_auto),
    Method("tinynet auto, public call", "quotient", False, tinynet_public),
    Method("NumPy backprop", "derivative", False, numpy_backpropagation),
    Method("torch backprop", "derivative", False, torch_backpropagation),
    Method("jax.grad", "derivative", False, jax_grad),
)
PEERS = tuple(method.name for method in METHODS[1:5])  # other libraries' ways to the same quotient


def _tinynet(problem: Problem, method: str) -> Run:
    net, X, labels, h = problem.net, problem.X, problem.labels, problem.h
    samples = net.samples(X, labels)
    return lambda: net.quotients(samples, h, method)


def _function_of_entries(problem: Problem) -> tuple[Callable[[Array], float], Array]:
    """Return the loss as a function of a vector, the way SciPy wants it, and where it stands."""
    own = problem.copy()
    theta, params, X, labels, entries = own.theta, own.net.params, own.X, own.labels, own.entries
    rows = np.arange(len(X))

    def f(x: Array) -> float:
        theta[entries] = x
        z = np.tanh(X @ params["W1"] + params["b1"])
        logits = z @ params["W2"] + params["b2"]
        largest = logits.max(axis=1)
        total = np.exp(logits - largest[:, None]).sum(axis=1)
        return float((np.log(total) + largest - logits[rows, labels]).mean())

    return f, problem.theta[entries].copy()


def _entries_by_key(problem: Problem) -> dict[str, Array]:
    """Return the wanted entries of each parameter as indices into its flat array."""
    positions, start, indices = np.arange(len(problem.theta))[problem.entries], 0, {}
    for key, param in problem.net.params.items():
        inside = positions[(positions >= start) & (positions < start + param.size)] - start
        if len(inside):
            indices[key] = inside
        start += param.size
    return indices


def _fastest_chunk(problem: Problem, with_chunk: Callable[[int], Run]) -> Run:
    largest = max(problem.net.params["W1"].size, len(problem.X) * problem.shape.hidden_units)
    runs = [with_chunk(chunk) for chunk in CHUNKS if chunk == 1 or chunk * largest <= CHUNK_VALUES]
    return min(runs, key=_second_call)


def _second_call(run: Run) -> float:
    run()
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _jax_problem(problem: Problem) -> tuple[Any, Callable[[Any], Any]]:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    X, labels = jnp.asarray(problem.X), jnp.asarray(problem.labels)

    def loss(params: Any) -> Any:
        logits = jnp.tanh(X @ params["W1"] + params["b1"]) @ params["W2"] + params["b2"]
        of_label = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
        return (jax.nn.logsumexp(logits, axis=1) - of_label).mean()

    return {key: jnp.asarray(param) for key, param in problem.net.params.items()}, loss


def _torch_problem(problem: Problem) -> tuple[Any, Callable[[Any], Any]]:
    import torch

    torch.set_num_threads(1)
    X, labels = torch.tensor(problem.X), torch.tensor(problem.labels)

    def loss(params: Any) -> Any:
        logits = torch.tanh(X @ params["W1"] + params["b1"]) @ params["W2"] + params["b2"]
        return torch.nn.functional.cross_entropy(logits, labels)

    return {key: torch.tensor(param) for key, param in problem.net.params.items()}, loss
