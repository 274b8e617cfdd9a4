"""How likely is it that a trial is on the front, when what was measured is noisy?

Draws of what might have been measured, and how often each trial is on the front of a draw.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.pareto import non_dominated
from orchestrator.statistics.checking import Floats, outcomes

_DRAWS_AT_ONCE = 256


def front_probability(draws: ArrayLike) -> Floats:
    """How often each trial is on the front.

    Args:
        draws: Losses (smaller is better), shape (draws, trials, objectives). A NaN is a value that
            was not measured: its trial is not on the front of that draw.

    Returns:
        Shape (trials,), in [0, 1].

    Raises:
        ValueError: There is no draw, or the shape is another.
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
        count: How many draws, at least 1.
        rng: Where chance comes from.
        paired: Resample the images, the same for every trial (bootstrap), so that what makes an
            image hard is hard for all; False draws for each trial alone (binomial), which is
            right when their images are not the same.

    Returns:
        Shape (count, trials).

    Raises:
        ValueError: There are no outcomes, or no draw is asked for.
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


def drawn_means(replicates: Sequence[ArrayLike], count: int, rng: np.random.Generator) -> Floats:
    """Draw what other seeds might have given: the mean of resampled replicates of each trial.

    A trial with one replicate is taken at its word, since one number shows no spread: its
    probability is then too near 0 or 1.

    Args:
        replicates: For each trial its values, (replicates, objectives).
        count: How many draws, at least 1.
        rng: Where chance comes from.

    Returns:
        Shape (count, trials, objectives).

    Raises:
        ValueError: A trial has no replicate, or another number of objectives than the first.
    """
    _check_count(count)
    tables = [np.asarray(values, np.float64) for values in replicates]
    if not tables or any(table.ndim != 2 or len(table) == 0 for table in tables):
        raise ValueError(
            f"replicates have the shapes {[table.shape for table in tables]}; for each trial "
            f"(replicates, objectives) are needed, with at least 1 replicate."
        )
    if len({table.shape[1] for table in tables}) > 1:
        counts = [table.shape[1] for table in tables]
        raise ValueError(f"every trial needs the same objectives; their numbers are {counts}.")
    return np.stack([_resampled(table, count, rng) for table in tables], axis=1)


def _resampled(table: Floats, count: int, rng: np.random.Generator) -> Floats:
    chosen: NDArray[np.int64] = rng.integers(len(table), size=(count, len(table)))
    means: Floats = table[chosen].mean(axis=1)
    return means


def _check_count(count: int) -> None:
    if count < 1:
        raise ValueError(f"{count} draws were asked for; at least 1 is needed.")
