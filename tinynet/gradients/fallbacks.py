"""What the series did not give of a gradient: counts, the cost that they predict, and what would help, in words."""

from __future__ import annotations

from dataclasses import dataclass

# Nanoseconds on one machine, of which only the ratios count. Of the series: a gradient, a pair (sample, unit) of it and
# each feature of that. Of the rest: a move, measured or exact, a weight of the output layer, and the calls for each.
GRADIENT, PAIR, FEATURE = 60e3, 22.0, 0.13
MEASURED, EXACT, OUTPUT, MEASURED_CALLS, EXACT_CALLS = 25.0, 110.0, 12.0, 60e3, 150e3
LEAST_SLOWDOWN = 3.0  # that is worth a remark


@dataclass
class Fallbacks:
    """How much the series alone did not give, since a workspace was made.

    Attributes
    ----------
    gradients : formed since then
    samples : visited in all of them
    measured : pairs (sample, unit) that were moved for every feature
    exact : those of them that took the exact formula
    outliers : outliers (sample, feature) that were moved for every unit
    exact_outliers : those of them that took the exact formula
    outputs : samples whose weights of the output layer took the exact formula
    """

    gradients: int = 0
    samples: int = 0
    measured: int = 0
    exact: int = 0
    outliers: int = 0
    exact_outliers: int = 0
    outputs: int = 0

    def slowdown(self, n_features: int, hidden_units: int, n_classes: int) -> tuple[float, float, float]:
        """Return what pairs, outliers and outputs cost, in units of the series: the same on every machine."""
        series = self.gradients * GRADIENT + self.samples * hidden_units * (PAIR + FEATURE * n_features)
        parts = [
            (self.measured, n_features * MEASURED, MEASURED_CALLS),
            (self.exact, n_features * EXACT, EXACT_CALLS),
            (self.outliers, hidden_units * MEASURED, MEASURED_CALLS),
            (self.exact_outliers, hidden_units * EXACT, EXACT_CALLS),
            (self.outputs, hidden_units * n_classes * OUTPUT, EXACT_CALLS),
        ]
        pairs, exact, outliers, exact_outliers, outputs = (
            (count * each + min(count, self.gradients) * calls) / max(series, 1.0) for count, each, calls in parts
        )
        return pairs + exact, outliers + exact_outliers, outputs

    def remarks(self, n_features: int, hidden_units: int, n_classes: int, least: float = LEAST_SLOWDOWN) -> list[str]:
        """Return one sentence for gradients that took more than `least` times as long as the series; else none."""
        costs = self.slowdown(n_features, hidden_units, n_classes)
        factor = 1.0 + sum(costs)
        if factor <= least:
            return []
        cause = (
            f"{self.measured / (self.samples * hidden_units):.1%} of the pairs of a sample and a unit lie at a kink or "
            "a jump, or move the logits far; a smaller step h, smaller weights or another scaling helps",
            f"{self.outliers / (self.samples * n_features):.1%} of the features' values are outliers, too large for "
            "the step h; clipping them, or scaling to [0, 1], helps",
            f"{self.outputs / self.samples:.1%} of the samples have units of large values; another scaling of the "
            "features helps",
        )[costs.index(max(costs))]
        return [f"a gradient takes about {factor:.2g} times as long as it could: {cause}"]
