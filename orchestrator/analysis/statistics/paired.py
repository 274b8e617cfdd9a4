"""Paired tests of whether two networks differ; a large p-value does not prove equality."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from orchestrator.analysis.statistics.validation import Floats, numbers, outcomes, same_shape


def mcnemar(first: ArrayLike, second: ArrayLike) -> float:
    """Test whether two networks are right equally often on the same images.

    Exact: on each image that exactly one gets right, both are equally likely to be that one.

    Args:
        first: bool (n,), whether the first is right on each image.
        second: The same for the second.

    Returns:
        Two-sided p-value; 1 when no image tells them apart.

    Raises:
        ValueError: They are empty, not bool, or of different lengths.

    References:
        Q. McNemar. Note on the sampling error of the difference between correlated proportions
        or percentages. Psychometrika 12, 1947. https://doi.org/10.1007/BF02295996

    >>> mcnemar([True, True, True, False], [False, False, False, False])
    0.25
    """
    one, other = outcomes(first, "first"), outcomes(second, "second")
    same_shape(one, other)
    if one.ndim != 1:
        raise ValueError(f"McNemar's test takes one seed at a time; got outcomes {one.shape}.")
    gained, lost = int((one & ~other).sum()), int((other & ~one).sum())
    if gained + lost == 0:
        return 1.0
    # The binomial test: both tails of a symmetric distribution are equal.
    return min(1.0, 2 * float(stats.binom.cdf(min(gained, lost), gained + lost, 0.5)))


def paired_t(first: ArrayLike, second: ArrayLike) -> float:
    """Test whether the mean difference over seeds is zero; assumes normal differences.

    Returns:
        Two-sided p-value; 1 when every pair is equal.

    Raises:
        ValueError: There are fewer than two pairs, they do not match, a number is not finite, or
            all differences are the same number other than zero: their spread is then unknown.

    >>> round(paired_t([0.90, 0.92, 0.91], [0.89, 0.90, 0.88]), 3)
    0.074
    >>> paired_t([0.9, 0.8], [0.9, 0.8])
    1.0
    """
    differences = _differences(first, second)
    if not differences.any():
        return 1.0
    # Not `ptp() == 0`: 0.3 - 0.2 and 0.2 - 0.1 are the same difference, but for the last bit.
    if np.ptp(differences) <= 1e-12 * np.abs(differences).max():
        raise ValueError(
            f"all {len(differences)} differences are {differences[0]:g}: without a spread, a "
            f"t-test would call anything significant. Measure more seeds, or on more images."
        )
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def wilcoxon(first: ArrayLike, second: ArrayLike) -> float:
    """Test whether differences over seeds are symmetric about zero (signed ranks).

    With five pairs or fewer no result has p below 0.05, whatever the differences.

    Returns:
        Two-sided p-value, exact for up to 50 pairs without ties or zeros; 1 when every pair is
        equal.

    Raises:
        ValueError: There are fewer than two pairs, they do not match, or a number is not finite.

    >>> wilcoxon([0.95, 0.94, 0.93, 0.92, 0.91], [0.90, 0.90, 0.90, 0.90, 0.90])
    0.0625
    """
    differences = _differences(first, second)
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)


def _differences(first: ArrayLike, second: ArrayLike) -> Floats:
    one, other = numbers(first, "first", least=2), numbers(second, "second", least=2)
    same_shape(one, other)
    differences: Floats = one - other
    return differences
