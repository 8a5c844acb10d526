"""The benchmark: it measures what it claims, and it runs with and without the other libraries."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import time
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from reference import backpropagation, extended_gradient, largest_error

from benchmarks import datasets, gradients, measure, memory, slopes, startup, thresholds
from benchmarks.backpropagation import Backpropagation, straight_through
from benchmarks.datasets import images
from benchmarks.methods import METHODS, Method, as_vector
from benchmarks.problems import Problem, Shape, extended_quotients
from benchmarks.report import Table, three_digits
from tinynet import SGD, TwoLayerNet, train
from tinynet.activations import sigmoid

STARTING = ("mnist_shaped", "startup", "sweep", "table")  # these start a process for each figure
SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "benchmark_gradients.py"
SMALL = Shape("moons", 2, 7, 2, batch_size=20)
SAMPLED = Shape("digits", 64, 6, 10, batch_size=20, sample=75)
BY_NAME = {method.name: method for method in METHODS}
LIBRARIES = {
    "SciPy approx_derivative": "scipy",
    "numdifftools": "numdifftools",
    "JAX jit + vmap": "jax",
    "jax.grad": "jax",
    "torch.func vmap": "torch",
    "torch backprop": "torch",
}
INSTALLED = [name for name in BY_NAME if find_spec(LIBRARIES.get(name, "numpy"))]

WITHOUT = """
import runpy, sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"jax", "torch", "numdifftools"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Nothing())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def seconds(text: str) -> float:
    value, unit = text.split()
    return float(value) * {"s": 1.0, "ms": 1e-3, "µs": 1e-6}[unit]


def flat(gradient: dict[str, Any]) -> Any:
    return np.concatenate([entry.reshape(-1) for entry in gradient.values()])


@pytest.mark.parametrize(("n", "weight_scale"), [(1, 1.0), (30, 1.0), (30, 300.0)])  # 300: exp would overflow
def test_the_benchmarks_backpropagation_follows_the_chain_rule(
    n: int, weight_scale: float, rng: np.random.Generator
) -> None:
    slopes: dict[str, Any] = {
        "tanh": lambda a, z: 1 - z**2,
        "relu": lambda a, z: (a > 0) * 1.0,
        "sigmoid": lambda a, z: z * (1 - z),
        "silu": lambda a, z: sigmoid(a) + z * (1 - sigmoid(a)),
    }
    for activation, slope in slopes.items():
        net = TwoLayerNet(6, 5, 4, activation=activation, weight_scale=weight_scale, seed=3)
        measured = Backpropagation(n, 6, 5, 4, activation)
        for _ in range(2):  # the second call finds the buffers of the first
            X, y = rng.standard_normal((n, 6)), rng.integers(0, 4, n)
            net.params["b1"][:] = rng.standard_normal(5)
            net.params["b2"][:] = rng.standard_normal(4)
            truth = backpropagation(net.params, slope, net.activation(X @ net.params["W1"] + net.params["b1"]), X, y)
            with np.errstate(over="ignore"):  # exp of a saturated unit's −a
                assert largest_error(measured(net.params, X, y), truth) < 1e-12, activation


@pytest.mark.parametrize(
    ("slope", "smooth"),
    [("tanh slope", np.tanh), ("identity", lambda a: a + 0.5), ("clipped", lambda a: a.clip(-1, 1))],
)
def test_a_straight_through_gradient_is_exact_for_units_of_its_slope(
    slope: str, smooth: Any, rng: np.random.Generator
) -> None:
    net = TwoLayerNet(5, 6, 3, activation=smooth, weight_scale=0.8, seed=1)
    X, y = rng.standard_normal((40, 5)), rng.integers(0, 3, 40)
    estimate = straight_through(net, thresholds.SLOPES[slope], X, y)
    truth = extended_gradient(net.params, smooth, X, y, h=1e-7)
    assert largest_error(estimate, truth) < 1e-6
    frozen = straight_through(net, thresholds.SLOPES["none"], X, y)  # leaves training to the second layer
    assert not frozen["W1"].any() and not frozen["b1"].any()
    assert largest_error({key: frozen[key] for key in ("W2", "b2")}, {key: truth[key] for key in ("W2", "b2")}) < 1e-9


@pytest.mark.parametrize(("activation", "h"), [("tanh", 1e-4), ("tanh", 0.5), ("sign", 0.5), ("quantised:4", 0.5)])
@pytest.mark.parametrize("shape", [SMALL, SAMPLED], ids=["all entries", "a sample"])
def test_the_benchmarks_truth_is_the_loop_in_extended_precision(shape: Shape, activation: str, h: float) -> None:
    problem = Problem(shape, activation=activation, h=h)
    truth = flat(extended_gradient(problem.net.params, problem.net.activation.function, problem.X, problem.labels, h))
    error = np.abs(extended_quotients(problem) - truth[problem.entries]).max()
    assert error / np.abs(truth).max() < 1e-12
    assert problem.n_entries == len(truth) if shape.sample is None else 60 <= problem.n_entries <= 75


def test_a_sample_visits_every_unit_and_spreads_over_all_weights() -> None:
    problem = Problem(SAMPLED)
    visited = np.arange(len(problem.theta))[problem.entries]
    assert set(visited[visited < 64 * 6] % 6) == set(range(6))
    assert visited[0] < 7 and visited[-1] >= len(problem.theta) - 7


@pytest.mark.parametrize("shape", [SMALL, SAMPLED], ids=["all entries", "a sample"])
@pytest.mark.parametrize("name", [name for name in INSTALLED if name not in LIBRARIES])
def test_tinynets_methods_and_backpropagation_are_accurate(name: str, shape: Shape) -> None:
    assert_right_twice(BY_NAME[name], shape)


@pytest.mark.parametrize("name", [name for name in INSTALLED if name in LIBRARIES])
def test_every_installed_peer_is_accurate(name: str) -> None:
    # in its own process: JAX and PyTorch start threads, and other tests fork
    program = (
        "import test_benchmarks as t\n"
        f"for shape in (t.SMALL, t.SAMPLED): t.assert_right_twice(t.BY_NAME[{name!r}], shape)\n"
        "print('right')"
    )
    path = os.pathsep.join([str(SCRIPT.parents[1]), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert (done.stdout, done.returncode) == ("right\n", 0), done.stderr


def assert_right_twice(method: Method, shape: Shape) -> None:
    problem = Problem(shape)
    before = problem.theta.tobytes()
    truth = extended_quotients(problem)
    run = method.prepare(problem)
    for _ in range(2):
        error = np.abs(as_vector(run(), problem) - truth).max() / np.abs(truth).max()
        assert error < (1e-9 if method.kind == "quotient" else 1e-7), error
    assert problem.theta.tobytes() == before


def test_a_wrong_method_shows_in_the_error_column() -> None:
    problem = Problem(SMALL)
    wrong = Method("wrong", "quotient", False, lambda problem: lambda: 1.001 * extended_quotients(problem))
    result = gradients.compare(problem, (wrong,), rounds=1, budget_s=1.0)["wrong"]
    assert result.error == pytest.approx(1e-3, rel=0.01)


def test_the_time_of_a_sampled_method_is_scaled_to_all_weights() -> None:
    problem = Problem(SAMPLED)
    names = ("loop", "tinynet exact")
    results = gradients.compare(problem, tuple(BY_NAME[name] for name in names), rounds=1, budget_s=1.0)
    assert results["loop"].factor == len(problem.theta) / problem.n_entries > 4
    assert results["tinynet exact"].factor == 1.0
    timing = results["loop"].timing
    assert timing is not None and results["loop"].ratios[0] == timing.ratios[0] * results["loop"].factor


def test_every_round_runs_every_method_and_the_reference() -> None:
    visits: list[str] = []
    runs = {name: (lambda name=name: visits.append(name)) for name in ("a", "b")}
    timings = measure.interleave(runs, lambda: visits.append("reference"), rounds=3, budget_s=60.0)
    assert [name for name, _ in groupby(visits)] == ["reference", "a", "reference", "b"] * 3
    assert [len(timing.ratios) for timing in timings.values()] == [3, 3]


def test_a_method_that_has_used_its_budget_is_skipped() -> None:
    timings = measure.interleave({"slow": lambda: None}, lambda: None, rounds=5, budget_s=1e-6)
    assert len(timings["slow"].ratios) == 1


def test_ratios_are_taken_within_a_round() -> None:
    slow, quick = measure.Timing(ratios=[4.0, 100.0, 6.0, 1.0]), measure.Timing(ratios=[2.0, 10.0, 2.0])
    assert slow.over(quick) == 3.0  # the median of 2, 10 and 3; the quick one skipped the last round


def test_a_ratio_of_methods_includes_the_weights_not_visited() -> None:
    sampled = gradients.Result(BY_NAME["loop"], measure.Timing(ratios=[8.0]), factor=3.0)
    whole = gradients.Result(BY_NAME["tinynet auto"], measure.Timing(ratios=[2.0]))
    assert sampled.over(whole) == "12.0"
    assert sampled.over(gradients.Result(BY_NAME["jax.grad"])) == "not installed"


@pytest.mark.parametrize(
    ("cores", "remark"),
    [
        ([1.0, 1.9, 1.0], "extrapolated from 50 entries; used 1.9 cores"),
        ([0.5, 1.0, 0.6], "extrapolated from 50 entries; had 60% of its core"),
        ([0.99, 0.5, 1.01], "extrapolated from 50 entries"),
    ],
)
def test_a_row_marks_extrapolation_and_a_shared_core(cores: list[float], remark: str) -> None:
    timing = measure.Timing(durations_s=[0.4, 0.5, 0.6], ratios=[10.0, 10.0, 10.0], cores=cores)
    result = gradients.Result(BY_NAME["loop"], timing, error=1e-11, factor=4.0)
    assert result.cells(50)[2:] == ["2.00 s", "40.0 [40.0, 40.0]", "1.0e-11", "3", remark]


def test_evaluations_and_errors_of_slopes_are_recorded_per_method(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [task.name for task in slopes.tasks()]
    assert len(set(names)) == 102 and len(names) > 800
    ways = {"off by 1 %, says 2 %": lambda f, x: (f(x) * 0 + 1.01, 0.02), "fails": lambda f, x: (np.nan, np.nan)}
    line = slopes.Task("x", lambda x: x, 2.0, 1.0)
    monkeypatch.setattr(slopes, "WAYS", ways)
    monkeypatch.setattr(slopes, "ESTIMATES", tuple(ways))
    monkeypatch.setattr(slopes, "tasks", lambda: iter([line] * 5))
    rows = [row[1:] for row in slopes.compare().rows]
    assert rows == [["1.0", "1e-02", "1e-02", "100 %"], ["0.0", "inf", "inf", "0 %"]]


def test_the_number_of_cores_in_use_is_measured() -> None:
    timings = measure.interleave({"idle": lambda: time.sleep(0.05)}, lambda: None, rounds=1, budget_s=1.0)
    assert timings["idle"].cores[0] < 0.5


def test_a_command_is_timed_and_must_end_as_expected(tmp_path: Path) -> None:
    program = "import os, sys, time; time.sleep(0.1); print(os.getcwd()); sys.exit('no such thing')"
    elapsed, printed = measure.timed("-c", program, status=1, cwd=tmp_path)
    assert elapsed >= 0.1 and printed == f"{tmp_path}\n"
    with pytest.raises(RuntimeError, match=r"ended with 1, not 0: no such thing"):
        measure.timed("-c", program)


def test_a_difference_between_methods_is_taken_seed_by_seed() -> None:
    accuracies = {"ours": [0.9, 0.9, 0.8, 0.7], "other": [0.8, 0.8, 0.8, 0.8]}
    assert thresholds.beside(accuracies, "ours", "other") == "+2.50 ± 9.57 (2 / 1 / 1)"
    assert thresholds.beside(accuracies, "ours", "ours") == ""


def test_working_memory_excludes_the_gradient_itself() -> None:
    problem = Problem(Shape("digits", 64, 50, 10, batch_size=100))

    def prepare(problem: Problem) -> Any:
        workspace = np.ones(10**6)  # 8 MB that stay, and 8 MB during a call
        return lambda: np.multiply(workspace, 2.0)[: len(problem.theta)].copy()

    peak = memory.peak_bytes(problem, Method("greedy", "quotient", False, prepare))
    assert peak == pytest.approx(16e6, abs=1e4)  # the gradient takes 30 kB


def test_test_images_are_made_only_from_test_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    blank, full = np.zeros((3, 64)), np.full((3, 64), 16.0)
    source = SimpleNamespace(X_train=blank, y_train=np.zeros(3), X_test=full, y_test=np.ones(3))
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: source)
    X_train, y_train, X_test, y_test = images(0, n_train=9, n_test=9)
    assert not X_train.any() and not y_train.any()
    assert ((X_test > 0).sum(axis=1) > 390).all() and y_test.all()
    assert X_test.reshape(-1, 28, 28)[:, 2:, 2:].any() and not X_test.reshape(-1, 28, 28)[:, :2].any()


def test_images_are_reproducible() -> None:
    first, second, other = (images(seed, n_train=50, n_test=20) for seed in (0, 0, 1))
    assert [part.shape for part in first] == [(50, 784), (50,), (20, 784), (20,)]
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert not (first[0] == other[0]).all()
    assert first[0].min() == 0.0 and 0.9 < first[0].max() <= 1.0
    assert 0.2 < (first[0] > 0).mean() < 0.6


def test_thresholds_train_with_the_weights_and_batches_of_train() -> None:
    data = images(0, n_train=130, n_test=10)
    _, gradient = thresholds.METHODS["tanh, quotients with h = 1e-4"]
    net = thresholds.trained(data, "tanh", gradient, epochs=2, seed=4)
    same = TwoLayerNet(784, 50, 10, seed=4)
    train(same, *data[:2], SGD(0.1, 0.9), epochs=2, batch_size=100, seed=4)
    assert flat(net.params).tobytes() == flat(same.params).tobytes()


def test_a_table_is_valid_markdown_with_three_digit_numbers() -> None:
    text = Table("Title", ("a", "b"), [["1", "22"]], "note").markdown()
    assert text == "### Title\n\n| a | b  |\n|---|----|\n| 1 | 22 |\n\nnote"
    rounded = [three_digits(value) for value in (0.0123, 9.996, 999.9, 1234567.0)]
    assert rounded == ["0.0123", "10.0", "1,000", "1,230,000"]


def test_a_row_says_when_scipys_differences_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize._numdiff", None)
    results = gradients.compare(Problem(SMALL), METHODS[:2], rounds=1, budget_s=1.0)
    assert results["loop"].timing is not None and results["SciPy approx_derivative"].timing is None


@pytest.mark.parametrize("left_out", [STARTING, pytest.param((), marks=pytest.mark.soak)], ids=["some", "all"])
def test_the_command_runs_without_the_other_libraries(left_out: tuple[str, ...], tmp_path: Path) -> None:
    chosen = [part for part in runpy.run_path(str(SCRIPT))["PARTS"] if part not in left_out]
    command = [sys.executable, "-c", WITHOUT, str(SCRIPT), "--quick", "--output", str(tmp_path / "out")]
    command += ["--part", *chosen]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    parts = [path.stem for path in sorted((tmp_path / "out").glob("*.md"), key=lambda path: path.stat().st_mtime_ns)]
    assert parts == chosen
    texts = {part: (tmp_path / "out" / f"{part}.md").read_text(encoding="utf-8") for part in parts}
    assert done.stdout == "".join(text + "\n" for text in texts.values())
    for method in METHODS:
        rows = [line for line in texts["gradients"].splitlines() if line.startswith(f"| {method.name} ")]
        assert len(rows) == len(gradients.QUICK_SHAPES)
        missing = LIBRARIES.get(method.name, "numpy") in ("jax", "torch", "numdifftools")
        assert all(("not installed" in row) == missing for row in rows)
    assert all(f"| {name} " in texts["thresholds"] for name in thresholds.METHODS)
    cores = "1 core for the process" if hasattr(os, "sched_setaffinity") else " cores for the process"
    assert all(cores in text for text in texts.values())

    def rows_of(part: str, *begin: str) -> list[list[str]]:
        lines = [line for line in texts[part].splitlines() if line.startswith(begin)]
        return [[cell.strip() for cell in line.split("|")] for line in lines]

    def assert_beside(rows: list[list[str]], column: int, reference: int, of: int = 2) -> None:
        for row in rows:
            ratio = seconds(row[of]) / seconds(rows[reference][of])
            assert float(row[column].split()[0]) == pytest.approx(ratio, rel=0.02), row[1]

    trained = rows_of("training", "| digits", "| 200 images")
    for ours, theirs in zip(trained[::2], trained[1::2], strict=True):
        assert_beside([ours, theirs], 6, 1, of=5)
        assert theirs[6].split() == ["1.00", "[1.00,", "1.00]"]
    assert all(f"| {unit} " in texts["units"] for unit in ("tanh", "relu", "sigmoid", "silu"))
    if not left_out:
        tables = texts["mnist_shaped"]
        assert tables.count("| tinynet train ") == tables.count("| scikit-learn script ") == 1
        swept, begun = rows_of("sweep", "| script", "| --jobs"), rows_of("startup", "| python", "| tinynet")
        assert [row[1] for row in swept] == ["script", "--jobs 1", "--jobs 2"]
        assert [row[1] for row in begun] == list(startup.COMMANDS)
        for measured, column, reference in ((swept, 3, 0), (swept, 4, 1), (begun, 3, 0)):
            assert_beside(measured, column, reference)
    ways = [line.split("|")[1:] for line in texts["slopes"].splitlines() if line.startswith("| ")][1:]
    assert [row[0].strip() for row in ways] == list(slopes.WAYS)
    assert all((row[1].strip() == "not installed") == row[0].strip().startswith("numdifftools") for row in ways)
    assert "| exponent over the last decade " in texts["growth"]
    assert texts["memory"].count(" MB  ") == 2
    for part in ("gradients", "growth"):
        assert (tmp_path / "out" / f"{part}.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_the_benchmark_script_has_40_lines_or_fewer() -> None:
    assert len(SCRIPT.read_text(encoding="utf-8").splitlines()) <= 40


def test_an_output_folder_that_cannot_be_made_gives_one_line(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    command = [sys.executable, str(SCRIPT), "--quick", "--output", str(taken)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.splitlines()[-1].endswith(f"--output {taken}: File exists")
