"""Front membership under measurement noise.

Measurements are resampled, and trials counted by how often they are on the resampled front.
"""

import numpy as np
from numpy.typing import ArrayLike

from orchestrator.analysis.statistics.validation import Floats, outcomes
from orchestrator.pareto.dominance import non_dominated

_DRAWS_AT_ONCE = 256


def front_probability(draws: ArrayLike) -> Floats:
    """Compute the share of the draws in which each trial is on the front.

    Args:
        draws: Losses (smaller is better), shape (draws, trials, objectives). A NaN is a value that
            was not measured: the trial is not on the front of that draw.

    Returns:
        Shape (trials,), in [0, 1].

    Raises:
        ValueError: There is no draw, or the array has another shape.

    >>> front_probability([[[1.0], [2.0]], [[2.0], [1.0]], [[1.0], [1.0]]]).round(2).tolist()
    [0.67, 0.67]
    """
    losses = np.asarray(draws, np.float64)
    if losses.ndim != 3 or 0 in losses.shape:
        raise ValueError(
            f"draws have shape {losses.shape}; (draws, trials, objectives) are needed, each at "
            f"least 1."
        )
    on_front = np.array([non_dominated(draw) for draw in losses], np.float64)
    shares: Floats = on_front.mean(axis=0)
    return shares


def drawn_accuracies(
    correct: ArrayLike, count: int, rng: np.random.Generator, *, paired: bool = True
) -> Floats:
    """Draw accuracies that other images of the same kind might have given.

    Args:
        correct: Outcomes, bool (trials, images), all of the same images.
        count: Number of draws, at least 1.
        rng: Source of randomness.
        paired: Resample the images, the same for every trial (bootstrap), so that an image that is
            hard for one is hard for all; False draws for each trial separately (binomial), which
            is right if their images differ.

    Returns:
        Shape (count, trials).

    Raises:
        ValueError: There are no outcomes, or no draw is asked for.

    >>> rng = np.random.default_rng(0)
    >>> drawn_accuracies([[True, True], [False, False]], 3, rng).tolist()
    [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    """
    right = outcomes(correct, "correct")
    _check_count(count)
    if right.ndim != 2:
        raise ValueError(f"correct has shape {right.shape}; (trials, images) are needed.")
    images = right.shape[1]
    if not paired:
        alone: Floats = rng.binomial(images, right.mean(axis=1), (count, len(right))) / images
        return alone
    each = np.full(images, 1 / images)
    parts = [
        # How often each image is drawn; a few draws at a time bound the memory.
        rng.multinomial(images, each, size=min(_DRAWS_AT_ONCE, count - first)) @ right.T
        for first in range(0, count, _DRAWS_AT_ONCE)
    ]
    together: Floats = np.concatenate(parts) / images
    return together


def _check_count(count: int) -> None:
    if count < 1:
        raise ValueError(f"{count} draws were asked for; at least 1 is needed.")
