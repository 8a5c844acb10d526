"""scikit-learn's installed tests of MLPClassifier, run with TinyNetClassifier instead."""

from __future__ import annotations

import importlib.util
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import sklearn.neural_network

from tinynet import TinyNetClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RATES = {"sgd": 0.001, "adam": 0.01, "lbfgs": 0.1}  # their rate for SGD; Adam and L-BFGS take longer steps
NOT_OURS = {
    "test_fit": "sets private arrays of an output of one unit; test_alpha_shrinks_weights_but_not_intercepts",
    "test_gradient": "calls a private method; tests/gradients",
    "test_lbfgs_classification_maxfun": "L-BFGS",
    "test_multilabel_classification": "refused: test_fault_44_missing_labels_are_reported_in_words",
    "test_predict_proba_multilabel": "refused: the same",
    "test_partial_fit_errors": "L-BFGS has no partial_fit; test_partial_fit_refuses_unknown_classes_and_early_stopping",
    "test_warm_start": "the words of an error; test_a_warm_start_refuses_another_network",
    "test_preserve_feature_names": "one class; test_feature_names_pass_through_a_pipeline_of_data_frames",
    "test_early_stopping_stratified": "the words of an error; test_fault_56_a_part_that_cannot_be_set_aside_...",
}


class Adapted(TinyNetClassifier):
    def _keep(self, classes: Any, rng: Any, rule: Any, again: bool) -> Any:
        self._no_improvement_count = rule.epochs_waited
        return super()._keep(classes, rng, rule, again)


def classifier(solver: str = "adam", hidden_layer_sizes: Any = 100, **parameters: Any) -> Adapted:
    """Return ours with MLPClassifier's defaults, trained by SGD; a deeper net is cut to its first layer."""
    defaults: dict[str, Any] = {"activation": "relu", "nesterovs_momentum": True, "learning_rate_init": RATES[solver]}
    return Adapted(hidden_layer_sizes=np.atleast_1d(hidden_layer_sizes)[:1], **defaults | parameters)


class Regressor:
    """Replaces MLPRegressor; tests that need it are left out."""


def their_tests() -> dict[str, Any]:
    """Load the module again with our classifier under its names, and return its tests of classifiers."""
    spec = importlib.util.find_spec("sklearn.neural_network.tests.test_mlp")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with patch.multiple(sklearn.neural_network, MLPClassifier=classifier, MLPRegressor=Regressor):
        spec.loader.exec_module(module)
    found = {name: value for name, value in vars(module).items() if name.startswith("test_")}
    for test in found.values():
        for mark in getattr(test, "pytestmark", ()):
            if mark.name == "parametrize":  # the weights are float64, whatever X is
                mark.args[1][:] = [value for value in mark.args[1] if value not in (Regressor, np.float32)]
    about_regression = {name for name, test in found.items() if "MLPRegressor" in test.__code__.co_names}
    assert len(about_regression) < len(found) / 3
    return {name: test for name, test in found.items() if name not in about_regression | NOT_OURS.keys()}


globals().update(their_tests())
for name in ("test_n_iter_no_change_inf", "test_partial_fit_classification"):  # thousands of epochs
    pytest.mark.soak(globals()[name])


def test_most_of_scikit_learns_tests_are_run() -> None:
    assert len(their_tests()) >= 20
