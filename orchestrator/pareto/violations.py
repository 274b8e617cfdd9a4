"""Sums of violations as levels: sums that differ only by rounding share a level."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ROUNDING = 1e-9
"""Share by which two sums may differ and still be equal. A sum of some violations, each a quotient
of doubles, is off by some 1e-16; no limit is known to one part in a billion."""


def violation_levels(totals: ArrayLike) -> NDArray[np.int64]:
    """Rank the sums of violations from 0 for the smallest; equal sums share a number.

    Neighbors that differ by rounding alone are equal, so that the order of the constraints, or
    the unit of a limit, never distinguishes two trials.

    Args:
        totals: Shape ``(n,)``, at least 0; infinite where a limited value is missing.

    Returns:
        Shape ``(n,)``.

    >>> violation_levels([0.3, 0.1 + 0.2, 0.0]).tolist()
    [1, 1, 0]
    """
    given = np.asarray(totals, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    ascending = given[order]
    levels = np.zeros(len(given), dtype=np.int64)
    if len(given) > 1:
        lower, upper = ascending[:-1], ascending[1:]
        # Infinities are equal to each other, and their difference is NaN.
        is_higher = (upper > lower) & ~(upper <= lower + _ROUNDING * np.maximum(lower, 1.0))
        levels[order[1:]] = np.cumsum(is_higher)
    return levels


def least_violated(totals: Sequence[float]) -> list[int]:
    """Return the indices of the sums in ascending order; equal sums keep their given order.

    >>> least_violated([0.5, 0.0, 0.5])
    [1, 0, 2]
    """
    order: list[int] = np.argsort(violation_levels(totals), kind="stable").tolist()
    return order
