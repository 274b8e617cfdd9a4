"""Learning rates of each step: a warm-up, then one of four ways to fall."""

import math
from collections.abc import Callable, Iterator, Mapping

from trainers.recipes.config import RecipeConfig

_WARM_UP = 0.05
_ONE_CYCLE_WARM_UP = 0.3
# As torch's OneCycleLR: where the learning rate begins and ends, of its peak.
_BEGINS, _ENDS = 1 / 25, 1 / 250_000
# Of all steps; as in He et al. 2016, section 4.2 (32,000 and 48,000 of 64,000 steps).
_DROPS = (0.5, 0.75)


def learning_rates(
    recipe: RecipeConfig, peak: float, *, steps_per_epoch: int, epochs: int, from_epoch: int
) -> Iterator[float]:
    """Yield the learning rates of the remaining steps.

    Each rate depends only on the number of its step, so that a resumed training continues exactly
    where it stopped.

    ``cosine``: half a cosine to zero. ``step``: a tenth from half of all steps on, a hundredth
    from three quarters on. ``constant``: no fall. ``one_cycle``: half a cosine up from 1/25 of the
    peak, then half a cosine down to 1/250,000. The first three rise linearly in the warm-up.

    >>> rates = learning_rates(RecipeConfig(), 0.1, steps_per_epoch=1, epochs=3, from_epoch=0)
    >>> list(rates)
    [0.1, 0.1, 0.05]

    Args:
        recipe: Its schedule and its warm-up.
        peak: Largest learning rate.
        steps_per_epoch: Steps in an epoch.
        epochs: Number of epochs of the whole training.
        from_epoch: Number of epochs that are finished.

    References:
        I. Loshchilov, F. Hutter. SGDR: stochastic gradient descent with warm restarts. 2017,
        equation 5 (without restarts). https://arxiv.org/abs/1608.03983
        L. Smith, N. Topin. Super-convergence. 2018. https://arxiv.org/abs/1708.07120
    """
    total = steps_per_epoch * epochs
    is_one_cycle = recipe.schedule == "one_cycle"
    share = recipe.warmup
    if share is None:
        share = _ONE_CYCLE_WARM_UP if is_one_cycle else _WARM_UP
    warm_up = max(1, int(total * share)) if share else 0
    fall = _FALLS[recipe.schedule]
    for step in range(steps_per_epoch * from_epoch, total):
        if step >= warm_up:
            yield peak * fall((step - warm_up) / max(1, total - warm_up), step / total)
        elif is_one_cycle:
            yield peak * (1 + (_BEGINS - 1) * _half_cosine(step / warm_up))
        else:
            yield peak * (step + 1) / warm_up


def _half_cosine(progress: float) -> float:
    """Fall from 1 to 0 along half a cosine."""
    return (1 + math.cos(math.pi * progress)) / 2


def _cosine(progress: float, of_all: float) -> float:
    del of_all
    return _half_cosine(progress)


def _step(progress: float, of_all: float) -> float:
    del progress
    return 0.1 ** sum(of_all >= drop for drop in _DROPS)


def _constant(progress: float, of_all: float) -> float:
    del progress, of_all
    return 1.0


def _one_cycle(progress: float, of_all: float) -> float:
    del of_all
    return _ENDS + (1 - _ENDS) * _half_cosine(progress)


_FALLS: Mapping[str, Callable[[float, float], float]] = {
    "cosine": _cosine,
    "step": _step,
    "constant": _constant,
    "one_cycle": _one_cycle,
}
