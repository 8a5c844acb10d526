"""The scikit-learn face: TinyNetClassifier, when its training ends, and what it takes for labels."""

from tinynet.estimator.classifier import TinyNetClassifier

__all__ = ["TinyNetClassifier"]
