"""How near the rows that a search found are to a front that is known, as for a table of results.

A hypervolume from a point behind all rows of a table says little: a few random rows of a large
table have nearly all of it. These are measured from close behind the front.
"""

from dataclasses import dataclass

import moocore
import numpy as np

from orchestrator.pareto.dominance import Floats, non_dominated
from orchestrator.pareto.hypervolume import HypervolumeScale

BEHIND = 0.1
"""How far behind the front's nadir volumes begin, as a share of the front's range."""
SMALLEST_DIFFERENCE = 1e-6
"""Differences of volume below this count as this much: the front is found."""


@dataclass(frozen=True, slots=True, eq=False)
class KnownFront:
    """A front that is known, and the scale on which others are compared with it.

    Losses are scaled to 0 at the best of each column and to 1 + `BEHIND` at the corner, so that
    the front's own range is 1. The nadir is the worst that a member of the front has in a column.

    Attributes:
        losses: Shape ``(n, m)``: the members.
        scale: From the ideal point to behind the nadir.
        volume: What the members dominate, as a share of the box between these two.
    """

    losses: Floats
    scale: HypervolumeScale
    volume: float

    @classmethod
    def of(cls, losses: Floats) -> "KnownFront":
        """Find the front of all rows that are known; rows with a NaN are no part of it.

        Raises:
            ValueError: No row is without NaN.
        """
        members = losses[non_dominated(losses)]
        if not len(members):
            raise ValueError("There is no front of rows that all lack a value.")
        scale = HypervolumeScale.within(members, BEHIND)
        return cls(members, scale, scale.volume(members))

    def shares(self, losses: Floats) -> Floats:
        """Measure the share of the front's volume after the first row, the first two, and so on.

        Args:
            losses: Shape ``(n, m)``, in order of time; rows with a NaN add nothing.

        Returns:
            Shape ``(n,)``, in [0, 1], non-decreasing.

        >>> front = KnownFront.of(np.array([[0.0, 1.0], [1.0, 0.0]]))
        >>> front.shares(np.array([[2.0, 2.0], [1.0, 0.0], [0.0, 1.0]])).round(3).tolist()
        [0.0, 0.524, 1.0]
        """
        return np.minimum(self.scale.history(losses) / self.volume, 1.0)

    def epsilon(self, losses: Floats) -> float:
        """Compute the additive epsilon indicator, in shares of the front's range.

        The least by which all rows would have to improve in every column so that each member of
        the front is dominated by, or equal to, one of them; 0 for the front itself.

        Returns:
            Infinite where no row is without NaN.

        References:
            E. Zitzler et al. Performance assessment of multiobjective optimizers: an analysis and
            review. IEEE Transactions on Evolutionary Computation 7(2), 2003, section III.
            https://doi.org/10.1109/TEVC.2003.810758

        >>> front = KnownFront.of(np.array([[0.0, 10.0], [5.0, 0.0]]))
        >>> front.epsilon(np.array([[0.0, 10.0]]))
        1.0
        """
        found = losses[np.isfinite(losses).all(axis=1)]
        if not len(found):
            return float("inf")
        return float(moocore.epsilon_additive(self._scaled(found), ref=self._scaled(self.losses)))

    def _scaled(self, losses: Floats) -> Floats:
        best = self.losses.min(axis=0)
        scaled: Floats = (losses - best) * (1 + BEHIND) / (self.scale.corner - best)
        return scaled


def log_difference(share: float) -> float:
    """Return the logarithm to base 10 of what a share of a front's volume lacks of all of it.

    >>> log_difference(0.99), log_difference(1.0)
    (-2.0, -6.0)
    """
    return round(float(np.log10(max(1.0 - share, SMALLEST_DIFFERENCE))), 12)


def mean_difference(moments: Floats, shares: Floats, until: float) -> float:
    """Average what a search lacked of the front's volume over time: the area under its curve.

    Args:
        moments: Shape ``(n,)``, seconds, ascending: when `shares` were reached.
        shares: Shape ``(n,)``, in [0, 1].
        until: End of the time that counts, in seconds; what came later does not count, and a
            search that ended before keeps what it had.

    Returns:
        In [0, 1]: 0 if all of the front was there from the start, 1 if nothing of it was found.

    >>> mean_difference(np.array([1.0, 3.0]), np.array([0.5, 1.0]), until=4.0)
    0.5
    """
    inside = moments < until
    ends = np.append(moments[inside], until)
    lacks = 1.0 - np.append(0.0, shares[inside])
    return float((np.diff(ends, prepend=0.0) * lacks).sum() / until)
