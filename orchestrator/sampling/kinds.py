"""Optuna's samplers: how each is made, and what it is like."""

import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import optuna

from orchestrator.errors import UsageError
from orchestrator.sampling.optuna_logging import bold

# Optuna's own default, 50, would leave the sweeps of one evening in the random first generation.
NSGA2_POPULATION = 20


@dataclass(frozen=True, slots=True)
class Kind:
    """How to make one of Optuna's samplers, and what it is like.

    Attributes:
        build: Makes one from a seed, and how many trials are not shown to it; options go to
            Optuna's class by their names.
        asks: How often to ask again after a duplicate.
        extra_asks: How often to ask again after a configuration that cannot meet the constraints.
        models_values: Whether it fits a model to the values of infeasible trials too, and needs
            each constraint of every trial.
    """

    build: Callable[..., optuna.samplers.BaseSampler]
    asks: int
    extra_asks: int = 20
    models_values: bool = False


def _tpe(seed: int, hidden: int, **options: Any) -> optuna.samplers.BaseSampler:
    if not hidden:
        return optuna.samplers.TPESampler(seed=seed, **options)
    with warnings.catch_warnings():
        # Optuna accepts `gamma` until 6.0, with a deprecation warning each time.
        warnings.simplefilter("ignore", FutureWarning)
        # Its own rule for how many trials count as good, for all trials and not those shown.
        return optuna.samplers.TPESampler(
            seed=seed,
            gamma=lambda shown: min(math.ceil(0.1 * (shown + hidden)), 25),
            **options,
        )


def _nsga2(seed: int, _: int, **options: Any) -> optuna.samplers.BaseSampler:
    given = {"population_size": NSGA2_POPULATION, **options}
    sampler = optuna.samplers.NSGAIISampler(seed=seed, **given)
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
        lambda seed, _, **options: optuna.samplers.GPSampler(
            seed=seed, warn_independent_sampling=False, **options
        ),
        asks=1,
        extra_asks=3,
        models_values=True,
    ),
    "random": Kind(lambda seed, _: optuna.samplers.RandomSampler(seed=seed), asks=5),
}

_CLASSES: Mapping[str, type[optuna.samplers.BaseSampler]] = {
    "tpe": optuna.samplers.TPESampler,
    "nsga2": optuna.samplers.NSGAIISampler,
    "gp": optuna.samplers.GPSampler,
    "random": optuna.samplers.RandomSampler,
}
# What the sweep decides itself, and what a file cannot hold.
_DEPRECATED = "consider_"
_NOT_OPTIONS = {"self", "seed", "constraints_func", "warn_independent_sampling"}


def with_options(name: str, options: Mapping[str, Any]) -> Kind:
    """Return one of Optuna's samplers with options of its class.

    >>> with_options("tpe", {"n_startup_trials": 3}).asks
    5
    >>> with_options("tpe", {"n_startup": 3})
    Traceback (most recent call last):
    orchestrator.errors.UsageError: The sampler tpe has no option n_startup. It has ...

    Raises:
        UsageError: It has no such option, or does not accept the value.
    """
    kind = KINDS[name]
    if not options:
        return kind
    accepted = accepted_options(name)
    for option, value in options.items():
        if option not in accepted:
            has = f"It has {', '.join(accepted)}." if accepted else "It has none."
            raise UsageError(f"The sampler {name} has no option {option}. {has}")
        _check_type(name, option, value, accepted[option])

    def build(seed: int, hidden: int) -> optuna.samplers.BaseSampler:
        with bold():
            return kind.build(seed, hidden, **options)

    try:
        build(0, 0)
    except (TypeError, ValueError) as error:
        raise UsageError(f"The sampler {name} does not accept {dict(options)}: {error}") from None
    return replace(kind, build=build)


def accepted_options(name: str) -> dict[str, Any]:
    """Return the options of a sampler that a sweep file can hold, with their defaults.

    >>> accepted_options("tpe")["n_startup_trials"], accepted_options("random")
    (10, {})
    """
    parameters = inspect.signature(_CLASSES[name].__init__).parameters.values()
    return {
        each.name: each.default
        for each in parameters
        if each.name not in _NOT_OPTIONS
        and not each.name.startswith(_DEPRECATED)
        and not _takes_code(str(each.annotation))
    }


def _takes_code(annotation: str) -> bool:
    return "Callable" in annotation or "Base" in annotation


def _check_type(name: str, option: str, value: Any, default: Any) -> None:
    """Refuse a value of another type than the default: Optuna would fail at a later trial."""
    kinds: tuple[type, ...] = (int, float) if isinstance(default, float) else (type(default),)
    is_number = isinstance(default, int | float)
    if not is_number or (isinstance(value, kinds) and isinstance(value, bool) == (bool in kinds)):
        return
    raise UsageError(
        f"The option {option} of the sampler {name} is {value!r}; its default is {default!r}, and "
        f"a value of that kind is needed."
    )
