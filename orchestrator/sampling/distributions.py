"""Domains of `search_spaces` as Optuna distributions, and configurations both ways.

Optuna sees a number from a list of evenly spaced ones, and a choice, as its index. So nothing
is rounded twice, and choices of any type (1, 1.0, true) stay apart.
"""

from collections.abc import Mapping

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from orchestrator.trials import Params, Value
from search_spaces import Choice, Domain, Float, Int, SearchSpace


def distribution_of(domain: Domain) -> BaseDistribution:
    """Return the distribution that Optuna samples for a domain.

    >>> distribution_of(Choice((4, 8, "float")))  # Optuna samples the place of an option
    CategoricalDistribution(choices=(0, 1, 2))
    >>> distribution_of(Choice((16, 64, 256), ordered=True))  # the same, and neighbors are alike
    IntDistribution(high=2, log=False, low=0, step=1)
    >>> distribution_of(Float(0.001, 0.1, log=True))
    FloatDistribution(high=0.1, log=True, low=0.001, step=None)
    """
    if isinstance(domain, Choice) and not domain.ordered:
        return CategoricalDistribution(range(domain.size))
    if isinstance(domain, Float) and domain.step is None:
        return FloatDistribution(domain.low, domain.high, log=domain.log)
    if not isinstance(domain, Choice) and domain.log:
        return IntDistribution(int(domain.low), int(domain.high), log=True)
    return IntDistribution(0, (domain.size or 1) - 1)


def ask_params(trial: optuna.Trial, space: SearchSpace) -> dict[str, Value]:
    """Let Optuna choose the active parameters of a trial, one by one, parents first.

    >>> from search_spaces import load_space
    >>> trial = optuna.trial.FixedTrial({"fc_width_1": 0, "bits": 1})
    >>> ask_params(trial, load_space("smoke"))
    {'fc_width_1': 8, 'bits': 8}
    """
    params: dict[str, Value] = {}
    for name in space.names:
        condition = space.conditions.get(name)
        if condition is None or condition.holds(params):
            domain = space.domains[name]
            params[name] = _value(domain, _suggested(trial, name, distribution_of(domain)))
    return space.canonical(params)


def told_params(
    space: SearchSpace, params: Params
) -> tuple[dict[str, int | float], dict[str, BaseDistribution]]:
    """Return a configuration as Optuna stores it: numbers and their distributions.

    >>> from search_spaces import load_space
    >>> told_params(load_space("smoke"), {"fc_width_1": 8, "bits": 8})[0]
    {'fc_width_1': 0, 'bits': 1}
    """
    names: Mapping[str, Value] = space.canonical(params)
    numbers = {name: _number(space.domains[name], value) for name, value in names.items()}
    return numbers, {name: distribution_of(space.domains[name]) for name in names}


def told_value(space: SearchSpace, name: str, value: Value) -> int | float:
    """Return one value of a configuration as Optuna stores it.

    >>> from search_spaces import load_space
    >>> told_value(load_space("smoke"), "bits", 8)
    1
    """
    return _number(space.domains[name], value)


def _suggested(trial: optuna.Trial, name: str, kind: BaseDistribution) -> int | float:
    number: int | float
    if isinstance(kind, CategoricalDistribution):
        number = trial.suggest_categorical(name, kind.choices)
    elif isinstance(kind, FloatDistribution):
        number = trial.suggest_float(name, kind.low, kind.high, log=kind.log)
    else:
        number = trial.suggest_int(name, kind.low, kind.high, log=kind.log)
    return number


def _value(domain: Domain, number: int | float) -> Value:
    return number if _is_value(domain) else domain.at(int(number))


def _number(domain: Domain, value: Value) -> int | float:
    if isinstance(domain, Choice):
        # Not `index`: to Python 1 == 1.0 == True.
        typed = [(type(option), option) for option in domain.options]
        return typed.index((type(value), value))
    number = float(value)
    if _is_value(domain):
        return int(number) if isinstance(domain, Int) else number
    return round((number - domain.low) / (domain.step or 1))


def _is_value(domain: Domain) -> bool:
    """Whether Optuna holds the value itself, and not its index."""
    if isinstance(domain, Choice):
        return False
    return domain.log or (isinstance(domain, Float) and domain.step is None)
