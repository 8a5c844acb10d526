"""check_gradient: wrong gradients are found and named, right ones pass, and nothing is left changed."""

from __future__ import annotations

import math
import re
import runpy
import sys
import types
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from gradient_cases import BROKEN, CLASSES, NORMAL, RIGHT, SAMPLES, SQUARE, Network, cube, cube_gradient
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import checkers
from tinynet import (
    GradientReport,
    InvalidTypeError,
    InvalidValueError,
    WrongGradientError,
    check_gradient,
    numerical_gradient,
)
from tinynet.checking.mistakes import UNDECIDED
from tinynet.checking.slopes import Here, careful_slope

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "gradient_check.md").read_text(encoding="utf-8")


@cache
def report_of(name: str, *, broken: bool) -> GradientReport:
    case = (BROKEN if broken else RIGHT)[name]
    return check_gradient(*case.arguments, **case.options)


@pytest.mark.parametrize("name", BROKEN)
def test_a_wrong_gradient_is_found_and_its_mistake_is_named(name: str) -> None:
    report, case = report_of(name, broken=True), BROKEN[name]
    assert {(mistake.kind, mistake.where) for mistake in report.mistakes} == {(case.kind, case.where)}
    with pytest.raises(WrongGradientError, match=case.kind):
        report.raise_if_failed()


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_gradient_passes_in_every_hard_case(name: str) -> None:
    report = report_of(name, broken=False)
    assert report.ok and not report.wrong, str(report)
    assert name in ("just beside a kink", "a jump at x") or not report.having("undecided")
    report.raise_if_failed()


def test_the_evidence_names_the_factor_and_the_ε() -> None:
    for name, said in {
        "doubled": "doubled",
        "halved": "halved",
        "1/n missing": "1/n is missing, n = 12 samples",
        "1/n twice": "1/n twice, n = 12 samples",
        "the mean's 1/n missing": "1/n is missing if n = 24",
        "transposed and doubled": "a factor of 2",
        "a row's sign": "expected = -1 in it",
        "a row of 80, sampled": "1/n once too often if n = 3",
        "ε in the log of f": "ε = 1e-07 explains every ratio as 1 + ε/x; f has it",
        "ε in the gradient of a log": "ε = 1e-07 explains every ratio as 1 + ε/x; the gradient has it",
        "ε for rows of logits": "ε = 1e-07",
        "ε for one sample": "ε = 1e-07",
        "ε in the loss of a network": "ε = 1e-06",
        "float32 throughout": "every value is a float32",
        "float32 in a product": "changes no bit",
        "an f that does not use its argument": "x was copied to float64",
    }.items():
        assert said in str(report_of(name, broken=True)), name


@pytest.mark.parametrize("name", ["a kink, its left slope", "a kink, its right slope", "the larger of equal ones"])
def test_a_kink_inside_the_step_is_not_the_gradients_fault(name: str) -> None:
    report = report_of(name, broken=False)
    assert "kink" in {entry.verdict for entry in report.entries}
    assert "not the gradient's fault" in str(report)


def test_the_smallest_x_and_the_largest_values_can_be_checked() -> None:
    for x in (1e-320, 5e-324):
        assert check_gradient(np.sum, np.ones(1), np.array([x])).n_entries == 1
    assert check_gradient(lambda x: 1e308 * np.sum(x), np.array([1e308]), np.array([1.0])).ok


class Counted:
    def __init__(self, f: Any) -> None:
        self.f, self.calls = f, 0

    def __call__(self, x: Any) -> Any:
        self.calls += 1
        return self.f(x)


def test_method_quotient_measures_no_random_direction() -> None:
    f = Counted(lambda x: np.sum(x**2))
    assert check_gradient(f, 2 * np.ones(100), np.ones(100), method="quotient", sample=4).ok
    assert f.calls < 4 * 9 + 12  # the noise: 4 times 9 points, and 3; two each of 4 entries


def test_a_kink_beyond_the_step_is_not_reported() -> None:
    slope = careful_slope(lambda t: (t, abs(t - 0.003)), Here(0.003, 1e-18, 1.1e-16), (1.0, 1.0))
    assert not slope.kink and slope.value == pytest.approx(-1, abs=1e-12)


def test_an_error_of_1_percent_close_to_a_kink_is_found() -> None:
    x = np.array([-0.496, -0.4962])
    right = np.array([2 * (1 - np.tanh(x[0]) ** 2), 0.0])
    assert check_gradient(lambda x: 2 * np.tanh(x.max()), right, x).ok
    assert [entry.label for entry in check_gradient(lambda x: 2 * np.tanh(x.max()), 1.01 * right, x).wrong] == ["x[0]"]


@pytest.mark.parametrize("name", ["complex steps", "extrapolation", "a smooth function", "a large constant"])
def test_the_error_bar_holds_the_truth(name: str) -> None:
    for entry in report_of(name, broken=False).entries:
        truth = math.exp(NORMAL[entry.index]) if name == "extrapolation" else 3 * NORMAL[entry.index] ** 2
        assert abs(entry.expected - truth) <= entry.error + 1e-15 * abs(truth)


def test_complex_steps_and_extrapolation_beat_differences() -> None:
    bars = {
        method: max(entry.error for entry in check_gradient(cube, cube_gradient, NORMAL, method=method).entries)
        for method in ("central", "richardson", "complex")
    }
    assert bars["complex"] < bars["richardson"] < bars["central"] / 10


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.floats(-12, 12), st.sampled_from([-1.0, 0.999, 1.001, 3.0]))
def test_the_scale_of_x_does_not_matter(seed: int, power: float, factor: float) -> None:
    unit = 10.0**power
    x = unit * np.random.default_rng(seed).standard_normal(8)
    assert check_gradient(lambda x: np.sum(np.sin(x / unit)), np.cos(x / unit) / unit, x, seed=seed % 99).ok
    assert not check_gradient(lambda x: np.sum(np.sin(x / unit)), factor * np.cos(x / unit) / unit, x).ok


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_kinks_near_and_far_cause_no_false_alarm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(12) * 10.0 ** rng.uniform(-16, 0, 12)
    for method in ("central", "richardson"):
        report = check_gradient(lambda x: np.sum(np.abs(x) * (1 + x)), np.sign(x) * (1 + 2 * x), x, method=method)
        assert not report.wrong, str(report)


def test_wrong_entries_are_ranked_and_shown_with_error_bars() -> None:
    net = Network()
    right = net.gradient(SAMPLES, CLASSES)
    right["W1"][2, 3] += 1e-3
    right["b2"][1] += 1.0
    report = check_gradient(lambda _: net.loss(SAMPLES, CLASSES), right, net.params)
    assert [entry.label for entry in report.wrong] == ["b2[1]", "W1[2, 3]"]
    assert report.worst is report.wrong[0]
    assert report.worst.ratio == pytest.approx(report.worst.got / (report.worst.got - 1), rel=1e-6)
    text = str(report)
    assert "39 of 39 entries measured, 2 wrong" in text
    assert text.index("b2[1]: one entry wrong") < text.index("  b2[1]  ") < text.index("  W1[2, 3]  ")
    assert f"± {report.worst.error:.0e}" in text


def test_a_sample_is_seeded_and_stated_and_covers_every_row() -> None:
    x = np.random.default_rng(0).standard_normal((50, 70))
    reports = [check_gradient(cube, cube_gradient, x, seed=seed) for seed in (5, 5, 6)]
    first, again, other = ({entry.index for entry in report.entries} for report in reports)
    assert first == again != other
    assert len(first) == 64 and len({row for row, _ in first}) == 50
    assert "a sample of 64 of 3,500 entries, seed 5" in str(reports[0])
    assert len(check_gradient(cube, cube_gradient, x[:9, :9], sample=None).entries) == 81


def test_many_entries_cost_little_more_than_their_sample() -> None:
    x, right, wrong = np.random.default_rng(0).standard_normal((200, 500)), Counted(cube), Counted(cube)
    report = check_gradient(right, cube_gradient, x)
    assert report.ok and len(report.entries) == 64 and right.calls < 6 * 64
    assert not check_gradient(wrong, lambda x: -cube_gradient(x), x).ok and wrong.calls < 18 * 64


def test_kinks_in_a_random_direction_start_no_search() -> None:
    report = report_of("9,600 kinks, sampled", broken=False)
    assert {entry.verdict for entry in report.entries} == {"kink"} and "searched" not in str(report)


@pytest.mark.parametrize("fatal_call", [0, 5, 40, 130])
def test_x_is_restored_exactly_even_when_f_raises(fatal_call: int) -> None:
    net, calls = Network(), iter(range(10**6))

    def fails_once(_: Any) -> float:
        if next(calls) == fatal_call:
            raise KeyError("on purpose")
        return net.loss(SAMPLES, CLASSES)

    before = {key: array.tobytes() for key, array in net.params.items()}
    with pytest.raises(KeyError):
        check_gradient(fails_once, net.gradient(SAMPLES, CLASSES), net.params)
    assert before == {key: array.tobytes() for key, array in net.params.items()}


def test_a_sampled_array_is_also_restored_after_the_search() -> None:
    x = np.array(np.random.default_rng(1).standard_normal((40, 60)), order="F")
    before, gradient = x.copy(), cube_gradient(x)
    gradient[7, 9] = 0
    assert not check_gradient(lambda _: cube(x), gradient, x).ok
    assert x.tobytes() == before.tobytes()


def test_a_measured_gradient_is_compared_with_its_own_quotient() -> None:
    case = RIGHT["TwoLayerNet with hard thresholds"]
    entries = report_of("TwoLayerNet with hard thresholds", broken=False).entries
    assert {entry.step for entry in entries} == {0.5} and {entry.verdict for entry in entries} == {"right"}
    assert max(entry.error for entry in entries) < 1e-13
    net, X, y = case.arguments
    report = check_gradient(lambda _: net.loss(X, y), net.numerical_gradient(X, y, h=0.4), net.params, h=0.5)
    assert not report.ok
    quotient = net.numerical_gradient(X, y, h=0.4)
    assert check_gradient(lambda _: net.loss(X, y), quotient, net.params, h=0.4, method="quotient").ok


class Net:
    """A linear network whose gradient is `factor` times too large; `loss` takes the gaps between outputs and y."""

    def __init__(self, loss: Any, factor: float = 2.0) -> None:
        self.params, self._loss, self.factor = {"W": np.array([0.3, -0.7])}, loss, factor

    def loss(self, X: Any, y: Any) -> float:
        return float(self._loss(X @ self.params["W"] - y))

    def gradient(self, X: Any, y: Any) -> dict[str, Any]:
        return {"W": self.factor * numerical_gradient(lambda W: self._loss(X @ W - y), self.params["W"])}


@pytest.mark.parametrize(
    "loss",
    [lambda gap: np.mean(gap**2) - 1000, lambda gap: np.mean(gap**2) if len(gap) > 1 else np.nan],
    ids=["below -700", "not of one sample"],
)
def test_a_loss_without_per_sample_values_can_be_checked(loss: Any) -> None:
    X, y = np.random.default_rng(0).standard_normal((8, 2)), np.arange(8.0)
    report = check_gradient(Net(loss), X, y, rtol=1e-4)
    assert [(mistake.kind, "doubled" in str(mistake)) for mistake in report.mistakes] == [("constant factor", True)]


def test_one_sample_never_lacks_a_division_by_n() -> None:
    X, y = np.array([[1.0, 2.0]]), np.array([3.0])
    (mistake,) = check_gradient(Net(lambda gap: np.mean(gap**2), 1.01), X, y, rtol=1e-4).mistakes
    assert "1/n" not in str(mistake)
    (mistake,) = check_gradient(lambda x: np.sum(x**2), lambda x: 2e-11 * x, NORMAL).mistakes
    assert "1/n" not in str(mistake)


def test_nothing_passes_where_no_two_values_agree() -> None:
    rng = np.random.default_rng(0)
    for f, gradient, x in (
        (lambda x: np.sum(x**2) + rng.standard_normal(), lambda x: 2 * x, NORMAL),
        (lambda x: np.sign(x).sum(), np.zeros(3), np.zeros(3)),
    ):
        report = check_gradient(f, gradient, x)
        assert not report.ok and not report.wrong
        with pytest.raises(WrongGradientError, match=r"^nothing was decided"):
            report.raise_if_failed()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((3, None, NORMAL), {}, "f must be callable, or have params, loss and gradient; got int"),
        ((cube, NORMAL), {}, "x is missing"),
        ((types.SimpleNamespace(params={}, loss=cube), NORMAL, NORMAL), {}, "neither gradient nor numerical_gradient"),
        ((types.SimpleNamespace(params={}, loss=cube), 1.0, 0), {}, "X with a row for each sample; got float, int"),
        ((types.SimpleNamespace(params={}, loss=cube), NORMAL, 0, "x"), {}, "each sample; got ndarray, int, str"),
        ((cube, 3 * NORMAL[:2] ** 2, NORMAL), {}, "grad must have the shape of x, \\(6, 4\\), got \\(2, 4\\)"),
        ((cube, NORMAL.T, NORMAL), {}, "got \\(4, 6\\): transposed\\?"),
        ((cube, NORMAL, NORMAL[0]), {}, "got \\(6, 4\\): not summed over the 6 samples\\?"),
        ((cube, 1j * NORMAL, NORMAL), {}, "grad must hold real numbers, got dtype complex128"),
        ((cube, NORMAL, 1j * NORMAL), {}, "x must hold real numbers, got dtype complex128"),
        ((cube, NORMAL, np.array([1.0, np.nan])), {}, "x holds 1 values that are nan or infinite"),
        ((lambda x: x, NORMAL, NORMAL), {}, "f must return one real number, got an array of shape \\(6, 4\\)"),
        ((lambda x: math.nan, NORMAL, NORMAL), {}, "f\\(x\\) is nan: there is no gradient to check"),
        ((lambda p: p["a"].sum(), NORMAL, {"a": NORMAL}), {}, "grad must have the keys of x, a; got ndarray"),
        ((lambda p: p["a"].sum(), {"b": NORMAL}, {"a": NORMAL}), {}, "grad must have the keys of x, a; got b"),
        ((lambda p: p["a"].sum(), {"a": [1.0]}, {"a": NORMAL}), {}, "grad\\['a'\\] must have the shape of x"),
        ((np.dot, lambda u, v: (v, u), NORMAL[0], NORMAL[0, :2]), {}, "share memory"),
        ((cube, NORMAL, NORMAL[0]), {"bounds": (3, 4)}, "outside of bounds"),
        ((cube, NORMAL, NORMAL), {"bounds": 3}, "pair"),
        ((cube, NORMAL, NORMAL), {"bounds": ([0] * 3, [1] * 3)}, "shapes"),
        ((cube, NORMAL, NORMAL), {"h": 0}, "h must be a finite number above 0, got 0"),
        ((cube, NORMAL, NORMAL), {"rtol": -1.0}, "rtol must be a finite number at least 0, got -1.0"),
        ((cube, NORMAL, NORMAL), {"method": "centrl"}, "unknown method 'centrl'; did you mean 'central'"),
        ((cube, NORMAL, NORMAL), {"sample": 0}, "sample must be at least 1, got 0"),
        ((lambda x: float(cube(x)), NORMAL, NORMAL), {"method": "complex"}, "needs an f that takes complex numbers"),
        ((lambda x: cube(x.real), NORMAL, NORMAL), {"method": "complex"}, "it returned float64 of shape"),
    ],
)
def test_input_that_cannot_be_checked_is_refused_with_the_reason(
    arguments: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises((InvalidTypeError, InvalidValueError), match=message) as refusal:
        check_gradient(*arguments, **options)
    assert "\n" not in str(refusal.value)


def test_an_f_without_values_beside_x_is_left_undecided() -> None:
    x = NORMAL.copy()  # moved in place, so NORMAL is copied
    report = check_gradient(lambda x: 1.0 if np.array_equal(x, NORMAL) else math.nan, cube_gradient, x)
    assert {entry.verdict for entry in report.entries} == {"undecided"} and not report.ok


def test_a_tiny_x_does_not_let_a_wrong_gradient_pass() -> None:
    x = np.array([1e-14, 2e-14])
    assert check_gradient(lambda a: np.exp(a).sum(), np.exp, x).ok
    (mistake,) = check_gradient(lambda a: np.exp(a).sum(), lambda a: -np.exp(a), x).mistakes
    assert mistake.kind == "sign flipped"


def test_zero_is_no_gradient_of_an_f_with_the_stairs_of_float32() -> None:
    def inside(a: Any) -> float:
        return float(np.cos(a.astype(np.float32))[0])

    assert not check_gradient(inside, lambda a: 0 * a, np.array([0.1])).ok
    assert not check_gradient(inside, lambda a: -np.sin(a), np.array([0.1])).wrong


def test_a_named_tuple_stays_one_when_its_arrays_are_copied() -> None:
    class Pair(NamedTuple):
        u: Any
        v: Any

    pair = Pair(np.ones(3), np.ones(2, np.float32))
    pair.u.flags.writeable = False
    report = check_gradient(
        lambda p: p.u @ p.u + float(p.v.sum()), lambda p: Pair(2 * p.u, np.ones(2, np.float32)), pair
    )
    assert report.ok


def test_a_factor_is_named_only_where_it_explains_the_difference() -> None:
    x = np.array([0.3, 0.7, 1.1])
    report = check_gradient(lambda a: np.tanh(a).sum(), lambda a: 1 - np.tanh(a) ** 2, x, h=0.1)
    assert "factor" not in str(report)


def test_an_f_or_a_grad_that_changes_its_argument_is_refused() -> None:
    def doubles(x: Any) -> Any:
        x *= 2
        return x

    for f, gradient, named in ((lambda x: doubles(x).sum(), NORMAL, "f"), (cube, doubles, "grad")):
        x = NORMAL.copy()
        with pytest.raises(InvalidValueError, match=f"^{named} changes its argument"):
            check_gradient(f, gradient, x)
        np.testing.assert_array_equal(x, NORMAL)


@pytest.mark.parametrize("size", [10**3.5, 1e4, 1e6, 1e7])
def test_fault_65_large_x_is_measured_by_how_f_varies(size: float) -> None:
    x = size * (1 + np.random.default_rng(1).random(20))
    near = x + 0.3
    for f, gradient in (
        (lambda x: np.sum(np.sin(x)), np.cos),
        (lambda x: np.sum(np.tanh(x - near)), lambda x: 1 - np.tanh(x - near) ** 2),
        (lambda x: np.sum(np.exp(-((x - near) ** 2))), lambda x: -2 * (x - near) * np.exp(-((x - near) ** 2))),
    ):
        assert {entry.verdict for entry in check_gradient(f, gradient, x).entries} == {"right"}
        assert len(check_gradient(f, lambda x, right=gradient: 1.0001 * right(x), x).wrong) == 20


def test_fault_66_a_step_outside_the_domain_gets_a_note() -> None:
    for name in ("an arcsine that raises", "a logarithm that raises", "a determinant near 0"):
        assert "f raised at some steps" in str(report_of(name, broken=True))
    assert "x[0]: f is not finite above x; measured below" in str(report_of("nan above", broken=False))
    assert "x[0]: f is not finite below x; measured above" in str(report_of("√x at 0", broken=False))
    for gradient in (0.0, -np.inf, np.nan):
        report = check_gradient(math.sqrt, gradient, 0.0)
        assert report.wrong[0].expected == np.inf and "infinite slope" in str(report)


def test_fault_67_zeros_up_to_rounding_pass_and_larger_ones_fail() -> None:
    for name in ("margin 40", "margin 700", "layer norm, but for rounding", "cosine of parallel vectors"):
        assert {entry.verdict for entry in report_of(name, broken=False).entries} == {"right"}
        f, _, x = RIGHT[name].arguments
        assert not check_gradient(f, 0.1 + 0 * np.asarray(x), x).ok


@pytest.mark.parametrize("name", ["7 for x^1.5 at 0", "0/0", "a maximum's slope for all", "no mask, all inactive"])
def test_fault_68_a_reason_that_another_explains_is_not_given(name: str) -> None:
    text = str(report_of(name, broken=True))
    for reason in ("softmax", "float32", "ε", "not summed", "does not use x"):
        assert reason not in text


def test_fault_68_undecided_entries_are_in_the_headline() -> None:
    report = report_of("a jump at x", broken=False)
    assert report.ok and "not all could be decided" in str(report).splitlines()[0]


def test_fault_69_parameters_may_be_nested_in_any_way() -> None:
    x = {"layers": [{"W": NORMAL.copy()}, {"W": SQUARE.copy(), "b": None}], 0: NORMAL[0].copy(), "0": NORMAL[1].copy()}

    def f(p: Any) -> Any:
        return np.sum(p["layers"][0]["W"] ** 2) + np.sum(p[0] * p["0"])

    def gradient(p: Any) -> Any:
        return {"layers": [{"W": 2 * p["layers"][0]["W"]}, None], 0: p["0"].copy(), "0": p[0].copy()}

    report = check_gradient(f, gradient, x)
    assert report.ok and {entry.name for entry in report.entries} == {"layers[0].W", "layers[1].W", "[0]", "0"}
    wrong = gradient(x)
    wrong["layers"][0]["W"][1, 2] += 1
    assert [entry.label for entry in check_gradient(f, wrong, x).wrong] == ["layers[0].W[1, 2]"]
    del wrong["0"]
    with pytest.raises(ValueError, match="must have the keys of x"):
        check_gradient(f, wrong, x)


def test_fault_69_integers_beside_floats_are_kept_fixed_or_named() -> None:
    x = {"W": NORMAL[0].copy(), "rows": np.array([0, 0, 2])}

    def f(p: Any) -> Any:
        return np.sum(p["W"][p["rows"]])

    for rows in (None, np.zeros(3)):
        report = check_gradient(f, {"W": np.array([2.0, 0.0, 1.0, 0.0]), "rows": rows}, x)
        assert report.ok and "rows holds integers" in str(report)
    with pytest.raises(ValueError, match=r"rows.*holds integers"):
        check_gradient(f, {"W": np.ones(4), "rows": np.ones(3)}, x)


def test_fault_69_a_network_may_keep_its_parameters_in_a_list() -> None:
    net = Net(lambda gap: np.mean(gap**2), 1.0)
    X, y = np.random.default_rng(0).standard_normal((8, 2)), np.arange(8.0)
    listed = types.SimpleNamespace(
        params=[net.params["W"]], loss=net.loss, gradient=lambda X, y: [net.gradient(X, y)["W"]]
    )
    assert check_gradient(listed, X, y, rtol=1e-4).ok
    listed.gradient = lambda X, y: [3 * net.gradient(X, y)["W"]]
    assert [entry.name for entry in check_gradient(listed, X, y, rtol=1e-4).wrong] == ["[0]", "[0]"]


def test_the_page_has_the_table_that_the_script_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("torch", "jax"):
        monkeypatch.setitem(sys.modules, name, None)
    shown = table(PAGE[PAGE.index("## Beside") :])
    with monkeypatch.context() as without_checkers:
        without_checkers.setattr(checkers, "CHECKERS", {})
        counts = re.findall(r"\d+", checkers.compare().note)[:4]
    assert re.search("They are {} of the {} broken and {} of the {} right".format(*counts), PAGE)
    assert shown[2][1:] == [f"{counts[0]} of {counts[0]}", "0", "0 / 0"] and counts[2] in shown[0][2]
    monkeypatch.setattr("gradient_cases.BROKEN", {name: BROKEN[name] for name in ("doubled", "halved")})
    monkeypatch.setattr("gradient_cases.RIGHT", {name: RIGHT[name] for name in ("a constant",)})
    runpy.run_path(str(ROOT / "scripts" / "compare_gradient_checkers.py"), run_name="__main__")
    printed = table(capsys.readouterr().out)
    assert [row[0] for row in printed] == [row[0] for row in shown] and printed[2][1:] == ["2 of 2", "0", "0 / 0"]
    assert {cell for row in printed[4:] for cell in row[1:]} == {"not installed"}


def table(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip(" -") for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_names_every_kind_of_mistake() -> None:
    listed = re.sub(r"\s+", " ", PAGE[PAGE.index("## The kinds") : PAGE.index("## Beside")])
    kinds = {case.kind for case in BROKEN.values()} | {UNDECIDED}
    assert len(kinds) == 18
    for kind in kinds:
        assert kind.removeprefix("one ").removesuffix(" wrong") in listed, kind
