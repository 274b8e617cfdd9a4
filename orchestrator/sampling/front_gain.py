"""The expected gain of hypervolume, for any number of objectives, by random directions."""

import numpy as np
from scipy.special import ndtr, ndtri

from orchestrator.columns import Floats

_DIRECTIONS, _SAMPLES = 64, 32
# An improvement on an objective's best that counts, as a share of the front's range.
_LEAST = 0.01


class FrontGain:
    """What points with uncertain losses are expected to add to a front's hypervolume.

    The hypervolume of a set is the mean, over random directions, of the largest scalarization of
    its members (a power of the distance from the corner to what they dominate, along the
    direction). So is its gain, which needs no box decomposition.

    Args:
        front: Shape ``(k, m)``: losses of the members, scaled alike in all columns.
        corner: Shape ``(m,)``: the reference point.
        rng: Draws directions and samples.

    References:
        D. Golovin, Q. Zhang. Random hypervolume scalarizations for provable multi-objective black
        box optimization. ICML 2020, lemma 5. https://arxiv.org/abs/2006.04655
    """

    def __init__(self, front: Floats, corner: Floats, rng: np.random.Generator) -> None:
        directions = np.abs(rng.standard_normal((_DIRECTIONS, len(corner))))
        self._directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        # One in each of equally probable slices, so that the tails count as they should.
        slices = np.stack([rng.permutation(_SAMPLES) for _ in corner], axis=1)
        self._samples = ndtri((slices + 0.5) / _SAMPLES)
        self._corner = corner
        self._reached = np.zeros(_DIRECTIONS)
        if len(front):
            self._reached = self._scalarized(front).max(axis=0)

    def of(self, means: Floats, deviations: Floats) -> Floats:
        """Estimate the gain of each point, shape ``(c,)``, up to a factor.

        Args:
            means: Shape ``(c, m)``: expected losses.
            deviations: Shape ``(c, m)``: their standard deviations; 0 for what is known.

        >>> gain = FrontGain(np.array([[0.5, 0.5]]), np.ones(2), np.random.default_rng(0))
        >>> better = gain.of(np.array([[0.4, 0.4], [0.6, 0.6]]), np.zeros((2, 2)))
        >>> bool(better[0] > 0), float(better[1])
        (True, 0.0)
        """
        total = np.zeros(len(means))
        for sample in self._samples:
            scalarized = self._scalarized(means + deviations * sample)
            total += np.maximum(scalarized - self._reached, 0.0).mean(axis=1)
        return total / _SAMPLES

    def _scalarized(self, losses: Floats) -> Floats:
        inside = np.maximum(self._corner - losses, 0.0)
        along = (inside[:, None, :] / self._directions[None, :, :]).min(axis=2)
        scalarized: Floats = along ** len(self._corner)
        return scalarized


def behind_extensions(
    corner: Floats, front: Floats, means: Floats, deviations: Floats, feasible: Floats
) -> Floats:
    """Move a corner behind what may extend a front: of each objective the likeliest improvement.

    Behind the corner nothing is a gain. A front that begins with small networks has a narrow
    range of sizes, and a network that is larger than all of them would never be tried, however
    small its loss.

    Args:
        corner: Shape ``(m,)``: the reference point behind the front, 1 where its range ends.
        front: Shape ``(k, m)``: losses of the members.
        means: Shape ``(c, m)``: expected losses of candidates.
        deviations: Shape ``(c, m)``: their standard deviations.
        feasible: Shape ``(c,)``: the probability that each can be used.

    >>> front, corner, usable = np.array([[0.0, 1.0], [1.0, 0.0]]), np.full(2, 1.2), np.ones(1)
    >>> behind_extensions(corner, front, np.array([[-0.5, 4.0]]), np.zeros((1, 2)), usable)
    array([1.2, 4.2])
    >>> behind_extensions(corner, front, np.array([[0.5, 4.0]]), np.zeros((1, 2)), usable)
    array([1.2, 1.2])
    """
    moved, distance = corner, corner - 1.0
    for column, best in enumerate(front.min(axis=0)):
        deviation = np.maximum(deviations[:, column], 1e-9)
        better = (best - means[:, column]) / deviation
        density = np.exp(-0.5 * better**2) / np.sqrt(2 * np.pi)
        improvement = deviation * (better * ndtr(better) + density) * feasible
        likeliest = int(np.argmax(improvement))
        if improvement[likeliest] > _LEAST:
            moved = np.maximum(moved, means[likeliest] + distance)
    return moved
