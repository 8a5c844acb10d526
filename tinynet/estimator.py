"""TinyNetClassifier: the two-layer network and its training as scikit-learn's tools expect them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from tinynet.activations import get_activation
from tinynet.data.samples import weighted
from tinynet.errors import DataError, InvalidValueError, check_integer, check_number
from tinynet.losses import softmax
from tinynet.network import TwoLayerNet
from tinynet.optimizers import SGD
from tinynet.training.history import Epoch, History
from tinynet.training.loop import train

Array = npt.NDArray[Any]


class TinyNetClassifier(ClassifierMixin, BaseEstimator):
    """A two-layer network, trained by difference quotients of its loss, as a scikit-learn classifier.

    What is called as in `sklearn.neural_network.MLPClassifier` means the same. Scale the inputs first, for
    instance by `StandardScaler` in a pipeline.

    Parameters
    ----------
    hidden_units : int of at least 1, default 50
    activation : str or callable, default "tanh"
        "tanh", "sigmoid", "relu", "silu", "sign", "quantised:LEVELS", or any elementwise callable.
    learning_rate : float above 0, default 0.1
    momentum : float in [0, 1), default 0.9
    nesterovs_momentum : bool, default False
    weight_decay : float of at least 0, default 0
        The factor of an L2 penalty on every parameter.
    batch_size : int of at least 1 or "auto", default "auto"
        "auto" is min(200, n_samples).
    max_iter : int of at least 1, default 200
        The most epochs that `fit` trains.
    h : float above 0, default 1e-4
        The step of the differences, in units of a weight; wide ones, 0.5 or 1, for units without a derivative.
    method : "auto", "loop", "exact" or "series", default "auto"
        See `TwoLayerNet.numerical_gradient`.
    class_weight : dict of {label: weight}, "balanced" or None, default None
        Multiplies the weights of samples. "balanced" makes all classes weigh the same.
    early_stopping : bool, default False
        Set a stratified `validation_fraction` of the samples aside, stop when the accuracy on it has not
        risen by `tol` for more than `n_iter_no_change` epochs, and keep the weights of its best epoch.
        Without it, stop when the training loss has not fallen by `tol` for so long.
    validation_fraction : float in (0, 1), default 0.1
    n_iter_no_change : int of at least 1 or inf, default 10
    tol : float of at least 0, default 1e-4
    warm_start : bool, default False
        `fit` goes on with the weights there are, on the same classes; momentum begins anew.
    random_state : int, RandomState instance or None, default None
        Decides the initial weights, the order of samples and what is set aside.

    Attributes
    ----------
    classes_ : array, shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : array, shape (n_features_in_,), where X had column names that are strings
    net_ : TwoLayerNet, which `coefs_` and `intercepts_` are the parameters of
    coefs_ : list of two arrays, shapes (n_features_in_, hidden_units) and (hidden_units, n_classes)
    intercepts_ : list of two arrays, shapes (hidden_units,) and (n_classes,)
    n_iter_ : int, the epochs of the last `fit` or `partial_fit`
    loss_ : float, the last of `loss_curve_`
    loss_curve_ : list, the training loss in nats a sample after each epoch; warm starts and `partial_fit` append
    best_loss_ : float, the lowest of `loss_curve_`; None with `early_stopping`
    validation_scores_, validation_loss_curve_ : lists, accuracy and loss of what is set aside, after each
        epoch; None without `early_stopping`
    best_validation_score_ : float, the highest accuracy of the last `fit`; None without `early_stopping`

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), TinyNetClassifier(max_iter=500, random_state=0)).fit(X, y)
    >>> round(model.score(X, y), 2)
    0.99
    """

    def __init__(
        self,
        hidden_units: int = 50,
        activation: str | Callable[[Array], Any] = "tanh",
        *,
        learning_rate: float = 0.1,
        momentum: float = 0.9,
        nesterovs_momentum: bool = False,
        weight_decay: float = 0.0,
        batch_size: int | str = "auto",
        max_iter: int = 200,
        h: float = 1e-4,
        method: str = "auto",
        class_weight: Mapping[Any, float] | str | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.hidden_units = hidden_units
        self.activation = activation
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.h = h
        self.method = method
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Train on `X`, shape (n_samples, n_features), and labels `y`, shape (n_samples,).

        Parameters
        ----------
        X : array or DataFrame; sparse matrices are refused
        y : array of at least two classes
        sample_weight : array, shape (n_samples,), at least 0, optional
            What the loss of each sample is multiplied by: 2 is the sample twice, 0 leaves it out.

        Warns
        -----
        ConvergenceWarning
            When `max_iter` epochs went by without the rule of `tol` and `n_iter_no_change` ending them.

        Raises
        ------
        ValueError, TypeError
            When data or a parameter cannot be used.
        DivergedError
            As soon as a loss or gradient is not finite.
        """
        again = bool(self.warm_start) and hasattr(self, "net_")
        X, y = self._validated(X, y, reset=not again)
        classes, max_iter = np.unique(y), check_integer("max_iter", self.max_iter, 1)
        if again and not np.array_equal(classes, self.classes_):
            raise InvalidValueError(f"warm_start goes on with the classes {self.classes_}, but y has {classes}")
        rng, optimizer = check_random_state(self.random_state), self._sgd()
        net = self._network(rng, classes, again)
        parts = self._parts(*self._weighed(X, y, classes, sample_weight), rng)
        rule = _StoppingRule(net, self.early_stopping, self.tol, self.n_iter_no_change)
        history = self._train(net, optimizer, rng, epochs=max_iter, on_epoch=rule, **parts)
        rule.restore_best()
        if not history.stopped_early:
            limits = f"tol = {self.tol}, n_iter_no_change = {self.n_iter_no_change}"
            message = f"training ended after max_iter = {max_iter} epochs and had not converged ({limits})"
            warnings.warn(message, ConvergenceWarning, stacklevel=2)
        return self._keep(net, classes, optimizer, rng, history, again)

    def partial_fit(
        self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None, classes: npt.ArrayLike | None = None
    ) -> Self:
        """Train one epoch on `X` and `y`, going on with weights and momentum as they are.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`; y may lack some of the classes
        classes : array of all labels there will be, needed in the first call alone
        """
        again = hasattr(self, "net_")
        if self.early_stopping:
            raise InvalidValueError("partial_fit does not support early_stopping=True")
        if isinstance(self.class_weight, str):
            unsupported = f"class_weight={self.class_weight!r}"
            raise InvalidValueError(f"partial_fit does not support {unsupported}: give the weights as a dict")
        X, y = self._validated(X, y, reset=not again)
        known = self._known_classes(y, classes)
        rng, optimizer = self._rng if again else check_random_state(self.random_state), self._sgd()
        if again:
            optimizer.velocity = {key: v.copy() for key, v in self._optimizer.velocity.items()}
        net = self._network(rng, known, again)
        X, labels, weights = self._weighed(X, y, known, sample_weight)
        history = self._train(net, optimizer, rng, epochs=1, X=X, y=labels, sample_weight=weights)
        return self._keep(net, known, optimizer, rng, history, again)

    def predict(self, X: Any) -> Array:
        """Return the most probable class of each row of `X`, shape (n_samples,)."""
        most = self._logits(X).argmax(axis=1)
        return np.asarray(self.classes_[most])

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities of the classes, shape (n_samples, n_classes), in the order of `classes_`."""
        return softmax(self._logits(X))

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of the probabilities, finite where the probabilities underflow."""
        logits = self._logits(X)
        below = logits - logits.max(axis=1, keepdims=True)
        return np.asarray(below - np.log(np.exp(below).sum(axis=1, keepdims=True)))

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there is a network: a fit that failed has left n_features_in_ alone."""
        return hasattr(self, "net_")

    def _logits(self, X: Any) -> Array:
        check_is_fitted(self)
        return self.net_.logits(validate_data(self, X, dtype=np.float64, reset=False))

    def _validated(self, X: Any, y: Any, *, reset: bool) -> tuple[Array, Array]:
        X, y = validate_data(self, X, y, dtype=np.float64, reset=reset)
        check_classification_targets(y)
        return X, y

    def _known_classes(self, y: Array, classes: npt.ArrayLike | None) -> Array:
        """Return all classes of a partial fit, which `y` has no others than."""
        again = hasattr(self, "classes_")
        if classes is None and not again:
            raise InvalidValueError("classes must be passed on the first call to partial_fit")
        known: Array = self.classes_ if classes is None else np.unique(np.asarray(classes))
        if again and not np.array_equal(known, self.classes_):
            raise InvalidValueError(f"partial_fit goes on with the classes {self.classes_}, but was given {known}")
        if len(unknown := np.setdiff1d(y, known)):
            raise DataError(f"y holds {unknown.tolist()[0]!r}, which is none of the classes {known}")
        return known

    def _network(self, rng: np.random.RandomState, classes: Array, again: bool) -> TwoLayerNet:
        """Return the network to train: a new one, or the one there is."""
        if len(classes) < 2:
            raise DataError(f"there is 1 class, {classes.tolist()[0]!r}; a classifier needs at least 2")
        activation = get_activation(self.activation)
        if not again:
            n_features, seed = self.n_features_in_, _seed(rng)
            return TwoLayerNet(n_features, self.hidden_units, len(classes), activation=activation, seed=seed)
        net: TwoLayerNet = self.net_
        shape = len(net.params["b1"]), net.activation.name
        if shape != (self.hidden_units, activation.name):
            raise InvalidValueError(
                f"training goes on with the {shape[0]} {shape[1]} units that there are, not {self.hidden_units!r} "
                f"{activation.name} units; for these use a new estimator, or fit with warm_start=False"
            )
        return net

    def _sgd(self) -> SGD:
        return SGD(self.learning_rate, self.momentum, self.nesterovs_momentum, self.weight_decay)

    def _parts(
        self, X: Array, labels: Array, weights: Array | None, rng: np.random.RandomState
    ) -> dict[str, Array | None]:
        """Return what `train` is to train on, and to validate on where there is early stopping."""
        if not self.early_stopping:
            return {"X": X, "y": labels, "sample_weight": weights}
        fraction = check_number("validation_fraction", self.validation_fraction, 0.0, 1.0, closed=False)
        rows = train_test_split(np.arange(len(X)), test_size=fraction, stratify=labels, random_state=rng)
        return {
            name + suffix: None if part is None else part[some]
            for some, suffix in zip(rows, ("", "_validation"), strict=True)
            for name, part in (("X", X), ("y", labels), ("sample_weight", weights))
        }

    def _weighed(
        self, X: Array, y: Array, classes: Array, sample_weight: npt.ArrayLike | None
    ) -> tuple[Array, Array, Array | None]:
        """Return the samples that count, their labels as integers, and their weights times those of their classes."""
        X, labels, weights = weighted(X, np.searchsorted(classes, y), sample_weight)
        if self.class_weight is None:
            return X, labels, weights
        if self.class_weight == "balanced":
            present, of_class = np.unique(labels), np.ones(len(classes))
            of_class[present] = 1.0 / np.bincount(labels, weights)[present]
        else:
            of_class = compute_class_weight(self.class_weight, classes=classes, y=classes[labels])
        for label, weight in zip(classes.tolist(), of_class.tolist(), strict=True):
            check_number(f"class_weight of {label!r}", weight, 0.0)
        return weighted(X, labels, of_class[labels] * (1.0 if weights is None else weights))

    def _train(self, net: TwoLayerNet, optimizer: SGD, rng: np.random.RandomState, **arguments: Any) -> History:
        size: Any = min(200, len(arguments["X"])) if self.batch_size == "auto" else self.batch_size
        arguments["batch_size"] = check_integer('batch_size, where it is not "auto",', size, 1)
        return train(net, optimizer=optimizer, seed=_seed(rng), h=self.h, method=self.method, **arguments)

    def _keep(
        self,
        net: TwoLayerNet,
        classes: Array,
        optimizer: SGD,
        rng: np.random.RandomState,
        history: History,
        again: bool,
    ) -> Self:
        """Set all attributes, now that training went well."""
        self.net_, self.classes_, self._optimizer, self._rng = net, classes, optimizer, rng
        self.coefs_ = [net.params["W1"], net.params["W2"]]
        self.intercepts_ = [net.params["b1"], net.params["b2"]]
        self._history: History = History([*(self._history if again else ()), *history])
        self.n_iter_, self.loss_curve_ = len(history), self._history["train_loss"]
        self.loss_, self.best_loss_ = self.loss_curve_[-1], None if self.early_stopping else min(self.loss_curve_)
        self.validation_scores_ = self._history["validation_accuracy"] if self.early_stopping else None
        self.validation_loss_curve_ = self._history["validation_loss"] if self.early_stopping else None
        self.best_validation_score_ = max(history["validation_accuracy"]) if self.early_stopping else None
        return self


class _StoppingRule:
    """MLPClassifier's rule: stop when a score has not risen by `tol` for more than `n_iter_no_change` epochs."""

    def __init__(self, net: TwoLayerNet, early_stopping: bool, tol: float, n_iter_no_change: float) -> None:
        if n_iter_no_change != math.inf:
            check_integer("n_iter_no_change", n_iter_no_change, 1)
        self.net, self.early_stopping, self.n_iter_no_change = net, early_stopping, n_iter_no_change
        self.tol = check_number("tol", tol, 0.0)
        self.best, self.best_params, self.waited = -math.inf, dict[str, Array](), 0

    def __call__(self, row: Epoch) -> bool:
        """Return whether to stop after this epoch."""
        score = row.validation_accuracy if self.early_stopping else -row.train_loss
        self.waited = self.waited + 1 if score < self.best + self.tol else 0
        if score > self.best:
            self.best = score
            if self.early_stopping:
                self.best_params = {key: param.copy() for key, param in self.net.params.items()}
        return self.waited > self.n_iter_no_change

    def restore_best(self) -> None:
        """Give the network the weights of its best validation score, where there was one."""
        self.net.params.update(self.best_params)


def _seed(rng: np.random.RandomState) -> int:
    return int(rng.randint(2**31 - 1))
