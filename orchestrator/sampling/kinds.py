"""Optuna's samplers: how each is made, and what it is like."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import optuna

# Optuna's own default, 50, would leave the sweeps of one evening in the random first generation.
NSGA2_POPULATION = 20


@dataclass(frozen=True, slots=True)
class Kind:
    """How to make one of Optuna's samplers, and what it is like.

    Attributes:
        build: Makes one from a seed, and how many trials are not shown to it.
        asks: How often to ask again after a duplicate.
        extra_asks: How often to ask again after a configuration that cannot meet the constraints.
        models_values: Whether it fits a model to the values of infeasible trials too, and needs
            each constraint of every trial.
    """

    build: Callable[[int, int], optuna.samplers.BaseSampler]
    asks: int
    extra_asks: int = 20
    models_values: bool = False


def _tpe(seed: int, hidden: int) -> optuna.samplers.BaseSampler:
    if not hidden:
        return optuna.samplers.TPESampler(seed=seed)
    with warnings.catch_warnings():
        # Optuna accepts `gamma` until 6.0, with a deprecation warning each time.
        warnings.simplefilter("ignore", FutureWarning)
        # Its own rule for how many trials count as good, for all trials and not those shown.
        return optuna.samplers.TPESampler(
            seed=seed, gamma=lambda shown: min(math.ceil(0.1 * (shown + hidden)), 25)
        )


def _nsga2(seed: int, _: int) -> optuna.samplers.BaseSampler:
    sampler = optuna.samplers.NSGAIISampler(population_size=NSGA2_POPULATION, seed=seed)
    # Surprise (Optuna 5.0): the generator of mutated values starts from the same seed as the one
    # that decides on crossovers. Drawing a choice of many moves it a thousand numbers ahead.
    ahead = optuna.distributions.CategoricalDistribution(range(1_000))
    sampler.sample_independent(None, None, "", ahead)
    return sampler


KINDS: Mapping[str, Kind] = {
    "tpe": Kind(_tpe, asks=5),
    "nsga2": Kind(_nsga2, asks=5),
    # One ask takes a second or more, and gives nearly the same answer again.
    "gp": Kind(
        lambda seed, _: optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False),
        asks=1,
        extra_asks=3,
        models_values=True,
    ),
    "random": Kind(lambda seed, _: optuna.samplers.RandomSampler(seed=seed), asks=5),
}
