"""tinynet: a two-layer network trained by numerical gradients."""

from __future__ import annotations

import importlib.util
import typing

from tinynet.activations import get_activation, quantised, relu, sigmoid, silu
from tinynet.errors import (
    ConfigError,
    DataError,
    DivergedError,
    InvalidTypeError,
    InvalidValueError,
    NumericalWarning,
    RunFolderError,
    TinynetError,
    WrongGradientError,
)
from tinynet.gradients.numerical import gradient_descent, numerical_diff, numerical_gradient
from tinynet.losses import cross_entropy, softmax
from tinynet.network import TwoLayerNet
from tinynet.optimizers import SGD

if typing.TYPE_CHECKING:
    from tinynet.artifacts.model import Model, load_model
    from tinynet.checking.check_gradient import GradientReport, check_gradient
    from tinynet.data.datasets import Dataset, load_dataset, split_dataset
    from tinynet.data.samples import Samples, balanced_weights
    from tinynet.estimator import TinyNetClassifier
    from tinynet.reports.plots import (
        plot_calibration_curve,
        plot_confusion_matrix,
        plot_decision_boundary,
        plot_loss_curve,
        plot_precision_recall_curve,
        plot_roc_curve,
    )
    from tinynet.training.checkpoints import Checkpoints
    from tinynet.training.history import Epoch, History
    from tinynet.training.loop import train

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Checkpoints",
    "ConfigError",
    "DataError",
    "Dataset",
    "DivergedError",
    "Epoch",
    "GradientReport",
    "History",
    "InvalidTypeError",
    "InvalidValueError",
    "Model",
    "NumericalWarning",
    "RunFolderError",
    "Samples",
    "TinyNetClassifier",
    "TinynetError",
    "TwoLayerNet",
    "WrongGradientError",
    "balanced_weights",
    "check_gradient",
    "cross_entropy",
    "get_activation",
    "gradient_descent",
    "load_dataset",
    "load_model",
    "numerical_diff",
    "numerical_gradient",
    "plot_calibration_curve",
    "plot_confusion_matrix",
    "plot_decision_boundary",
    "plot_loss_curve",
    "plot_precision_recall_curve",
    "plot_roc_curve",
    "quantised",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "split_dataset",
    "train",
]


_LATER = {  # imported when they are asked for: `import tinynet` stays fast
    "tinynet.artifacts.model": ("Model", "load_model"),
    "tinynet.checking.check_gradient": ("GradientReport", "check_gradient"),
    "tinynet.data.datasets": ("Dataset", "load_dataset", "split_dataset"),
    "tinynet.data.samples": ("Samples", "balanced_weights"),
    "tinynet.estimator": ("TinyNetClassifier",),
    "tinynet.reports.plots": tuple(name for name in __all__ if name.startswith("plot_")),
    "tinynet.training.checkpoints": ("Checkpoints",),
    "tinynet.training.history": ("Epoch", "History"),
    "tinynet.training.loop": ("train",),
}


def __getattr__(name: str) -> object:
    """Import what is in `_LATER`, or a module of the package that nothing has imported yet."""
    for module, names in _LATER.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    if name.isidentifier() and not name.startswith("_") and importlib.util.find_spec(f"{__name__}.{name}"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
