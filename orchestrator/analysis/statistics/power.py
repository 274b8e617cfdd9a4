"""The power of a comparison, before anything is trained."""

import numpy as np
from scipy import stats

from orchestrator.analysis.statistics.validation import Floats, fraction

DISAGREEMENT = 0.05
"""Assumed share of the images on which two equally accurate networks differ: between 1 % and 10 %
in the sweeps of this project's docs."""

DRAWS = 4_000


def power(  # noqa: PLR0913 - what decides it
    images: int,
    seeds: int,
    candidates: int,
    margin: float,
    *,
    alpha: float = 0.05,
    disagreement: float = DISAGREEMENT,
    draws: int = DRAWS,
) -> float:
    """Estimate the probability that a network as good as the reference is shown to be not worse.

    The test is that of `orchestrator.analysis.comparison`: over images and over seeds, and at the
    first step of Holm's correction, as if no other candidate were as good. It is simulated: on
    each image that the two answer differently, either is equally likely to be right, drawn anew
    for every seed.

    Args:
        images: Number of images on which both are measured, at least 1.
        seeds: Number of seeds per configuration, at least 1.
        candidates: Number of configurations compared with the reference, at least 1.
        margin: Largest loss that does not matter, in (0, 1).
        alpha: Accepted probability of at least one wrong "not worse".
        disagreement: Share of the images on which one network alone is right, in (0, 1).
        draws: Number of simulated comparisons.

    Returns:
        A share of the draws; its standard error is at most ``0.5 / sqrt(draws)``.

    Raises:
        ValueError: A number is out of range.

    >>> power(500, 3, 1, 0.02, draws=400) < power(2000, 3, 1, 0.02, draws=400)
    True
    """
    if min(images, seeds, candidates, draws) < 1:
        raise ValueError("images, seeds, candidates and draws need to be 1 at least.")
    fraction(margin, "margin")
    least = fraction(alpha, "alpha") / candidates
    rng = np.random.default_rng([images, seeds])
    discordant = rng.binomial(images, fraction(disagreement, "disagreement"), (draws, seeds))
    gained = rng.binomial(discordant, 0.5)
    lost = discordant - gained
    passed = tango_p(images, gained.mean(axis=1), lost.mean(axis=1), margin) <= least
    if seeds > 1:
        passed &= _over_seeds_p((gained - lost) / images, margin, 1 / images) <= least
    return float(passed.mean())


def tango_p(images: int, gained: Floats, lost: Floats, margin: float) -> Floats:
    """Compute the p-values of `equivalence.not_worse` for many pairs at once.

    >>> tango_p(1000, np.array([10.0, 0.0]), np.array([10.0, 20.0]), 0.02).round(4).tolist()
    [0.0002, 0.5]
    """
    difference = -margin
    deviation = gained - lost - images * difference
    a, c = 2 * images, -lost * difference * (1 - difference)
    b = -gained - lost + (2 * images - gained + lost) * difference
    only_reference = (np.sqrt(np.maximum(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = images * (2 * only_reference + difference * (1 - difference))
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(variance > 0, deviation / np.sqrt(np.maximum(variance, 0)), np.inf)
    result: Floats = stats.norm.sf(np.where(deviation == 0, 0.0, np.copysign(score, deviation)))
    return result


def _over_seeds_p(differences: Floats, margin: float, resolution: float) -> Floats:
    """Compute the p-values of `equivalence.seeds_not_worse` for many rows at once."""
    seeds = differences.shape[1]
    spread = np.maximum(differences.std(axis=1, ddof=1), resolution)
    statistic = (differences.mean(axis=1) + margin) / (spread / np.sqrt(seeds))
    result: Floats = stats.t.sf(statistic, seeds - 1)
    return result
