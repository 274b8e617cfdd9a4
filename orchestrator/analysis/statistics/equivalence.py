"""Tests of non-inferiority and equivalence within a stated margin.

The null hypothesis is "worse by at least the margin" so that few images, or noisy ones, never
make a network pass.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from orchestrator.analysis.statistics.intervals import Interval
from orchestrator.analysis.statistics.validation import fraction, numbers, outcomes, same_shape

_EDGE = 1e-12


@dataclass(frozen=True, slots=True)
class PairedCounts:
    """On how many of the same images one network is right and the other wrong.

    Over several seeds the counts are means. The variance of a mean of outcomes is at most the mean
    of their variances, so that a test on mean counts claims no precision from the repetition: it
    errs on the safe side.

    Attributes:
        images: How many images, at least 1.
        gained: Number of images that the candidate alone gets right.
        lost: Number of images that the reference alone gets right.
    """

    images: int
    gained: float
    lost: float

    @classmethod
    def of(cls, candidate: ArrayLike, reference: ArrayLike) -> "PairedCounts":
        """Count outcomes, bool (n,) or (seeds, n), of the same images and seeds.

        Raises:
            ValueError: They are empty, not bool, or of different shapes.
        """
        one, other = outcomes(candidate, "candidate"), outcomes(reference, "reference")
        same_shape(one, other)
        seeds = len(one) if one.ndim == 2 else 1
        gained, lost = int((one & ~other).sum()), int((other & ~one).sum())
        return cls(one.shape[-1], gained / seeds, lost / seeds)

    @property
    def difference(self) -> float:
        """Accuracy of the candidate less that of the reference, in [-1, 1]."""
        return (self.gained - self.lost) / self.images


def not_worse(counts: PairedCounts, margin: float) -> float:
    """Test that the candidate is not worse by `margin` or more (non-inferiority).

    Tango's score test: its variance is that under "worse by exactly the margin", so that it stays
    valid without a single discordant pair, where a t-test or Wald's would have a variance of 0.

    Args:
        counts: Outcomes on the same images.
        margin: Largest loss of accuracy that does not matter, in (0, 1); 0.02 is two points.

    Returns:
        One-sided p-value; small is evidence that the candidate is not worse by the margin.

    Raises:
        ValueError: `margin` is outside of (0, 1).

    References:
        T. Tango. Equivalence test and confidence interval for the difference in proportions for
        the paired-sample design. Statistics in Medicine 17, 1998, equations 10 to 14.

    >>> round(not_worse(PairedCounts(images=1000, gained=10, lost=10), margin=0.02), 4)
    0.0002
    """
    return float(ndtr(-_score(counts, -fraction(margin, "margin"))))


def equivalent(counts: PairedCounts, margin: float) -> float:
    """Test that the accuracies differ by less than `margin` either way (TOST).

    Returns:
        The larger of two one-sided p-values: not worse, and not better, by the margin.

    References:
        D. J. Schuirmann. A comparison of the two one-sided tests procedure and the power approach
        for assessing the equivalence of average bioavailability. J. Pharmacokinetics and
        Biopharmaceutics 15, 1987. https://doi.org/10.1007/BF01068419

    >>> round(equivalent(PairedCounts(images=1000, gained=10, lost=10), margin=0.02), 4)
    0.0002
    >>> round(equivalent(PairedCounts(images=1000, gained=40, lost=10), margin=0.02), 2)
    0.93
    """
    mirrored = PairedCounts(counts.images, counts.lost, counts.gained)
    return max(not_worse(counts, margin), not_worse(mirrored, margin))


def difference_interval(counts: PairedCounts, level: float = 0.95) -> Interval:
    """Compute Tango's two-sided score interval for the difference of the accuracies.

    >>> found = difference_interval(PairedCounts(images=1000, gained=10, lost=10))
    >>> round(found.low, 3), round(found.high, 3)
    (-0.01, 0.01)
    """
    quantile = -float(ndtri((1 - fraction(level, "level")) / 2))
    middle = counts.difference

    def above(difference: float) -> float:
        return _score(counts, difference) - quantile

    def below(difference: float) -> float:
        return _score(counts, difference) + quantile

    low = -1.0 if middle <= -1 else brentq(above, -1 + _EDGE, middle)
    high = 1.0 if middle >= 1 else brentq(below, middle, 1 - _EDGE)
    return Interval(float(low), float(high), level)


def seeds_not_worse(differences: ArrayLike, margin: float, *, resolution: float) -> float:
    """Test over seeds that the mean difference is above -margin: a one-sided t-test.

    Args:
        differences: Candidate less reference, one number per seed; at least two.
        margin: As for `not_worse`.
        resolution: Smallest difference that could have been measured (one image of n: 1/n). The
            spread is taken to be at least that, since seeds that agree to the last image by
            chance do not prove that there is no spread.

    Returns:
        One-sided p-value.

    Raises:
        ValueError: There are fewer than two, or one is NaN; margin or resolution is not in (0, 1)
            (a resolution of 1, one image, is accepted).

    >>> round(seeds_not_worse([0.0, 0.01, -0.01], margin=0.02, resolution=0.001), 3)
    0.037
    """
    values = numbers(differences, "differences", least=2)
    fraction(margin, "margin")
    if resolution != 1:
        fraction(resolution, "resolution")
    spread = max(float(np.std(values, ddof=1)), resolution)
    statistic = (float(values.mean()) + margin) / (spread / math.sqrt(len(values)))
    return float(stats.t.sf(statistic, len(values) - 1))


def _score(counts: PairedCounts, difference: float) -> float:
    """Tango's statistic: standard normal if the true difference is `difference`."""
    n, gained, lost = counts.images, counts.gained, counts.lost
    deviation = gained - lost - n * difference
    if abs(deviation) <= _EDGE * n:
        return 0.0
    # The probability that the reference alone is right, at its most likely for this difference.
    a, c = 2 * n, -lost * difference * (1 - difference)
    b = -gained - lost + (2 * n - gained + lost) * difference
    only_reference = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = n * (2 * only_reference + difference * (1 - difference))
    return deviation / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, deviation)
