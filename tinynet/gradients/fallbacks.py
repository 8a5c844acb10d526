"""What the series did not give of a gradient: counts, the cost that they predict, and what would help, in words."""

from __future__ import annotations

from dataclasses import dataclass

# Nanoseconds on one machine, of which only the ratios count: of a pair (sample, unit) and its features in the
# series; of a move that is measured, exact, or a weight of the output layer's.
SERIES, FEATURE, MEASURED, EXACT, OUTPUT = 35.0, 0.18, 20.0, 110.0, 20.0
LEAST_SLOWDOWN = 3.0  # that is worth a remark


@dataclass
class Fallbacks:
    """How much the series alone did not give, since a workspace was made.

    `samples` were visited in all. Of pairs (sample, unit) `measured` were moved for every feature, `exact` of
    these by the exact formula. Of outliers
    (sample, feature): `outliers` were moved for every unit, `exact_outliers` of these by the exact
    formula. `outputs` counts the samples whose weights of the output layer took the exact formula.
    """

    samples: int = 0
    measured: int = 0
    exact: int = 0
    outliers: int = 0
    exact_outliers: int = 0
    outputs: int = 0

    def remarks(self, n_features: int, hidden_units: int, n_classes: int, least: float = LEAST_SLOWDOWN) -> list[str]:
        """Return one sentence for gradients that took more than `least` times as long as the series; else none.

        The factor is predicted from the counts: it is the same on every machine, and in every run.
        """
        pairs, entries = max(1, self.samples * hidden_units), max(1, self.samples * n_features)
        series = pairs * (SERIES + FEATURE * n_features)
        pair_cost = n_features * (MEASURED * self.measured + EXACT * self.exact)
        outlier_cost = hidden_units * (MEASURED * self.outliers + EXACT * self.exact_outliers)
        output_cost = hidden_units * n_classes * OUTPUT * self.outputs
        causes = {
            f"{self.measured / pairs:.1%} of the pairs of a sample and a unit lie at a kink or a jump, or move the "
            "logits far; a smaller step h, smaller weights or another scaling of the features helps": pair_cost,
            f"{self.outliers / entries:.1%} of the features' values are outliers, too large for the step h; clipping "
            "them, or scaling to [0, 1], helps": outlier_cost,
            f"{self.outputs / max(1, self.samples):.1%} of the samples have units of large values; another scaling "
            "of the features helps": output_cost,
        }
        factor = 1.0 + (pair_cost + outlier_cost + output_cost) / series
        if factor <= least:
            return []
        cause = max(causes, key=lambda name: causes[name])
        return [f"a gradient takes about {factor:.2g} times as long as it could: {cause}"]
