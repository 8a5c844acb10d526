"""TinyNetClassifier: the two-layer network and its training as scikit-learn's tools expect them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from tinynet.activations import get_activation
from tinynet.data.samples import Samples
from tinynet.errors import DataError, InvalidValueError
from tinynet.estimator.labels import apply_weights, check_labels, set_aside
from tinynet.estimator.parameters import CONSTRAINTS, DEFAULT_RATE, batch_size, layer_size, new_sgd
from tinynet.estimator.rules import StoppingRule, delayed, stalled
from tinynet.losses import softmax
from tinynet.network import TwoLayerNet
from tinynet.training.checkpoints import copied
from tinynet.training.history import History
from tinynet.training.loop import train

Array = npt.NDArray[Any]

KEPT_LOSSES = 1000  # of the calls of partial_fit, so that a stream never fills memory


class TinyNetClassifier(ClassifierMixin, BaseEstimator):
    """A two-layer network, trained by difference quotients of its loss, as a scikit-learn classifier.

    What is called as in `sklearn.neural_network.MLPClassifier` means the same. Scale the inputs first, for
    instance by `StandardScaler` in a pipeline. `score` is scikit-learn's accuracy (``ClassifierMixin``).

    Parameters
    ----------
    hidden_units : int of at least 1, default 50
    activation : str or callable, default "tanh"
        "tanh", "sigmoid" (or "logistic"), "relu", "silu", "identity", "sign", "quantised:LEVELS", or any
        elementwise callable.
    learning_rate : float above 0, "constant", "invscaling", "adaptive" or callable, default 0.1
        The names are MLPClassifier's and begin at `learning_rate_init`: "invscaling" divides it by (t_ + 1) **
        `power_t` after each epoch, "adaptive" divides it by 5 where training would end, down to 1e-6. A callable
        takes the epochs done and returns the rate, as those of `tinynet.schedules` do.
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
        `fit` continues with the current weights, on the same classes; momentum starts anew.
    verbose : bool or int, default False
        Print the loss, and the accuracy on what is set aside, after each epoch.
    shuffle : bool, default True
        Take the samples in another order in each epoch.
    random_state : int, RandomState instance or None, default None
        Decides the initial weights, the order of samples and what is set aside.
    hidden_layer_sizes : int, sequence of one int, or None, default None
        MLPClassifier's name: takes the place of `hidden_units`.
    learning_rate_init : float above 0 or None, default None
        MLPClassifier's name: takes the place of a number in `learning_rate`; 0.1 where neither is given.
    alpha : float of at least 0 or None, default None
        MLPClassifier's penalty, on weights and not on intercepts: alpha / batch_size is its factor.
    power_t : float of at least 0, default 0.5

    Attributes
    ----------
    classes_ : array, shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : array, shape (n_features_in_,), where X had column names that are strings
    net_ : TwoLayerNet, which `coefs_` and `intercepts_` are the parameters of
    coefs_ : list of two arrays, shapes (n_features_in_, hidden_units) and (hidden_units, n_classes)
    intercepts_ : list of two arrays, shapes (hidden_units,) and (n_classes,)
    n_iter_ : int, the epochs of the last `fit` or `partial_fit`
    t_ : int, the samples seen, each counted once an epoch; warm starts and `partial_fit` add to it
    n_layers_, n_outputs_, out_activation_ : 3, the number of classes, "softmax"
    loss_ : float, the last of `loss_curve_`
    loss_curve_ : list, the training loss of each epoch in nats a sample, the mean of what its batches had as they
        were reached; the last one of a `fit`, and that of `partial_fit`, is measured after the epoch. Warm starts and
        `partial_fit` append, and `partial_fit` keeps the last 1,000
    best_loss_ : float, the lowest training loss so far; None with `early_stopping`
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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = CONSTRAINTS

    def __init__(
        self,
        hidden_units: int = 50,
        activation: str | Callable[[Array], Any] = "tanh",
        *,
        learning_rate: float | str | Callable[[float], float] = DEFAULT_RATE,
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
        verbose: bool | int = False,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        hidden_layer_sizes: int | npt.ArrayLike | None = None,
        learning_rate_init: float | None = None,
        alpha: float | None = None,
        power_t: float = 0.5,
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
        self.verbose = verbose
        self.shuffle = shuffle
        self.random_state = random_state
        self.hidden_layer_sizes = hidden_layer_sizes
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.power_t = power_t

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Train on `X`, shape (n_samples, n_features), and labels `y`, shape (n_samples,).

        Parameters
        ----------
        X : array, DataFrame or sparse matrix, whose batches are made dense one by one
        y : array of at least two classes
        sample_weight : array, shape (n_samples,), at least 0, optional
            What the loss of each sample is multiplied by: 2 is the sample twice, 0 leaves it out.

        Warns
        -----
        ConvergenceWarning
            When `max_iter` epochs went by without the rule of `tol` and `n_iter_no_change` ending them, or the loss
            stayed above that of guessing.
        UserWarning
            On ^C, which ends the training and keeps the weights so far.

        Raises
        ------
        ValueError, TypeError
            When data or a parameter cannot be used.
        DivergedError
            As soon as a loss or gradient is not finite.
        """
        self._validate_params()
        again = bool(self.warm_start) and hasattr(self, "net_")
        X, y = self._validated(X, y, reset=not again)
        classes, labels = np.unique(y, return_inverse=True)
        if again and not np.array_equal(classes, self.classes_):
            raise InvalidValueError(f"warm_start continues with the classes {self.classes_}, but y has {classes}")
        rng = check_random_state(self.random_state)
        net = self._network(rng, classes, again)
        training, validation = apply_weights(X, labels, sample_weight, classes, self.class_weight), None
        if self.early_stopping:
            training, validation = set_aside(training, classes, self.validation_fraction, rng)
        rule = self._train(net, rng, training, validation, again=again)
        rule.restore_best()
        message = stalled(rule, training)
        if not message and not rule.has_converged and len(rule.rows) == self.max_iter:
            limits = f"tol = {self.tol}, n_iter_no_change = {self.n_iter_no_change}"
            message = f"training ended after max_iter = {self.max_iter} epochs and had not converged ({limits})"
        if message:
            warnings.warn(message, ConvergenceWarning, stacklevel=2)
        return self._keep(classes, rng, rule, again)

    def partial_fit(
        self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None, classes: npt.ArrayLike | None = None
    ) -> Self:
        """Train one epoch on `X` and `y`, continuing with weights and momentum as they are.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`; y may lack some of the classes
        classes : array of all labels there will be, needed in the first call alone
        """
        again = hasattr(self, "net_")
        if not again:  # as scikit-learn's own: later calls are to be quick
            self._validate_params()
        if self.early_stopping:
            raise InvalidValueError("partial_fit does not support early_stopping=True")
        if isinstance(self.class_weight, str):
            unsupported = f"class_weight={self.class_weight!r}"
            raise InvalidValueError(f"partial_fit does not support {unsupported}: give the weights as a dict")
        X, y = self._validated(X, y, reset=not again)
        known = self._known_classes(y, classes)
        rng = self._rng if again else check_random_state(self.random_state)
        net = self._network(rng, known, again)
        training = apply_weights(X, np.searchsorted(known, y), sample_weight, known, self.class_weight)
        epochs_done = self._epochs_done if again else 0
        self._keep(known, rng, self._train(net, rng, training, again=again, partial=True), again)
        self._epochs_done += epochs_done
        del self.loss_curve_[:-KEPT_LOSSES]
        return self

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

    @property
    def coefs_(self) -> list[Array]:
        """The weights of `net_`."""
        return [self.net_.params["W1"], self.net_.params["W2"]]

    @property
    def intercepts_(self) -> list[Array]:
        """The biases of `net_`."""
        return [self.net_.params["b1"], self.net_.params["b2"]]

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn asks of estimators: this one takes sparse matrices."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there is a network: a fit that failed has left n_features_in_ alone."""
        return hasattr(self, "net_")

    def _logits(self, X: Any) -> Array:
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        return self.net_.logits(X, sparse=True)

    def _validated(self, X: Any, y: Any, *, reset: bool) -> tuple[Array, Array]:
        check_labels(y)
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64, reset=reset)
        if y.dtype.kind not in "biuU":  # integers, bools and strings are always class labels
            check_classification_targets(y)
        return X, y

    def _known_classes(self, y: Array, classes: npt.ArrayLike | None) -> Array:
        """Return all classes of a partial fit, which `y` has no others than."""
        before = getattr(self, "classes_", None)
        if classes is None and before is None:
            raise InvalidValueError("classes must be passed on the first call to partial_fit")
        if classes is not None:
            check_labels(classes)
        known = np.unique(np.asarray(before if classes is None else classes))
        if before is not None and not np.array_equal(known, before):
            raise InvalidValueError(f"partial_fit continues with the classes {self.classes_}, but was given {known}")
        if len(unknown := np.setdiff1d(y, known)):
            raise DataError(f"y holds {unknown.tolist()[0]!r}, which is not one of the classes {known}")
        return known

    def _network(self, rng: np.random.RandomState, classes: Array, again: bool) -> TwoLayerNet:
        """Return the network to train: a new one, or the one there is."""
        if len(classes) < 2:
            raise DataError(f"there is 1 class, {classes.tolist()[0]!r}; a classifier needs at least 2")
        activation = get_activation("sigmoid" if self.activation == "logistic" else self.activation)
        units = layer_size(self)
        if not again:
            return TwoLayerNet(self.n_features_in_, units, len(classes), activation=activation, seed=_seed(rng))
        net: TwoLayerNet = self.net_
        there = len(net.params["b1"])
        if there != units or not activation.is_like(net.activation):
            other = "other " if activation.name == net.activation.name and there == units else ""
            raise InvalidValueError(
                f"training continues with the {there} {net.activation.name} units that there are, not {units} "
                f"{other}{activation.name} units; for these use a new estimator, or fit with warm_start=False"
            )
        return net

    def _train(
        self,
        net: TwoLayerNet,
        rng: np.random.RandomState,
        training: Samples,
        validation: Samples | None = None,
        *,
        again: bool,
        partial: bool = False,
    ) -> StoppingRule:
        """Train until the rule or ^C ends it, and return the rule, which has recorded the epochs."""
        sgd = new_sgd(self, len(training))
        schedule = self.learning_rate if callable(self.learning_rate) else None
        if again and partial:
            sgd.velocity = copied(self._optimizer.velocity)
            schedule = schedule and delayed(schedule, self._epochs_done)
        rule = StoppingRule(self, net, sgd, len(training), self.t_ if again else 0)
        before = copied(net.params)
        try:
            history = train(
                net,
                training,
                None,
                sgd,
                epochs=1 if partial else self.max_iter,
                batch_size=batch_size(self, len(training)),
                seed=_seed(rng) if self.shuffle else None,
                validation=validation,
                h=self.h,
                method=self.method,
                schedule=schedule,
                measure="after" if partial else "during",
                on_epoch=rule,
            )
            rule.rows = history.rows  # the last of which is measured anew
        except Exception:  # DivergedError too: the last good epoch was measured during it, and its weights may be bad
            net.params.update(before)
            raise
        except KeyboardInterrupt:
            whole = f"after {len(rule.rows)} whole epochs"
            warnings.warn(f"training was interrupted {whole}; the weights so far are kept", stacklevel=3)
        return rule

    def _keep(self, classes: Array, rng: np.random.RandomState, rule: StoppingRule, again: bool) -> Self:
        """Set all attributes, now that training went well."""
        self.net_, self.classes_, self._optimizer, self._rng = rule.net, classes, rule.optimizer, rng
        self.n_layers_, self.n_outputs_, self.out_activation_ = 3, len(classes), "softmax"
        self.n_iter_, self.t_, self._epochs_done = len(rule.rows), rule.samples_seen, len(rule.rows)
        old, early, epochs = self if again else None, self.early_stopping, History(rule.rows)
        self.loss_curve_ = [*getattr(old, "loss_curve_", ()), *epochs["train_loss"]]
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else math.nan
        scores, losses = ((getattr(old, name, None) or []) for name in ("validation_scores_", "validation_loss_curve_"))
        before = getattr(old, "best_loss_", None)
        lowest = epochs["train_loss"] if before is None else [before, *epochs["train_loss"]]
        self.best_loss_ = None if early else min(lowest, default=math.nan)
        self.validation_scores_ = [*scores, *epochs["validation_accuracy"]] if early else None
        self.validation_loss_curve_ = [*losses, *epochs["validation_loss"]] if early else None
        self.best_validation_score_ = rule.best if early else None
        return self


def _seed(rng: np.random.RandomState) -> int:
    return int(rng.randint(2**31 - 1))
