"""TinyNetClassifier with scikit-learn's tools: checks, pipelines, weights, stopping, continuing."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import re
import signal
import warnings
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.sparse
from reference import largest_error
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils.estimator_checks import check_param_validation, parametrize_with_checks

from tinynet import SGD, DataError, DivergedError, TinyNetClassifier, TwoLayerNet, quantised, train
from tinynet.data.samples import Samples
from tinynet.estimator import classifier
from tinynet.schedules import cosine

pytestmark = [  # most tests stop training early, and some of scikit-learn's use data that are not scaled
    pytest.mark.filterwarnings("ignore:training ended after max_iter"),
    pytest.mark.filterwarnings("ignore:after .* epochs the training loss"),
]
OF_SCIKIT_LEARN = parametrize_with_checks([TinyNetClassifier()]).mark
CHECKS = pytest.mark.parametrize(OF_SCIKIT_LEARN.args[0], [*OF_SCIKIT_LEARN.args[1]], **OF_SCIKIT_LEARN.kwargs)


X, y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
X.flags.writeable = y.flags.writeable = False


def small(**parameters: Any) -> Any:
    return TinyNetClassifier(**{"hidden_units": 6, "max_iter": 15, "random_state": 0} | parameters)


def bits(model: TinyNetClassifier) -> list[bytes]:
    return [array.tobytes() for array in (*model.coefs_, *model.intercepts_)]


def spy(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return a list that will receive the arguments of every training."""
    calls: list[dict[str, Any]] = []

    def recording(net: TwoLayerNet, samples: Samples, y: None, optimizer: SGD, **arguments: Any) -> Any:
        calls.append(arguments | {"samples": samples, "optimizer": optimizer})
        return train(net, samples, y, optimizer, **arguments)

    monkeypatch.setattr(classifier, "train", recording)
    return calls


@CHECKS
def test_scikit_learns_estimator_checks_pass(estimator: Any, check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # one check needs it, and is skipped otherwise
    check(estimator)


def test_fit_equals_train_with_seeds_from_the_random_state() -> None:
    model = small(learning_rate=0.05, momentum=0.5, nesterovs_momentum=True, weight_decay=1e-3, batch_size=40, h=1e-3)
    model.fit(X, y)
    net_seed, order_seed = check_random_state(0).randint(2**31 - 1, size=2)
    net = TwoLayerNet(4, 6, 3, seed=int(net_seed))
    optimizer = SGD(0.05, momentum=0.5, nesterov=True, weight_decay=1e-3)
    history = train(net, X, y, optimizer, epochs=15, batch_size=40, seed=int(order_seed), h=1e-3, measure="during")
    assert bits(model) == [net.params[key].tobytes() for key in ("W1", "W2", "b1", "b2")]
    assert model.loss_curve_ == history["train_loss"]
    np.testing.assert_array_equal(model.predict_proba(X), net.predict_proba(X))


def test_every_parameter_reaches_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = spy(monkeypatch)
    small(hidden_units=3, activation="relu", method="exact", max_iter=2).fit(X, y)
    assert calls[0] | {"epochs": 2, "batch_size": 150, "h": 1e-4, "method": "exact"} == calls[0]
    model = small(hidden_units=3, activation="relu", batch_size=7, max_iter=2).fit(np.vstack([X, X]), np.hstack([y, y]))
    assert (calls[1]["batch_size"], model.net_.activation.name, model.coefs_[0].shape) == (7, "relu", (4, 3))
    small().fit(np.vstack([X, X]), np.hstack([y, y]))
    assert calls[2]["batch_size"] == 200


def test_names_match_those_of_mlpclassifier() -> None:
    ours, theirs = (set(inspect.signature(kind).parameters) for kind in (TinyNetClassifier, MLPClassifier))
    assert ours - theirs == {"hidden_units", "weight_decay", "h", "method", "class_weight"}
    assert theirs - ours == {"solver", "beta_1", "beta_2", "epsilon", "max_fun"}
    for early_stopping in (False, True):
        peer = MLPClassifier(max_iter=2, early_stopping=early_stopping)
        with pytest.warns(ConvergenceWarning):
            peer.fit(X, y)
        ours, theirs = (
            {name for name in dir(one) if re.match(r"[a-z].*_$", name)}
            for one in (small(early_stopping=early_stopping).fit(X, y), peer)
        )
        assert ours ^ theirs == {"net_", "validation_loss_curve_"}
        assert set(re.findall(r"\w+_\b(?= [,:]|, \w+_\b)", str(TinyNetClassifier.__doc__))) >= ours


def test_log_probabilities_are_finite_where_probabilities_underflow() -> None:
    model = small().fit(X, y)
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(model.predict_proba(X)), rtol=1e-12)
    model.coefs_[1][...] *= 1e4
    assert (model.predict_proba(X) == 0).any()
    assert np.isfinite(model.predict_log_proba(X)).all()


def test_feature_names_pass_through_a_pipeline_of_data_frames() -> None:
    iris = load_iris()
    frame = pl.DataFrame(iris.data, schema=iris.feature_names)
    if not hasattr(StandardScaler().fit(frame), "feature_names_in_"):
        pytest.skip("this version of scikit-learn reads no names from polars' tables")
    pipeline = make_pipeline(StandardScaler(), small()).set_output(transform="polars").fit(frame, iris.target)
    assert pipeline[-1].feature_names_in_.tolist() == iris.feature_names
    assert pipeline[-1].n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names should match"):
        pipeline[-1].predict(pipeline[0].transform(frame).rename({"sepal length (cm)": "length"}))
    in_columns = np.asfortranarray(iris.data)  # as in polars
    plain = make_pipeline(StandardScaler(), small()).fit(in_columns, iris.target)
    assert bits(plain[-1]) == bits(pipeline[-1])
    scored = small(early_stopping=True).fit(frame, iris.target)  # also scores by names, without a warning
    assert scored.feature_names_in_.tolist() == iris.feature_names


@pytest.mark.parametrize("options", [{}, {"batch_size": 7, "early_stopping": True, "class_weight": "balanced"}])
def test_sparse_x_gives_the_same_bits_as_dense_x(options: dict[str, Any]) -> None:
    rows, weights = np.where(X < 0.5, 0.0, X), np.arange(150) % 4
    dense = small(**options).fit(rows, y, weights)
    for kind in (scipy.sparse.csr_array, scipy.sparse.coo_matrix, scipy.sparse.csc_array):
        sparse = small(**options).fit(kind(rows), y, weights)
        assert bits(sparse) == bits(dense)
        np.testing.assert_array_equal(sparse.predict_proba(kind(rows)), dense.predict_proba(rows))


def test_sparse_x_is_made_dense_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    four = scipy.sparse.csr_array(np.concatenate([X] * 4))
    rows, toarray = list[int](), scipy.sparse.csr_array.toarray

    def recorded(matrix: Any) -> Any:
        rows.append(matrix.shape[0])
        return toarray(matrix)

    monkeypatch.setattr(scipy.sparse.csr_array, "toarray", recorded)
    small(max_iter=2).fit(four, np.concatenate([y] * 4)).predict(four)
    assert sum(rows) >= 3 * 600 and max(rows) <= 256


def test_the_storage_of_x_does_not_change_the_result() -> None:
    strided = np.repeat(X, 2, axis=1)[:, ::2]
    for stored in (np.asfortranarray(X), strided, pl.DataFrame(X), X.tolist(), X.astype(np.longdouble)):
        assert bits(small().fit(stored, y)) == bits(small().fit(X, y)), type(stored)


def softsign(a: Any) -> Any:
    return a / (1 + np.abs(a))


@pytest.mark.parametrize("activation", ["tanh", "quantised:4", softsign])
def test_copies_and_pickles_predict_and_continue_alike(activation: Any) -> None:
    model = small(activation=activation).fit(X, y)
    before = model.predict_proba(X)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(other.predict_proba(X), before)
        other.partial_fit(X, y)
        assert other.coefs_[0] is other.net_.params["W1"] and other.intercepts_[1] is other.net_.params["b2"]
        np.testing.assert_array_equal(model.predict_proba(X), before)
    assert bits(clone(model).fit(X, y)) == bits(model)
    assert bits(model.partial_fit(X, y)) == bits(other)


def test_the_random_state_decides_all_draws_and_advances(monkeypatch: pytest.MonkeyPatch) -> None:
    np.random.seed(3)
    first = bits(small().fit(X, y))
    np.random.seed(4)
    assert bits(small().fit(X, y)) == first != bits(small(random_state=1).fit(X, y))
    state = np.random.RandomState(0)
    assert bits(small(random_state=state).fit(X, y)) == first != bits(small(random_state=state).fit(X, y))
    np.random.seed(0)
    assert bits(small(random_state=None).fit(X, y)) == first
    calls = spy(monkeypatch)
    for seed in (0, 0, 1):
        small(early_stopping=True, max_iter=1, random_state=seed).fit(X, y)
    asides = [call["validation"].X.tobytes() for call in calls]
    assert asides[0] == asides[1] != asides[2]


@pytest.mark.parametrize("parameters", [{}, {"early_stopping": True, "validation_fraction": 0.3}])
def test_samples_of_weight_0_have_no_effect(parameters: dict[str, Any]) -> None:
    weights = np.random.default_rng(0).random(150) * (np.arange(150) % 3 > 0)
    kept = weights > 0
    for more in ({}, {"class_weight": "balanced"}, {"class_weight": {0: 3, 1: 1, 2: 0.5}}):
        model = small(batch_size=16, **parameters, **more).fit(X, y, weights)
        assert bits(model) == bits(small(batch_size=16, **parameters, **more).fit(X[kept], y[kept], weights[kept]))


def test_class_weights_multiply_sample_weights() -> None:
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    weights = np.random.default_rng(0).random(150)
    by_class = small(class_weight={"setosa": 0.0, "virginica": 4.0, "versicolor": 1.0}).fit(X, names, weights)
    by_sample = small().fit(X, names, weights * np.array([0.0, 1.0, 4.0])[y])
    assert largest_error(by_class.net_.params, by_sample.net_.params) < 1e-12


def first_stop(scores: list[float], tol: float, n_iter_no_change: int) -> int:
    """Return the first epoch after too many without a rise by tol, or the number of scores if there is none."""
    rises = [True, *(scores[t] >= max(scores[:t]) + tol for t in range(1, len(scores)))]
    for t in range(len(scores)):
        if t >= n_iter_no_change and not any(rises[t - n_iter_no_change : t + 1]):
            return t + 1
    return len(scores)


@pytest.mark.parametrize(("tol", "n_iter_no_change"), [(0.02, 3), (0.005, 1), (0.01, 10), (0.0, 2)])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_training_stops_by_scikit_learns_rule(early_stopping: bool, tol: float, n_iter_no_change: int) -> None:
    rule = {"early_stopping": early_stopping, "tol": tol, "n_iter_no_change": n_iter_no_change}
    model = small(max_iter=60, momentum=0.99, batch_size=30, validation_fraction=0.3, **rule).fit(X, y)
    whole = clone(model).set_params(n_iter_no_change=math.inf).fit(X, y)
    scores = whole.validation_scores_ if early_stopping else [-loss for loss in whole.loss_curve_]
    assert len(scores) == 60
    assert model.n_iter_ == len(model.loss_curve_) == first_stop(scores, tol, n_iter_no_change)


def test_early_stopping_keeps_the_weights_of_the_best_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = spy(monkeypatch)
    weights = np.random.default_rng(0).random(150) + 0.1
    model = small(
        early_stopping=True, validation_fraction=0.3, max_iter=30, learning_rate=0.9, momentum=0.9, batch_size=10
    ).fit(X, y, weights)
    aside = calls[0]["validation"]
    assert np.bincount(aside.labels).tolist() == [15, 15, 15]
    assert len(calls[0]["samples"]) == len(calls[0]["samples"].weights) == 105
    assert model.validation_scores_[-1] < model.best_validation_score_ == max(model.validation_scores_)
    assert model.score(aside.X, aside.labels, aside.weights) == pytest.approx(model.best_validation_score_)
    best = model.validation_scores_.index(model.best_validation_score_)
    assert model.net_.evaluate(aside)[0] == model.validation_loss_curve_[best]
    assert model.best_loss_ is None


def test_training_that_has_not_converged_gives_a_warning() -> None:
    with pytest.warns(ConvergenceWarning, match=r"max_iter = 3 .*tol = 0\.0001, n_iter_no_change = 10") as caught:
        small(max_iter=3).fit(X, y)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert small(max_iter=1000, tol=1e-3).fit(X, y).n_iter_ < 1000


def test_a_partial_fit_trains_one_epoch() -> None:
    once = small(batch_size=40).partial_fit(X, y, classes=[0, 1, 2])
    assert bits(once) == bits(small(batch_size=40, max_iter=1).fit(X, y))
    assert (once.n_iter_, once.t_, once.n_layers_, once.n_outputs_, once.out_activation_) == (1, 150, 3, 3, "softmax")


def test_partial_fits_of_all_data_equal_a_fit_with_its_momentum() -> None:
    model = small(n_iter_no_change=math.inf)
    parts = clone(model)
    for _ in range(15):
        parts.partial_fit(X, y, classes=[0, 1, 2])
    whole = model.fit(X, y)
    assert largest_error(parts.net_.params, whole.net_.params) < 1e-12
    assert parts.loss_ == pytest.approx(whole.loss_, rel=1e-12) and len(parts.loss_curve_) == len(whole.loss_curve_)


def test_a_partial_fit_may_lack_classes_and_change_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = spy(monkeypatch)
    model = small(class_weight={0: 2.0, 1: 1.0, 2: 5.0}).partial_fit(X[:80], y[:80], classes=[2, 1, 0])
    assert model.classes_.tolist() == [0, 1, 2]
    np.testing.assert_allclose(calls[0]["samples"].weights[[0, -1]], np.array([2.0, 1.0]) / (130 / 80))
    some = small(class_weight={0: 2.0, 2: 3.0}).partial_fit(X[y < 2], y[y < 2], classes=[0, 1, 2])
    weights = calls.pop()["samples"].weights
    assert some.classes_.tolist() == [0, 1, 2] and weights[0] == 2 * weights[-1]
    model.set_params(learning_rate=0.5).partial_fit(X[80:], y[80:], np.arange(70) + 1.0)
    assert calls[1]["optimizer"].learning_rate == 0.5 and calls[1]["optimizer"].velocity.keys() == {*model.net_.params}
    np.testing.assert_allclose(calls[1]["samples"].weights[-1] / calls[1]["samples"].weights[0], 70 * 5)


def test_partial_fit_refuses_unknown_classes_and_early_stopping() -> None:
    known, model = [0, 1, 2], small().partial_fit(X, y, classes=[0, 1, 2])
    for one, labels, classes, named in (
        (small(), y, None, "classes .* first call"),
        (small(), y, [0, 1], r"y holds 2, .* \[0 1\]"),
        (small(), y, ["0", "1", None], "no label in 1 of its 3 rows"),
        (small(), y, [0, 1, np.nan], "no label in 1 of its 3 rows"),
        (model, y, [0, 1, 2, 3], r"\[0 1 2\], but was given \[0 1 2 3\]"),
        (model, ["setosa"] * 150, None, "y holds 'setosa'"),
        (small(early_stopping=True), y, known, "early_stopping=True"),
        (small(class_weight="balanced"), y, known, "'balanced': give the weights as a dict"),
    ):
        with pytest.raises(ValueError, match=named):
            one.partial_fit(X, labels, classes=classes)


def test_a_warm_start_continues_where_the_last_fit_ended() -> None:
    model = small(warm_start=True, momentum=0.0).fit(X, y)
    before = model.loss_curve_.copy()
    model.set_params(max_iter=5).fit(X, y)
    assert model.n_iter_ == 5
    assert model.loss_curve_[:15] == before and len(model.loss_curve_) == 20
    whole = small(max_iter=20, momentum=0.0).fit(X, y)
    assert largest_error(model.net_.params, whole.net_.params) < 1e-12
    cold = model.set_params(warm_start=False, max_iter=15).fit(X, y)
    assert cold.loss_curve_ == before


def test_a_warm_start_refuses_another_network() -> None:
    model = small(warm_start=True).fit(X, y)
    before = bits(model)
    with pytest.raises(ValueError, match=r"warm_start continues with the classes \[0 1 2\], but y has \[0 1\]"):
        model.fit(X[y < 2], y[y < 2])
    with pytest.raises(ValueError, match="4 features"):
        model.fit(X[:, :3], y)
    for change, named in (({"hidden_units": 7}, "6 tanh .* 7 tanh"), ({"activation": "relu"}, "6 tanh .* 6 relu")):
        with pytest.raises(ValueError, match=named):
            clone(model).fit(X, y).set_params(**change).fit(X, y)
    assert bits(model) == before
    for one, other in (((lambda a: a / 2), (lambda a: a / 3)), (quantised(2), quantised(8))):
        refused = small(warm_start=True, activation=one).fit(X, y).set_params(activation=other)
        for fit in (refused.fit, refused.partial_fit):
            with pytest.raises(ValueError, match=r"training continues with the 6 .* units that there are, not 6"):
                fit(X, y)


def test_a_fit_that_raises_midway_leaves_the_estimator_as_it_was() -> None:
    def rate(t: float) -> float:
        return 0.1 if t < limit else 1 / 0

    limit = 99.0
    model = small(warm_start=True, learning_rate=rate).fit(X, y)
    before, limit = bits(model), 1.0
    with pytest.raises(ZeroDivisionError):
        model.fit(X, y)
    assert bits(model) == before


def test_a_diverging_fit_leaves_the_estimator_unchanged() -> None:
    model = small(activation="relu", learning_rate=1e200)
    with pytest.raises(DivergedError, match=r"in epoch \d, step \d, at learning rate 1e\+200"):
        model.fit(X, y)
    with pytest.raises(NotFittedError):
        model.predict(X)
    model.set_params(learning_rate=0.1).fit(X, y)
    proba = model.predict_proba(X)
    with pytest.raises(DivergedError):
        model.set_params(learning_rate=1e200).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), proba)
    with pytest.raises(DivergedError, match="smaller learning rate"):
        model.set_params(warm_start=True).fit(scipy.sparse.csr_array(X), y)
    with pytest.raises(DivergedError):
        model.partial_fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), proba)


def test_fault_70_parameters_are_refused_as_by_scikit_learn() -> None:
    check_param_validation("TinyNetClassifier", small())  # each with a wrong type, and outside its range
    for name in ("early_stopping", "nesterovs_momentum", "warm_start", "shuffle"):
        with pytest.raises(ValueError, match=f"'{name}' parameter .* 'False' instead"):
            small(**{name: "False"}).fit(X, y)
    with pytest.raises(ValueError, match=r"'validation_fraction' parameter .* 7 instead"):
        small(validation_fraction=7).fit(X, y)  # without early stopping nothing is set aside


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"activation": "tang"}, "'tang'; did you mean 'tanh'?"),
        ({"hidden_layer_sizes": (20, 10)}, "hidden_units=50"),
        ({"hidden_layer_sizes": (2.5,)}, "(2.5,)"),
        ({"class_weight": {0: -1.0, 1: 1.0, 2: 1.0}}, "class_weight of 0"),
        ({"class_weight": {7: 1.0}}, "class_weight"),
    ],
    ids=str,
)
def test_a_wrong_parameter_is_named(parameters: dict[str, Any], named: str) -> None:
    model = small(**parameters)
    with pytest.raises(ValueError, match=re.escape(named)):
        model.fit(X, y)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_parameter_names_of_mlpclassifier_are_accepted() -> None:
    for theirs, ours in (
        ({"hidden_layer_sizes": (9,)}, {"hidden_units": 9}),
        ({"hidden_layer_sizes": 9}, {"hidden_units": 9}),
        ({"learning_rate_init": 0.02}, {"learning_rate": 0.02}),
        ({"learning_rate": "constant", "learning_rate_init": 0.02}, {"learning_rate": 0.02}),
        ({"momentum": 0.0, "nesterovs_momentum": True}, {"momentum": 0.0}),
    ):
        assert bits(small(**theirs).fit(X, y)) == bits(small(**ours).fit(X, y)) != bits(small().fit(X, y))
    assert bits(small(activation="logistic").fit(X, y)) == bits(small(activation="sigmoid").fit(X, y))
    linear = small(activation="identity").fit(X, y).net_
    np.testing.assert_allclose(linear.logits(X) + linear.logits(-X), 2 * linear.logits(0 * X), atol=1e-12)


def test_alpha_shrinks_weights_but_not_intercepts() -> None:
    plain, penalised = (
        small(alpha=alpha, momentum=0.0, batch_size=150).partial_fit(X, y, classes=[0, 1, 2]) for alpha in (0.0, 30.0)
    )
    start = TwoLayerNet(4, 6, 3, seed=int(check_random_state(0).randint(2**31 - 1)))
    for key in ("W1", "b1", "W2", "b2"):
        drawn = plain.net_.params[key] - penalised.net_.params[key]
        expected = 0.1 * 30.0 / 150 * start.params[key] * (key[0] == "W")
        np.testing.assert_allclose(drawn, expected, atol=1e-12)


def test_rates_follow_schedules_and_policies() -> None:
    falling = {"learning_rate": "invscaling", "learning_rate_init": 0.3, "power_t": 0.25}
    model = small(warm_start=True, max_iter=4, **falling).fit(X, y)
    assert model.fit(X, y)._optimizer.learning_rate == 0.3 / (8 * 150 + 1) ** 0.25
    assert model.t_ == 8 * 150
    model = small(learning_rate="adaptive", max_iter=2000, tol=0.5, n_iter_no_change=1).fit(X, y)
    assert model._optimizer.learning_rate == pytest.approx(0.1 / 5**8, rel=1e-12) and model.n_iter_ == 1 + 9 * 2
    schedule = cosine(0.2, epochs=4)
    model = small(learning_rate=schedule, max_iter=2).fit(X, y)
    assert model._optimizer.learning_rate == schedule(1.5)
    for epochs_done in (2.5, 3.5):
        assert model.partial_fit(X, y)._optimizer.learning_rate == schedule(epochs_done)


def test_without_shuffling_batches_follow_the_order_of_rows() -> None:
    model = small(shuffle=False, batch_size=40, max_iter=2).fit(X, y)
    net, sgd = TwoLayerNet(4, 6, 3, seed=int(check_random_state(0).randint(2**31 - 1))), SGD(0.1, 0.9)
    for start in (0, 40, 80, 120) * 2:
        rows = slice(start, start + 40)
        sgd.update(net.params, net.numerical_gradient(X[rows], y[rows]))
    assert largest_error(model.net_.params, net.params) < 1e-12


def test_an_interrupted_fit_keeps_its_weights_and_warns() -> None:
    calls = 0

    def interrupting(a: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 400:
            signal.raise_signal(signal.SIGINT)
        return np.tanh(a)

    model = small(activation=interrupting, batch_size=30, max_iter=10**6, n_iter_no_change=math.inf)
    with pytest.warns(UserWarning, match=r"interrupted after \d+ whole epochs") as caught:
        model.fit(X, y)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert 2 <= model.n_iter_ == len(model.loss_curve_) < 100
    assert model.score(X, y) > 0.8


def test_a_stalled_fit_is_told_to_scale_its_inputs() -> None:
    X, y = load_wine(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match=r"1.68e\+03.* StandardScaler"):
        small(activation="sigmoid").fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small(max_iter=1000, tol=1e-3).fit(StandardScaler().fit_transform(X), y)


@pytest.mark.parametrize(
    ("y", "named"),
    [
        (["a", None, "b"] * 50, ["50 of its 150 rows", "row 1", "None"]),
        (["a", float("nan"), "b"] * 50, ["50 of its 150 rows", "row 1", "nan"]),
        (pl.Series(["a", "b", None] * 50), ["50 of its 150 rows", "row 2"]),
        (pl.Series([1, 2, None] * 50), ["50 of its 150 rows", "row 2"]),
        (np.array(["a", 3, "b"] * 50, dtype=object), ["text", "'b'", "3"]),
        (np.eye(3)[np.arange(150) % 3], ["3 columns", "multilabel", "argmax"]),
        (scipy.sparse.csr_array(np.eye(3)[np.arange(150) % 3]), ["3 columns", "multilabel"]),
    ],
    ids=["None", "nan", "null", "null among numbers", "mixed", "one-hot", "sparse"],
)
def test_fault_44_missing_labels_are_reported_in_words(y: Any, named: list[str]) -> None:
    for call in (small().fit, partial(small().partial_fit, classes=["a", "b"])):
        with pytest.raises(DataError) as caught:
            call(X, y)
        assert all(part in str(caught.value) for part in named)


def test_fault_56_a_part_that_is_too_small_names_its_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(early_stopping=True)
    with pytest.raises(DataError, match=r"validation_fraction = 0\.1 of "):
        model.fit(X[:4], [0, 0, 0, 1])
    with pytest.warns(UserWarning, match=r"validation_fraction = 0\.1 of 14 samples"):
        assert len(model.fit(X[::11], [0] * 7 + [1] * 6 + [2]).validation_scores_) == model.n_iter_
    calls = spy(monkeypatch)
    model.fit(X[::10], y[::10])  # 2 of 15 would be too few
    assert np.bincount(calls[0]["validation"].labels).tolist() == [1, 1, 1]


def test_many_partial_fits_do_not_grow_the_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "KEPT_LOSSES", 20)
    model = small()
    losses, sizes = [], []
    for _ in range(60):
        losses.append(model.partial_fit(X, y, classes=[0, 1, 2]).loss_)
        sizes.append(len(pickle.dumps(model)))
    assert model.loss_curve_ == losses[-20:] and model.best_loss_ == min(losses)
    assert model.t_ == 60 * 150
    assert abs(sizes[-1] - sizes[25]) < 10 < sizes[25] - sizes[0]
