"""Corrections of p-values for multiple comparisons."""

import numpy as np
from numpy.typing import ArrayLike

from orchestrator.analysis.statistics.validation import Floats, numbers


def holm(p_values: ArrayLike) -> Floats:
    """Adjust p-values for their number, by Holm's step-down procedure.

    If every adjusted value of at most alpha is called significant, the family-wise error rate is
    at most alpha, however the tests depend on each other.

    Args:
        p_values: Shape (n,), each in [0, 1].

    Returns:
        Shape (n,), in the order given; never below what was given, never above 1.

    Raises:
        ValueError: There are none, or one is NaN or outside of [0, 1].

    References:
        S. Holm. A simple sequentially rejective multiple test procedure. Scandinavian Journal of
        Statistics 6, 1979. https://www.jstor.org/stable/4615733

    >>> holm([0.25, 0.125, 1.0]).tolist()
    [0.5, 0.375, 1.0]
    """
    given = numbers(p_values, "p_values")
    if given.min() < 0 or given.max() > 1:
        raise ValueError(f"p-values lie in [0, 1]; got {given.min():g} to {given.max():g}.")
    order = np.argsort(given, kind="stable")
    factors = np.arange(len(given), 0, -1)
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1.0)
    return adjusted
